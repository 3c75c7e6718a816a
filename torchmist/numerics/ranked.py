"""The columns of a side by rank: one sort, from which ties, distinct values and ranks follow.

Legend: ``B`` datasets, ``N`` samples, ``d`` columns of one side.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from torchmist.numerics.sorting import sort_columns, tie_groups

__all__ = ["Ranked"]


@dataclass(frozen=True, eq=False)
class Ranked:
    """``order`` ``[B, d, N]``: the places of the samples of each column in rising order.

    ``first``, ``last`` ``[B, d, N]``, or ``[B, 1, N]`` where nothing ties: in that order, the
    positions from and to which the values equal each one.
    """

    order: Tensor
    first: Tensor
    last: Tensor

    @classmethod
    def of(cls, side: Tensor) -> Ranked:
        """The columns of ``[B, N, d]``, floating point.

        Example:
            >>> ranked = Ranked.of(torch.tensor([[[0.5], [0.1], [0.5], [0.9]]]))
            >>> ranked.distinct.tolist(), ranked.codes.tolist(), ranked.times.tolist()
            ([[3]], [[[3, 0, 3, 6]]], [[[2, 1, 2, 1]]])
        """
        half = side.dtype in (torch.float16, torch.bfloat16)
        columns = (side.float() if half else side).mT.contiguous()
        ordered, order = sort_columns(columns)
        return cls(order, *tie_groups(ordered))

    @property
    def tied(self) -> bool:
        """Whether any column may hold a value twice."""
        return self.first is not self.last

    @cached_property
    def starts(self) -> Tensor:
        """Which samples, in rising order, are the first of their value: bool, as ``first``."""
        position = torch.arange(self.order.shape[-1], device=self.order.device)
        return self.first == position

    @cached_property
    def distinct(self) -> Tensor:
        """Number of distinct values of each column, ``[B, d]``."""
        return self.starts.sum(-1).expand(self.order.shape[:2])

    @cached_property
    def codes(self) -> Tensor:
        """Twice the mean rank from 0 of each sample, equal for equal values, ``[B, d, N]``."""
        return self._in_place(self.first + self.last)

    @cached_property
    def ranks(self) -> Tensor:
        """Rank from 0 of each sample, with ties in some order, ``[B, d, N]``."""
        return self._in_place(torch.arange(self.order.shape[-1], device=self.order.device))

    @cached_property
    def times(self) -> Tensor:
        """How many samples of the column share the value of each, ``[B, d, N]``."""
        if not self.tied:
            return torch.ones_like(self.order)
        return self._in_place(self.last - self.first + 1)

    def _in_place(self, ordered: Tensor) -> Tensor:
        """Numbers in rising order ``[B, d or 1, N]`` at the samples that they belong to."""
        ordered = ordered.to(self.order.dtype).expand(self.order.shape)
        return torch.empty_like(self.order).scatter_(-1, self.order, ordered)
