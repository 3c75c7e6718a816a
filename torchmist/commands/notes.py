"""Notes of an estimate in the words of the command line: its options, not arguments of Python."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torchmist.samples.column_marks import few_distinct

__all__ = ["ONLY_THESE", "command_note", "first_line_notes", "unmarked_notes"]

ONLY_THESE = "these and no others: other integers beside them are numbers"

_MARKED = "pass --discrete COLUMN"
_NUMBERS = (
    "leave the column out of --discrete and --labels, and write whole numbers with a decimal point"
)
_WORDS = (
    (r"pass discrete(_\w+)?=True", _MARKED),
    (r"pass them as integers", _MARKED),
    (r"pass discrete(_\w+)?=False", _NUMBERS),
    (r"torchmist\.audit\b", "torchmist audit"),
)


def command_note(note: str) -> str:
    """A note or an error with what it says to do as options of a command.

    Example:
        >>> command_note("if they are class labels, pass discrete_x=True")
        'if they are class labels, pass --discrete COLUMN'
    """
    for pattern, words in _WORDS:
        note = re.sub(pattern, words, note)
    return note


def first_line_notes(path: Path, names: Iterable[str]) -> list[str]:
    """What is said of a CSV file whose columns all have numbers for names, as where its first line
    is a row; 0, 1, ... are names that tables are written with.

    Example:
        >>> first_line_notes(Path("data.csv"), ["1.5", "-2"])[0][:50]
        'the first line of data.csv holds numbers alone (1.'
        >>> first_line_notes(Path("data.csv"), ["0", "1"])
        []
    """
    names = list(names)
    counted = [str(k) for k in range(len(names))]
    if path.suffix.lower() != ".csv" or names == counted or not all(map(_is_number, names)):
        return []
    return [
        f"the first line of {path.name} holds numbers alone ({', '.join(names[:3])}) and is taken "
        f"for the names of the columns; if it is a row, write a line of names above it"
    ]


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True


def unmarked_notes(columns: Mapping[str, Any], marked: Sequence[str]) -> list[str]:
    """What is said of integers of few values that are numbers because ``--discrete`` names other
    columns beside them.

    Example:
        >>> import numpy as np
        >>> unmarked_notes({"a": np.array([0, 1, 1]), "b": np.array([1, 2, 2])}, ["a"])[0][:47]
        'column b: integers of 2 distinct values are num'
    """
    if not any(name in marked for name in columns):
        return []
    notes = []
    for name, values in columns.items():
        if name in marked or values.dtype.kind not in ("b", "i", "u"):
            continue
        count = few_distinct(values)
        if count is not None:
            notes.append(
                f"column {name}: integers of {count} distinct values are numbers, as --discrete "
                f"names other columns beside it; name it there as well if it holds class labels"
            )
    return notes
