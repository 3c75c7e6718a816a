"""Columns of Python objects: the numbers and the labels in them, and what is said of all others.

Legend: ``N`` samples.
"""

from __future__ import annotations

import datetime
import decimal
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["EXACT", "label_fix", "missing_values", "object_codes", "object_numbers", "refusal",
           "those_rows"]  # fmt: skip

EXACT = 2**53  # integers up to here are exact in double precision
_DECIMALS = "convert the column with .astype(float), or .cast(float) in polars"
_DATES = "convert them to numbers, for example to seconds since the first, or leave the column out"


def label_fix(argument: str | None, marks: str) -> tuple[str, str]:
    """What is said to do about text and about other objects that may be class labels.

    ``argument``: the name of the argument that marks labels, with ``marks``; None where numbers
    alone are taken.
    """
    if argument is None:
        return (
            "numbers alone are taken here, so convert it, or pass a column of 0 and 1 for each "
            "class if it holds class labels",
            "convert them to numbers",
        )
    return (
        f"if it holds class labels say so with {argument}={marks}, or encode it as integers, for "
        f"example with np.unique(values, return_inverse=True)",
        f"convert them to numbers, or mark labels with {argument}={marks}",
    )


def _is_missing(value: Any) -> bool:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, (float, np.floating, decimal.Decimal)) and bool(value != value)


def object_codes(array: NDArray[Any], where: str) -> NDArray[np.float64]:
    """Codes from 0 of values of any type that can be compared or hashed."""
    if array.dtype.kind != "O":
        missing = int(np.isnat(array).sum()) if array.dtype.kind in "Mm" else 0
        if missing:
            raise ValueError(missing_values(where, missing))
        return _ranks(array)
    items = array.tolist()
    missing = sum(map(_is_missing, items))
    if missing:
        raise ValueError(missing_values(where, missing))
    try:
        code = {item: k for k, item in enumerate(dict.fromkeys(items))}
    except TypeError as error:
        raise TypeError(
            f"expected labels in {where} that can be told apart, got {error}; make text of them, "
            f"for example with [str(value) for value in values]"
        ) from error
    return np.array([code[item] for item in items], np.float64)


def _ranks(array: NDArray[Any]) -> NDArray[np.float64]:
    """From 0, equal where the values are."""
    codes: NDArray[Any] = np.unique(array, return_inverse=True)[1]
    return codes.reshape(-1).astype(np.float64)


def object_numbers(
    array: NDArray[Any], where: str, fixes: tuple[str, str]
) -> tuple[NDArray[np.float64], Literal["label", "integer", "number"]]:
    """Numbers among Python objects; everything else is refused with what to do about it:
    ``fixes``, of :func:`label_fix`."""
    kind = array.dtype.kind
    if kind in "Mm":
        raise TypeError(refusal(where, f"dates or times ({array.dtype})", _DATES))
    if kind == "c":
        raise TypeError(
            refusal(where, "complex numbers", "pass real and imaginary part as two columns")
        )
    items = array.tolist()
    missing = [item for item in items if _is_missing(item) and not isinstance(item, float)]
    present = [item for item in items if not _is_missing(item)]
    if present and all(isinstance(item, (int, float, np.number)) for item in present):
        if missing:
            raise ValueError(missing_values(where, len(missing)))
        if not all(isinstance(item, (int, np.integer)) for item in items):
            return np.array(items, np.float64), "number"
        large = max(map(abs, items)) > EXACT
        return (_ranks(array) if large else np.array(items, np.float64)), "integer"
    example = next((v for v in present if not isinstance(v, (int, float))), None)
    if isinstance(example, (str, bytes)):
        raise TypeError(refusal(where, f"text such as {example!r}", fixes[0]))
    if isinstance(example, decimal.Decimal):
        raise TypeError(refusal(where, f"{example!r}", _DECIMALS))
    if isinstance(example, (datetime.date, datetime.time, datetime.timedelta)):
        raise TypeError(refusal(where, f"dates or times such as {example!r}", _DATES))
    got = "missing values alone" if example is None else f"objects of {type(example).__name__}"
    raise TypeError(refusal(where, got, fixes[1]))


def refusal(where: str, got: str, fix: str) -> str:
    """That ``where`` holds no numbers, what it holds, and what to do."""
    return f"expected {where} to hold numbers, got {got}; {fix}"


def missing_values(where: str, count: int) -> str:
    """That ``where`` lacks values, how many, and what to do."""
    return (
        f"expected a value in every row, got {count} missing ones in {where}; drop "
        f"{those_rows(where)}, or give what is missing a name or a number"
    )


def those_rows(where: str) -> str:
    """What errors call the rows of a column or side; of ``x`` and ``y`` those of both are meant."""
    return "those rows" + (" in both x and y" if where.split(" of ")[-1] in ("x", "y") else "")
