"""Time of one estimate through the front door, of its network alone, and of bmi's KSG.

``python -m benchmarks.speed --out benchmarks/results/speed.json``. On the same data in the same
run, on one thread and in the time of that thread, which other processes of the machine hardly
stretch: network and ``estimate`` take turns, and what checks, notes and limits cost is the median
of the ratios of neighbouring calls.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from bmi.estimators import KSGEnsembleFirstEstimator

import torchmist
from torchmist.synthetic import PaperMeta

__all__ = ["CASES", "main", "measure"]

CASES = {(256, 8): 60, (5000, 32): 15}
"""Samples and columns on each side, and how many pairs of calls are timed."""

_KSG_CALLS = 5


def _seconds(call: Callable[[], object]) -> float:
    start = time.thread_time()
    call()
    return time.thread_time() - start


@torch.no_grad()
def measure(n: int, dim: int, pairs: int, name: str) -> dict[str, Any]:
    """Median milliseconds of the network, of ``estimate`` and of KSG (k = 5), and their ratios."""
    model = torchmist.load_pretrained(name)
    data = PaperMeta().sample(1, n, dim, generator=torch.Generator().manual_seed(0))
    x, y = data.x[0], data.y[0]
    ksg = KSGEnsembleFirstEstimator(neighborhoods=(5,))
    calls: list[Callable[[], object]] = [
        lambda: model(data.x, data.y),
        lambda: torchmist.estimate(x, y, model=model),
    ]
    for call in (*calls, *calls):  # warm
        call()
    turns = [[_seconds(call) for call in calls] for _ in range(pairs)]
    network, whole = (statistics.median(times) for times in zip(*turns))
    theirs = statistics.median(
        _seconds(lambda: ksg.estimate(x.numpy(), y.numpy())) for _ in range(_KSG_CALLS)
    )
    return {
        "model": name, "n": n, "dim": dim, "pairs": pairs, "network_ms": 1e3 * network,
        "estimate_ms": 1e3 * whole,
        "estimate_to_network": statistics.median(b / a for a, b in turns),
        "ksg_ms": 1e3 * theirs, "ksg_to_estimate": theirs / whole,
    }  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--models", nargs="+", default=["mist-fast", "mist"])
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", message="torchmist: ")
    rows = []
    for name in options.models:
        for (n, dim), pairs in CASES.items():
            row = measure(n, dim, pairs, name)
            rows.append(row)
            print(
                f"n {n:4d}, {dim}+{dim} columns: {name} {row['network_ms']:.1f} ms, through "
                f"estimate {row['estimate_ms']:.1f} ms ({row['estimate_to_network']:.2f} x), KSG "
                f"{row['ksg_ms']:.1f} ms: {row['ksg_to_estimate']:.1f} x estimate",
                flush=True,
            )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
