"""Columns as people bring them, each with its kind: numbers, integers, or class labels.

Arrays, lists, tensors, scipy sparse matrices, dicts of columns, and frames and series of pandas,
polars or pyarrow, which are known by their methods: none of them is imported. Bool, categorical and
marked columns are labels; whether an integer column holds labels or numbers is decided once both
sides are known (``torchmist.kinds``).

Legend: ``B`` datasets, ``N`` samples, ``d`` columns of one side.
"""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchmist.checks import check_axis, plain_tensor

__all__ = ["Discrete", "Kind", "Side", "read_side"]

Discrete = bool | Literal["auto"] | Sequence[str] | Sequence[int] | Sequence[bool]
Kind = Literal["label", "integer", "number", "real"]
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_EXACT = 2**53  # integers up to here are exact in double precision


@dataclass(frozen=True)
class Side:
    """One variable as a floating-point tensor of one to three axes, with the kinds of its columns.

    ``kinds``, ``names`` ``[d]``: ``"label"`` by dtype or by mark, ``"integer"`` by dtype,
    ``"number"``, or ``"real"``, a number that is not to be taken for labels. ``argument``: the name
    of the argument that marks columns.
    """

    values: Tensor
    kinds: tuple[Kind, ...]
    names: tuple[str, ...]
    argument: str


def read_side(value: Any, name: str, discrete: Discrete = "auto", argument: str = "") -> Side:
    """One side, with the kinds of its columns.

    Args:
        value: what the user brought: ``[N]``, ``[N, d]`` or ``[B, N, d]``.
        name: what errors call it.
        discrete: True: all columns are labels; False: all are numbers; ``"auto"``: by dtype; else
            the columns that are labels, by name, by index or as a bool mask, and no others.
        argument: what errors call ``discrete``; ``""`` for ``discrete_`` and the name.

    Raises:
        TypeError: for text that is not marked as labels, dates, decimals and other objects, and for
            what is no array, list, tensor or frame.
        ValueError: for missing values, and for marked columns that are not there.

    Example:
        >>> side = read_side(np.array(["a", "b", "a", "b"]), "x", discrete=True)
        >>> side.values.tolist(), side.kinds
        ([0.0, 1.0, 0.0, 1.0], ('label',))
    """
    argument = argument or f"discrete_{name}"
    if hasattr(value, "tocsr") and hasattr(value, "toarray"):
        value = value.toarray()
    columns = _named_columns(value)
    if columns is not None:
        return _from_columns(columns, name, discrete, argument, vector=False)
    if _is_series(value):
        key = getattr(value, "name", None)
        alone = [("0" if key is None else str(key), value)]
        return _from_columns(alone, name, discrete, argument, vector=True)
    array = plain_tensor(value, name) if isinstance(value, Tensor) else _array(value, name)
    if isinstance(array, Tensor):
        return _from_tensor(array, name, discrete, argument)
    if array.dtype.kind in "biuf":
        return _from_tensor(plain_tensor(_tensor(array), name), name, discrete, argument)
    if array.ndim == 0:
        raise TypeError(
            f"expected {name} as an array, list, tensor or frame with a value for each sample, got "
            f"{type(value).__name__}"
        )
    if array.ndim > 2:
        raise TypeError(_refusal(name, f"an array of dtype {array.dtype}", "pass real numbers"))
    flat = array.ndim < 2
    parts = [array] if flat else list(array.T)
    pairs: list[tuple[str, Any]] = [(str(k), part) for k, part in enumerate(parts)]
    return _from_columns(pairs, name, discrete, argument, vector=flat)


def _array(value: Any, name: str) -> NDArray[Any]:
    """A list or other sequence as an array without masked entries."""
    if isinstance(value, np.ma.MaskedArray):
        hidden = int(np.sum(value.mask))
        if hidden:
            raise ValueError(_missing(name, hidden))
        return np.asarray(value.data)
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ValueError(
            f"expected {name} as a table with rows of one length, got {type(value).__name__} that "
            f"is none ({error}); pad or split it"
        ) from error


def _tensor(array: NDArray[Any]) -> Tensor:
    if array.dtype.kind == "u" and array.dtype.itemsize > 1:
        array = array.astype(np.int64 if array.dtype.itemsize < 8 else np.float64)
    if array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    return torch.from_numpy(np.array(array, order="C"))


def _named_columns(value: Any) -> list[tuple[str, Any]] | None:
    """The columns of a frame or dict; None for anything else."""
    if isinstance(value, dict):
        return [(str(key), column) for key, column in value.items()]
    if hasattr(value, "collect_schema") and not hasattr(value, "get_columns"):
        value = value.collect()  # a lazy frame
    if hasattr(value, "column_names") and hasattr(value, "to_pandas"):
        value = value.to_pandas()
    if not hasattr(value, "columns"):
        return None
    if hasattr(value, "iloc"):  # names of pandas may repeat
        return [(str(key), value.iloc[:, k]) for k, key in enumerate(value.columns)]
    return [(str(key), value[key]) for key in value.columns]


def _is_series(value: Any) -> bool:
    if isinstance(value, (Tensor, np.ndarray)):
        return False
    return hasattr(value, "dtype") and (hasattr(value, "to_numpy") or hasattr(value, "codes"))


def _marks(
    count: int, keys: Sequence[str], name: str, discrete: Any, argument: str
) -> list[bool | None]:
    """For each column: labels, numbers, or None where the dtype decides."""
    if isinstance(discrete, (bool, np.bool_)):
        return [bool(discrete)] * count
    if isinstance(discrete, str) and discrete == "auto":
        return [None] * count
    items = list(discrete) if isinstance(discrete, (Sequence, np.ndarray, Tensor, set)) else None
    if isinstance(discrete, str) or items is None:
        raise TypeError(
            f"expected {argument} to be True, False, 'auto', or a list of columns (names, indices "
            f"or a mask), got {discrete!r}"
        )
    items = [item.item() if isinstance(item, (Tensor, np.generic)) else item for item in items]
    if items and all(isinstance(item, bool) for item in items):
        if len(items) != count:
            raise ValueError(
                f"expected {argument} as a mask of the {count} columns of {name}, got "
                f"{len(items)} entries"
            )
        return list(items)
    if all(isinstance(item, int) for item in items):
        wrong = [item for item in items if not -count <= item < count]
        chosen = {item % count for item in items}
    else:
        wrong = [item for item in items if str(item) not in keys]
        chosen = {k for k, key in enumerate(keys) if key in {str(item) for item in items}}
    if wrong:
        raise ValueError(
            f"expected {argument} to hold columns of {name}, got {wrong}; it has {list(keys)[:20]}"
        )
    return [k in chosen for k in range(count)]


def _names(keys: Sequence[str], name: str) -> tuple[str, ...]:
    """What messages call the columns."""
    if len(keys) == 1 and keys[0] == "0":
        return (name,)
    return tuple(f"column {key} of {name}" for key in keys)


def _from_tensor(values: Tensor, name: str, discrete: Discrete, argument: str) -> Side:
    """A side of one dtype; floating-point values stay as they are."""
    check_axis(values, name)
    count = values.shape[-1] if values.dim() > 1 else 1
    keys = [str(k) for k in range(count)]
    marks = _marks(count, keys, name, discrete, argument)
    plain: Kind = "integer"
    if values.dtype in _FLOATS or values.is_complex():
        plain = "number"
    elif values.dtype == torch.bool:
        plain = "label"
    kinds = tuple(_kind(plain, mark) for mark in marks)
    if plain != "number":
        large = values.dtype == torch.int64 and bool((values.abs() > _EXACT).any())
        values = values.unique(return_inverse=True)[1] if large else values
        values = values.double()
    return Side(values, kinds, _names(keys, name), argument)


def _kind(plain: Kind, mark: bool | None) -> Kind:
    return plain if mark is None else "label" if mark else "real"


def _from_columns(
    columns: list[tuple[str, Any]], name: str, discrete: Discrete, argument: str, vector: bool
) -> Side:
    """A side whose columns may differ in dtype; ``vector``: one column without an axis."""
    if not columns:
        raise ValueError(f"expected {name} to have at least one column, got none")
    keys = [key for key, _ in columns]
    marks = _marks(len(keys), keys, name, discrete, argument)
    names = _names(keys, name)
    parts, kinds = [], []
    for (key, column), mark, where in zip(columns, marks, names):
        fix = f"{argument}=" + ("True" if where == name else f"[{key!r}]")
        values, plain = _column(column, where, fix, mark is True)
        bad = int((~np.isfinite(values)).sum())
        if bad:
            raise ValueError(
                f"expected finite values, got {bad} NaN or infinite entries in {where}; drop or "
                f"impute those rows in both x and y"
            )
        parts.append(values)
        kinds.append(_kind(plain, mark) if plain != "label" else "label")
    lengths = {len(part) for part in parts}
    if len(lengths) > 1:
        raise ValueError(f"expected columns of one length in {name}, got {sorted(lengths)}")
    matrix = torch.from_numpy(np.stack(parts, -1))
    return Side(matrix[:, 0] if vector else matrix, tuple(kinds), names, argument)


def _column(column: Any, where: str, fix: str, marked: bool) -> tuple[NDArray[np.float64], Kind]:
    """One column as float64 ``[N]`` and the kind that its dtype says."""
    codes = _category_codes(column)
    if codes is not None:
        missing = int((codes < 0).sum())
        if missing:
            raise ValueError(_missing(where, missing))
        return codes.astype(np.float64), "label"
    counter = getattr(column, "isna", getattr(column, "null_count", None))
    missing = int(np.sum(counter())) if callable(counter) else 0
    dtype = getattr(getattr(column, "dtype", None), "numpy_dtype", None)
    if missing and (dtype is not None or not hasattr(column, "isna")):
        raise ValueError(_missing(where, missing))
    if hasattr(column, "to_numpy"):
        array = column.to_numpy() if dtype is None else column.to_numpy(dtype=dtype)
    else:
        array = column.detach().cpu().numpy() if isinstance(column, Tensor) else np.array(column)
    if array.ndim != 1:
        raise ValueError(f"expected {where} as one value for each row, got {list(array.shape)}")
    if marked and array.dtype.kind not in "f":
        return _object_codes(array, where), "label"
    if array.dtype.kind in "biuf":
        kind: Kind = {"b": "label", "f": "number"}.get(array.dtype.kind, "integer")  # type: ignore
        large = array.dtype.kind in "iu" and len(array) and np.abs(array).max() > _EXACT
        return (_object_codes(array, where) if large else array.astype(np.float64)), kind
    return _objects(array, where, fix)


def _category_codes(column: Any) -> NDArray[np.int64] | None:
    """Codes of a categorical column, -1 where missing; None for other columns."""
    if hasattr(column, "codes") and hasattr(column, "categories"):
        return np.asarray(column.codes).astype(np.int64)
    dtype = str(getattr(column, "dtype", "")).lower()
    if not dtype.startswith(("category", "categorical", "enum")):
        return None
    if hasattr(column, "cat") and hasattr(column.cat, "codes"):
        return np.asarray(column.cat.codes).astype(np.int64)
    physical: Any = column.to_physical().cast(int).fill_null(-1)
    return np.asarray(physical.to_numpy()).astype(np.int64)


def _is_missing(value: Any) -> bool:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, (float, np.floating, decimal.Decimal)) and bool(value != value)


def _object_codes(array: NDArray[Any], where: str) -> NDArray[np.float64]:
    """Codes from 0 of values of any type that can be compared or hashed."""
    if array.dtype.kind != "O":
        missing = int(np.isnat(array).sum()) if array.dtype.kind in "Mm" else 0
        if missing:
            raise ValueError(_missing(where, missing))
        codes: NDArray[Any] = np.unique(array, return_inverse=True)[1]
        return codes.reshape(-1).astype(np.float64)
    items = array.tolist()
    missing = sum(map(_is_missing, items))
    if missing:
        raise ValueError(_missing(where, missing))
    code = {item: k for k, item in enumerate(dict.fromkeys(items))}
    return np.array([code[item] for item in items], np.float64)


def _objects(array: NDArray[Any], where: str, fix: str) -> tuple[NDArray[np.float64], Kind]:
    """Numbers among Python objects; everything else is refused with what to do about it."""
    kind = array.dtype.kind
    if kind in "Mm":
        raise TypeError(_refusal(where, f"dates or times ({array.dtype})", _DATES))
    if kind == "c":
        raise TypeError(
            _refusal(where, "complex numbers", "pass real and imaginary part as two columns")
        )
    items = array.tolist()
    missing = [item for item in items if _is_missing(item) and not isinstance(item, float)]
    present = [item for item in items if not _is_missing(item)]
    if present and all(isinstance(item, (int, float, np.number)) for item in present):
        if missing:
            raise ValueError(_missing(where, len(missing)))
        types = {type(item) for item in items}
        plain: Kind = "number"
        if types == {bool}:
            plain = "label"
        elif all(issubclass(t, (int, np.integer)) for t in types):
            plain = "integer"
        return np.array(items, np.float64), plain
    example = next((v for v in present if not isinstance(v, (int, float))), None)
    if isinstance(example, (str, bytes)):
        raise TypeError(
            _refusal(
                where, f"text such as {example!r}",
                f"if it holds class labels say so with {fix}, or encode it as integers, for "
                f"example with np.unique(values, return_inverse=True)",
            )
        )  # fmt: skip
    if isinstance(example, decimal.Decimal):
        raise TypeError(_refusal(where, f"{example!r}", _DECIMALS))
    if isinstance(example, (datetime.date, datetime.time, datetime.timedelta)):
        raise TypeError(_refusal(where, f"dates or times such as {example!r}", _DATES))
    got = "missing values alone" if example is None else f"objects of {type(example).__name__}"
    raise TypeError(_refusal(where, got, f"convert them to numbers, or mark labels with {fix}"))


_DECIMALS = "convert the column with .astype(float), or .cast(float) in polars"
_DATES = "convert them to numbers, for example to seconds since the first, or leave the column out"


def _refusal(where: str, got: str, fix: str) -> str:
    return f"expected {where} to hold numbers, got {got}; {fix}"


def _missing(where: str, count: int) -> str:
    return (
        f"expected a value in every row, got {count} missing ones in {where}; drop those rows in "
        f"both x and y, or give what is missing a name or a number"
    )
