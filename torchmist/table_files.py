"""Columns of CSV and Parquet files through pandas, of NPY and NPZ files through numpy.

Legend: ``N`` rows, ``d`` columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["column_names", "read_columns", "read_kinds"]


def _table(path: Path) -> dict[str, NDArray[Any]]:
    """Named columns of a CSV or Parquet file."""
    import pandas

    read = pandas.read_csv if path.suffix.lower() == ".csv" else pandas.read_parquet
    frame = read(path)
    return {str(name).strip(): frame[name].to_numpy() for name in frame.columns}


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Named columns of a ``.npy`` matrix (by number) or the arrays of a ``.npz`` file."""
    if path.suffix.lower() == ".npz":
        with np.load(path, allow_pickle=False) as file:
            return {name: np.atleast_1d(file[name]) for name in file.files}
    matrix = np.atleast_1d(np.load(path, allow_pickle=False))
    matrix = matrix.reshape(len(matrix), math.prod(matrix.shape[1:]))
    return {str(i): matrix[:, i] for i in range(matrix.shape[1])}


_READERS: dict[str, Callable[[Path], dict[str, NDArray[Any]]]] = {
    ".csv": _table, ".parquet": _table, ".npy": _arrays, ".npz": _arrays,
}  # fmt: skip


def _read(path: Path) -> dict[str, NDArray[Any]]:
    """The columns of a file by name."""
    if not path.is_file():
        raise ValueError(f"expected a file at {path}, found none")
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise ValueError(f"expected a .csv, .parquet, .npy or .npz file, got {path.name}")
    if path.stat().st_size == 0:
        raise ValueError(f"expected columns in {path.name}, the file is empty")
    try:
        columns = reader(path)
    except ImportError as error:
        raise ValueError(
            f"expected pandas and pyarrow to read {path.suffix} files, got {error}; install them "
            f"with pip install 'torchmist-mi[cli]', or pass .npy or .npz files"
        ) from error
    except PermissionError:
        raise
    except Exception as error:
        raise ValueError(
            f"expected {path.name} to be a {path.suffix} file, could not read it: {error}"
        ) from error
    if not columns or not all(len(values) for values in columns.values()):
        raise ValueError(f"expected rows in {path.name}, found none")
    return columns


def column_names(path: Path) -> list[str]:
    """The names of the columns of a file."""
    return list(_read(path))


def read_columns(path: Path, names: Sequence[str], *, labels: bool = False) -> NDArray[Any]:
    """The named columns of a file side by side, ``[N, d]``; ``[N]`` integers with ``labels``.

    Args:
        path: ``.csv``, ``.parquet``, ``.npy`` (columns are numbers from 0) or ``.npz`` (arrays
            are names; a matrix gives all of its columns).
        names: the columns.
        labels: read one column of any type as class labels.

    Raises:
        ValueError: for a missing, empty or unreadable file, a missing column, another format, text
            that is not marked as labels, columns of different lengths, or missing values.
    """
    source = _read(path)
    _check_names(path, names, source)
    return _labels(source, names) if labels else _numbers(source, names)


def _check_names(path: Path, names: Sequence[str], source: dict[str, NDArray[Any]]) -> None:
    """All columns are there."""
    missing = [name for name in names if name not in source]
    if missing:
        raise ValueError(f"expected columns {missing} in {path.name}, found {list(source)}")


def _numbers(source: dict[str, NDArray[Any]], names: Sequence[str]) -> NDArray[Any]:
    """Columns of numbers side by side, ``[N, d]`` float64, all of them finite."""
    columns = []
    for name in names:
        values = source[name]
        if values.dtype.kind not in "biuf":
            raise ValueError(
                f"expected numbers in column {name}, got {values.dtype} such as {values[0]!r}; "
                f"if it holds class labels pass --discrete {name}"
            )
        columns.append(values.reshape(len(values), -1).astype(np.float64))
    if len({len(values) for values in columns}) > 1:
        lengths = {name: len(values) for name, values in zip(names, columns)}
        raise ValueError(f"expected columns of one length, got {lengths}")
    matrix: NDArray[Any] = np.concatenate(columns, 1)
    bad = ~np.isfinite(matrix).all(1)
    if bad.any():
        raise ValueError(
            f"expected finite values, got {int(bad.sum())} rows with missing or infinite ones in "
            f"columns {list(names)}; drop or impute them"
        )
    return matrix


def read_kinds(
    path: Path, names: Sequence[str], discrete: Sequence[str] = ()
) -> dict[str, NDArray[Any]]:
    """The named columns of a file in their own dtypes, those in ``discrete`` as codes.

    Raises:
        ValueError: as :func:`read_columns`.
    """
    source = _read(path)
    plain = [name for name in names if name not in discrete]
    if plain:
        _check_names(path, plain, source)
        _numbers(source, plain)
    found: dict[str, NDArray[Any]] = {}
    for name in names:
        _check_names(path, [name], source)
        if name in discrete:
            found[name] = _labels(source, [name])
            continue
        matrix = source[name].reshape(len(source[name]), -1)
        for k in range(matrix.shape[1]):
            found[name if matrix.shape[1] == 1 else f"{name}:{k}"] = matrix[:, k]
    return found


def _labels(source: dict[str, NDArray[Any]], names: Sequence[str]) -> NDArray[Any]:
    """One column of any type as integers ``[N]``."""
    if len(names) != 1 or source[names[0]].ndim != 1:
        raise ValueError(f"expected one column of labels, got {list(names)}")
    values = source[names[0]]
    empty = sum(value is None or value != value for value in values.tolist())
    if empty:
        raise ValueError(
            f"expected labels in every row, got {empty} missing ones in column {names[0]}; drop "
            f"those rows or give them a name"
        )
    codes: NDArray[Any] = np.unique(values.astype(str), return_inverse=True)[1]
    return codes.ravel()
