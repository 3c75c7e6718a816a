"""Rows dealt to folds, so that what is fitted on some is asked of others.

Legend: ``B`` datasets, ``N`` samples, ``K`` folds, ``m`` rows of a fold, ``p`` columns.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["FOLDS", "Folds"]

FOLDS = 4


class Folds(NamedTuple):
    """Places ``[B, K m]`` of the samples, dealt to the folds in turn, ``N`` where there is none."""

    places: Tensor

    @classmethod
    def of(cls, order: Tensor) -> Folds:
        """The samples in an ``order`` ``[B, N]`` of them, padding last."""
        n = order.shape[-1]
        return cls(F.pad(order, (0, -n % FOLDS), value=n))

    def deal(self, values: Tensor) -> Tensor:
        """Rows ``[B, N, p]`` as ``[B, K, m, p]``, zeros where there is none."""
        missing = self.places.shape[1] - values.shape[1]
        rows = F.pad(values, (0, 0, 0, 1)) if missing else values
        first = torch.arange(len(rows), device=rows.device)[:, None] * rows.shape[1]
        rows = rows.flatten(0, 1).index_select(0, (first + self.places).flatten())
        rows = rows.unflatten(0, self.places.shape)
        dealt: Tensor = rows.unflatten(1, (-1, FOLDS)).transpose(1, 2)
        return dealt
