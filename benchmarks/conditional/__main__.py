"""Conditional estimates beside their truths: ``python -m benchmarks.conditional --model mist``.

Evaluation only: nothing is trained, tuned or chosen on these laws. Prints a row for each law and
size; appends to ``benchmarks/results/conditional.csv`` and goes on where it stopped: what is
recorded for the same weights is left out. Then writes ``benchmarks/tables/conditional.md`` and the
tables of ``docs/conditional.md`` from all that is recorded for these weights. Takes two to three
minutes of one core.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import torch

from benchmarks.conditional.registry import LAWS
from benchmarks.conditional.report import cells, line, tables
from benchmarks.conditional.run import COLUMNS, Weights, run_cell
from benchmarks.kinds.run import Appended
from benchmarks.pages import has_table, write_table
from benchmarks.records import exact_name
from torchmist.weights import load_pretrained

__all__ = ["PAGE", "RECORD", "TABLES", "main"]

_HOME = Path(__file__).parent.parent
RECORD = _HOME / "results/conditional.csv"
TABLES = _HOME / "tables/conditional.md"
PAGE = _HOME.parent / "docs/conditional.md"


def _weights(name: str) -> Weights:
    path = os.path.abspath(name) if os.sep in name else name
    return Weights(load_pretrained(path), exact_name(name))


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="mist", help="of estimates")
    parser.add_argument("--term", default="mist-fast", help="of the term of a loop")
    parser.add_argument("--sizes", type=int, nargs="*", default=[500, 2000], help="none: tables")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--route-seeds", type=int, default=1, help="on which other ways are tried")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these laws")
    parser.add_argument("--out", type=Path, default=RECORD)
    parser.add_argument("--tables", type=Path, default=TABLES)
    parser.add_argument("--page", type=Path, default=PAGE)
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.only or ()) - set(LAWS)):
        parser.error(f"expected --only among {', '.join(LAWS)}, got {unknown}")
    torch.set_num_threads(1)
    records = Appended(options.out, COLUMNS, keys=5)
    names = exact_name(options.model), exact_name(options.term)
    if options.sizes:
        model, term = _weights(options.model), _weights(options.term)
        for law in [LAWS[name] for name in options.only or LAWS]:
            for n in options.sizes:
                seeds = range(options.seeds)
                run_cell(law, n, seeds, model, term, records, options.route_seeds)
                for cell in cells(records, *names):
                    if (cell.law, cell.n) == (law.name, n):
                        print(line(cell), flush=True)
    made = tables(cells(records, *names))
    titles = {
        "conditional_summary": "Errors and coverage", "conditional_cases": "Every law",
        "conditional_routes": "Other ways to the same value",
    }  # fmt: skip
    text = "\n".join(f"## {titles[name]}\n\n{table}" for name, table in made.items())
    options.tables.parent.mkdir(parents=True, exist_ok=True)
    options.tables.write_text(f"`{names[0]}`; the term is `{names[1]}`.\n\n{text}")
    for name, table in made.items():
        if options.page.is_file() and has_table(options.page, name):
            write_table(options.page, name, table)


if __name__ == "__main__":
    main()
