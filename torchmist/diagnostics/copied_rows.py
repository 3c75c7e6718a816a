"""Rows that are exact copies of others, beside values that atoms and rounding repeat.

Legend: ``B`` datasets, ``N`` samples, ``d`` columns of one side, ``D`` of both.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchmist.numerics.ranked import Ranked

__all__ = ["copied_share", "row_keys"]

_ATOM = 10  # rows that share a value which copying alone does not explain
_MOST = 0.5  # share of the tied rows whose columns must tie with the same rows
_GRID = 100  # steps of a grid for each row, up to which it explains ties
_OFF = 0.01  # of a step: what arithmetic takes a value off its grid


def row_keys(rows: Tensor) -> Tensor:
    """Sums ``[..., N]`` of rows ``[..., N, D]``, equal for equal rows: their weights, cosines of
    whole numbers, have no rational relation."""
    places = torch.arange(1, rows.shape[-1] + 1, dtype=rows.dtype, device=rows.device)
    return (rows * places.cos()).sum(-1)


def copied_share(rows: Tensor, ranked: tuple[Ranked, Ranked], numeric: Tensor) -> float:
    """Share of rows ``[B, N, D]`` whose ``numeric`` columns repeat another's, where atoms and
    rounding do not explain it.

    An atom is a value that more than ten rows share. A column is rounded where its other values are
    fewer than half of their rows, unless its ties are proven copies (:func:`_proven`). Rows count
    if two columns or more hold neither.
    """
    distinct = torch.cat([side.distinct for side in ranked], 1)[:, numeric]
    if distinct.shape[1] < 2 or bool((distinct == rows.shape[1]).all(0).any()):
        return 0.0  # a column without ties makes all rows differ
    times = torch.cat([side.times for side in ranked], 1)[:, numeric]
    others = torch.cat([_distinct_but_atoms(side) for side in ranked], 1)[:, numeric]
    free = times <= _ATOM
    rows = rows[..., numeric]
    often = Ranked.of(row_keys(rows)[..., None]).times[:, 0]
    kept = 2 * others > free.sum(-1)
    if not bool(kept.all()):
        kept = kept | _proven(rows, times, free, often)
    counts = (free & kept[..., None]).sum(1) > 1
    extra = torch.where(counts, 1 - 1 / often, 0.0).sum()
    return float(extra / rows.shape[:2].numel())


def _proven(rows: Tensor, times: Tensor, free: Tensor, often: Tensor) -> Tensor:
    """Which columns of ``rows`` ``[B, N, D]`` tie because whole rows do, ``[B, D]`` bool.

    A copied row occurs as often as each of its values, while rounding makes columns tie at rows of
    their own. That must hold of most rows that tie at all, in all columns but those that lie on a
    grid: of two of these, one may be a function of the other. A table in which every row occurs
    twice, or every one three times, is a copy whatever it holds. ``times``, ``free``
    ``[B, D, N]``: how often each value occurs, and whether it is no atom; ``often`` ``[B, N]``: how
    often each row does.
    """
    whole = torch.stack([(often % k == 0).all(-1) for k in range(2, _ATOM + 1)]).any(0)
    off = ~_on_grid(rows)
    asked = free & off[..., None]
    tied = (asked & (times > 1)).any(1)
    together = tied & ((times == often[:, None]) | ~asked).all(1)
    most = together.sum(-1) > _MOST * tied.sum(-1)
    return whole[:, None] | (off & most[:, None])


def _on_grid(rows: Tensor) -> Tensor:
    """Which columns of ``[B, N, D]`` hold multiples of a step so wide that it explains ties,
    ``[B, D]`` bool."""
    gaps = rows.sort(1).values.diff(dim=1)
    step = gaps.masked_fill(gaps <= 0, torch.inf).amin(1, keepdim=True)
    steps = gaps / step
    regular = ((steps - steps.round()).abs() <= _OFF).all(1)
    return regular & (steps.sum(1) <= _GRID * rows.shape[1])


def _distinct_but_atoms(ranked: Ranked) -> Tensor:
    """Number of distinct values of each column without its atoms, ``[B, d]``."""
    rare = ranked.starts & (ranked.last - ranked.first < _ATOM)
    return rare.sum(-1).expand(ranked.order.shape[:2])
