"""Pages that are made at build: the API, cards of the weights, examples, tables and figures.

All of it goes to ``docs/generated``, from the sources that are tested elsewhere: docstrings,
``pretrained/*.md``, ``examples/*.py`` and the records in ``benchmarks/results``.
"""

from __future__ import annotations

import ast
import pkgutil
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

import torchmist

DOCS = Path(__file__).parent.parent
ROOT = DOCS.parent
GENERATED = DOCS / "generated"
SECTIONS: dict[str, tuple[str, ...]] = {
    "howto": (
        "cli", "migration", "adapt", "hub_and_export", "feature_selection", "pairwise",
        "sequences_and_images", "independence", "information_planes", "loops",
    ),
    "benchmarks": ("benchmarks", "kinds", "conditional", "loss_benchmarks"),
    "reference": ("glossary", "architecture", "changelog", "citation"),
    "explanations": ("mist", "copula", "general", "engines", "frozen_or_lift", "trust"),
}  # fmt: skip
"""Pages of each section in order, where they exist; all others are explanations."""
_FIXED = ("index", "installation")


def listed(section: str) -> list[str]:
    """The pages of a section that exist; all that is in no section is an explanation."""
    names = [name for name in SECTIONS[section] if (DOCS / f"{name}.md").is_file()]
    if section == "explanations":
        placed = {name for pages in SECTIONS.values() for name in pages}
        names += sorted(p.stem for p in DOCS.glob("*.md") if p.stem not in {*placed, *_FIXED})
    return names


def modules() -> list[str]:
    """Every module of the package that says what of it is public, by name."""
    found = []
    for info in pkgutil.walk_packages(torchmist.__path__, "torchmist."):
        if info.name.endswith("__main__") or info.name == "torchmist.pretrained":
            continue
        if getattr(import_module(info.name), "__all__", ()):
            found.append(info.name)
    return sorted(found)


def _groups() -> list[str]:
    """The pages of the API: the modules of the package itself, and one for each of its folders."""
    found = pkgutil.iter_modules(torchmist.__path__, "torchmist.")
    folders = sorted(info.name for info in found if info.ispkg)
    return ["torchmist", *(name for name in folders if name != "torchmist.pretrained")]


def _group(name: str) -> str:
    """The page of the API that a module stands on."""
    folder = ".".join(name.split(".")[:2])
    return folder if folder in _groups() else "torchmist"


_RECORDS = ("m_test", "bmi40", "m_test_extended", "symmetry")  # of the tables


def _api() -> dict[str, str]:
    """One page for the front door and one for each folder of modules."""
    front = ["# The front door", "", "What `import torchmist` gives.", "", "```{eval-rst}"]
    front += [".. py:module:: torchmist", ""]
    for name in (n for n in torchmist.__all__ if n != "__version__"):
        is_class = isinstance(getattr(torchmist, name), type)
        front += [f".. auto{'class' if is_class else 'function'}:: torchmist.{name}"]
        front += ["   :members:", ""] if is_class else [""]
    pages = {"api/front": "\n".join([*front, "```", ""])}
    for group in _groups():
        title = "Front doors, by module" if group == "torchmist" else group
        text = [f"# {title}", ""]
        if group not in modules() and group != "torchmist":
            text += [str(import_module(group).__doc__), ""]
        for name in (m for m in modules() if _group(m) == group):
            text += [f"## {name}", "", "```{eval-rst}", f".. automodule:: {name}"]
            text += ["   :members:", "", "```", ""]
        pages[f"api/{group}"] = "\n".join(text)
    entries = ["front", *_groups()]
    index = ["# API reference", "", "Every public name, from its docstring.", "", "```{toctree}"]
    pages["api/index"] = "\n".join([*index, *entries, "```", ""])
    return pages


def _cards() -> dict[str, str]:
    """The cards of the weights, and a page that lists them."""
    cards = sorted((ROOT / "pretrained").glob("*.md"))
    pages = {f"weights/{card.stem}": card.read_text() for card in cards}
    index = ["# Weights and their cards", "", "How each was made, and what was measured.", ""]
    index += ["```{toctree}", *(card.stem for card in cards), "```", ""]
    return {**pages, "weights/index": "\n".join(index)}


def _examples() -> dict[str, str]:
    """The runnable recipes, each a page with its own docstring and source."""
    pages = {}
    scripts = sorted((ROOT / "examples").glob("*.py"))
    for script in scripts:
        source = script.read_text()
        note = (ast.get_docstring(ast.parse(source)) or script.stem).strip()
        title, _, rest = note.partition("\n")
        text = [f"# {title.rstrip('.')}", "", rest.strip(), "", f"`python examples/{script.name}`"]
        pages[f"examples/{script.stem}"] = "\n".join([*text, "", "```python", source + "```", ""])
    index = ["# Recipes", "", "Scripts that run as they are; the tests run them too.", ""]
    index += ["```{toctree}", *(script.stem for script in scripts), "```", ""]
    return {**pages, "examples/index": "\n".join(index)}


def _report() -> None:
    """Tables and figures of the benchmarks, unless they are newer than every record they read."""
    from benchmarks.figures import FIGURES
    from benchmarks.run import RESULTS

    names = {*_RECORDS, *(records for _, records, _ in FIGURES.values())}
    records = [path for name in names if (path := RESULTS / f"{name}.csv").is_file()]
    page = GENERATED / "report.html"
    if page.is_file() and all(r.stat().st_mtime < page.stat().st_mtime for r in records):
        return
    command = [sys.executable, "-m", "benchmarks.report", "--out", str(GENERATED)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)


def write_pages() -> None:
    """Write what is made at build; a page that has not changed keeps its date, and one of what is
    no longer there goes."""
    _report()
    pages = {**_api(), **_cards(), **_examples()}
    for folder in {Path(name).parent for name in pages}:
        for path in (GENERATED / folder).glob("*.md"):
            if (folder / path.stem).as_posix() not in pages:
                path.unlink()
    for name, text in pages.items():
        path = GENERATED / f"{name}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_text() != text:
            path.write_text(text)


_LINKS = {
    r"\.\./pretrained/([\w.-]+)\.md": r"/generated/weights/\1.md",
    r"\.\./examples/(\w+)\.py": r"/generated/examples/\1.md",
    r"\.\./docs/(.+)": r"/\1",
    r"\.\./CHANGELOG\.md": "/changelog.md",
}
"""Files of the repository, and where they stand on the site."""


def _link(found: re.Match[str]) -> str:
    """A link of a page as one of the site, or a path in the repository if it is not on the site."""
    text, target, anchor = found.groups()
    for pattern, place in _LINKS.items():
        target = re.sub(f"^{pattern}$", place, target)
    if target.startswith("/") and (DOCS / target[1:]).is_file():
        return f"[{text}]({target}{anchor or ''})"
    return f"{text} (`{target.lstrip('./')}`)"


def _rewrite(app: Sphinx, name: str, content: list[str]) -> None:
    """Links of the repository become links of the site, and sections list their pages."""
    if not name.startswith("tutorials/"):
        link = r"(?<!!)\[([^\]]*)\]\((\.\./[^)#]+)(#[^)]*)?\)"
        content[0] = re.sub(link, _link, content[0])
    for section in SECTIONS:
        content[0] = content[0].replace(f"<{section}>", "\n".join(listed(section)))


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("builder-inited", lambda _: write_pages())
    app.connect("source-read", _rewrite)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
