"""The pages on features, pairs and series run as pasted, block after block; their links hold."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"
NAMES = ("feature_selection", "information_planes", "pairwise", "sequences_and_images")
NEEDS = {"information_planes": ("torchmetrics", "lightning")}


@pytest.mark.parametrize("name", NAMES)
def test_blocks_run_one_after_the_other(name: str, tmp_path: Path, monkeypatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / f"{name}.md").read_text(), re.DOTALL)
    assert blocks
    for package in NEEDS.get(name, ()):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    space: dict[str, object] = {"__name__": "__main__"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for block in blocks:
            exec(compile(block, name, "exec"), space)


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_to_files(name: str) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", (DOCS / f"{name}.md").read_text()):
        assert (DOCS / target).exists(), target
