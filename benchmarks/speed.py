"""Cost of one estimate beside bmi's KSG, on the same data in the same run.

``python -m benchmarks.speed --out benchmarks/results/speed.json``
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from bmi.estimators import KSGEnsembleFirstEstimator

import torchmist
from torchmist.synthetic import PaperMeta

__all__ = ["CASES", "main", "measure"]

CASES = ((1, 256, 8), (16, 500, 32), (1, 5000, 32))
"""Datasets per batch, samples, and columns on each side."""

_ROW = 5


def _median_seconds(calls: list[Callable[[], object]], turns: int) -> list[float]:
    """Median seconds of each of ``calls``, five times each in a row, in turns, after one round."""
    times: list[list[float]] = [[] for _ in calls]
    for turn in range(turns + 1):
        for call, taken in zip(calls, times):
            for _ in range(_ROW):
                start = time.perf_counter()
                call()
                if turn:
                    taken.append(time.perf_counter() - start)
    return [statistics.median(taken) for taken in times]


@torch.no_grad()
def measure(batch: int, n: int, dim: int, threads: int, name: str) -> dict[str, Any]:
    """Median seconds per dataset of MIST's forward pass and of KSG (k = 5), and their ratio."""
    torch.set_num_threads(threads)
    model = torchmist.load_pretrained(name)
    data = PaperMeta().sample(batch, n, dim, generator=torch.Generator().manual_seed(0))
    pairs = [(x.numpy(), y.numpy()) for x, y in zip(data.x, data.y)][:2]
    ksg = KSGEnsembleFirstEstimator(neighborhoods=(5,))
    calls = [lambda: model(data.x, data.y), lambda: [ksg.estimate(x, y) for x, y in pairs]]
    ours, theirs = _median_seconds(calls, 3 if n > 1000 else 15)
    ours, theirs = ours / batch, theirs / len(pairs)
    return {"model": name, "batch": batch, "n": n, "dim": dim, "threads": threads,
            "mist_ms": 1e3 * ours, "ksg_ms": 1e3 * theirs, "ratio": theirs / ours}  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--models", nargs="+", default=["mist-v1"])
    options = parser.parse_args(arguments)
    rows = []
    for name, case in itertools.product(options.models, CASES):
        row = measure(*case, options.threads, name)
        rows.append(row)
        print(
            f"batch {row['batch']:2d}, n {row['n']:4d}, {row['dim']}+{row['dim']} columns: {name} "
            f"{row['mist_ms']:.1f} ms, KSG {row['ksg_ms']:.1f} ms a dataset: {row['ratio']:.1f} x"
        )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
