"""Estimates of all kinds beside their truths: ``python -m benchmarks.kinds --model mist``.

Evaluation only: nothing is trained, tuned or chosen on these kinds. Prints a row for each kind and
size and summary lines; appends a record for each draw to ``benchmarks/results/kinds-MODEL.csv``
and, for the baselines, to ``kinds-baselines.csv`` beside it, and goes on where it stopped: draws
that are recorded (with the same weights) are left out. Then writes the table
``benchmarks/tables/kinds.md`` and the picture ``benchmarks/figures/kinds.png`` of all that is
recorded for the model.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from benchmarks.estimators import estimator, record_name
from benchmarks.kinds.registry import KINDS, Kind
from benchmarks.kinds.report import SUMMARY, cells, draw, line, summary, table
from benchmarks.kinds.run import BASELINE_COLUMNS, COLUMNS, Appended, run_cell
from torchmist.weights import load_pretrained

__all__ = ["main"]

_HOME = Path(__file__).parent.parent


def _chosen(only: list[str] | None, folder: Path | None) -> list[Kind]:
    """The kinds to run: those named, without those whose file is absent, which are printed."""
    unknown = sorted(set(only or ()) - set(KINDS))
    if unknown:
        raise ValueError(f"expected kinds of benchmarks.kinds, got {unknown}; see docs/kinds.md")
    wanted = [k for k in KINDS.values() if not only or k.name in only]
    absent = [k.name for k in wanted if k.file and k.path(folder) is None]
    if absent:
        where = "no folder is given" if folder is None else f"their file is not in {folder}"
        print(f"skipped {', '.join(absent)}: {where}; --embeddings FOLDER names the one with it")
    return [k for k in wanted if k.name not in absent]


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.kinds",
        description=__doc__.splitlines()[0] if __doc__ else None,
    )
    parser.add_argument("--model", default="mist", help="a registered name or a .safetensors file")
    parser.add_argument("--out", type=Path, help="records; benchmarks/results/kinds-MODEL.csv")
    parser.add_argument("--baselines", type=Path, help="their records; beside those of the model")
    parser.add_argument("--pages", type=Path, default=_HOME, help="folder of tables/ and figures/")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 1000, 4000])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these kinds")
    parser.add_argument("--embeddings", type=Path, metavar="FOLDER", help="of real embeddings")
    options = parser.parse_args(arguments)
    known = record_name(options.model)
    out = options.out or _HOME / "results" / f"kinds-{known}.csv"
    theirs = Appended(
        options.baselines or out.with_name("kinds-baselines.csv"), BASELINE_COLUMNS, keys=4
    )
    ours = Appended(out, COLUMNS, keys=4)
    name = options.model if os.sep not in options.model else os.path.abspath(options.model)
    model = load_pretrained(name), estimator(options.model)[1]
    for kind in _chosen(options.only, options.embeddings):
        for n in options.sizes:
            run_cell(kind, n, range(options.seeds), model, (ours, theirs), options.embeddings)
            for cell in cells(ours, theirs, model[1]):
                if (cell.kind, cell.n) == (kind.name, n):
                    print(line(cell), flush=True)
    found = cells(ours, theirs, model[1])
    if not found:
        return
    print()
    for row in summary(found):
        print(", ".join([row[0], *(f"{h} {v}" for h, v in zip(SUMMARY[1:], row[1:]))]))
    page = options.pages / "tables" / "kinds.md"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(table(found, known))
    draw(found, known, options.pages / "figures" / "kinds.png")


if __name__ == "__main__":
    main()
