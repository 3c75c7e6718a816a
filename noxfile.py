"""The tests of the core on old and new Pythons, torch and numpy: ``make matrix``.

Each session is an environment of its own. A Python that is not there is fetched by uv where it can
be, and its sessions are skipped (and marked so) where it cannot.
"""

from __future__ import annotations

from pathlib import Path

import nox

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["core"]

CELLS = [
    ("3.10", "2.4.0", "1.26"),
    ("3.11", "2.13.0", "1.26"),
    ("3.12", "2.4.1", "1.26"),
    ("3.12", "newest", "2"),
    ("3.13", "2.6.0", "2"),
    ("3.13", "newest", "2"),
]
"""Python, torch and numpy: the oldest supported, what made the records, and the newest."""

NEEDS_MORE = {
    "test_adapt", "test_adapt_cells", "test_adapt_flows", "test_benchmarks", "test_cli",
    "test_cuda", "test_evaluate", "test_examples", "test_export", "test_fsdp", "test_general",
    "test_general_benchmark", "test_general_maps", "test_general_mixtures", "test_general_oracles",
    "test_kinds", "test_kinds_command", "test_modality_benchmark", "test_packaging", "test_pursuit",
    "test_pursuits_command", "test_recipe", "test_recipe_files", "test_reference", "test_reproduce",
    "test_site", "test_stream", "test_synthetic", "test_synthetic_bmi", "test_term_benchmarks",
    "test_training", "test_tutorials", "test_variants",
}  # fmt: skip
"""Tests of training, benchmarks, adaptation and pages, which need more than the core."""


@nox.session
@nox.parametrize(("python", "torch", "numpy"), CELLS)
def core(session: nox.Session, torch: str, numpy: str) -> None:
    """Tests that need no more than the core, pandas, scipy, scikit-learn and matplotlib."""
    version = "torch" if torch == "newest" else f"torch=={torch}"
    arrow = "pyarrow" if numpy == "2" else "pyarrow<26"  # which needs numpy 2 and does not say so
    tools = ["pytest", "pandas", arrow, "scipy", "scikit-learn", "matplotlib"]
    session.install(version, f"numpy=={numpy}.*", *tools, "-e", ".[hub]")
    files = sorted(p for p in Path("tests").glob("test_*.py") if p.stem not in NEEDS_MORE)
    session.run(
        "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *session.posargs, *map(str, files)
    )
