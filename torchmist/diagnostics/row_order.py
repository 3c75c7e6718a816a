"""Rows that carry labels, as an index of pandas does, and stand in other places on another side.

Rows are paired by their places throughout, as in numpy and scikit-learn. Where two indices hold the
same labels in different orders, the user may have meant the pairs that the labels make. So it is
where they share half of their labels or more, as two columns do whose missing values were dropped
one by one, and the shared ones stand in other places.

Indices that are equal, or that share fewer labels, say nothing. Nor do, where they share a part:
labels that all stand the same number of places apart, which is how lags are written
(``x[1:]`` and ``x[:-1]``); the default index of one side, whose rows may have been numbered anew;
and labels that are there more than once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from torchmist.checks import warn_once

__all__ = ["order_notes"]


def order_notes(**sides: Any) -> tuple[str, ...]:
    """Sides whose rows carry labels of the first in other places, as sentences.

    Warns of each once. A side may be a dict or list of columns, each with an index of its own.

    Example:
        >>> import pandas as pd
        >>> x = pd.Series([1.0, 2.0, 3.0])
        >>> order_notes(x=x, y=x[::-1])[0][:40]
        'rows are paired by their places, but y h'
        >>> order_notes(x=x, y=x), order_notes(x=x, y=x.set_axis([7, 8, 9]))
        ((), ())
    """
    found = [each for name, value in sides.items() for each in _indices(name, value)]
    told = (_told(*found[0], *other) for other in found[1:])
    notes = tuple(note for note in told if note)
    for note in notes:
        warn_once(f"torchmist: {note}")
    return notes


def _indices(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The indices of a series, of a frame, or of the columns of a dict or list."""
    if isinstance(value, dict):
        parts = [(f"{name}[{key!r}]", column) for key, column in value.items()]
    elif isinstance(value, (list, tuple)) and len(value) and _index(value[0]) is not None:
        parts = [(f"{name}[{k}]", column) for k, column in enumerate(value)]
    else:
        parts = [(name, value)]
    for part, column in parts:
        index = _index(column)
        if index is not None:
            yield part, index


def _index(value: Any) -> Any | None:
    """The index of a series or frame; None for what has none (a list has a method of the name)."""
    index = getattr(value, "index", None)
    return index if hasattr(index, "equals") and hasattr(index, "isin") else None


def _told(first: str, index: Any, name: str, other: Any) -> str:
    """What there is to say of two indices and the sides that hold them; empty for nothing."""
    try:
        reordered = _reordered(index, other)
        shared = 0 if reordered else _misplaced(index, other)
    except (TypeError, ValueError):  # pandas does not compare labels of some kinds
        return ""
    if reordered:
        held = f"the row labels of {first} in another order"
        fix = f"align them with {name} = {name}.loc[{first}.index]"
    elif shared:
        held = f"{shared} of the {len(index)} row labels of {first}, some of them in other places"
        fix = (
            f"keep the rows of both with rows = {first}.index.intersection({name}.index), "
            f"{first}.loc[rows] and {name}.loc[rows]"
        )
    else:
        return ""
    return (
        f"rows are paired by their places, but {name} holds {held}: {fix}, or call "
        f".reset_index(drop=True) on both if the order is meant"
    )


def _reordered(first: Any, second: Any) -> bool:
    """Whether two indices differ and hold the same labels."""
    if len(first) != len(second) or first.equals(second):
        return False
    return bool(first.isin(second).all()) and bool(second.isin(first).all())


def _misplaced(first: Any, second: Any) -> int:
    """How many labels two indices share, if these are half of them or more and stand in other
    places by numbers that differ; else 0."""
    if len(first) != len(second) or not (first.is_unique and second.is_unique):
        return 0
    if _numbered(first) or _numbered(second):
        return 0
    places = np.asarray(first.get_indexer(second))
    shared = places >= 0
    moves = (places - np.arange(len(places)))[shared]
    if 2 * len(moves) < len(places) or not len(moves) or (moves == moves[0]).all():
        return 0
    return len(moves)


def _numbered(index: Any) -> bool:
    """Whether an index is the default one, which counts the rows."""
    return type(index).__name__ == "RangeIndex" and (index.start, index.step) == (0, 1)
