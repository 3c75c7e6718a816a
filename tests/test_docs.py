"""Python blocks of the pages run as pasted, and the links of every page lead somewhere."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"
PAGES = {path.stem: path.read_text() for path in sorted(DOCS.glob("*.md"))}
RUN = ("copula", "conditional", "frozen_or_lift", "general", "index", "migration", "trust")
"""Pages whose blocks run here; those of the others run in tests of their own subjects."""
BLOCKS = [
    pytest.param(block, id=f"{name} {i}")
    for name in RUN
    for i, block in enumerate(re.findall(r"```python\n(.*?)```", PAGES[name], re.DOTALL))
]


@pytest.mark.parametrize("block", BLOCKS)
def test_block_runs(block: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        exec(compile(block, "docs", "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_to_files(name: str) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", PAGES[name]):
        if not target.startswith("generated/"):  # made with the site
            assert (DOCS / target).exists(), target


def test_paths_of_the_architecture_exist() -> None:
    """The page on the house names files that are there."""
    root = DOCS.parent
    named = re.findall(
        r"`((?:torchmist|training|benchmarks|tests)/[\w/.]+)`", PAGES["architecture"]
    )
    assert len(named) > 10
    for path in named:
        assert (root / path).exists(), path
    short = re.findall(r"`((?:\w+/)*[\w*]+(?:\.py|/))`", PAGES["architecture"])
    assert len(short) > 40
    for path in short:
        assert [*root.glob(path), *root.glob(f"torchmist/{path}")], path
