"""Imports run down: the layers of docs/architecture.md, read from the source of every module."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = {
    "base": {"checks", "copula", "numerics", "progress", "quantile_head", "weight_files"},
    "models": {"models"},
    "samples": {"samples"},
    "inference": {"inference"},
    "parts": {
        "critic", "diagnostics", "discrete", "ensemble", "figures", "gather", "lift",
        "permutation_tests", "target", "terms", "weights",
    },
    "doors": {
        "auditing", "causal", "club", "column_pairs", "conditional", "estimation", "export",
        "finetuning", "functional", "hub", "independence", "lags", "lightning", "metrics",
        "planes", "regularizer", "scores", "scoring", "sklearn",
    },
    "adapt": {"adapt"},
    "commands": {"__main__", "cli", "commands"},
    "training": {"training"},
    "benchmarks": {"benchmarks"},
}  # fmt: skip
"""Folders and files of torchmist, and folders beside it, from the lowest layer to the highest."""
BESIDE = {"", "synthetic"}  # the front door of names, and datasets, which draw on no layer


def _top(module: str) -> str:
    """The folder or file of torchmist that a module stands in, or the folder beside torchmist."""
    first, *rest = module.split(".")
    return first if first != "torchmist" else "".join(rest[:1])


def _layer(module: str) -> str | None:
    """The layer of a module by its dotted name; None for what stands beside them."""
    name = _top(module)
    return next((layer for layer, names in LAYERS.items() if name in names), None)


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
    below = list(LAYERS)[: list(LAYERS).index(layer) + 1]
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


def _in_rings(imports: dict[str, set[str]]) -> set[str]:
    """All that imports itself by way of others, or is imported by what does."""
    waiting = {name: set(others) for name, others in imports.items()}
    while free := {name for name, others in waiting.items() if not others}:
        waiting = {name: others - free for name, others in waiting.items() if name not in free}
    return set(waiting)


def test_no_modules_import_each_other_in_a_ring(imports) -> None:
    assert _in_rings(imports) == set()


def test_no_folders_import_each_other_in_a_ring(imports) -> None:
    folders: dict[str, set[str]] = {_top(module): set() for module in MODULES}
    for module, others in imports.items():
        folders[_top(module)] |= {_top(other) for other in others} - {_top(module)}
    for others in folders.values():  # the front door of names and version
        others.discard("")
    assert _in_rings(folders) == set()


def test_every_folder_and_file_has_one_layer() -> None:
    placed = [name for names in LAYERS.values() for name in names]
    assert sorted([*placed, *BESIDE]) == sorted({_top(module) for module in MODULES})


def test_every_folder_says_what_it_holds() -> None:
    folders = [path for path in MODULES.values() if path.name == "__init__.py"]
    page = (ROOT / "docs" / "architecture.md").read_text()
    for path in folders:
        assert ast.get_docstring(ast.parse(path.read_text())), path
        name = path.parent.relative_to(ROOT).as_posix()
        if name.startswith("torchmist/") and name.count("/") == 1:
            assert f"{path.parent.name}/" in page, name
