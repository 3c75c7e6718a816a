"""The distribution: a name that the index accepts, one version, and a wheel without ballast."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

import torchmist

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
NAME = PROJECT["project"]["name"]
NEIGHBOURS = ("torch-mist", "mist-statinf", "torch-mi", "torch", "mist")


def as_the_index_reads(name: str) -> str:
    """Names that come out equal are refused: no separators, no case, i and l as 1, o as 0.

    The index's ``ultranormalize_name``, stricter than PEP 503, which only evens out separators.
    """
    return re.sub("[._-]", "", name).lower().translate(str.maketrans("ilo", "110"))


@pytest.mark.parametrize("taken", NEIGHBOURS)
def test_the_index_tells_the_distribution_from_its_neighbours(taken: str) -> None:
    assert as_the_index_reads(NAME) != as_the_index_reads(taken)


def test_the_index_would_refuse_the_import_name() -> None:
    """Why the distribution is not called what is imported."""
    assert as_the_index_reads("torchmist") == as_the_index_reads("torch-mist")
    assert as_the_index_reads("T0rch_M1st") == as_the_index_reads("torch-mist")


def test_the_name_is_a_valid_normalised_one() -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", NAME)


def test_messages_and_pages_name_the_distribution_that_can_be_installed() -> None:
    files = [*ROOT.glob("torchmist/**/*.py"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*.md")]
    old = [str(p) for p in files if re.search(r"\btorchmist\[", p.read_text())]
    assert not old


def test_every_extra_that_a_message_names_exists() -> None:
    extras = set(PROJECT["project"]["optional-dependencies"])
    text = "".join(p.read_text() for p in ROOT.glob("torchmist/**/*.py"))
    named = {
        e for found in re.findall(r"torchmist-mi\[([a-z,]+)\]", text) for e in found.split(",")
    }
    assert named and named <= extras


def test_the_version_is_written_once() -> None:
    assert PROJECT["project"]["dynamic"] == ["version"] and "version" not in PROJECT["project"]
    assert importlib.metadata.version(NAME) == torchmist.__version__
    heading = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert heading is not None and heading[1] == torchmist.__version__
    assert f"\nversion: {torchmist.__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_core_dependencies_are_four() -> None:
    names = {re.split("[<>=]", d)[0] for d in PROJECT["project"]["dependencies"]}
    assert names == {"torch", "numpy", "einops", "safetensors"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    """The wheel, built from the working tree with the installed setuptools."""
    out = tmp_path_factory.mktemp("wheel")
    source = out / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "torchmist", "pretrained"):
        (source / name).symlink_to(ROOT / name)
    code = (
        "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(out)], cwd=source, check=True, capture_output=True
    )
    return zipfile.ZipFile(next(out.glob("*.whl")))


def test_the_wheel_holds_every_registered_weights_file_and_its_card(wheel) -> None:
    registry = json.loads(wheel.read("torchmist/pretrained/registry.json"))
    assert registry
    for name, entry in registry.items():
        content = wheel.read(f"torchmist/pretrained/{entry['file']}")
        assert hashlib.sha256(content).hexdigest() == entry["sha256"]
        assert wheel.read(f"torchmist/pretrained/{name}.md").startswith(b"# ")


def test_the_wheel_holds_every_module_and_the_mark_of_its_types(wheel) -> None:
    modules = {p.relative_to(ROOT).as_posix() for p in ROOT.glob("torchmist/**/*.py")}
    assert {*modules, "torchmist/py.typed"} <= set(wheel.namelist())


def test_the_wheel_holds_nothing_else(wheel) -> None:
    weights = r"torchmist/pretrained/(registry\.json|pairs\.json|.*\.safetensors|.*\.md)"
    kinds = rf"torchmist/.*\.py|torchmist/py\.typed|{weights}"
    rest = [name for name in wheel.namelist() if not re.fullmatch(kinds, name)]
    assert all(".dist-info/" in name for name in rest)


def test_metadata_says_who_may_install_it(wheel) -> None:
    name = next(n for n in wheel.namelist() if n.endswith(".dist-info/METADATA"))
    text = wheel.read(name).decode()
    for line in (
        "Name: torchmist-mi", f"Version: {torchmist.__version__}", "Requires-Python: >=3.10",
        "License-Expression: MIT", "Classifier: Typing :: Typed",
        "Description-Content-Type: text/markdown",
    ):  # fmt: skip
        assert f"\n{line}\n" in text
    for minor in (10, 11, 12, 13):
        assert f"Classifier: Programming Language :: Python :: 3.{minor}\n" in text
    assert "Provides-Extra: hub\n" in text
