r"""Ours on settings that other papers report: ``python -m benchmarks.published --model mist``.

* ``grid``: Gaussian pairs of d + d columns with 2 nats in each of the d correlations (the grid of
  mutinfo): 2 d nats.
* ``lifted``: one Gaussian pair of 1 nat in d + d columns (after LMI, Gowri et al. 2024): d - 1
  independent columns stand beside it on each side, and each side is rotated.
* ``digits``: same-class pairs after Lee and Rhee (2024). A fair bit chooses between two digits of
  scikit-learn; x shows one image of the chosen digit, y another, from disjoint images, so that they
  share the bit alone. K such items side by side hold K bits.
* ``channel``: the same, with the bit of y flipped with probability e on its way: K (1 - H(e)) bits.

Published rows are numbers printed in papers, on their own images and with many more samples; they
are written beside ours, not claimed to be comparable draw by draw. Records go to
``benchmarks/results/published.csv`` and are not made again; the table to
``benchmarks/tables/published.md``.

Legend: ``N`` rows, ``d`` columns of a side, ``K`` items.
"""

from __future__ import annotations

import argparse
import math
import os
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

import torchmist
from benchmarks.loops.data import move, pixels
from benchmarks.pages import has_table, markdown, write_table
from benchmarks.records import Records, exact_name

__all__ = ["CASES", "Case", "channel", "digit_pairs", "gaussian_grid", "lifted", "main"]

_HOME = Path(__file__).parent
COLUMNS = (
    "suite", "case", "n", "seed", "model", "truth", "mean", "median", "low", "high", "seconds",
)  # fmt: skip
_KEYS, _SEED, _LOG2 = 5, 77_000_000, math.log(2)
_PAIR = (0, 1)  # the two digits that a bit chooses between

Sample = tuple[Tensor, Tensor, float]
"""X ``[N, d]``, Y ``[N, d]`` and the truth in nats."""


def gaussian_grid(n: int, d: int) -> Sample:
    """``d`` Gaussian pairs of 2 nats each."""
    rho = math.sqrt(-math.expm1(-4))
    x = torch.randn(n, d)
    return x, rho * x + math.sqrt(1 - rho**2) * torch.randn(n, d), 2.0 * d


def lifted(n: int, d: int) -> Sample:
    """One Gaussian pair of 1 nat in ``d`` rotated columns on each side."""
    rho = math.sqrt(-math.expm1(-2))
    x, y = torch.randn(n, d), torch.randn(n, d)
    y[:, 0] = rho * x[:, 0] + math.sqrt(1 - rho**2) * y[:, 0]
    turns = [torch.linalg.qr(torch.randn(d, d)).Q for _ in range(2)]
    return x @ turns[0], y @ turns[1], 1.0


def _images(bits: Tensor, side: int) -> Tensor:
    """A moved image for each bit ``[N, K]``, ``[N, 64 K]``; the sides have no image in common."""
    images, labels = pixels()
    out = torch.empty(*bits.shape, 64)
    for k, digit in enumerate(_PAIR):
        own = images[labels == digit][side::2]
        chosen = bits == k
        out[chosen] = own[torch.randint(len(own), (int(chosen.sum()),))]
    return move(out.reshape(-1, 64)).view(len(bits), -1)


def channel(n: int, items: int, error: float) -> Sample:
    """``items`` pairs of images whose bits differ with probability ``error``."""
    bits = torch.rand(n, items) < 0.5
    flipped = bits ^ (torch.rand(n, items) < error)
    entropy = -sum(p * math.log(p) for p in (error, 1 - error) if p > 0)
    x, y = _images(bits.long(), 0), _images(flipped.long(), 1)
    return x, y, items * (_LOG2 - entropy)


def digit_pairs(n: int, items: int) -> Sample:
    """``items`` pairs of images of the same digit."""
    return channel(n, items, 0.0)


@dataclass(frozen=True)
class Case:
    """One line of a table: a sampler of a size, the sizes of samples, and published numbers.

    ``published`` are estimates in nats as papers print them, by method.
    """

    suite: str
    name: str
    draw: Callable[[int], Sample]
    sizes: tuple[int, ...]
    published: dict[str, float]


def _bits(**values: float) -> dict[str, float]:
    return {name: bits * _LOG2 for name, bits in values.items()}


_LEE_RHEE = {2: (1.8, 1.8), 4: (3.8, 3.4), 6: (5.8, 4.7), 8: (7.9, 5.5), 10: (9.9, 5.9)}
"""Bits of MINE and of InfoNCE on same-class pairs, by true bits (arXiv 2410.10924)."""
_MUTINFO = {16: {"MINE": 9.8, "InfoNCE": 6.2}}
"""Nats at n = 10,000, by d."""


def _grid(d: int) -> Case:
    return Case("grid", f"{d} + {d} columns, {2 * d} nats", lambda n: gaussian_grid(n, d),
                (100, 1000, 10_000), _MUTINFO.get(d, {}))  # fmt: skip


def _lifted(d: int) -> Case:
    return Case("lifted", f"1 nat in {d} + {d} columns", lambda n: lifted(n, d), (1000, 4000), {})


def _digits(items: int) -> Case:
    mine, nce = _LEE_RHEE[items]
    return Case("digits", f"{items} items, {items} bits", lambda n: digit_pairs(n, items),
                (1000, 4000), _bits(MINE=mine, InfoNCE=nce))  # fmt: skip


def _channel(error: float) -> Case:
    return Case("channel", f"4 items, error {error:g}", lambda n: channel(n, 4, error),
                (1000, 4000), {})  # fmt: skip


CASES = (
    *(_grid(d) for d in (1, 2, 4, 8, 16, 32, 64)),
    *(_lifted(d) for d in (1, 10, 100, 500)),
    *(_digits(items) for items in _LEE_RHEE),
    *(_channel(error) for error in (0.05, 0.1, 0.2, 0.5)),
)
"""All cases, in the order of the table."""


def _run(records: Records, case: Case, n: int, seed: int, model: str) -> None:
    name = exact_name(model)
    key = (case.suite, case.name, n, seed, name)
    if records.has(*key):
        return
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED + seed)
        x, y, truth = case.draw(n)
    start = time.process_time()
    with torch.no_grad():
        r = torchmist.estimate(x, y, model=model)
    low, high = (float(v) for v in r.interval(0.9))
    used = time.process_time() - start
    records.add(*key, truth, float(r.mean), float(r.median), low, high, used)


def table(rows: list[dict[str, str]], model: str) -> str:
    """Means over seeds of the estimates, in nats, and in how many draws the interval covers."""
    frame = pd.DataFrame([r for r in rows if r["model"] == exact_name(model)])
    head = ["suite", "case", "truth", *[f"n = {n}" for n in (100, 1000, 4000, 10_000)],
            "90 % interval covers", "published, nats"]  # fmt: skip
    lines = []
    for case in CASES:
        here = (
            frame[(frame["suite"] == case.suite) & (frame["case"] == case.name)]
            if len(frame)
            else frame
        )
        if not len(here):
            continue
        numbers = here[["n", "truth", "mean", "low", "high"]].astype(float)
        by_n = numbers.groupby("n")["mean"].mean()
        found = [f"{by_n[n]:.2f}" if n in by_n else "" for n in (100.0, 1000.0, 4000.0, 10_000.0)]
        covered = (numbers["low"] <= numbers["truth"]) & (numbers["truth"] <= numbers["high"])
        published = ", ".join(f"{name} {value:.2f}" for name, value in case.published.items())
        lines.append([
            case.suite, case.name, f"{numbers['truth'].iloc[0]:.2f}", *found,
            f"{int(covered.sum())} of {len(covered)}", published,
        ])  # fmt: skip
    return markdown(head, lines)


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="mist", help="a registered name or a .safetensors file")
    parser.add_argument("--suite", nargs="+", choices=sorted({c.suite for c in CASES}))
    parser.add_argument("--sizes", type=int, nargs="+", help="these numbers of samples only")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=_HOME, help="folder of results/ and tables/")
    parser.add_argument("--page", type=Path, help="write the table between its marks there, too")
    options = parser.parse_args(arguments)
    warnings.filterwarnings("ignore", message="torchmist: ")
    torch.set_num_threads(1)
    model = options.model if os.sep not in options.model else os.path.abspath(options.model)
    records = Records(options.out / "results" / "published.csv", COLUMNS, _KEYS)
    for case in CASES:
        if options.suite and case.suite not in options.suite:
            continue
        for n in case.sizes:
            for seed in range(options.seeds if not options.sizes or n in options.sizes else 0):
                _run(records, case, n, seed, model)
    text = table(list(records), model)
    print(text)
    page = options.out / "tables" / "published.md"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(f"# Settings of other papers, {exact_name(model)}, nats\n\n{text}")
    if options.page and has_table(options.page, "published"):
        write_table(options.page, "published", text)


if __name__ == "__main__":
    main()
