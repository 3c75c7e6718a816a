"""Runs of the kinds: one record for each kind, size and seed, appended so that a run goes on.

Evaluation only. The records of the baselines do not hang on the model and are a file of their own.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from pathlib import Path

import torchmist
from benchmarks.kinds.baselines import BASELINES
from benchmarks.kinds.registry import Kind
from benchmarks.records import Records, row_writer
from torchmist.models.network import QuantileNetwork

__all__ = ["BASELINE_COLUMNS", "COLUMNS", "Appended", "run_cell"]

COLUMNS = (
    "kind", "n", "seed", "version", "truth", "estimate", "low", "high", "warnings",
)  # fmt: skip
"""Of a model: the mean, the ends of the 90 % interval, all in nats, and how many warnings."""

BASELINE_COLUMNS = ("kind", "n", "seed", "baseline", "truth", "estimate")
"""Of the baselines; an estimate is nan where one does not apply."""


class Appended(Records):
    """Records that grow by one line at a time, silently: several runs may add to a file."""

    def add(self, *values: object) -> None:
        """One row, numbers with six digits."""
        texts = [f"{v:.6g}" if isinstance(v, float) else str(v) for v in values]
        self.rows.append(dict(zip(self.columns, texts, strict=True)))
        new = not self.path.is_file()
        with self.path.open("a", newline="") as file:
            writer = row_writer(file, self.columns)
            if new:
                writer.writeheader()
            writer.writerow(self.rows[-1])


def run_cell(
    kind: Kind,
    n: int,
    seeds: Iterable[int],
    model: tuple[QuantileNetwork, str],
    records: tuple[Appended, Appended],
    folder: Path | None = None,
) -> None:
    """Add what is not recorded yet of one kind and size.

    Args:
        kind: what to draw.
        n: rows.
        seeds: of the draws.
        model: the network and what identifies its weights.
        records: of the model and of the baselines.
        folder: of the files that kinds read.
    """
    network, version = model
    ours, theirs = records
    for seed in seeds:
        missing = [b for b in BASELINES if not theirs.has(kind.name, n, seed, b)]
        known = ours.has(kind.name, n, seed, version)
        if known and not missing:
            continue
        x, y, truth = kind.draw(n, seed, folder)
        if not known:
            ours.add(kind.name, n, seed, version, truth, *_estimate(network, kind.name, x, y))
        for name in missing:
            theirs.add(kind.name, n, seed, name, truth, BASELINES[name](x, y))


def _estimate(
    network: QuantileNetwork, name: str, x: object, y: object
) -> tuple[float, float, float, int]:
    """Mean, 5 % and 95 % quantile, and number of warnings; nan where the data are refused."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            r = torchmist.estimate(x, y, model=network)
        except (ValueError, TypeError, ArithmeticError) as error:
            print(f"{name}: {type(error).__name__}: {error}", flush=True)
            return math.nan, math.nan, math.nan, 0
    low, high = r.interval(0.9)
    return float(r.mean), float(low), float(high), len(r.warnings)
