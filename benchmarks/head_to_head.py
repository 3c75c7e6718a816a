"""Terms against each other at equal wall-clock: ``python -m benchmarks.head_to_head``.

Four tasks with known answers, which :mod:`benchmarks.head_to_head_tasks` describes. Every method
gets the same seconds of processor time of one thread, its inner loop included; judges are
independent of all of them. Higher scores are better. How fast a host may learn depends on the term
(a critic has to keep up with it), so each method first chooses its learning rate, of four, by the
mean score on two seeds that are not reported.

Writes ``benchmarks/results/head_to_head.csv`` row by row, the rows of the choice (seeds from 100)
as well; a killed run goes on.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np
import torch

from benchmarks.head_to_head_tasks import TASKS
from benchmarks.records import Records, exact_name
from benchmarks.rivals import is_ours

__all__ = ["CHOICE", "TASKS", "main", "summary"]

RESULTS = Path(__file__).parent / "results"
COLUMNS = ("task", "method", "seed", "model", "seconds", "rate", "score", "detail", "steps")
_KEYS = 6
CHOICE = (100, 101)
"""Seeds on which the learning rate is chosen."""
_RATES = (0.001, 0.002, 0.005, 0.01)


METHODS = {
    "bottleneck": ("mist", "mist-lift", "CLUB", "MINE", "InfoNCE", "HSIC", "adversary", "VIB"),
    "disentangle": ("mist", "mist-lift", "CLUB", "MINE", "InfoNCE", "HSIC", "dCor", "adversary"),
    "fairness": ("mist", "mist-lift", "CLUB", "MINE", "InfoNCE", "HSIC", "dCor", "adversary"),
    "infomax": ("mist", "MINE", "InfoNCE", "HSIC", "dCor"),
}


class _Runs:
    """Runs of one method at one task, recorded; those of an earlier call are not made again."""

    def __init__(
        self, records: Records, task: str, method: str, seconds: int, model: str
    ) -> None:  # fmt: skip
        self.records, self.task, self.method = records, task, method
        self.seconds, self.model = seconds, model
        self.name = exact_name(model) if is_ours(method) else "-"

    def score(self, seed: int, rate: float) -> float:
        """The score at this learning rate."""
        key = (self.task, self.method, seed, self.name, self.seconds, rate)
        if not self.records.has(*key):
            found = TASKS[self.task](self.method, seed, self.seconds, self.model, rate)
            self.records.add(*key, *found)
        return float(self.records.row(*key)["score"])

    def best_rate(self) -> float:
        """Of the learning rates, the one with the best mean score on the seeds of the choice.

        A run that diverged has no score, and its rate is not chosen.
        """
        means = [np.mean([self.score(seed, rate) for seed in CHOICE]) for rate in _RATES]
        return _RATES[int(np.nanargmax(means))]


def summary(records: Records) -> list[str]:
    """Mean and spread of the scores over the seeds that are reported, best first."""
    lines = []
    for task in TASKS:
        cells: dict[str, list[float]] = {}
        for row in records:
            if row["task"] == task and int(row["seed"]) not in CHOICE:
                label = f"{row['method']:<12} {row['model']:<13} {row['seconds']:>3} s"
                cells.setdefault(label, []).append(float(row["score"]))
        lines += [task] * bool(cells)
        lines += [
            f"  {label}  {np.mean(scores):7.3f} +- {np.std(scores):.3f}"
            for label, scores in sorted(cells.items(), key=lambda c: -np.mean(c[1]))
        ]
    return lines


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="mist-fast", help="name or path of the weights")
    parser.add_argument("--tasks", nargs="+", choices=sorted(TASKS), default=list(TASKS))
    parser.add_argument("--methods", nargs="+", help="only these")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=10, help="of training, for each method")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    warnings.filterwarnings("ignore", message="torchmist: ")
    torch.set_num_threads(1)
    records = Records(options.out / "head_to_head.csv", COLUMNS, _KEYS)
    for task in options.tasks:
        for method in options.methods or METHODS[task]:
            if method in METHODS[task]:
                runs = _Runs(records, task, method, options.seconds, options.model)
                rate = runs.best_rate()
                for seed in range(options.seeds):
                    runs.score(seed, rate)
    print("\n".join(summary(records)))


if __name__ == "__main__":
    main()
