"""The list of kinds in ``docs/kinds.md`` from the registry: ``python -m benchmarks.kinds.page``."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.kinds import BEYOND, KINDS, THEMES, Kind
from benchmarks.pages import markdown, write_table

__all__ = ["PAGE", "main", "theme_table"]

PAGE = Path(__file__).parent.parent.parent / "docs" / "kinds.md"


def _from(kind: Kind) -> str:
    """From how many rows on a sample can show the kind."""
    if kind.least >= BEYOND:
        return "beyond"
    return f"{kind.least:,}" if kind.least else "any"


def theme_table(theme: str) -> str:
    """The kinds of a theme: name, what they are, tags, rows that show them; Markdown."""
    rows = [
        [k.name, k.about.replace("|", "\\|"), ", ".join(k.tags), _from(k)]
        for k in KINDS.values()
        if k.theme == theme
    ]
    return markdown(["kind", "what; its mutual information", "tags", "rows that show it"], rows)


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--page", type=Path, default=PAGE)
    options = parser.parse_args(arguments)
    for theme in THEMES:
        write_table(options.page, f"kinds-{theme}", theme_table(theme))
    print(f"wrote {options.page}")


if __name__ == "__main__":
    main()
