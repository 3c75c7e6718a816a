"""What a condition is made of: labels, which split a sample in classes, and numbers.

Legend: ``N`` samples, ``d`` columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from torchmist.checks import MIN_SAMPLES, visible, warn_once
from torchmist.samples.class_labels import ignored_notes
from torchmist.samples.column_kinds import (
    Sorted,
    joint_codes,
    settle_integers,
    settled_pair,
    sort_kinds,
)
from torchmist.samples.columns import Discrete, Kind, Side, read_side

__all__ = ["SortedGiven", "classes_of", "column_axis", "given_beside", "joined", "pooled_classes",
           "read_given", "settled_side", "some_rows", "sort_given", "told_by_given",
           "warn_of_codes"]  # fmt: skip

_PER_CLASS = 20  # fewest samples of a class, on average, where numbers of few values make classes
_CODES = 20  # most whole numbers of a column that may be class labels
_START = 16  # rows that show most columns not to be among those of another side
_RARE = 0.5  # share of the samples in rare classes above which there is nothing to condition on


class SortedGiven(NamedTuple):
    """Three checked sides of one dataset with their kinds settled, and ``notes`` on how."""

    x: Sorted
    y: Sorted
    given: Sorted
    notes: tuple[str, ...]


def sort_given(*sides: tuple[Side, Tensor]) -> SortedGiven:
    """x, y and given with the kinds of their columns, by the rules for the whole sample.

    Each with its checked values ``[1, N, d]``.
    """
    (a, of_a), (b, of_b), (c, of_c) = (sort_kinds(*side) for side in sides)
    c, _, of_order = settle_integers(c, b)
    of_c += ignored_notes(c.values, c.label, c.side.names)
    pair = settled_pair(a, b)
    return SortedGiven(pair.x, pair.y, c, (*of_a, *of_b, *of_c, *of_order, *pair.notes))


def told_by_given(x: Tensor, y: Tensor, given: Tensor) -> str:
    """Why ``I(X;Y|C)`` is exactly 0, as a sentence, where ``given`` ``[N, q]`` holds all columns of
    ``x`` or of ``y``, each ``[N, d]``; else ``""``, and where values are not at hand.

    Example:
        >>> x, y, c = torch.randn(3, 50, 2, generator=torch.Generator().manual_seed(0))
        >>> told_by_given(x, y, torch.cat([y, c], -1))[:30], told_by_given(x, y, c)
        ('given holds all columns of y: ', '')
    """
    sides = {"x": x, "y": y}
    held = [name for name, side in sides.items() if _holds(given, side)]
    if not held:
        return ""
    return (
        f"given holds all columns of {' and of '.join(held)}: nothing is left that x and y could "
        f"share beyond it, and their conditional information is 0; leave those columns out of "
        f"given if that is not meant"
    )


def _holds(given: Tensor, side: Tensor) -> bool:
    """Whether ``given`` ``[N, q]`` has all columns of ``side`` ``[N, d]``."""
    return all(
        visible((part[:, :, None] == given[: len(part), None]).all(0).any(-1).all()) is True
        for part in (side[:_START], side)
    )


def warn_of_codes(numbers: Tensor) -> None:
    """Warn of columns ``[N, d]`` of few whole numbers, which may be class labels as floats."""
    whole = numbers.detach() == numbers.detach().round()
    if not visible(whole.all(0).any()):
        return
    counts = [len(column.unique()) for column in numbers.detach()[:, whole.all(0)].unbind(-1)]
    few = [k for k in counts if 1 < k <= min(_CODES, len(numbers) // MIN_SAMPLES)]
    if few:
        warn_once(
            f"torchmist: a column of given holds {few[0]} whole numbers as floats: if they are "
            f"class labels, whose order means nothing, pass them as integers, beside the numbers "
            f"in a list: given=[classes.long(), numbers]"
        )


def pooled_classes(labels: Tensor) -> Tensor:
    """Classes from 0 of ``labels`` ``[N]``, those of fewer than four samples pooled into one.

    A pool that is still too small joins the smallest other class.

    Raises:
        ValueError: where more than half of the samples are in classes of fewer than four.
    """
    member: Tensor
    _, member, sizes = labels.unique(return_inverse=True, return_counts=True)
    rare = sizes < MIN_SAMPLES
    if not bool(rare.any()):
        return member
    share = float(sizes[rare].sum() / sizes.sum())
    if share > _RARE:
        raise ValueError(
            f"expected at least {MIN_SAMPLES} samples of most classes of given, got "
            f"{int(rare.sum())} of {len(sizes)} classes with fewer, which hold {100 * share:.0f} % "
            f"of the samples; merge classes, or take a larger batch"
        )
    warn_once(
        "torchmist: classes of given with fewer than 4 samples are pooled into one: the condition "
        "is coarser there"
    )
    target = int(sizes.masked_fill(rare, int(sizes.max()) + 1).argmin())
    alone = int(sizes[rare].sum()) >= MIN_SAMPLES
    out = torch.where(rare[member], len(sizes) if alone else target, member)
    pooled: Tensor = out.unique(return_inverse=True)[1]
    return pooled


def settled_side(sorted_: Sorted) -> Side:
    """A side ``[N, d]`` of one dataset whose integers are marked as labels or as numbers."""
    kinds: list[Kind] = [
        "label" if label else "real" if kind == "integer" else kind
        for kind, label in zip(sorted_.side.kinds, sorted_.label)
    ]
    return replace(sorted_.side, values=sorted_.values[0], kinds=tuple(kinds))


def some_rows(side: Side, rows: Tensor) -> Side:
    """Those of a side ``[N, d]`` where ``rows`` ``[N]`` is True."""
    return replace(side, values=side.values[rows.to(side.values.device)])


def column_axis(side: Side) -> Side:
    """A side ``[N]`` or ``[N, d]`` as ``[N, d]`` on the CPU."""
    if side.values.dim() > 2:
        raise ValueError(
            f"expected x, y and given of one dataset, [N] or [N, d], got a batch of shape "
            f"{list(side.values.shape)}; estimate each dataset by itself"
        )
    values = side.values.cpu()
    return replace(side, values=values[:, None] if values.dim() == 1 else values)


def _is_several(given: Any, n: int) -> bool:
    """Whether ``given`` is a list of arrays of ``n`` rows, whose columns count together."""
    return (
        isinstance(given, (list, tuple))
        and 0 < len(given) != n
        and all(hasattr(v, "shape") and len(v.shape) and len(v) == n for v in given)
    )


def given_beside(x: Tensor, given: Any, discrete: Discrete) -> Side:
    """``given`` as a side, on its own device, or where it is a list of arrays with as many rows as
    ``x`` ``[N, ...]`` has, the columns of all on that of ``x``."""
    if not _is_several(given, len(x)):
        return read_side(given, "given", discrete)
    side = read_given(given, len(x), discrete)
    return replace(side, values=side.values.to(x.device))


def read_given(given: Any, n: int, discrete: Discrete) -> Side:
    """``given`` as one side ``[N, d]``; a list of arrays of ``n`` rows gives the columns of all."""
    if isinstance(given, (list, tuple)) and not given:
        raise ValueError("expected given to hold at least one array, got none")
    if not _is_several(given, n):
        return column_axis(read_side(given, "given", discrete))
    if not isinstance(discrete, (bool, str)):
        raise ValueError(
            f"expected discrete_given to be True, False or 'auto' for a list of arrays, got "
            f"{discrete!r}; pass a frame, or integers where a column is labels"
        )
    parts = [read_side(part, f"given[{k}]", discrete) for k, part in enumerate(given)]
    return replace(joined([column_axis(part) for part in parts]), argument="discrete_given")


def joined(sides: Sequence[Side]) -> Side:
    """The columns of all sides ``[N, d]`` beside each other."""
    kinds, names = ([v for side in sides for v in getattr(side, k)] for k in ("kinds", "names"))
    values = torch.cat([side.values.double() for side in sides], -1)
    return Side(values, tuple(kinds), tuple(names), sides[0].argument)


def classes_of(given: Side) -> tuple[Tensor, Side | None]:
    """Classes ``[N]`` from 0 of a settled side, and its numbers (None if there are none)."""
    values = given.values
    split = [k for k, kind in enumerate(given.kinds) if kind == "label"]
    for k, kind in enumerate(given.kinds):
        alone = replace(given, values=values[:, [k]], kinds=(kind,), names=(given.names[k],))
        if kind != "number" or sort_kinds(alone, alone.values[None])[0].codes is None:
            continue
        codes = joint_codes(values[None][..., [*split, k]])
        if (int(codes.max()) + 1) * _PER_CLASS <= len(values):
            split.append(k)
    rest = [k for k in range(values.shape[1]) if k not in split]
    member = torch.zeros(len(values), dtype=torch.int64, device="cpu")
    if split:
        member = pooled_classes(joint_codes(values[None][..., split])[0])
    if not rest:
        return member, None
    kinds = tuple(given.kinds[k] for k in rest)
    names = tuple(given.names[k] for k in rest)
    return member, replace(given, values=values[:, rest], kinds=kinds, names=names)
