"""Tables of benchmarks inside of pages, between marks."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["markdown", "write_table"]


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table, its lines ended."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def write_table(page: Path, name: str, text: str) -> None:
    """Put ``text`` between ``<!-- begin table NAME -->`` and ``<!-- end table NAME -->``.

    Raises:
        ValueError: if ``page`` has no such marks.
    """
    begin, end = f"<!-- begin table {name} -->\n", f"<!-- end table {name} -->"
    old = page.read_text()
    if begin not in old or end not in old:
        raise ValueError(f"expected the marks {begin.strip()} and {end} in {page}, found none")
    pattern = re.escape(begin) + ".*?" + re.escape(end)
    page.write_text(re.sub(pattern, lambda _: begin + text + end, old, flags=re.S))
