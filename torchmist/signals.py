"""What a sample shows, beyond its size, that an estimate of it cannot be trusted blindly.

Heavy tails and outliers are none of it: only ranks are read, and they are the same after any
increasing map of a column. Legend: ``B`` datasets, ``N`` samples, ``d`` columns of one side.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["data_notes"]

_CODES = 20  # most class codes that are taken for such
_PER_CODE = 5  # fewest samples for each of them
_TIED = 0.5  # share of the samples of a column that repeat another's value
_COPIES = 0.02  # share of the samples that are copies of another


def data_notes(
    raw: tuple[Tensor, Tensor], columns: tuple[Tensor, Tensor], names: tuple[str, str]
) -> tuple[str, ...]:
    """Constant columns, codes of classes, heavy ties and copied samples, as sentences.

    ``raw``: both sides as they came, integer or bool where they are labels; ``columns``: the same
    as ``[B, N, d]``; ``names``: what to call them.
    """
    notes, continuous = [], 0
    for given, side, name in zip(raw, columns, names):
        if not given.is_floating_point():
            continue
        distinct = _distinct(side)
        continuous += int((2 * distinct > side.shape[1]).all(0).sum())
        notes += _column_notes(side, distinct, name)
    if continuous > 1:  # rounding alone repeats the values of one column, not of two at once
        share = _copies(torch.cat([side.double() for side in columns], -1))
        if share > _COPIES:
            notes.append(
                f"{100 * share:.0f} % of the samples are exact copies of others: copies look like "
                f"dependence; leave them out (resampling with replacement makes them)"
            )
    return tuple(notes)


def _distinct(side: Tensor) -> Tensor:
    """Number of distinct values of each column, ``[B, d]``."""
    ordered = side.sort(1).values
    return 1 + (ordered[:, 1:] != ordered[:, :-1]).sum(1)


def _column_notes(side: Tensor, distinct: Tensor, name: str) -> list[str]:
    """What the numbers of ``distinct`` values ``[B, d]`` of a floating-point side say."""
    n, d = side.shape[1:]
    notes = []
    constant = int((distinct == 1).any(0).sum())
    if constant:
        notes.append(f"{constant} of {d} columns of {name} constant: they carry no information")
    few = (distinct > 2) & (distinct <= min(_CODES, n // _PER_CODE))
    if d == 1 and few.all() and bool((side == side.round()).all()):
        most = int(distinct.max())
        notes.append(
            f"{name} holds {most} whole numbers as floats: if they are class labels, whose order "
            f"means nothing, pass them as integers"
        )
        return notes
    tied = (distinct > _CODES) & (distinct < (1 - _TIED) * n)
    if tied.any():
        notes.append(
            f"{int(tied.any(0).sum())} of {d} columns of {name} heavily tied (over half of the "
            f"values repeat others): the weights have seen ties as classes and bins only; "
            f"torchmist.audit tells how far they are off on such data"
        )
    return notes


def _copies(rows: Tensor) -> float:
    """Share of the rows ``[B, N, D]`` that equal another, by a sum with irrational weights."""
    weights = torch.arange(1, rows.shape[-1] + 1, dtype=rows.dtype, device=rows.device).sqrt()
    ordered = (rows * weights).sum(-1).sort(-1).values
    return float((ordered[:, 1:] == ordered[:, :-1]).double().mean())
