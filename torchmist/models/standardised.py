"""Numbers that a network reads less their mean and over their deviation among what trained it.

Legend: ``B`` datasets, ``R`` numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Standardised"]

_LEAST = 1e-3  # deviation


class Standardised(nn.Module):
    """What a module of several parents is, that keeps a ``mean`` and a ``scale`` in its state."""

    mean: Tensor
    scale: Tensor

    def keep_scale(self, numbers: int) -> None:
        """Keep those of ``numbers`` R, 0 and 1 at first."""
        self.register_buffer("mean", torch.zeros(numbers))
        self.register_buffer("scale", torch.ones(numbers))

    def standardise(self, read: Tensor) -> None:
        """Take the mean and the deviation of ``read`` ``[B, R]`` as those of what is read."""
        self.mean.copy_(read.mean(0))
        self.scale.copy_(read.std(0).clamp(min=_LEAST))

    def standardised(self, read: Tensor) -> Tensor:
        """``read`` ``[B, R]`` less the mean and over the deviation."""
        return (read - self.mean) / self.scale
