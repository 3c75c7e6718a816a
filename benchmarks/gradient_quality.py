r"""Gradient of the estimate against the analytic one: ``python -m benchmarks.gradient_quality``.

A learnable channel from y to z, whose MI and its gradient are known:

* gaussian: z = W y + e, I = 1/2 log det(1 + W W^T), gradient in the matrix W;
* student: the same pair divided by one sqrt(chi2_df / df) with df = 5; the gradient is the same;
* additive: z_k = y_k + a_k u_k with uniform y_k in (0, 1) and u_k in (-1, 1), gradient in a
  (Czyz et al. 2023).

Columns: the cosine with the analytic gradient and its relative error, for one batch and for the
mean over 16 batches. Rivals with a critic train it on fresh batches of the fixed channel for as
long as 200 steps of torchmist take. Writes ``benchmarks/results/gradient_quality.csv``.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.rivals import RIVALS, Term

__all__ = ["Channel", "main"]

RESULTS = Path(__file__).parent / "results"
COLUMNS = (
    "family", "d", "n", "mi", "seed", "estimator", "cosine", "error", "cosine_16", "error_16",
    "milliseconds",
)  # fmt: skip
_BATCHES, _STEPS = 16, 200


class Channel:
    """A family of channels with ``d`` columns on each side, set to a total MI in nats."""

    def __init__(self, family: str, d: int, mi: float, seed: int) -> None:
        self.family, self.d = family, d
        g = torch.Generator().manual_seed(seed)
        if family == "additive":
            shape = torch.rand(d, generator=g) + 0.5
            self.parameter = self._solve(lambda s: s * shape, mi)
        else:
            matrix = torch.randn(d, d, generator=g) / d**0.5 + 0.5 * torch.eye(d)
            self.parameter = self._solve(lambda s: s * matrix, mi)
        self.parameter.requires_grad_(True)

    def _solve(self, at: Callable[[float], Tensor], mi: float) -> Tensor:
        """The parameter along a ray that has the MI, by bisection."""
        low, high = 1e-3, 1e3
        rising = self.family != "additive"
        for _ in range(80):
            middle = (low * high) ** 0.5
            above = float(self.mi(at(middle))) > mi
            low, high = (low, middle) if above == rising else (middle, high)
        return at(low)

    def mi(self, parameter: Tensor) -> Tensor:
        """Mutual information in nats, up to a constant in ``parameter`` for student."""
        if self.family == "additive":
            a = parameter.abs()
            wide = 1 / (4 * a)
            narrow = a - torch.log(2 * a)
            return torch.where(a > 0.5, wide, narrow).sum()
        return 0.5 * torch.logdet(torch.eye(self.d) + parameter @ parameter.T)

    def gradient(self) -> Tensor:
        """The analytic gradient."""
        return torch.autograd.grad(self.mi(self.parameter), self.parameter)[0]

    def sample(self, n: int, g: torch.Generator) -> tuple[Tensor, Tensor]:
        """z, with its path to the parameter, and y."""
        if self.family == "additive":
            y, u = (torch.rand(n, self.d, generator=g) for _ in range(2))
            return y + self.parameter * (2 * u - 1), y
        y, e = (torch.randn(n, self.d, generator=g) for _ in range(2))
        z = y @ self.parameter.T + e
        if self.family == "student":
            ratio = torch._standard_gamma(torch.full((n, 1), 2.5), generator=g) / 2.5
            z, y = z / ratio.sqrt(), y / ratio.sqrt()
        return z, y


def _measure(channel: Channel, term: Term, n: int, seconds: float) -> tuple[list[float], float]:
    """Cosines and errors, and the seconds of one gradient."""
    g = torch.Generator().manual_seed(11)
    if term.inner:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            z, y = channel.sample(n, g)
            term.learn(z, y)
    truth = channel.gradient()
    found, start = [], time.perf_counter()
    for _ in range(_BATCHES):
        z, y = channel.sample(n, g)
        found.append(torch.autograd.grad(term.term(z, y), channel.parameter)[0])
    each = (time.perf_counter() - start) / _BATCHES
    out = []
    for one in (torch.stack(found), torch.stack(found).mean(0, keepdim=True)):
        flat = one.flatten(1)
        cosine = torch.nn.functional.cosine_similarity(flat, truth.flatten()[None])
        error = (flat - truth.flatten()).norm(dim=-1) / truth.norm()
        out += [float(cosine.median()), float(error.median())]
    return out, each


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--dims", nargs="+", type=int, default=[1, 2, 4, 8, 16, 32])
    parser.add_argument("--sizes", nargs="+", type=int, default=[32, 128, 256, 512, 2048])
    parser.add_argument("--rivals-at", type=int, default=256, help="n at which rivals are measured")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    warnings.filterwarnings("ignore", message="torchmist: ")
    rows = []
    grid = itertools.product(
        ("gaussian", "student", "additive"), options.dims, options.sizes, (0.1, 0.3, 1.0, 3.0),
        range(options.seeds),
    )  # fmt: skip
    for family, d, n, mi, seed in grid:
        channel = Channel(family, d, mi, seed)
        names = list(RIVALS) if n == options.rivals_at and d <= 8 and not seed else ["mist"]
        seconds = 0.0
        for name in names:
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                values, each = _measure(channel, RIVALS[name](d, d), n, seconds)
            if name == "mist":
                seconds = _STEPS * each
            numbers = [f"{v:.4g}" for v in (*values, 1e3 * each)]
            rows.append(dict(zip(COLUMNS, [family, d, n, mi, seed, name, *numbers])))
        if seed == options.seeds - 1:
            print(*rows[-1].values(), flush=True)
    with (options.out / "gradient_quality.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    for name in RIVALS:
        chosen = [r for r in rows if r["estimator"] == name and r["n"] == 256 and r["d"] <= 8]
        medians = [np.median([float(r[c]) for r in chosen]) for c in COLUMNS[6:10]]
        print(
            f"{name:<10} n 256, d <= 8: cosine {medians[0]:.3f}, relative error "
            f"{medians[1]:.2f}; mean of {_BATCHES} batches {medians[2]:.3f}, {medians[3]:.2f}"
        )


if __name__ == "__main__":
    main()
