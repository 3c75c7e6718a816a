"""Counts of two columns of labels as a sparse table, in O(N) memory whatever the classes.

Legend: ``N`` samples, ``K`` pairs of labels seen, ``G <= K`` groups of cells with alike numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Table", "count_pairs", "group_totals"]

_GROUPS = 20_000  # most kinds of cells, or of pairs of totals, that are told apart
_DENSE = 4  # a range of integers of at most this many times the samples is counted directly
_EXACT = 8  # totals below this are never grouped with others
_WIDTH = 0.05  # of a group of larger totals, in their logarithm


@dataclass(frozen=True, eq=False)
class Table:
    """A sparse contingency table.

    ``count``, ``row``, ``column``, ``times`` ``[G]`` float64: the count of a cell that was seen,
    the totals of its row and of its column, and the number of such cells. ``rows`` and ``columns``
    ``[., 2]``: the distinct totals of either side, and how many classes have each. ``pairs``
    ``[3, K]`` int64: the row, the column and the group of each cell that was seen.
    """

    count: Tensor
    row: Tensor
    column: Tensor
    times: Tensor
    rows: Tensor
    columns: Tensor
    pairs: Tensor

    @property
    def n(self) -> float:
        """Number of samples."""
        return float(self.rows.prod(-1).sum())

    @property
    def singletons(self) -> float:
        """Number of samples whose pair no other sample has."""
        return float(self.times[self.count == 1].sum())

    @property
    def classes(self) -> tuple[int, int]:
        """Number of classes seen on either side."""
        return int(self.rows[:, 1].sum()), int(self.columns[:, 1].sum())


def count_pairs(x: NDArray[Any], y: NDArray[Any]) -> Table:
    """The table of two columns of labels ``[N]`` of any dtype that can be sorted.

    Example:
        >>> table = count_pairs(np.array([0, 0, 1, 1]), np.array([0, 0, 0, 1]))
        >>> table.n, table.classes, int(table.times.sum())  # three of four cells were seen
        (4.0, (2, 2), 3)
    """
    i, rows = _codes(x)
    j, columns = _codes(y)
    pair, count = np.unique(i * len(columns) + j, return_counts=True)
    places = np.divmod(pair, len(columns))
    (k, row, column), times, group = _alike(count, rows[places[0]], columns[places[1]])
    pairs = torch.from_numpy(np.stack([*places, group]))
    return Table(k, row, column, times, _totals(rows), _totals(columns), pairs)


def group_totals(total: Tensor, times: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
    """Means of the totals and ``others`` within groups, and the number in each.

    Without a change where the distinct totals are few enough for all of their pairs.
    """
    if len(total) ** 2 <= _GROUPS:
        return total, *others, times
    place = torch.from_numpy(_bins(total.numpy(), 2 * _WIDTH))
    number = torch.zeros(int(place.max()) + 1, dtype=total.dtype, device="cpu").index_add(
        0, place, times
    )
    means = (
        torch.zeros_like(number).index_add(0, place, value * times) / number
        for value in (total, *others)
    )
    return *means, number


def _codes(values: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Codes from 0 of values ``[N]``, and the count of each code."""
    if values.dtype.kind in "iu" and len(values):
        low = int(values.min())
        if int(values.max()) - low <= _DENSE * len(values):
            place = values.astype(np.int64) - low
            every = np.bincount(place)
            return (np.cumsum(every > 0) - 1)[place], every[every > 0]
    _, index, count = np.unique(values, return_inverse=True, return_counts=True)
    return index.reshape(-1).astype(np.int64), count.astype(np.int64)


def _totals(count: NDArray[np.int64]) -> Tensor:
    """Distinct totals and how often each occurs, ``[., 2]``."""
    return torch.from_numpy(np.stack(np.unique(count, return_counts=True), -1).astype(np.float64))


def _bins(total: NDArray[Any], width: float) -> NDArray[np.int64]:
    """Bins of totals: small ones apart, larger ones by their logarithm; codes from 0."""
    wide = _EXACT + np.rint(np.log(np.maximum(total, _EXACT) / _EXACT) / width)
    return _codes(np.where(total < _EXACT, total, wide))[0]


def _alike(*columns: NDArray[np.int64]) -> tuple[list[Tensor], Tensor, NDArray[np.int64]]:
    """Distinct rows of ``columns`` ``[K]`` with the number of each, and the place of each row among
    them; alike ones if they are many."""
    for width in (None, _WIDTH):
        code = np.zeros(len(columns[0]), np.int64)
        for column in columns:
            index = _codes(column)[0] if width is None else _bins(column, width)
            code = code * (int(index.max()) + 1) + index
        place, times = _codes(code)
        if len(times) <= _GROUPS:
            break
    means = [np.bincount(place, column) / times for column in columns]
    return [torch.from_numpy(m) for m in means], torch.from_numpy(times.astype(np.float64)), place
