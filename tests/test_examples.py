"""Every example runs, on few steps."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_example_runs(path: Path, tmp_path: Path) -> None:
    if "import lightning" in path.read_text() and not importlib.util.find_spec("lightning"):
        pytest.skip("lightning is not installed")
    out = tmp_path / "figure.png"
    command = [sys.executable, str(path), "--steps", "3", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert out.stat().st_size > 10_000 and "nats" in done.stdout
