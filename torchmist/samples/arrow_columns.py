"""Columns of pyarrow, and columns of pandas and polars whose types come from there.

They are known by their methods and types: neither library is imported. Legend: ``N`` samples.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["dictionary_codes", "is_arrow", "wide_integers"]


def is_arrow(value: Any) -> bool:
    """Whether ``value`` is an array or a chunked array of pyarrow."""
    return hasattr(value, "dictionary_encode") and hasattr(value, "null_count")


def dictionary_codes(column: Any) -> NDArray[np.int64] | None:
    """Codes ``[N]`` of a dictionary column, of pyarrow or of pandas with types of pyarrow, -1 where
    missing; None for other columns. Chunks may have dictionaries of their own."""
    kind = str(getattr(column, "type" if is_arrow(column) else "dtype", ""))
    if not kind.startswith("dictionary<"):
        return None
    if not is_arrow(column):
        column = getattr(column, "array", column).__arrow_array__()
    if hasattr(column, "unify_dictionaries"):
        column = column.unify_dictionaries()
    parts = [_codes(chunk) for chunk in getattr(column, "chunks", [column])]
    codes: NDArray[np.int64] = np.concatenate([np.zeros(0, np.int64), *parts])
    return codes


def _codes(array: Any) -> NDArray[np.int64]:
    """Those of one dictionary array, of which the indices or the dictionary may lack values."""
    codes = np.asarray(array.indices.cast("int64").fill_null(-1))
    if not array.dictionary.null_count:
        return codes
    lacking = np.asarray(array.dictionary.is_null())
    return np.where((codes < 0) | lacking[codes], -1, codes)


def wide_integers(column: Any) -> NDArray[np.object_] | None:
    """A column of polars of 128 bits as integers of Python, as numpy has none; None for others."""
    if str(getattr(column, "dtype", "")) not in ("Int128", "UInt128"):
        return None
    return np.array([*column.to_list(), None], object)[:-1]
