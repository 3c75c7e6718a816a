"""Extra time and memory of one training step: ``python -m benchmarks.step_cost``.

Forward and backward of the term on z and y (8 columns), against CLUB, MINE and InfoNCE with their
usual 5 inner steps; ratios from one run, in which the terms take turns. Writes
``benchmarks/results/step_cost.csv``.
"""

from __future__ import annotations

import argparse
import csv
import resource
import statistics
import time
import warnings
from pathlib import Path

import torch

from benchmarks.rivals import RIVALS, Term

__all__ = ["main"]

RESULTS = Path(__file__).parent / "results"
COLUMNS = ("batch", "dz", "dy", "term", "milliseconds", "ratio_to_club", "peak_mb")
TERMS = ("mist", "CLUB", "MINE", "InfoNCE")


def _step(term: Term, z: torch.Tensor, y: torch.Tensor) -> float:
    start = time.perf_counter()
    for _ in range(term.inner):
        term.learn(z, y)
    z = z.detach().requires_grad_()
    term.term(z, y).backward()
    return 1e3 * (time.perf_counter() - start)


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    warnings.filterwarnings("ignore", message="torchmist: ")
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    rows = []
    for batch in (128, 512, 2048):
        for dz in (16, 64, 256):
            z, y = torch.randn(batch, dz), torch.randn(batch, 8)
            terms = {name: RIVALS[name](dz, 8) for name in TERMS}
            times: dict[str, list[float]] = {name: [] for name in TERMS}
            for turn in range(options.repeats + 2):
                for name, term in terms.items():
                    spent = _step(term, z, y)
                    if turn >= 2:
                        times[name].append(spent)
            medians = {name: statistics.median(v) for name, v in times.items()}
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            for name, value in medians.items():
                ratio = value / medians["CLUB"]
                rows.append(
                    dict(zip(COLUMNS, (batch, dz, 8, name, f"{value:.3g}", f"{ratio:.3g}", peak)))
                )
            line = ", ".join(f"{k} {v:.1f} ms" for k, v in medians.items())
            print(f"batch {batch}, z {dz}, y 8: {line}", flush=True)
    with (options.out / "step_cost.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
