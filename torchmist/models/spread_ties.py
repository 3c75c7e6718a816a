r"""Rounded columns whose ties are spread: ages in years, prices in cents, readings of a converter.

A column that takes values :math:`v_1 < v_2 < \dots` tells the same if noise of its own is added
that stays between the middles of these, as the value can be read off again:

.. math:: I(X + U;Y) = I(X;Y), \qquad U \mid X = v_k \sim
          \mathrm{Unif}\Big(\tfrac{v_{k-1} - v_k}{2}, \tfrac{v_{k+1} - v_k}{2}\Big).

Networks and neighbours see a continuous column then, where ties of both sides would look like cells
of a table of few rows each. The noise is one for each place in an order of the rows that their
values decide, so that it does not depend on that of the sample.

It is a constant of the backward pass. Legend: ``B`` datasets, ``N`` samples, ``M`` of them, ``d``
columns of a side.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from torchmist.models.column_frames import datasets_apart, frames_in_order

__all__ = ["with_ties_spread"]

_COLUMNS, _ROWS = 4, 64  # of a side at most; at least
_VALUES = 8  # of a column that is rounded, at least,
_TIED = 0.05  # of the rows that repeat one of others than the most frequent, at least, and
_ALIKE = 0.5  # of the rows that may have that one


def with_ties_spread(
    x: Tensor, y: Tensor, mask: Tensor | None = None
) -> Iterator[tuple[int, tuple[Tensor, Tensor]]]:
    """Places of the datasets ``[B, N, dx]`` and ``[B, N, dy]`` that have rounded columns, with both
    sides, ``[1, M, dx]`` and ``[1, M, dy]``, whose ties are spread.

    Columns of 8 values and more in at least 64 rows count, of sides of up to 4 columns; none while
    a graph is traced.

    ``mask``: ``[B, N]`` bool, True for real samples.
    """
    if max(x.shape[-1], y.shape[-1]) > _COLUMNS:
        return
    for place, sides in datasets_apart(x, y, mask, lambda rows: rows >= _ROWS):
        rounded = [_rounded(column) for side in sides for column in side[0].detach().unbind(-1)]
        if any(rounded):
            one, other = (frames.plain for frames in frames_in_order(*sides))
            spread = _spread(torch.cat([one, other], -1), rounded)
            a, b = spread.split([one.shape[-1], other.shape[-1]], -1)
            yield place, (a[None], b[None])


def _rounded(column: Tensor) -> bool:
    """Whether a column ``[M]`` has few values for its rows, and no few values alone."""
    _, count = column.unique(return_counts=True)
    most, rows = int(count.max()), len(column)
    repeated = rows - len(count) - (most - 1)  # but for the most frequent value
    return len(count) >= _VALUES and repeated >= _TIED * rows and most <= _ALIKE * rows


def _spread(columns: Tensor, rounded: list[bool]) -> Tensor:
    """``[M, d]`` with the ties of ``rounded`` columns spread, each by numbers of its own, which
    depend on its ranks and not on its place among the columns."""
    columns_apart = columns.detach().unbind(-1)
    noise = _noise(len(columns), columns.shape[-1] + 1).to(columns.device)
    ranks = torch.stack([column.unique(return_inverse=True)[1] for column in columns_apart])
    turn = (ranks * noise[0]).sum(-1).argsort().argsort()
    away = [
        _within(column, noise[1 + k]) if some else torch.zeros_like(column)
        for column, k, some in zip(columns_apart, turn.tolist(), rounded)
    ]
    return columns + torch.stack(away, -1).to(columns)


def _noise(rows: int, columns: int) -> Tensor:
    """Numbers ``[d, M]`` from 0 to 1, the same whenever they are asked for."""
    generator = torch.Generator(device="cpu").manual_seed(rows)
    return torch.rand(columns, rows, generator=generator, dtype=torch.float64, device="cpu")


def _within(column: Tensor, noise: Tensor) -> Tensor:
    """Numbers ``[M]`` between the middles of the values of a column, less its own value.

    ``noise``: ``[M]`` from 0 to 1.
    """
    values, place = column.unique(return_inverse=True)
    half = values.diff() / 2
    below, above = (torch.cat(ends)[place] for ends in ((half[:1], half), (half, half[-1:])))
    return noise * (below + above) - below
