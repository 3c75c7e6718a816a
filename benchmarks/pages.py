"""Tables inside of pages, between marks."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["has_table", "markdown", "write_table"]


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table, its lines ended."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _marks(name: str) -> tuple[str, str]:
    return f"<!-- begin table {name} -->\n", f"<!-- end table {name} -->"


def has_table(page: Path, name: str) -> bool:
    """Whether ``page`` has the marks of the table ``name``."""
    text = page.read_text()
    return all(mark in text for mark in _marks(name))


def write_table(page: Path, name: str, text: str) -> None:
    """Put ``text`` between ``<!-- begin table NAME -->`` and ``<!-- end table NAME -->``.

    Raises:
        ValueError: if ``page`` has no such marks.
    """
    begin, end = _marks(name)
    if not has_table(page, name):
        raise ValueError(f"expected the marks {begin.strip()} and {end} in {page}, found none")
    pattern = re.escape(begin) + ".*?" + re.escape(end)
    made = begin + text + end
    page.write_text(re.sub(pattern, lambda _: made, page.read_text(), flags=re.S))
