"""Terms in ordinary loops, judged by fresh networks: ``python -m benchmarks.loops``.

Runs every method that applies in every loop (``--only LOOP ... --method M ... --seeds 3``): first
the choice of its setting on seeds of its own, then the seeds that are reported, at equal steps.
``--seconds 1.5`` then gives each as many seconds of processor time, with the settings that were
chosen at equal steps. ``goal`` is left out while ``MIRegularizer`` does not know it. Records go to
``benchmarks/results/loops.csv``, row by row: a killed run goes on, and ``--redo`` runs the chosen
methods of the chosen loops anew. ``--report`` only makes ``benchmarks/tables/loops.md`` and the
pictures ``benchmarks/figures/loops-*.png`` from the record, and so does every run at its end.
"""

from __future__ import annotations

import argparse
import os
import warnings
from pathlib import Path

import torch

from benchmarks.loops.methods import METHODS
from benchmarks.loops.registry import LOOPS
from benchmarks.loops.report import write
from benchmarks.loops.run import CHOICE, Runs

__all__ = ["main"]

_HOME = Path(__file__).parent.parent
_ORDER = (
    "none", "reversal", "HSIC", "dCor", "VIB", "mixture", "VICReg", "Barlow", "InfoNCE", "MINE",
    "CLUB", "plain", "auto", "lift", "goal",
)  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.loops",
        description=__doc__.splitlines()[0] if __doc__ else None,
    )
    parser.add_argument("--model", default="mist-fast", help="name or path of the weights")
    parser.add_argument("--only", nargs="+", choices=sorted(LOOPS), default=list(LOOPS))
    parser.add_argument("--method", nargs="+", choices=_ORDER, default=list(_ORDER))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--choice", type=int, choices=range(1, len(CHOICE) + 1), default=1,
        help="how many other seeds choose the settings",
    )  # fmt: skip
    parser.add_argument("--seconds", type=float, default=0.0, help="of training, second table")
    parser.add_argument("--steps", type=int, help="in place of those of the loops, for trials")
    parser.add_argument("--redo", action="store_true", help="run anew what is recorded")
    parser.add_argument("--report", action="store_true", help="make tables and pictures only")
    parser.add_argument("--out", type=Path, default=_HOME, help="folder of results/ and tables/")
    options = parser.parse_args(arguments)
    warnings.filterwarnings("ignore", message="torchmist: ")
    torch.set_num_threads(1)
    model = options.model if os.sep not in options.model else os.path.abspath(options.model)
    record = options.out / "results" / "loops.csv"
    runs = Runs(record, model, choice=options.choice, steps=options.steps)
    if not options.report:
        _run(runs, options)
    write(list(runs.records), options.out)


def _run(runs: Runs, options: argparse.Namespace) -> None:
    """The methods in the order given, by default from the cheapest to the dearest, in all loops."""
    cells = [
        (loop, method)
        for method in options.method
        for loop in options.only
        if method in METHODS[LOOPS[loop].direction]
    ]
    if options.redo:
        for cell in cells:
            runs.forget(*cell)
    for seconds in (0.0, options.seconds)[: 1 + (options.seconds > 0)]:
        for loop, method in cells:
            runs.run(loop, method, options.seeds, seconds)


if __name__ == "__main__":
    main()
