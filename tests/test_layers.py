"""Imports run down: the layers of docs/architecture.md, read from the source of every module."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BASE = {
    "apart", "cache", "checks", "copula", "eigen", "entropy", "magnitudes", "no_gradient",
    "progress", "quantile_head", "sorting", "trained_range", "weight_files",
}  # fmt: skip
DOORS = {
    "auditing", "causal", "club", "column_pairs", "conditional", "estimation", "export",
    "finetuning", "functional", "hub", "independence", "joint", "lags", "lightning", "metrics",
    "planes", "processes", "regularizer", "scores", "sklearn",
}  # fmt: skip
COMMANDS = {"__main__", "cli", "cli_notes", "cli_options", "cli_pairwise"}
LAYERS = ("base", "models", "parts", "doors", "adapt", "commands", "training", "benchmarks")


def _layer(module: str) -> str | None:
    """The layer of a module by its dotted name; None for what stands beside them."""
    parts = module.split(".")
    if parts[0] in ("training", "benchmarks"):
        return parts[0]
    name = parts[1] if len(parts) > 1 else ""
    if name in ("models", "adapt"):
        return name
    if name in ("", "synthetic"):  # the front door of names, and datasets, which draw on no layer
        return None
    for layer, names in (("base", BASE), ("doors", DOORS), ("commands", COMMANDS)):
        if name in names:
            return layer
    return "parts"


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    """All statements but those for type checkers alone; no import stands in an expression."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.expr):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from _statements(child)


def _modules() -> dict[str, Path]:
    paths = [p for folder in ("torchmist", "training", "benchmarks") for p in
             sorted((ROOT / folder).rglob("*.py"))]  # fmt: skip
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths]
    return dict(zip((name.removesuffix(".__init__") for name in names), paths))


MODULES = _modules()


def _imported(module: str) -> set[str]:
    """What a module imports of this project, at its head or inside of a function."""
    found = set()
    for node in _statements(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else node.module for name in inner}
    return found & MODULES.keys() - {module}


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    """What each module imports of this project."""
    return {module: _imported(module) for module in MODULES}


@pytest.mark.parametrize("layer", LAYERS)
def test_no_import_runs_upward(layer: str, imports) -> None:
    below = LAYERS[: LAYERS.index(layer) + 1]
    upward = [
        (module, other)
        for module, others in imports.items()
        for other in others
        if _layer(module) == layer and _layer(other) not in (None, *below)
    ]
    assert imports and upward == []


def test_datasets_draw_on_the_base_alone(imports) -> None:
    drawn = {
        other
        for module, others in imports.items()
        for other in others
        if module.startswith("torchmist.synthetic")
    }
    assert {_layer(other) for other in drawn} <= {None, "base"}


def test_no_modules_import_each_other_in_a_ring(imports) -> None:
    waiting = {module: set(others) for module, others in imports.items()}
    while free := {module for module, others in waiting.items() if not others}:
        waiting = {
            module: others - free for module, others in waiting.items() if module not in free
        }
    assert waiting == {}


def test_every_named_module_is_there() -> None:
    names = {f"torchmist.{name}" for name in BASE | DOORS | COMMANDS}
    assert names <= MODULES.keys()
