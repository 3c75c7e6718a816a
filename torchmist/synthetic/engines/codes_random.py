"""Draws for a batch of datasets from one generator.

Legend: ``B`` datasets.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["Random"]

_POOL = 128  # numbers for the host; a call takes about 20


class Random:
    """Random tensors ``[B, *shape]`` float32 on the generator's device.

    Args:
        batch: number of datasets ``B``.
        generator: source of all randomness; construction waits for its device once.
    """

    def __init__(self, batch: int, generator: torch.Generator) -> None:
        self.batch, self.generator, self.device = batch, generator, generator.device
        numbers = torch.rand(_POOL, generator=generator, device=self.device)
        self._pool = iter(numbers.tolist())  # the only transfer to the host

    def uniform(self, *shape: int) -> Tensor:
        """Uniform in 0 to 1."""
        return torch.rand(self.batch, *shape, generator=self.generator, device=self.device)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal."""
        return torch.randn(self.batch, *shape, generator=self.generator, device=self.device)

    def log_uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Log-uniform between two positive numbers."""
        return torch.exp(math.log(low) + math.log(high / low) * self.uniform(*shape))

    def coin(self, share: float, *shape: int) -> Tensor:
        """True with probability ``share``."""
        return self.uniform(*shape) < share

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        """Uniform integers from ``low`` to ``high``, both included."""
        return low + (self.uniform(*shape) * (high - low + 1)).long().clamp(max=high - low)

    def permutation(self, count: int) -> Tensor:
        """One order of ``count`` things ``[count]``, shared by the datasets."""
        return torch.randperm(count, generator=self.generator, device=self.device)

    def choices(self, count: int) -> list[float]:
        """``count`` further uniform numbers on the host, for what all datasets of a call share."""
        return [next(self._pool) for _ in range(count)]
