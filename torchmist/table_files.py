"""Columns of CSV and Parquet files through pandas, of NPY and NPZ files through numpy.

Legend: ``N`` rows, ``d`` columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["TableFile", "read_columns"]


@dataclass(frozen=True)
class TableFile:
    """A file that has been read: its ``columns`` by name, each ``[N]`` or a matrix.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "data.npz"
        ...     np.savez(path, a=np.arange(3.0), b=np.array(["u", "v", "u"]))
        ...     file = TableFile.read(path)
        >>> file.numbers(["a"]).tolist(), file.labels(["b"]).tolist()
        ([[0.0], [1.0], [2.0]], [0, 1, 0])
    """

    path: Path
    columns: dict[str, NDArray[Any]]

    @classmethod
    def read(cls, path: Path) -> TableFile:
        """A ``.csv``, ``.parquet``, ``.npy`` (columns are numbers from 0) or ``.npz`` (arrays are
        names) file.

        Raises:
            ValueError: for a missing, empty or unreadable file, or another format.
        """
        return cls(path, _read(path))

    def numbers(self, names: Sequence[str]) -> NDArray[Any]:
        """Columns of numbers side by side, ``[N, d]`` float64; a matrix gives all of its columns.

        Raises:
            ValueError: for a missing column, text, columns of different lengths, or missing values.
        """
        self._check_names(names)
        return _numbers(self.columns, names)

    def labels(self, names: Sequence[str]) -> NDArray[Any]:
        """One column of any type as class labels, ``[N]`` integers.

        Raises:
            ValueError: for a missing column, more than one, or missing values.
        """
        self._check_names(names)
        return _labels(self.columns, names)

    def kinds(self, names: Sequence[str], discrete: Sequence[str] = ()) -> dict[str, NDArray[Any]]:
        """Columns in their own dtypes, those in ``discrete`` as labels.

        Raises:
            ValueError: as :meth:`numbers` and :meth:`labels`.
        """
        plain = [name for name in names if name not in discrete]
        if plain:
            self.numbers(plain)
        found: dict[str, NDArray[Any]] = {}
        for name in names:
            if name in discrete:
                found[name] = self.labels([name])
                continue
            matrix = self.columns[name].reshape(len(self.columns[name]), -1)
            for k in range(matrix.shape[1]):
                found[name if matrix.shape[1] == 1 else f"{name}:{k}"] = matrix[:, k]
        return found

    def _check_names(self, names: Sequence[str]) -> None:
        missing = [name for name in names if name not in self.columns]
        if missing:
            raise ValueError(
                f"expected columns {missing} in {self.path.name}, found {list(self.columns)}"
            )


def read_columns(path: Path, names: Sequence[str], *, labels: bool = False) -> NDArray[Any]:
    """The named columns of a file side by side, ``[N, d]``; ``[N]`` integers with ``labels``.

    Raises:
        ValueError: as :meth:`TableFile.read`, and :meth:`TableFile.numbers` or
            :meth:`TableFile.labels`.
    """
    file = TableFile.read(path)
    return file.labels(names) if labels else file.numbers(names)


def _table(path: Path) -> dict[str, NDArray[Any]]:
    """Named columns of a CSV or Parquet file."""
    import pandas

    read = pandas.read_csv if path.suffix.lower() == ".csv" else pandas.read_parquet
    frame = read(path)
    columns: dict[str, NDArray[Any]] = {}
    for place, key in enumerate(frame.columns):
        name, column = str(key).strip(), frame.iloc[:, place]
        if name in columns:
            raise ValueError(f"its columns need different names, found {name!r} twice; rename one")
        missing = bool(column.isna().any()) and pandas.api.types.is_numeric_dtype(column.dtype)
        plain = getattr(column.dtype, "numpy_dtype", None)  # of columns that may hold pandas.NA
        if missing:
            columns[name] = column.to_numpy(float, na_value=np.nan)
        else:
            columns[name] = column.to_numpy() if plain is None else column.to_numpy(plain)
    return columns


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


def _numbers(source: dict[str, NDArray[Any]], names: Sequence[str]) -> NDArray[Any]:
    """Columns of numbers side by side, ``[N, d]`` float64, all of them finite."""
    columns = []
    for name in names:
        values = source[name]
        if values.dtype.kind not in "biuf":
            fix = {"M": "convert dates to numbers", "m": "convert times to numbers",
                   "c": "pass real and imaginary part as two columns"}  # fmt: skip
            labels = f"if it holds class labels pass --discrete {name}"
            raise ValueError(
                f"expected numbers in column {name}, got {values.dtype} such as {values[0]!r}; "
                f"{fix.get(values.dtype.kind, labels)}"
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
