"""Columns as people bring them, at n = 2,000: ``python -m benchmarks.columns``.

Labels on both sides, integers, codes beside numbers, atoms, near copies, conditions, and large
samples of integers and labels; evaluation only. Appends a row for each to
``benchmarks/results/columns.csv``, continues where it stopped, and writes the table of
``docs/benchmarks.md``.

Legend: ``n`` rows. All in nats.
"""

from __future__ import annotations

import argparse
import math
import resource
import time
import warnings
from pathlib import Path

import numpy as np

import torchmist
from benchmarks.columns_cases import CASES, Draw
from benchmarks.pages import markdown, write_table
from benchmarks.records import Records, exact_name

__all__ = ["main", "table"]

COLUMNS = (
    "case", "n", "weights", "draws", "truth", "estimate", "error", "low", "high", "held", "named",
    "seconds", "peak_gb",
)  # fmt: skip
"""Means over the draws; ``held``: of how many the truth is within 0.1 nats of the estimate or in
the 90 % interval; ``named``: how many have a note; ``peak_gb``: of the process up to then."""

RESULTS = Path(__file__).parent / "results" / "columns.csv"
PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
NEAR = 0.1  # nats
_SEED = 72_000_000


def _estimate(draw: Draw, model: str) -> tuple[float, float, float, bool]:
    """Mean, the ends of the 90 % interval, and whether there is a note."""
    if draw.given is None:
        r = torchmist.estimate(draw.x, draw.y, model=model)
    else:
        r = torchmist.estimate_conditional(draw.x, draw.y, draw.given, model=model)
    low, high = r.interval(0.9)
    return float(r.mean), float(low), float(high), bool(r.warnings)


def _run(records: Records, case: str, model: str, draws: int) -> None:
    """One row."""
    make, n = CASES[case]
    count = draws if n <= 2000 else 1
    start = time.perf_counter()
    found, truths = [], []
    for seed in range(count):
        draw = make(n, np.random.default_rng([_SEED, len(case), seed]))
        truths.append(draw.truth)
        found.append(_estimate(draw, model))
    seconds = (time.perf_counter() - start) / count
    truth = np.array(truths)
    mean, low, high, named = np.array(found, float).T
    held = (np.abs(mean - truth) <= NEAR) | ((low <= truth) & (truth <= high))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    records.add(
        case, n, exact_name(model), count, float(truth.mean()), float(mean.mean()),
        float(np.abs(mean - truth).mean()), float(low.mean()), float(high.mean()),
        int(held.sum()), int(named.sum()), seconds, peak,
    )  # fmt: skip


def table(records: Records, weights: str) -> str:
    """What is recorded for the weights, as Markdown."""
    head = ["columns", "n", "truth", "estimate", "90 % interval", "error",
            "within 0.1 nats or the interval", "with a note", "seconds", "peak, GB"]  # fmt: skip
    rows = []
    for row in records:
        if row["weights"] != weights:
            continue
        number = {k: float(row[k]) for k in ("truth", "estimate", "low", "high", "error")}
        high = "open" if math.isinf(number["high"]) else f"{number['high']:.3f}"
        rows.append([
            row["case"], f"{int(row['n']):,}", f"{number['truth']:.3f}",
            f"{number['estimate']:.3f}", f"{number['low']:.3f} to {high}", f"{number['error']:.3f}",
            f"{row['held']} of {row['draws']}", f"{row['named']} of {row['draws']}",
            f"{float(row['seconds']):.2f}", f"{float(row['peak_gb']):.2f}",
        ])  # fmt: skip
    return markdown(head, rows)


def main(arguments: list[str] | None = None) -> None:
    """Run what is not recorded yet, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--model", default="mist", help="a registered name or a .safetensors file")
    parser.add_argument("--draws", type=int, default=10, help="of the cases of 2,000 rows")
    parser.add_argument("--only", nargs="+", metavar="CASE", help="these cases")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--page", type=Path, default=PAGE)
    options = parser.parse_args(arguments)
    records, weights = Records(options.out, COLUMNS, keys=3), exact_name(options.model)
    warnings.filterwarnings("ignore", message="torchmist: ")
    for case in options.only or CASES:
        if not records.has(case, CASES[case][1], weights):
            _run(records, case, options.model, options.draws)
    write_table(options.page, "columns", table(records, weights))


if __name__ == "__main__":
    main()
