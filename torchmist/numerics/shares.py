"""Shares and densities without numbers so small that processors are slow with them.

Exponentials of less than about -87 are subnormal in single precision; each operation with one takes
tens of times as long as with others, and beside shares that sum to 1 they count for nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["LEAST_DENSITY", "normal_softmax"]

_DEEPEST = -60.0  # logarithm of a share over the largest
LEAST_DENSITY = 1e-18
"""Density over the highest of a row that counts: products of two of them are normal numbers."""


def normal_softmax(logits: Tensor, dim: int) -> Tensor:
    """The softmax of ``logits`` along ``dim``, 0 of what is below ``e^-60`` of the largest; the
    logits are written over."""
    if logits.device.type != "cpu" or torch.compiler.is_compiling():
        return logits.softmax(dim)
    apart = logits.sub_(logits.detach().amax(dim, keepdim=True))
    return torch.threshold_(apart, _DEEPEST, -torch.inf).softmax(dim)
