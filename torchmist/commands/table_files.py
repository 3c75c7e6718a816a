"""Columns of CSV and Parquet files through pandas, of NPY and NPZ files through numpy.

Legend: ``N`` rows, ``d`` columns.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["TableFile", "read_columns"]

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}($|[T ])")  # of ISO 8601
_SEPARATORS = (";", "\t", "|")  # of files that are no .csv of commas


@dataclass(frozen=True, eq=False)
class TableFile:
    """A file that has been read: its ``columns`` by name, each ``[N]`` or a matrix.

    Categorical columns of Parquet files stay categorical, so that they are taken as labels.

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
    columns: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> TableFile:
        """A ``.csv``, ``.parquet``, ``.npy`` (columns are numbers from 0, or the fields of a
        structured array) or ``.npz`` (arrays are names) file.

        Raises:
            ValueError: for a missing, empty or unreadable file, or another format.
        """
        return cls(path, _read(path))

    def numbers(
        self, names: Sequence[str], text: str = "read class labels with labels()"
    ) -> NDArray[Any]:
        """Columns of numbers side by side, ``[N, d]`` float64; a matrix gives all of its columns.

        Args:
            names: of the columns.
            text: what the error says to do about text, with ``{name}`` for the column.

        Raises:
            ValueError: for a missing column, text, columns of different lengths, or missing values.
        """
        self._check_names(names)
        return _numbers(self.columns, names, text)

    def labels(self, names: Sequence[str]) -> NDArray[Any]:
        """One column of any type as class labels, ``[N]`` integers.

        Raises:
            ValueError: for a missing column, more than one, or missing values.
        """
        self._check_names(names)
        return _labels(self.columns, names)

    def categorical(self, names: Sequence[str]) -> bool:
        """Whether all these columns are categorical.

        Raises:
            ValueError: for a missing column.
        """
        self._check_names(names)
        return all(_is_categorical(self.columns[name]) for name in names)

    def kinds(self, names: Sequence[str], discrete: Sequence[str] = ()) -> dict[str, Any]:
        """Columns in their own dtypes, those in ``discrete`` as labels.

        Raises:
            ValueError: as :meth:`numbers` and :meth:`labels`.
        """
        self._check_names(names)
        kept = [n for n in names if n not in discrete and _is_categorical(self.columns[n])]
        plain = [name for name in names if name not in (*discrete, *kept)]
        if plain:
            self.numbers(plain, "if it holds class labels pass --discrete {name}")
        found: dict[str, Any] = {}
        for name in names:
            if name in discrete:
                found[name] = self.labels([name])
                continue
            if name in kept:
                found[name] = self.columns[name]
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
                f"{_unnamed(self.columns)}{_with_commas(self.columns)}"
            )
        for name in names:
            _check_axes(self.columns[name], f"{name} of {self.path.name}")


def read_columns(path: Path, names: Sequence[str], *, labels: bool = False) -> NDArray[Any]:
    """The named columns of a file side by side, ``[N, d]``; ``[N]`` integers with ``labels``.

    Raises:
        ValueError: as :meth:`TableFile.read`, and :meth:`TableFile.numbers` or
            :meth:`TableFile.labels`.
    """
    file = TableFile.read(path)
    return file.labels(names) if labels else file.numbers(names)


class _FileError(ValueError):
    """What is wrong with a file that could be read."""


def _unnamed(names: Iterable[str]) -> str:
    """What to do where the names of columns are numbers with a point, as of a first row of data."""
    numbers = any("." in name and not _is_text(name) for name in names)
    return "; if these are its first row, write a line with names above it" if numbers else ""


def _with_commas(names: Iterable[str]) -> str:
    """How to name columns that have a comma in their names."""
    found = [name for name in names if "," in name]
    return f"; write names with commas in double quotes, '\"{found[0]}\"'" if found else ""


def _is_categorical(column: Any) -> bool:
    return hasattr(column, "codes") and hasattr(column, "categories")


def _check_axes(values: Any, what: str) -> None:
    """Raise unless an array is a column or a matrix."""
    if values.ndim > 2:
        raise _FileError(
            f"expected {what} as a column [N] or a matrix [N, d], got shape {list(values.shape)}; "
            f"reshape it, or save the columns that you mean"
        )


def _table(path: Path) -> dict[str, Any]:
    """Named columns of a CSV or Parquet file."""
    import pandas

    read = pandas.read_csv if path.suffix.lower() == ".csv" else pandas.read_parquet
    frame = read(path)
    columns: dict[str, Any] = {}
    alone = str(frame.columns[0]) if len(frame.columns) == 1 else ""
    marks = [mark for mark in _SEPARATORS if mark in alone]
    if path.suffix.lower() == ".csv" and marks:
        raise _FileError(
            f"expected commas between the columns of {path.name}, found {marks[0]!r}; save it with "
            f"commas and decimal points"
        )
    frame = _unshifted(path, frame) if path.suffix.lower() == ".csv" else frame
    heads = [str(key).strip() for key in frame.columns]
    _check_repeats(_csv_heads(path) if path.suffix.lower() == ".csv" else heads, path)
    for place, name in enumerate(heads):
        column = frame.iloc[:, place]
        missing = bool(column.isna().any()) and pandas.api.types.is_numeric_dtype(column.dtype)
        plain = getattr(column.dtype, "numpy_dtype", None)  # of columns that may hold pandas.NA
        if isinstance(column.dtype, pandas.CategoricalDtype):
            columns[name] = column.array
        elif missing:
            columns[name] = column.to_numpy(float, na_value=np.nan)
        else:
            columns[name] = column.to_numpy() if plain is None else column.to_numpy(plain)
    return columns


def _unshifted(path: Path, frame: Any) -> Any:
    """A CSV file as a frame whose columns stand under their names.

    Where rows hold more fields than the first line, pandas takes the first ones for names of rows,
    as R writes them. Commas at the ends of lines are no fields; others must look like such names.
    """
    import pandas

    more = 0 if isinstance(frame.index, pandas.RangeIndex) else frame.index.nlevels
    if more and bool(frame.iloc[:, -more:].isna().all(axis=None)):
        return pandas.read_csv(path, index_col=False, usecols=range(frame.shape[1]))
    text = more == 1 and frame.index.dtype == object and frame.index.is_unique
    counts = (np.arange(k, len(frame) + k) for k in (0, 1))
    if more and not (text or any(np.array_equal(frame.index, count) for count in counts)):
        raise _FileError(
            f"expected a name for each field of {path.name}, found {frame.shape[1]} names and "
            f"{frame.shape[1] + more} fields in a row; name each column in the first line"
        )
    return frame


def _csv_heads(path: Path) -> list[str]:
    """The names in the first line of a CSV file, of which pandas renames repeated ones."""
    import pandas

    row = pandas.read_csv(path, header=None, nrows=1, dtype=str).iloc[0]
    return [str(cell).strip() for cell in row[row.notna()]]


def _check_repeats(names: Sequence[str], path: Path) -> None:
    """Raise where two columns have one name."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        found = ", ".join(map(repr, twice))
        raise _FileError(
            f"expected columns of different names in {path.name}, found {found} more than once; "
            f"rename them"
        )


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Named columns of a ``.npy`` matrix (by number) or the arrays of a ``.npz`` file."""
    if path.suffix.lower() == ".npz":
        with np.load(path, allow_pickle=False) as file:
            return {name: np.atleast_1d(file[name]) for name in file.files}
    matrix = np.atleast_1d(np.load(path, allow_pickle=False))
    if matrix.dtype.names:
        return {name: matrix[name] for name in matrix.dtype.names}
    _check_axes(matrix, path.name)
    matrix = matrix[:, None] if matrix.ndim == 1 else matrix
    return {str(i): matrix[:, i] for i in range(matrix.shape[1])}


_READERS: dict[str, Callable[[Path], dict[str, Any]]] = {
    ".csv": _table, ".parquet": _table, ".npy": _arrays, ".npz": _arrays,
}  # fmt: skip


def _read(path: Path) -> dict[str, Any]:
    """The columns of a file by name."""
    if not path.is_file():
        found = "a folder; name a file in it" if path.is_dir() else "none"
        raise ValueError(f"expected a file at {path}, found {found}")
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise ValueError(
            f"expected a .csv, .parquet, .npy or .npz file, got {path.name}; save it as "
            f"one of these"
        )
    if path.stat().st_size == 0:
        raise ValueError(f"expected columns in {path.name}, the file is empty")
    try:
        columns = reader(path)
    except ImportError as error:
        raise ValueError(
            f"expected pandas and pyarrow to read {path.suffix} files, got {error}; install them "
            f"with pip install 'torchmist-mi[cli]', or pass .npy or .npz files"
        ) from error
    except (PermissionError, _FileError):
        raise
    except UnicodeDecodeError as error:
        raise ValueError(
            f"expected {path.name} to be a {path.suffix} file in UTF-8, could not read it: "
            f"{error}; save it in that encoding"
        ) from error
    except Exception as error:
        raise ValueError(
            f"expected {path.name} to be a {path.suffix} file, could not read it: {error}"
        ) from error
    if not columns or not all(len(values) for values in columns.values()):
        raise ValueError(f"expected rows in {path.name}, found none")
    return columns


def _numbers(source: dict[str, Any], names: Sequence[str], text: str) -> NDArray[Any]:
    """Columns of numbers side by side, ``[N, d]`` float64, all of them finite."""
    columns = []
    for name in names:
        values = source[name]
        if _is_categorical(values) or values.dtype.kind not in "biuf":
            raise ValueError(_no_numbers(name, values, text.format(name=name)))
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


def _no_numbers(name: str, values: Any, text: str) -> str:
    """What stands in a column instead of numbers, where, and what to do: ``text`` for labels."""
    expected = f"expected numbers in column {name}, got"
    fixes = {"M": "convert dates to numbers", "m": "convert times to numbers",
             "c": "pass real and imaginary part as two columns"}  # fmt: skip
    if _is_categorical(values) or values.dtype.kind in fixes:
        return (
            f"{expected} {values.dtype} such as {values[0]!r}; {fixes.get(values.dtype.kind, text)}"
        )
    cells = values.reshape(len(values), -1).tolist()
    wrong = [(k, next(filter(_is_text, row))) for k, row in enumerate(cells, 1)
             if any(map(_is_text, row))]  # fmt: skip
    if not wrong:
        return f"{expected} text such as {cells[0][0]!r}; save it as numbers"
    row, first = wrong[0]
    found = f"{expected} {str(first)!r} in row {row} of the data"
    found += f" and others in {len(wrong) - 1} more of {len(cells)} rows" if len(wrong) > 1 else ""
    if _DATE.match(str(first)):
        return f"{found}; turn dates into numbers first, for example into days since the first one"
    if 2 * len(wrong) < len(cells):
        return f"{found}; correct or drop what is no number, or {text}"
    return f"{found}; {text}"


def _is_text(cell: Any) -> bool:
    """Whether ``float`` refuses a cell."""
    try:
        float(cell)
    except (TypeError, ValueError):
        return True
    return False


def _labels(source: dict[str, Any], names: Sequence[str]) -> NDArray[Any]:
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
    codes: NDArray[Any] = np.unique(np.asarray(values).astype(str), return_inverse=True)[1]
    return codes.ravel()
