"""Records of one benchmark as CSV, written after every row so that a killed run goes on."""

from __future__ import annotations

import csv
import functools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from torchmist.weights import ALIASES

__all__ = ["Records", "exact_name", "row_writer", "write_rows"]

row_writer = functools.partial(csv.DictWriter, lineterminator="\n")
"""A writer of rows by the names of their columns, whose lines end alike on every machine."""


def exact_name(model: str) -> str:
    """The registered name behind an alias; for a path, the file's name without its ending."""
    return Path(model).stem if os.sep in model else ALIASES.get(model, model)


def _text(value: object, digits: int = 4) -> str:
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def write_rows(
    path: Path, rows: Iterable[Mapping[str, object]], columns: Sequence[str], digits: int = 4
) -> None:
    """Write rows as CSV anew: floats with so many digits, texts as they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = row_writer(file, columns)
        writer.writeheader()
        for row in rows:
            writer.writerow({k: _text(v, digits) for k, v in row.items()})


class Records:
    """The rows of a CSV file, keyed by the first ``keys`` of its ``columns``.

    Args:
        path: read if it is there; its folder is made if it is not.
        columns: all columns.
        keys: how many of them say which run a row belongs to.

    Raises:
        ValueError: when the file has other columns.
    """

    def __init__(self, path: Path, columns: Sequence[str], keys: int) -> None:
        self.path, self.columns, self.keys = path, tuple(columns), keys
        self.rows: list[dict[str, str]] = []
        if path.is_file():
            with path.open(newline="") as file:
                reader = csv.DictReader(file)
                if tuple(reader.fieldnames or ()) != self.columns:
                    raise ValueError(
                        f"expected columns {self.columns} in {path}, got {reader.fieldnames}; "
                        f"move the file away"
                    )
                self.rows = list(reader)
        path.parent.mkdir(parents=True, exist_ok=True)

    def __iter__(self) -> Iterator[dict[str, str]]:
        return iter(self.rows)

    def row(self, *key: object) -> dict[str, str]:
        """The row with these first columns; ``KeyError`` if there is none."""
        wanted = tuple(map(_text, key))
        for row in self.rows:
            if tuple(row[c] for c in self.columns[: self.keys]) == wanted:
                return row
        raise KeyError(f"expected a row {wanted} in {self.path}, found none")

    def has(self, *key: object) -> bool:
        """Whether a run with these first columns is recorded."""
        try:
            self.row(*key)
        except KeyError:
            return False
        return True

    def add(self, *values: object) -> None:
        """One row, numbers with four digits; printed and written at once."""
        self.rows.append(dict(zip(self.columns, map(_text, values), strict=True)))
        print(*(f"{k}={v}" for k, v in self.rows[-1].items()), flush=True)
        write_rows(self.path, self.rows, self.columns)
