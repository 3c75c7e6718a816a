"""The front door: names, and what an import loads: no more than the core."""

from __future__ import annotations

import ast
import pkgutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import torchmist


def run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout


def test_every_public_name_resolves_and_they_are_sorted() -> None:
    assert torchmist.__all__ == sorted(torchmist.__all__)
    for name in torchmist.__all__:
        assert hasattr(torchmist, name)


def test_no_name_hides_a_module() -> None:
    """``import torchmist.x`` and ``torchmist.x`` are the same module, in every package."""
    walk = pkgutil.walk_packages(torchmist.__path__, "torchmist.")
    packages = [torchmist, *(import_module(info.name) for info in walk if info.ispkg)]
    hidden = [
        f"{package.__name__}.{info.name}"
        for package in packages
        for info in pkgutil.iter_modules(package.__path__)
        if info.name in getattr(package, "__all__", ())
        or not isinstance(vars(package).get(info.name, package), ModuleType)
    ]
    assert len(packages) > 4 and hidden == []


def body(file: Path) -> list[ast.stmt]:
    return ast.parse(file.read_text()).body


def test_what_other_modules_take_of_a_module_is_in_its_all() -> None:
    root = Path(torchmist.__file__).parent
    files = {
        ".".join(("torchmist", *file.relative_to(root).with_suffix("").parts)): body(file)
        for file in root.glob("**/*.py")
    }
    taken = {
        (statement.module, alias.name)
        for statements in files.values()
        for statement in statements
        if isinstance(statement, ast.ImportFrom) and statement.module in files
        for alias in statement.names
    }
    left_out = [
        f"{module}.{name}" for module, name in taken if name not in import_module(module).__all__
    ]
    assert len(taken) > 500 and left_out == []


def test_import_adds_the_core_packages_and_nothing_else_to_torch() -> None:
    """Neither an optional package nor a part of torch that it loads only when asked for."""
    code = (
        "import sys, torch; before = set(sys.modules); import torchmist;"
        "print(*sorted(set(sys.modules) - before))"
    )
    added = set(run(code).split())
    packages = {name.split(".")[0] for name in added} - set(sys.stdlib_module_names)
    assert packages <= {"torchmist", "einops", "numpy", "safetensors"}
    assert "torchmist" in packages
    assert not {name for name in added if name.startswith("torch.")}


def test_a_first_estimate_does_not_wait_for_the_compiler() -> None:
    code = (
        "import sys, torch, torchmist; x = torch.randn(50, 1); "
        "torchmist.estimate(x, x, model='mist-fast'); print('torch._dynamo' in sys.modules)"
    )
    assert run(code).strip() == "False"


def test_pictures_and_frames_name_the_extra_that_they_need(monkeypatch, tmp_path) -> None:
    x = np.random.default_rng(0).normal(size=(100, 2))
    pairs = torchmist.pairwise(x)
    results = [
        pairs,
        torchmist.lagged(x[:, 0], x[:, 1], lags=1, permutations=0),
        torchmist.audit(x, model="mist-fast"),
    ]
    for name in ("matplotlib", "matplotlib.figure", "pandas"):
        monkeypatch.setitem(sys.modules, name, None)
    for result in results:
        with pytest.raises(ImportError, match=r"expected matplotlib for .*torchmist-mi\[cli\]"):
            result.plot(tmp_path / "picture.png")
    with pytest.raises(ImportError, match=r"expected pandas for a frame.*torchmist-mi\[cli\]"):
        pairs.to_frame()
