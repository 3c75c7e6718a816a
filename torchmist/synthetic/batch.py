"""Datasets of one size with their mutual information, as every family draws them.

Legend: ``B`` datasets, ``N`` samples, ``d`` columns of one side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor

__all__ = ["Batch"]


@dataclass(frozen=True, eq=False)
class Batch:
    """Datasets of one size with their true MI.

    ``x``, ``y``: ``[B, N, d]`` float32; ``mi``: ``[B]`` float32, nats; ``family``: ``[B]`` int64,
    an index into the names of the meta-distribution; ``error``: ``[B]`` float32, the standard
    error of ``mi`` in nats where it is a Monte Carlo mean, 0 where it is exact.
    """

    x: Tensor
    y: Tensor
    mi: Tensor
    family: Tensor
    error: Tensor

    def __getitem__(self, part: slice) -> Batch:
        """Some of the datasets."""
        return self._each(lambda values: values[part])

    def to(self, device: torch.device | str) -> Batch:
        """The same datasets on ``device``."""
        return self._each(lambda values: values.to(device))

    def _each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        return Batch(*(change(getattr(self, f.name)) for f in fields(self)))
