r"""Tasks that need what the term removes: ``python -m benchmarks.conflict``.

An encoder sees ``d`` standard normal numbers s and noise; a decoder recovers s from z. The loss is
the mean squared error over the columns plus ``lam * I(z; s)``, whose optimum is known (rate
distortion): ``D = min(1, lam d / 2)`` per column. In the task ``free``, what is wanted is mostly a
number that has nothing to do with s. Judged by a fresh MLP probe and KSG on held-out samples.
Writes ``benchmarks/results/conflict.csv``.
"""

from __future__ import annotations

import argparse
import csv
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import torchmist
from benchmarks.judges import ksg, mlp, probe_r2
from benchmarks.rivals import RIVALS
from torchmist.lift import LiftConfig

__all__ = ["main", "run"]

RESULTS = Path(__file__).parent / "results"
COLUMNS = (
    "task", "d", "lam", "term", "seed", "distortion", "optimum", "probe_r2", "ksg", "estimate",
    "low", "high", "seconds",
)  # fmt: skip
_DZ, _NOISE = 8, 8


def run(task: str, d: int, lam: float, term: str, seed: int, steps: int) -> dict[str, str]:
    """One training and its audit."""
    torch.manual_seed(seed)
    encoder, decoder = mlp(d + 1 + _NOISE, _DZ), mlp(_DZ, d if task == "conflict" else 1)

    def draw(n: int) -> tuple[Tensor, Tensor, Tensor]:
        s, own = torch.randn(n, d), torch.randn(n, 1)
        t = s if task == "conflict" else 0.5 * s[:, :1] + own
        seen = torch.cat([s, own if task == "free" else torch.zeros(n, 1)], -1)
        return s, t, encoder(torch.cat([seen, torch.randn(n, _NOISE)], -1))

    if term.startswith("mist"):
        lifts = int(term.removeprefix("mist-lift") or 1) if "lift" in term else 0
        regularizer = torchmist.MIRegularizer(lift=LiftConfig(_DZ, count=lifts) if lifts else None)
        inner, learn, value = 0, None, regularizer
        extra = list(regularizer.parameters())
    else:
        rival = RIVALS[term](_DZ, d)
        inner, learn, value, extra = rival.inner, rival.learn, rival.term, []
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters(), *extra], 2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    start, errors = time.perf_counter(), []
    for step in range(steps):
        for _ in range(inner):
            with torch.no_grad():
                s, _, z = draw(256)
            learn(z, s)
        s, t, z = draw(256)
        error = (decoder(z) - t).square().mean()
        loss = error + lam * min(1.0, step / 50) * value(z, s)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        errors.append(error.item())
    seconds = time.perf_counter() - start

    def code(n: int) -> tuple[Tensor, Tensor]:
        s, _, z = draw(n)
        return z, s

    with torch.no_grad():
        z, s = code(2000)
        r = torchmist.estimate(z, s)
        low, high = r.interval(0.9)
    optimum = min(1.0, lam * d / 2) if task == "conflict" else float("nan")
    numbers = (
        np.mean(errors[-50:]), optimum, probe_r2(code), ksg(z, s), r.mean, low, high, seconds,
    )  # fmt: skip
    return dict(zip(COLUMNS, [task, d, lam, term, seed, *(f"{v:.4g}" for v in numbers)]))


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--task", nargs="+", choices=("conflict", "free"), default=["conflict"])
    parser.add_argument("--terms", nargs="+", default=["mist", "mist-lift1", "CLUB", "adversary"])
    parser.add_argument("--dims", nargs="+", type=int, default=[2])
    parser.add_argument("--lam", nargs="+", type=float, default=[0.3, 1.0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    warnings.filterwarnings("ignore", message="torchmist: ")
    path = options.out / "conflict.csv"
    rows = list(csv.DictReader(path.open(newline=""))) if path.is_file() else []
    done = {tuple(r[c] for c in COLUMNS[:5]) for r in rows}
    for task in options.task:
        for d in options.dims:
            for lam in options.lam:
                for term in options.terms:
                    for seed in range(options.seeds):
                        if (task, str(d), str(lam), term, str(seed)) in done:
                            continue
                        rows.append(run(task, d, lam, term, seed, options.steps))
                        print(*(f"{k}={v}" for k, v in rows[-1].items()), flush=True)
                        with path.open("w", newline="") as file:
                            writer = csv.DictWriter(file, COLUMNS)
                            writer.writeheader()
                            writer.writerows(rows)


if __name__ == "__main__":
    main()
