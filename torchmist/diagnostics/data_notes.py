"""What a sample shows, beyond its size, that an estimate of it cannot be trusted blindly.

Heavy tails and outliers are none of it: only ranks are read, and they are the same after any
increasing map of a column. Neither are atoms, values that many rows share. Legend: ``B`` datasets,
``N`` samples, ``d`` columns of one side.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchmist.diagnostics.copied_rows import copied_share, row_keys
from torchmist.numerics.ranked import Ranked
from torchmist.samples.class_labels import ignored_notes
from torchmist.samples.column_kinds import Sorted

__all__ = ["data_notes"]

_CODES = 20  # most class codes that are taken for such
_PER_CODE = 5  # fewest samples for each of them
_TIED = 0.5  # share of the samples of a column that repeat another's value
_COPIES = 0.02  # share of the samples that are copies of another
_COLUMNS = 64  # most columns of a side whose consecutive rows are compared
_ROWS = 20_000  # most rows of these
_CHANCE = 5.0  # standard errors of a rank correlation that is not chance, and
_PERSISTENT = 0.1  # the least one that is worth a word


def data_notes(
    x: Sorted, y: Sorted, *, counted: bool = False, ties: bool = False,
    names: tuple[str, str] = ("x", "y"),
) -> tuple[str, ...]:  # fmt: skip
    """Constant and repeated columns, labels that losses ignore, codes, ties, copied and consecutive
    rows, as sentences.

    ``x`` and ``y``: both sides with their kinds; ``counted``: they went to the counts, where ties
    and codes are no matter; ``ties``: the weights have seen ties of every kind; ``names``: of both
    sides.
    """
    notes: list[str] = []
    ranked = x.ranked, y.ranked
    for side, name in zip((x, y), names):
        notes += _constant_notes(side.ranked, name) + _single_notes(side)
        notes += ignored_notes(side.values, side.label, side.side.names)
        if not counted:
            notes += _code_notes(side, name) or ([] if ties else _tie_notes(side, name))
    both = torch.cat([x.values.double(), y.values.double()], -1)
    numeric = torch.tensor([not label for label in (*x.label, *y.label)], device="cpu")
    notes += _repeated_columns(both, numeric, x.values.shape[-1], names)
    if not counted:
        share = copied_share(both, ranked, numeric.to(both.device))
        if share > _COPIES:
            notes.append(
                f"{100 * share:.0f} % of the samples are exact copies of others: copies look like "
                f"dependence; leave them out (resampling with replacement makes them)"
            )
    return (*notes, *_consecutive_notes((x.values, y.values), ranked))


def _constant_notes(ranked: Ranked, name: str) -> list[str]:
    """Columns that hold one value in a dataset."""
    constant = int((ranked.distinct == 1).any(0).sum())
    if not constant:
        return []
    of = f"{constant} of {ranked.order.shape[1]} columns of {name}"
    return [f"{of} constant: they carry no information"]


def _single_notes(sorted_: Sorted) -> list[str]:
    """Columns of labels of which each row holds another."""
    n, side = sorted_.values.shape[1], sorted_.side
    alone = (sorted_.ranked.distinct == n).all(0).tolist()
    return [
        f"{name}: {n} classes in {n} rows, each seen once: of such labels nothing can be told; are "
        f"these numbers? then pass {side.argument}=False"
        for name, single, label in zip(side.names, alone, sorted_.label)
        if single and label
    ]


def _code_notes(sorted_: Sorted, name: str) -> list[str]:
    """A single column of class codes as floats."""
    side, distinct = sorted_.values, sorted_.ranked.distinct
    few = (distinct > 2) & (distinct <= min(_CODES, side.shape[1] // _PER_CODE)) & _numbers(sorted_)
    if side.shape[-1] > 1 or not few.all() or not bool((side == side.round()).all()):
        return []
    return [
        f"{name} holds {int(distinct.max())} whole numbers as floats: if they are class "
        f"labels, whose order means nothing, pass them as integers"
    ]


def _tie_notes(sorted_: Sorted, name: str) -> list[str]:
    """Heavy ties among the columns that are no labels."""
    n, d = sorted_.values.shape[1:]
    distinct = sorted_.ranked.distinct
    tied = (distinct > _CODES) & (distinct < (1 - _TIED) * n) & _numbers(sorted_)
    if not tied.any():
        return []
    return [
        f"{int(tied.any(0).sum())} of {d} columns of {name} heavily tied (over half of the "
        f"values repeat others): the weights have seen ties as classes and bins only; "
        f"torchmist.audit tells how far they are off on such data"
    ]


def _numbers(sorted_: Sorted) -> Tensor:
    """Which columns are numbers, ``[d]``."""
    kinds = sorted_.side.kinds
    return torch.tensor([kind == "number" for kind in kinds], device=sorted_.values.device)


def _count(count: int, name: str) -> str:
    return f"{count} column{'s' if count > 1 else ''} of {name} {'are' if count > 1 else 'is'}"


def _repeated_columns(rows: Tensor, numeric: Tensor, dx: int, names: tuple[str, str]) -> list[str]:
    """Columns of numbers ``[B, N, D]`` that equal another of the same or of the other side."""
    places = numeric.nonzero().flatten().tolist()
    keys = row_keys(rows.flatten(0, 1).mT).tolist()
    first: dict[float, int] = {}
    repeated, shared = dict.fromkeys(names, 0), 0
    for k in places:
        twin = first.setdefault(keys[k], k)
        column = rows[..., k]
        constant = bool((column == column[0, 0]).all())
        if twin == k or constant or not torch.equal(rows[..., twin], column):
            continue
        if twin < dx <= k:
            shared += 1
        else:
            repeated[names[k >= dx]] += 1
    notes = [
        f"{_count(count, name)} the same as another of its columns: it adds nothing"
        for name, count in repeated.items()
        if count
    ]
    if shared:
        notes.append(
            f"{_count(shared, names[1])} a column of {names[0]} as well: what both sides hold has "
            f"no upper limit of mutual information but that of the sample's resolution"
        )
    return notes


def _consecutive_notes(sides: tuple[Tensor, Tensor], ranked: tuple[Ranked, Ranked]) -> list[str]:
    """Rows that resemble the row before on both sides, unless they came sorted."""
    n = min(sides[0].shape[1], _ROWS)
    least = max(_PERSISTENT, _CHANCE / (len(sides[0]) * n) ** 0.5)
    found = []
    for side, of in zip(sides, ranked):
        value = side[:, :_ROWS, :_COLUMNS]
        of = of if value.shape == side.shape else Ranked.of(value)
        ranks = of.codes.double() - (n - 1)
        product = (ranks[..., 1:] * ranks[..., :-1]).sum(-1)
        found.append(float((product / ranks.square().sum(-1).clamp(min=1)).mean(0).amax()))
        if found[-1] < least or bool(_in_order(value, of.distinct).any()):
            return []
    both = found[0] * found[1]
    rows = int(sides[0].shape[1] * (1 - both) / (1 + both))
    return [
        f"consecutive rows resemble each other on both sides (rank correlations {found[0]:.2f} and "
        f"{found[1]:.2f}): rows of a series count as fewer, here about {rows}, and the interval is "
        f"too narrow; take every k-th row"
    ]


def _in_order(value: Tensor, distinct: Tensor) -> Tensor:
    """Whether each column ``[B, N, d]`` of so many ``distinct`` values ``[B, d]`` is sorted, or its
    equal values stand together, ``[d]``."""
    before, after = value[:, :-1], value[:, 1:]
    sorted_ = ((after >= before).all(1) | (after <= before).all(1)).all(0)
    runs = 1 + (after != before).sum(1)
    return sorted_ | ((runs == distinct) & (2 * distinct < value.shape[1])).all(0)
