r"""Tasks that need what the term removes: ``python -m benchmarks.conflict``.

An encoder sees ``d`` standard normal numbers s; a decoder recovers s from its code of 8 columns
with standard normal noise, ``z = f(s) + e``. The loss is the mean squared error over the columns
plus ``lam * I(z; s)``, whose optimum is known (rate distortion), ``D = min(1, lam d / 2)`` per
column, and which a linear ``f`` reaches. Two tasks beside it want one number: in ``partly`` it is
half of one of s and a number of its own, in ``unneeded`` it has nothing to do with s, though the
encoder sees both only through a random rotation.

The judges are independent of the term: a fresh MLP probe, KSG, and a fresh critic, on fresh draws.
The audit is the larger of KSG and the critic's bound, since both err downwards when they err by
much. Last column: whether the estimate, of a lift from all that it appends, agrees with it, within
0.1 nats or the 90 % interval.
Writes ``benchmarks/results/conflict.csv`` row by row; a killed run goes on.
"""

from __future__ import annotations

import argparse
import itertools
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import torchmist
from benchmarks.judges import critic_mi, ksg, mlp, probe_r2
from benchmarks.records import Records, exact_name
from benchmarks.rivals import is_ours, make_term

__all__ = ["main", "run", "summary"]

RESULTS = Path(__file__).parent / "results"
COLUMNS = (
    "task", "d", "lam", "term", "seed", "model", "steps", "distortion", "optimum", "probe_r2",
    "ksg", "critic", "estimate", "low", "high", "seconds", "agrees",
)  # fmt: skip
_KEYS, _DZ, _RAMP, _BATCH = 7, 8, 50, 256
TASKS = ("conflict", "partly", "unneeded")


def run(
    task: str, d: int, lam: float, term: str, seed: int, steps: int, model: str, judge: int = 1000
) -> tuple[float, ...]:
    """One training and its audit with judges of ``judge`` steps: the columns after the keys."""
    torch.manual_seed(seed)
    encoder, decoder = mlp(d + 1, _DZ), mlp(_DZ, d if task == "conflict" else 1)
    generator = torch.Generator().manual_seed(seed)
    rotation = torch.linalg.qr(torch.randn(d + 1, d + 1, generator=generator)).Q

    def draw(n: int) -> tuple[Tensor, Tensor, Tensor]:
        s, own = torch.randn(n, d), torch.randn(n, 1)
        seen = torch.cat([s, torch.zeros(n, 1) if task == "conflict" else own], -1)
        if task == "unneeded":
            seen = seen @ rotation
        wanted = {"conflict": s, "partly": 0.5 * s[:, :1] + own, "unneeded": own}[task]
        return s, wanted, encoder(seen) + torch.randn(n, _DZ)

    information = make_term(term, _DZ, d, model)
    learned = [*encoder.parameters(), *decoder.parameters(), *information.host]
    optimizer = torch.optim.Adam(learned, 2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    start, errors = time.process_time(), []
    for step in range(steps):
        for _ in range(information.inner):
            with torch.no_grad():
                s, _, z = draw(_BATCH)
            information.learn(z, s)
        s, wanted, z = draw(_BATCH)
        error = (decoder(z) - wanted).square().mean()
        loss = error + lam * min(1.0, step / _RAMP) * information.term(z, s)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        errors.append(error.item())
    seconds = time.process_time() - start

    def code(n: int) -> tuple[Tensor, Tensor]:
        s, _, z = draw(n)
        return z, s

    with torch.no_grad():
        z, s = code(2000)
        r = torchmist.estimate(information.view(z, s), s, model=model)
    low, high = (float(v) for v in r.interval(0.9))
    optimum = min(1.0, lam * d / 2) if task == "conflict" else float("nan")
    nearest, bound = ksg(z, s), critic_mi(code, steps=judge)
    audit = max(nearest, bound)
    agrees = float(low <= audit <= high or abs(audit - float(r.mean)) <= 0.1)
    probe = probe_r2(code, steps=judge)
    return (
        float(np.mean(errors[-50:])), optimum, probe, nearest, bound, float(r.mean), low, high,
        seconds, agrees,
    )  # fmt: skip


def summary(records: Records) -> list[str]:
    """One line for each task, size, weight and term: means over the seeds."""
    cells: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for row in records:
        cells.setdefault(tuple(row[c] for c in ("task", "d", "lam", "term", "model")), []).append(
            row
        )
    lines = []
    for (task, d, lam, term, model), rows in cells.items():
        mean = {
            c: float(np.mean([float(r[c]) for r in rows])) for c in COLUMNS[_KEYS:] if c != "agrees"
        }
        against = f" (optimum {mean['optimum']:.2f})" if task == "conflict" else ""
        lines.append(
            f"{task:<9}d {d}, lam {lam:<4} {term:<12} {model:<13} error {mean['distortion']:.3f}"
            f"{against}, probe R2 {mean['probe_r2']:.3f}, KSG {mean['ksg']:.2f}, critic "
            f"{mean['critic']:.2f}, estimate {mean['estimate']:.2f} nats, agrees in "
            f"{sum(r['agrees'] == '1' for r in rows)} of {len(rows)}, {mean['seconds']:.0f} s"
        )
    return lines


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="mist-fast", help="name or path of the weights")
    parser.add_argument("--task", nargs="+", choices=TASKS, default=["conflict"])
    parser.add_argument(
        "--terms", nargs="+", default=["mist", "mist-lift", "CLUB", "adversary"],
        help="see benchmarks.rivals",
    )  # fmt: skip
    parser.add_argument("--dims", nargs="+", type=int, default=[2])
    parser.add_argument("--lam", nargs="+", type=float, default=[0.3, 1.0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--judge", type=int, default=1000, help="training steps of the judges")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    warnings.filterwarnings("ignore", message="torchmist: ")
    torch.set_num_threads(1)
    records = Records(options.out / "conflict.csv", COLUMNS, _KEYS)
    seeds = range(options.seeds)
    for task, d, lam, seed, term in itertools.product(
        options.task, options.dims, options.lam, seeds, options.terms
    ):
        name = exact_name(options.model) if is_ours(term) else "-"
        key = (task, d, lam, term, seed, name, options.steps)
        if not records.has(*key):
            records.add(
                *key, *run(task, d, lam, term, seed, options.steps, options.model, options.judge)
            )
    print("\n".join(summary(records)))


if __name__ == "__main__":
    main()
