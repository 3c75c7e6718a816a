"""Every Python block of the pages on the term runs as pasted, and their links lead somewhere."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"
NAMES = ("frozen_or_lift", "loss_benchmarks", "migration")
PAGES = {name: (DOCS / f"{name}.md").read_text() for name in NAMES}
BLOCKS = [
    pytest.param(block, id=f"{name} {i}")
    for name, text in PAGES.items()
    for i, block in enumerate(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
]


@pytest.mark.parametrize("block", BLOCKS)
def test_block_runs(block: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        exec(compile(block, "docs", "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_to_files(name: str) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", PAGES[name]):
        assert (DOCS / target).exists(), target
