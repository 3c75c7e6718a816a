"""Executed notebooks from the scripts of the tutorials: ``make notebooks``."""

from __future__ import annotations

import os
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

DOCS = Path(__file__).parent.parent


def main() -> None:
    """Execute each ``docs/tutorials/*.py`` and write it to ``docs/notebooks``."""
    os.environ["PYTHONPATH"] = str(DOCS.parent)
    out = DOCS / "notebooks"
    out.mkdir(exist_ok=True)
    for script in sorted((DOCS / "tutorials").glob("*.py")):
        notebook = jupytext.read(script)
        NotebookClient(notebook, kernel_name="python3", timeout=600).execute(cwd=str(out))
        for k, cell in enumerate(notebook.cells):  # the same script, the same file
            cell.id = f"cell-{k}"
            cell.metadata.pop("execution", None)
        notebook.metadata.pop("jupytext", None)
        notebook.nbformat_minor = 5
        nbformat.write(notebook, out / f"{script.stem}.ipynb")


if __name__ == "__main__":
    main()
