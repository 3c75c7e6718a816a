"""Notes of an estimate in the words of the command line: its options, not arguments of Python."""

from __future__ import annotations

import re

__all__ = ["command_note"]

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
