"""Rows that carry labels, as an index of pandas does, and stand in another order on another side.

Rows are paired by their places throughout, as in numpy and scikit-learn. Where two indices hold the
same labels in different orders, the user may have meant the pairs that the labels make. Indices
that are equal, or that differ in their labels, say nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torchmist.checks import warn_once

__all__ = ["order_notes"]


def order_notes(**sides: Any) -> tuple[str, ...]:
    """Sides whose rows carry the labels of the first in another order, as sentences.

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
    notes = tuple(
        f"rows are paired by their places, but {name} holds the row labels of {found[0][0]} in "
        f"another order: align them with {name} = {name}.loc[{found[0][0]}.index], or call "
        f".reset_index(drop=True) on both if the order is meant"
        for name, index in found[1:]
        if _reordered(found[0][1], index)
    )
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


def _reordered(first: Any, second: Any) -> bool:
    """Whether two indices differ and hold the same labels."""
    if len(first) != len(second) or first.equals(second):
        return False
    return bool(first.isin(second).all()) and bool(second.isin(first).all())
