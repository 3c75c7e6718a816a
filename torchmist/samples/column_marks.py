"""Which columns a user marks as class labels: by name, by index, or by a mask.

Legend: ``d`` columns of one side.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from torchmist.checks import warn_once

__all__ = ["Discrete", "column_marks", "few_distinct", "plain", "warn_unmarked"]

Discrete = bool | Literal["auto"] | Sequence[str] | Sequence[int] | Sequence[bool]
_FEW = 20  # most distinct values of integers that may well be classes
_FIRST = 100  # rows that tell most columns of many values


def column_marks(
    keys: Sequence[Any], name: str, discrete: Any, argument: str | None
) -> list[bool | None]:
    """For each column: labels, numbers, or None where the dtype decides.

    Args:
        keys: the names of the columns. Where one of them is an integer, integers in ``discrete``
            are names, and else positions (from the end, if negative). Names 0 to ``d - 1`` in this
            order are both.
        name: what errors call the side.
        discrete: True, False, ``"auto"``, or the columns that are labels: a list, a set, an array,
            a series or an index of names, positions, or a bool for each column.
        argument: what errors call ``discrete``.

    Raises:
        TypeError: for what is none of these.
        ValueError: for a mask of another length, and for columns that are not there.

    Example:
        >>> column_marks(["a", "b"], "x", ["b"], "discrete_x")
        [False, True]
        >>> column_marks([3, 0], "x", [0], "discrete_x")
        [False, True]
    """
    count = len(keys)
    if isinstance(discrete, (bool, np.bool_)):
        return [bool(discrete)] * count
    if isinstance(discrete, str) and discrete == "auto":
        return [None] * count
    items = _items(discrete)
    if items is None:
        raise TypeError(
            f"expected {argument} to be True, False, 'auto', or a list of columns (names, indices "
            f"or a mask), got {discrete!r}"
        )
    if items and all(isinstance(item, bool) for item in items):
        if len(items) != count:
            raise ValueError(
                f"expected {argument} as a mask of the {count} columns of {name}, got "
                f"{len(items)} entries"
            )
        return list(items)
    keys = [plain(key) for key in keys]
    numbered = any(_is_integer(key) for key in keys) and keys != list(range(count))
    if all(_is_integer(item) for item in items) and not numbered:
        wrong = [item for item in items if not -count <= item < count]
        chosen = {item % count for item in items}
    else:
        wanted = {str(item) for item in items}
        wrong = [item for item in items if str(item) not in {str(key) for key in keys}]
        chosen = {k for k, key in enumerate(keys) if str(key) in wanted}
    if wrong:
        raise ValueError(
            f"expected {argument} to hold columns of {name}, got {wrong}; it has {keys[:20]}"
        )
    return [k in chosen for k in range(count)]


def few_distinct(values: NDArray[Any]) -> int | None:
    """How many distinct values a column ``[N]`` of integers has that may well be classes; None of
    more than 20."""
    if len(np.unique(values[:_FIRST])) > _FEW:
        return None
    count = len(np.unique(values))
    return count if count <= _FEW else None


def warn_unmarked(
    integers: Iterable[tuple[str, NDArray[Any]]], discrete: Any, argument: str | None
) -> None:
    """Say that integers of few values are numbers because ``discrete`` names other columns.

    Nothing is said where it is one word for all of them, or a mask, which leaves none out.

    Args:
        integers: name and values ``[N]`` of columns of integers and bools that are not marked.
        discrete: what the user passed, as for :func:`column_marks`.
        argument: what the user calls it.
    """
    items = _items(discrete)
    if not items or all(isinstance(item, bool) for item in items):
        return
    few = [where for where, values in integers if few_distinct(values) is not None]
    if few:
        more = f" and {len(few) - 1} others" if len(few) > 1 else ""
        warn_once(
            f"torchmist: {few[0]}{more}: integers of at most {_FEW} distinct values are numbers, "
            f"as {argument} names other columns beside them; name them there as well if they hold "
            f"class labels"
        )


def plain(item: Any) -> Any:
    """A number, bool or text of numpy or torch as that of Python; all else as it is."""
    return item.item() if isinstance(item, (Tensor, np.generic)) else item


def _is_integer(item: Any) -> bool:
    return isinstance(item, int) and not isinstance(item, bool)


def _items(discrete: Any) -> list[Any] | None:
    """What a list, set, array, series or index holds; None for anything else."""
    if isinstance(discrete, (str, bytes, dict)) or not isinstance(discrete, Iterable):
        return None
    if isinstance(discrete, (Tensor, np.ndarray)):
        return list(discrete.tolist()) if discrete.ndim == 1 else None
    return [plain(item) for item in discrete]
