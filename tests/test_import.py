"""The front door: names, cost of the import, and no optional dependency behind it."""

from __future__ import annotations

import subprocess
import sys

import torchmist

OPTIONAL = ("normflows", "bmi", "jax", "matplotlib", "sklearn", "pandas", "scipy", "tensorboard",
            "tqdm", "torchmetrics", "lightning", "transformers")  # fmt: skip


def run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout


def test_every_public_name_resolves_and_they_are_sorted() -> None:
    assert torchmist.__all__ == sorted(torchmist.__all__)
    for name in torchmist.__all__:
        assert hasattr(torchmist, name)


def test_import_pulls_in_no_optional_package() -> None:
    code = (
        "import sys, torch; before = set(sys.modules); import torchmist;"
        "print(*{m.split('.')[0] for m in set(sys.modules) - before})"
    )
    loaded = set(run(code).split())
    assert "torchmist" in loaded
    assert not loaded & set(OPTIONAL)


def test_import_is_quick_on_top_of_torch() -> None:
    code = (
        "import time, torch; t = time.process_time(); import torchmist;"
        "print(time.process_time() - t)"
    )
    assert min(float(run(code)) for _ in range(3)) < 0.3
