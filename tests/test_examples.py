"""Every example runs, on few steps."""

from __future__ import annotations

import importlib.util
import runpy
import sys
from pathlib import Path

import pytest
import torch

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_example_runs(path: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    if "import lightning" in path.read_text() and not importlib.util.find_spec("lightning"):
        pytest.skip("lightning is not installed")
    out = tmp_path / "figure.png"
    monkeypatch.setattr(sys, "argv", [str(path), "--steps", "3", "--out", str(out)])
    with torch.random.fork_rng():
        runpy.run_path(str(path), run_name="__main__")
    assert out.stat().st_size > 10_000 and "nats" in capsys.readouterr().out
