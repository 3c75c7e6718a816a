"""Columns as people bring them, each with its kind: numbers, integers, or class labels.

Arrays, lists, tensors, scipy sparse matrices, dicts of columns, and frames and series of pandas,
polars or pyarrow, which are known by their methods: none of them is imported. Bool, categorical and
marked columns are labels; whether an integer column holds labels or numbers is decided once both
sides are known (``torchmist.samples.column_kinds``).

Legend: ``B`` datasets, ``N`` samples, ``d`` columns of one side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchmist.checks import FLOATS, UNSIGNED, check_axis
from torchmist.samples.arrow_columns import dictionary_codes, is_arrow, wide_integers
from torchmist.samples.column_marks import Discrete, column_marks, plain, warn_unmarked
from torchmist.samples.object_columns import (
    EXACT,
    label_fix,
    missing_values,
    object_codes,
    object_numbers,
    refusal,
    those_rows,
)
from torchmist.samples.plain_tensors import plain_tensor

__all__ = ["Discrete", "Kind", "Side", "array_tensor", "read_side"]

Kind = Literal["label", "integer", "number", "real"]


@dataclass(frozen=True, eq=False)
class Side:
    """One variable as a floating-point tensor of one to three axes, with the kinds of its columns.

    ``kinds``, ``names`` ``[d]``: ``"label"`` by dtype or by mark, ``"integer"`` by dtype
    (bools are 0 and 1), ``"number"``, or ``"real"``, a number that is not to be taken for labels.
    ``argument``: the name of the argument that marks columns.
    """

    values: Tensor
    kinds: tuple[Kind, ...]
    names: tuple[str, ...]
    argument: str

    @property
    def name(self) -> str:
        """What messages call the side as a whole."""
        return self.names[0].split(" of ")[-1]


def read_side(
    value: Any, name: str, discrete: Discrete = "auto", argument: str | None = ""
) -> Side:  # fmt: skip
    """One side, with the kinds of its columns.

    Args:
        value: what the user brought: ``[N]``, ``[N, d]`` or ``[B, N, d]``.
        name: what errors call it.
        discrete: True: all columns are labels; False: all are numbers; ``"auto"``: by dtype; else
            the columns that are labels, by name, by index or as a bool mask, and no others. In a
            frame that has integers for names, integers are names.
        argument: what errors call ``discrete``; ``""`` for ``discrete_`` and the name, None where
            the user has no such argument: then numbers alone are taken, and two classes as 0 and 1.

    Raises:
        TypeError: for text that is not marked as labels, dates, decimals and other objects, and for
            what is no array, list, tensor or frame.
        ValueError: for missing values, and for marked columns that are not there.

    Example:
        >>> side = read_side(np.array(["a", "b", "a", "b"]), "x", discrete=True)
        >>> side.values.tolist(), side.kinds
        ([0.0, 1.0, 0.0, 1.0], ('label',))
    """
    argument = f"discrete_{name}" if argument == "" else argument
    if hasattr(value, "tocsr") and hasattr(value, "toarray"):
        value = value.toarray()
    columns = _named_columns(value)
    if columns is not None:
        return _from_columns(columns, name, discrete, argument, vector=False)
    if _is_series(value):
        key = getattr(value, "name", None)
        alone = [("0" if key is None or str(key) == "" else key, value)]
        return _from_columns(alone, name, discrete, argument, vector=True)
    array = plain_tensor(value, name) if isinstance(value, Tensor) else _array(value, name)
    if isinstance(array, Tensor):
        return _from_tensor(array, name, discrete, argument)
    if array.dtype.kind in "biuf":
        return _from_tensor(plain_tensor(array_tensor(array), name), name, discrete, argument)
    if array.ndim == 0:
        raise TypeError(
            f"expected {name} as an array, list, tensor or frame with a value for each sample, got "
            f"{type(value).__name__}"
        )
    if array.ndim > 2:
        raise TypeError(refusal(name, f"an array of dtype {array.dtype}", "pass real numbers"))
    flat = array.ndim < 2
    parts = [array] if flat else list(array.T)
    pairs: list[tuple[Any, Any]] = [(str(k), part) for k, part in enumerate(parts)]
    return _from_columns(pairs, name, discrete, argument, vector=flat)


def _array(value: Any, name: str) -> NDArray[Any]:
    """A list or other sequence as an array without masked entries.

    Of what is no array, text beside numbers and missing values stays what it is: numpy would make
    text of them all.
    """
    if isinstance(value, np.ma.MaskedArray):
        hidden = int(np.sum(value.mask))
        if hidden:
            raise ValueError(missing_values(name, hidden))
        return np.asarray(value.data)
    if isinstance(value, (list, tuple)) and value and all(isinstance(v, Tensor) for v in value):
        value = [_tensor_array(v, name) for v in value]
    try:
        array = np.asarray(value)
        written = array.dtype.kind in "US" and not isinstance(value, np.ndarray)
        return np.asarray(value, dtype=object) if written else array
    except ValueError as error:
        raise ValueError(
            f"expected {name} as a table with rows of one length, got {type(value).__name__} that "
            f"is none ({error}); pad or split it"
        ) from error


def _tensor_array(value: Tensor, name: str) -> NDArray[Any]:
    """A tensor of any kind as an array."""
    plain: NDArray[Any] = plain_tensor(value, name).resolve_conj().resolve_neg().cpu().numpy()
    return plain


def array_tensor(array: NDArray[Any]) -> Tensor:
    """An array of numbers in the byte order of this machine; unsigned integers as signed ones, or
    where they are too large for these as their ranks."""
    if array.dtype.kind == "u" and array.dtype.itemsize > 1:
        if array.size and int(array.max()) > np.iinfo(np.int64).max:
            array = np.unique(array, return_inverse=True)[1].reshape(array.shape)
        array = array.astype(np.int64)
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    return torch.from_numpy(np.array(array, order="C"))


def _named_columns(value: Any) -> list[tuple[Any, Any]] | None:
    """The columns of a frame, dict or structured array; None for anything else."""
    if isinstance(value, dict):
        return list(value.items())
    if isinstance(value, np.ndarray) and value.dtype.names and value.ndim == 1:
        return [(key, value[key]) for key in value.dtype.names]
    if hasattr(value, "collect_schema") and not hasattr(value, "get_columns"):
        value = value.collect()  # a lazy frame
    if hasattr(value, "column_names") and hasattr(value, "to_pandas"):
        value = value.to_pandas()
    if hasattr(value, "levels") and hasattr(value, "to_frame"):
        value = value.to_frame()  # an index of several levels
    if not hasattr(value, "columns"):
        return None
    if hasattr(value, "iloc"):  # names of pandas may repeat
        return [(key, value.iloc[:, k]) for k, key in enumerate(value.columns)]
    return [(key, value[key]) for key in value.columns]


def _is_series(value: Any) -> bool:
    if isinstance(value, (Tensor, np.ndarray)) or is_arrow(value):
        return is_arrow(value)
    return hasattr(value, "dtype") and (hasattr(value, "to_numpy") or hasattr(value, "codes"))


def _names(keys: Sequence[Any], name: str) -> tuple[str, ...]:
    """What messages call the columns."""
    if len(keys) == 1 and str(keys[0]) == "0":
        return (name,)
    return tuple(f"column {key} of {name}" for key in keys)


def _from_tensor(values: Tensor, name: str, discrete: Discrete, argument: str | None) -> Side:
    """A side of one dtype; floating-point values stay as they are."""
    check_axis(values, name)
    count = values.shape[-1] if values.dim() > 1 else 1
    keys = [str(k) for k in range(count)]
    marks = column_marks(keys, name, discrete, argument)
    if values.dtype in UNSIGNED:
        values = array_tensor(values.cpu().numpy()).to(values.device)
    own: Kind = "integer"
    if values.dtype in FLOATS or values.is_complex():
        own = "number"
    kinds, names = tuple(_kind(own, mark) for mark in marks), _names(keys, name)
    if own != "number":
        rest = [k for k, mark in enumerate(marks) if mark is False]
        flat = values.reshape(-1, count)
        unmarked = ((names[k], flat[:, k].cpu().numpy()) for k in rest)
        warn_unmarked(unmarked, discrete, argument)
        large = values.dtype == torch.int64 and bool((values.abs() > EXACT).any())
        values = values.unique(return_inverse=True)[1] if large else values
        values = values.double()
    return Side(values, kinds, names, argument or "")


def _kind(own: Kind, mark: bool | None) -> Kind:
    return own if mark is None else "label" if mark else "real"


def _from_columns(
    columns: list[tuple[Any, Any]],
    name: str,
    discrete: Discrete,
    argument: str | None,
    vector: bool,
) -> Side:
    """A side whose columns may differ in dtype; ``vector``: one column without an axis."""
    if not columns:
        raise ValueError(f"expected {name} to have at least one column, got none")
    keys = [plain(key) for key, _ in columns]
    marks = column_marks(keys, name, discrete, argument)
    names = _names(keys, name)
    parts, kinds, unmarked = [], [], []
    for key, (_, column), mark, where in zip(keys, columns, marks, names):
        fixes = label_fix(argument, "True" if where == name else f"[{key!r}]")
        values, own = _column(column, where, fixes, mark is True)
        classes = len(np.unique(values)) if argument is None and own == "label" else 0
        if classes > 2:  # of which no order is known
            raise TypeError(refusal(where, f"a categorical column of {classes} classes", fixes[0]))
        bad = int((~np.isfinite(values)).sum())
        if bad:
            raise ValueError(
                f"expected finite values, got {bad} NaN or infinite entries in {where}; drop or "
                f"impute {those_rows(where)}"
            )
        parts.append(values)
        kinds.append(_kind(own, mark) if own != "label" else "label")
        if own == "integer" and mark is False:
            unmarked.append((where, values))
    lengths = {len(part) for part in parts}
    if len(lengths) > 1:
        raise ValueError(f"expected columns of one length in {name}, got {sorted(lengths)}")
    warn_unmarked(unmarked, discrete, argument)
    matrix = torch.from_numpy(np.stack(parts, -1))
    return Side(matrix[:, 0] if vector else matrix, tuple(kinds), names, argument or "")


def _column(
    column: Any, where: str, fixes: tuple[str, str], marked: bool
) -> tuple[NDArray[np.float64], Kind]:
    """One column as float64 ``[N]`` and the kind that its dtype says."""
    codes = _category_codes(column)
    if codes is not None:
        missing = int((codes < 0).sum())
        if missing:
            raise ValueError(missing_values(where, missing))
        return codes.astype(np.float64), "label"
    if isinstance(column, np.ma.MaskedArray):
        column = _array(column, where)
    counter = getattr(column, "isna", getattr(column, "null_count", None))
    missing = int(np.sum(counter() if callable(counter) else counter or 0))
    dtype = getattr(getattr(column, "dtype", None), "numpy_dtype", None)
    if missing and (dtype is not None or not hasattr(column, "isna")):
        raise ValueError(missing_values(where, missing))
    wide = wide_integers(column)
    if wide is not None:
        array = wide
    elif hasattr(column, "to_numpy") and not is_arrow(column):
        array = column.to_numpy() if dtype is None else column.to_numpy(dtype=dtype)
    else:
        array = _tensor_array(column, where) if isinstance(column, Tensor) else np.array(column)
    array = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    if array.ndim != 1:
        raise ValueError(
            f"expected {where} as one value for each row, got {list(array.shape)}; pass several "
            f"columns by a name of their own each"
        )
    if marked and array.dtype.kind not in "biuf":  # integers stay, as labels of -100 are named
        return object_codes(array, where), "label"
    if array.dtype.kind in "biuf":
        kind: Kind = "number" if array.dtype.kind == "f" else "integer"
        large = array.dtype.kind in "iu" and len(array) and np.abs(array).max() > EXACT
        return (object_codes(array, where) if large else array.astype(np.float64)), kind
    return object_numbers(array, where, fixes)


def _category_codes(column: Any) -> NDArray[np.int64] | None:
    """Codes of a categorical column, -1 where missing; None for other columns."""
    codes = dictionary_codes(column)
    if codes is not None:
        return codes
    if hasattr(column, "codes") and hasattr(column, "categories"):
        return np.asarray(column.codes).astype(np.int64)
    dtype = str(getattr(column, "dtype", "")).lower()
    if not dtype.startswith(("category", "categorical", "enum")):
        return None
    if hasattr(column, "cat") and hasattr(column.cat, "codes"):
        return np.asarray(column.cat.codes).astype(np.int64)
    physical: Any = column.to_physical().cast(int).fill_null(-1)
    return np.asarray(physical.to_numpy()).astype(np.int64)
