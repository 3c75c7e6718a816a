"""Every tutorial runs from top to bottom, and the committed notebooks are those of the scripts."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest

jupytext = pytest.importorskip("jupytext")
DOCS = Path(__file__).parent.parent / "docs"
TUTORIALS = sorted(p for p in (DOCS / "tutorials").iterdir() if p.suffix in (".md", ".py"))
NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("tutorial", TUTORIALS, ids=lambda p: p.name)
def test_tutorial_runs(tutorial: Path, monkeypatch) -> None:
    """Its cells one after the other, as the kernel of a notebook runs them."""
    monkeypatch.setenv("MPLBACKEND", "agg")
    notebook = jupytext.read(tutorial)
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    assert len(cells) >= 3
    names = {"__name__": "__main__"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for k, cell in enumerate(cells):
            exec(compile(cell, f"{tutorial.name}, cell {k}", "exec"), names)


def test_there_are_two_notebooks() -> None:
    assert [p.stem for p in NOTEBOOKS] == ["quick_start", "representation_learning"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_the_notebook_is_its_script_and_was_executed(path: Path) -> None:
    script = jupytext.read(DOCS / "tutorials" / f"{path.stem}.py")
    cells = json.loads(path.read_text())["cells"]
    assert ["".join(c["source"]) for c in cells] == [c.source for c in script.cells]
    code = [c for c in cells if c["cell_type"] == "code"]
    assert all(c["execution_count"] for c in code)
    outputs = [o for c in code for o in c["outputs"]]
    assert outputs and not any(o["output_type"] == "error" for o in outputs)
