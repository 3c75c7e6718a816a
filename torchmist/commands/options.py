"""What several commands check of their options before anything is computed."""

from __future__ import annotations

import csv
from pathlib import Path

from torchmist.checks import MIN_SAMPLES
from torchmist.weight_files import check_folder

__all__ = ["check_picture", "check_rows", "split_names"]


def split_names(text: str, option: str) -> list[str]:
    """The names in a list separated by commas; one that holds a comma stands in double quotes.

    Raises:
        ValueError: for an empty name, and for one that is there twice.

    Example:
        >>> split_names("a, b", "--x")
        ['a', 'b']
        >>> split_names('"size, cm", b', "--x")
        ['size, cm', 'b']
    """
    cells = next(csv.reader([text], skipinitialspace=True), [])
    names = [name.strip() for name in cells or [""]]
    if not all(names):
        raise ValueError(f"expected column names separated by commas, got {text!r}")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"expected {option} to name a column once, got {twice} more than once")
    return names


def check_picture(path: Path) -> None:
    """Raise unless a picture can be written at ``path``; no ending is one of ``.png``.

    Raises:
        ValueError: for a folder that does not exist, and for an ending that is no picture's.
        ImportError: without matplotlib.
    """
    check_folder(path)
    try:
        from matplotlib.backend_bases import FigureCanvasBase
    except ImportError as error:
        raise ImportError(
            f"expected matplotlib for --plot, got {error}; install it with "
            f"pip install 'torchmist-mi[cli]'"
        ) from error
    known = FigureCanvasBase.get_supported_filetypes()
    if path.suffix and path.suffix[1:].lower() not in known:
        raise ValueError(
            f"expected --plot to end in one of {', '.join(f'.{name}' for name in sorted(known))}, "
            f"got {path.name}"
        )


def check_rows(count: int, path: Path) -> None:
    """Raise ``ValueError`` for a file of too few rows for any estimate."""
    if count < MIN_SAMPLES:
        raise ValueError(
            f"expected at least {MIN_SAMPLES} samples in {path.name}, got {count} rows; add rows"
        )
