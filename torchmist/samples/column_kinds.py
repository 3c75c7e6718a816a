"""Which columns are labels, and what of them goes to the counts or to the network.

The rules, for a side of ``N`` rows where the user has not marked its columns:

- categorical columns are labels;
- an integer column (bools are 0 and 1) is labels while its distinct values are at most
  ``max(N / 5, min(20, N / 2))``, else numbers, with a note;
- several integer columns beside a side of numbers are labels while their one-hot columns are at
  most 64 in all, else numbers, with a note;
- but integers of many distinct values (more than 20 where they meet other such integers in a table
  of more cells than rows, more than 64 beside numbers) are numbers if their order matters: the
  table of eight ordered bins on each side shows more dependence than that of shuffled classes;
- several integer columns beside a side without other numbers are joint labels while the table of
  both sides has at most ``N`` cells, else numbers, with a note: of a sparser table the posterior is
  that of its prior, which grades, counts and bits do not follow;
- a floating-point column of at most 20 distinct values, each five times on average, is *few*.

Both sides go to the counts (``torchmist.discrete.table_posterior``) where each consists of labels
and few columns alone, whose joint codes are few by the rule of integers, and, unless both sides are
labels, the product of the numbers of codes is at most ``N``. Labels that both sides hold beside
others count by their entropy (``torchmist.discrete.shared_labels``), those of labels alone where
tables are dense. Otherwise labels become one-hot columns for the network
(``torchmist.samples.one_hot``).

Legend: ``B`` datasets, ``N`` samples, ``d`` columns of one side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from torchmist.checks import check_pair
from torchmist.numerics.ranked import Ranked
from torchmist.samples.columns import Side
from torchmist.samples.ordinal import order_matters

__all__ = ["CLASSES", "NEVER", "PER_CODE", "Sorted", "SortedPair", "bearable", "countable",
           "distinct", "joint_codes", "settle_integers", "settle_sparse", "settled_pair",
           "sort_kinds", "sort_pair"]  # fmt: skip

PER_CODE = 5
"""Fewest rows for each code, on average."""
CLASSES = 64
"""Most one-hot columns of integer columns and of few columns."""
NEVER = 64
"""Most columns of a side that are looked at as joint labels."""
_FEW = 20  # most distinct values of a floating-point column that is taken for classes
_ROWS = 20_000  # most rows to see from whether the order of integers matters


@dataclass(frozen=True, eq=False)
class Sorted:
    """A checked side ``values`` ``[B, N, d]`` with its kinds settled.

    ``label``, ``few`` ``[d]``: whether a column is labels, or numbers of few values. ``codes``
    ``[B, N]``: joint codes from 0 where all columns are labels or few; None otherwise.
    ``declared``: all are labels.
    """

    side: Side
    values: Tensor
    label: tuple[bool, ...]
    few: tuple[bool, ...]
    codes: Tensor | None
    declared: bool

    @cached_property
    def ranked(self) -> Ranked:
        """The columns by rank, sorted at the first call."""
        return Ranked.of(self.values)


class SortedPair(NamedTuple):
    """Two checked sides with their kinds settled, ``notes`` for the user on how, and what further
    notes call both."""

    x: Sorted
    y: Sorted
    notes: tuple[str, ...]
    names: tuple[str, str] = ("x", "y")

    @property
    def batched(self) -> bool:
        """Whether the user passed several datasets."""
        return 3 in (self.x.side.values.dim(), self.y.side.values.dim())


def sort_pair(x: Side, y: Side, checked: tuple[Tensor, Tensor] | None = None) -> SortedPair:
    """Check two sides and settle the kinds of their columns.

    ``checked``: both as ``[B, N, d]`` where they have been checked before.

    Raises:
        TypeError, ValueError: as :func:`~torchmist.checks.check_pair`.
    """
    pair = check_pair(x.values, y.values, ("x", "y")) if checked is None else checked
    (a, told_a), (b, told_b) = (sort_kinds(*each) for each in zip((x, y), pair))
    return settled_pair(a, b, (*told_a, *told_b))


def settled_pair(x: Sorted, y: Sorted, notes: Sequence[str] = ()) -> SortedPair:
    """Two sorted sides whose integers are labels or numbers beside each other."""
    a, b, sparse = settle_sparse(x, y)
    a, b, settled = settle_integers(a, b)
    return SortedPair(a, b, (*notes, *sparse, *settled))


def bearable(n: int) -> float:
    """Most distinct codes of one side that a sample of ``n`` rows is taken to bear."""
    return max(n / PER_CODE, min(_FEW, n / 2))


def distinct(column: Tensor) -> int:
    """Most distinct values of a column ``[B, N]`` in one dataset."""
    ordered = column.sort(-1).values
    return 1 + int((ordered[:, 1:] != ordered[:, :-1]).sum(-1).max())


def joint_codes(values: Tensor) -> Tensor:
    """Codes from 0 ``[B, N]`` of the rows of ``[B, N, d]``, equal where all columns are.

    Example:
        >>> joint_codes(torch.tensor([[[0.0, 1.0], [0.5, 1.0], [0.0, 1.0], [0.0, 2.0]]])).tolist()
        [[0, 2, 0, 1]]
    """
    code = torch.zeros_like(values[..., 0], dtype=torch.int64)
    for k in range(values.shape[-1]):
        _, index = values[..., k].unique(return_inverse=True)
        if k == 0:
            code = index
            continue
        code = (code * (int(index.max()) + 1) + index).unique(return_inverse=True)[1]
    return code


def sort_kinds(side: Side, values: Tensor) -> tuple[Sorted, list[str]]:
    """Settle which columns of a checked side ``[B, N, d]`` are labels, with notes for the user."""
    n, d = values.shape[1:]
    label, few, notes, numbers = [], [], [], []
    repeating = _may_be_few(values) if d <= NEVER and "number" in side.kinds else [False] * d
    for k, kind in enumerate(side.kinds):
        column = values[..., k]
        count = 0
        if kind == "integer" or (kind == "number" and repeating[k]):
            count = distinct(column)
        label.append(kind == "label" or (kind == "integer" and count <= bearable(n)))
        few.append(label[-1] or (kind == "number" and 0 < count <= min(_FEW, n // PER_CODE)))
        if kind == "integer" and not label[-1]:
            numbers.append((side.names[k], count))
    if numbers:
        where, count = numbers[0]
        more = f" and {len(numbers) - 1} others" if len(numbers) > 1 else ""
        notes.append(
            f"{where}{more}: integers of {count} distinct values in {n} rows are taken as numbers; "
            f"if they are class labels, pass {side.argument}=True"
        )
    codes = joint_codes(values) if all(few) and d <= NEVER else None
    marked = all(kind == "label" for kind in side.kinds)
    if codes is not None and not marked and distinct(codes) > bearable(n):
        codes = None
    numeric = tuple(repeats and not label[k] for k, repeats in enumerate(few))
    return Sorted(side, values, tuple(label), numeric, codes, all(label)), notes


def _may_be_few(values: Tensor) -> list[bool]:
    """In which columns ``[B, N, d]`` the first rows have few distinct values: a cheap filter."""
    ordered = values[0, : 5 * _FEW].sort(0).values
    few: list[bool] = (1 + (ordered[1:] != ordered[:-1]).sum(0) <= _FEW).tolist()
    return few


def settle_integers(x: Sorted, y: Sorted) -> tuple[Sorted, Sorted, list[str]]:
    """Integers of many values are taken as numbers where their order matters, with a note."""
    sizes = [distinct(side.values[..., 0]) if _guessed(side) else 0 for side in (x, y)]
    first = x.values[0, :_ROWS, 0], y.values[0, :_ROWS, 0]
    sparse = math.prod(sizes) > x.values.shape[1] and min(sizes) > _FEW
    change = [False, False]
    if sparse:
        change = [order_matters(first[0], first[1])] * 2
    for k, other in enumerate((y, x)):
        if sizes[k] > CLASSES and other.codes is None:
            change[k] = order_matters(first[k], other.values[0, :_ROWS, 0], shuffled=False)
    out, notes = [], []
    for side, changed, size in zip((x, y), change, sizes):
        out.append(replace(side, label=(False,), codes=None, declared=False) if changed else side)
        if changed:
            notes.append(
                f"{side.side.names[0]}: integers of {size} distinct values whose order matters are "
                f"taken as numbers; if they are class labels, pass {side.side.argument}=True"
            )
    return out[0], out[1], notes


def settle_sparse(x: Sorted, y: Sorted) -> tuple[Sorted, Sorted, list[str]]:
    """Several integer columns are taken as numbers where their joint labels make a table of more
    cells than rows with the other side, with a note."""
    out, notes = [], []
    discrete = all(all(a or b for a, b in zip(side.label, side.few)) for side in (x, y))
    dense = _cells(x, y) <= x.values.shape[1]
    for side in (x, y):
        integers = [a and b == "integer" for a, b in zip(side.label, side.side.kinds)]
        if dense or not discrete or len(integers) == 1 or not any(integers):
            out.append(side)
            continue
        label = tuple(a and not b for a, b in zip(side.label, integers))
        out.append(replace(side, label=label, codes=None, declared=False))
        argument = side.side.argument
        notes.append(
            f"{_counted(sum(integers), side.side.name)} taken as numbers: as labels, both sides "
            f"would make a table of more cells than rows; if they hold class labels, "
            f"pass {argument}=True"
        )
    return out[0], out[1], notes


def _counted(integers: int, side: str) -> str:
    """How many columns of integers of a side are."""
    some = f"1 integer column of {side} is"
    return some if integers == 1 else f"{integers} integer columns of {side} are"


def _guessed(side: Sorted) -> bool:
    """Whether a side is one column of integers that was taken for labels."""
    return side.side.kinds == ("integer",) and side.label == (True,)


def countable(x: Sorted, y: Sorted) -> bool:
    """Whether the pair goes to the counts instead of the network."""
    if x.codes is None or y.codes is None:
        return False
    if x.declared and y.declared:
        return True
    return _cells(x, y) <= x.codes.shape[1]


def _cells(x: Sorted, y: Sorted) -> float:
    """Cells of the table of joint codes, infinitely many where a side has none."""
    if x.codes is None or y.codes is None:
        return math.inf
    return (int(x.codes.max()) + 1) * (int(y.codes.max()) + 1)
