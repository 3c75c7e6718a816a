r"""Gradient of the estimate against the analytic one: ``python -m benchmarks.gradient_quality``.

A learnable channel from y to z, whose MI and its gradient are known:

* gaussian: z = W y + e, I = 1/2 log det(1 + W W^T), gradient in the matrix W;
* student: the same pair divided by one sqrt(chi2_df / df) with df = 5; the gradient is the same;
* additive: z_k = y_k + a_k u_k with uniform y_k in (0, 1) and u_k in (-1, 1), gradient in a
  (Czyz et al. 2023).

``mist`` is the derivative of the plain value, ``mist-auto`` the gradient that codes have by
default (:mod:`torchmist.terms.auto_goal`), where the term is added to a loss.
Columns: the cosine with the analytic gradient and its relative error, for one batch and for the
mean over 16 batches; the milliseconds of one gradient and the seconds of training before it, both
processor time of one thread. Rivals with a critic train it on fresh batches of the fixed channel
for as long as 100 steps of torchmist take. Writes ``benchmarks/results/gradient_quality.csv`` row
by row; a killed run goes on.
"""

from __future__ import annotations

import argparse
import itertools
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.records import Records, exact_name
from benchmarks.rivals import RIVALS, Term, is_ours, make_term

__all__ = ["Channel", "main", "summary"]

RESULTS = Path(__file__).parent / "results"
COLUMNS = (
    "family", "d", "n", "mi", "seed", "estimator", "model", "cosine", "error", "cosine_16",
    "error_16", "milliseconds", "training",
)  # fmt: skip
_KEYS, _BATCHES, _STEPS = 7, 16, 100
FAMILIES = ("gaussian", "student", "additive")
_OURS = ("mist", "mist-auto")


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
        end = time.process_time() + seconds
        while time.process_time() < end:
            z, y = channel.sample(n, g)
            term.learn(z, y)
    truth = channel.gradient()
    found, start = [], time.process_time()
    for _ in range(_BATCHES):
        z, y = channel.sample(n, g)
        found.append(torch.autograd.grad(term.term(z, y), channel.parameter)[0])
    each = (time.process_time() - start) / _BATCHES
    out = []
    for one in (torch.stack(found), torch.stack(found).mean(0, keepdim=True)):
        flat = one.flatten(1)
        cosine = torch.nn.functional.cosine_similarity(flat, truth.flatten()[None])
        error = (flat - truth.flatten()).norm(dim=-1) / truth.norm()
        out += [float(cosine.median()), float(error.median())]
    return out, each


def summary(records: Records) -> list[str]:
    """Medians at n = 256, d <= 8, for all cells and for those in which rivals were measured."""
    at = [r for r in records if r["n"] == "256" and int(r["d"]) <= 8]
    shared = {tuple(r[c] for c in COLUMNS[:5]) for r in at if not is_ours(r["estimator"])}
    lines = []
    for name, model in dict.fromkeys((r["estimator"], r["model"]) for r in records):
        rows = [r for r in at if (r["estimator"], r["model"]) == (name, model)]
        parts = {"all": rows} if is_ours(name) else {}
        parts["shared"] = [r for r in rows if tuple(r[c] for c in COLUMNS[:5]) in shared]
        for label, chosen in parts.items():
            if chosen:
                m = {c: np.median([float(r[c]) for r in chosen]) for c in COLUMNS[_KEYS:-1]}
                lines.append(
                    f"{name:<10} {model:<13} {len(chosen)} {label} cells: cosine "
                    f"{m['cosine']:.3f}, relative error {m['error']:.2f}; mean of {_BATCHES} "
                    f"batches {m['cosine_16']:.3f}, {m['error_16']:.2f}; {m['milliseconds']:.0f} ms"
                )
    return lines


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="mist-fast", help="name or path of the weights")
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--dims", nargs="+", type=int, default=[1, 2, 4, 8, 32])
    parser.add_argument("--sizes", nargs="+", type=int, default=[32, 128, 256, 512, 2048])
    parser.add_argument("--mi", nargs="+", type=float, default=[0.1, 0.3, 1.0, 3.0])
    parser.add_argument(
        "--rivals-at", nargs="*", type=int, default=[2, 8],
        help="d at which rivals are measured, at n = 256 and seed 0",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    warnings.filterwarnings("ignore", message="torchmist: ")
    torch.set_num_threads(1)
    records = Records(options.out / "gradient_quality.csv", COLUMNS, _KEYS)
    ours = exact_name(options.model)
    for cell in itertools.product(
        options.families, options.dims, options.sizes, options.mi, range(options.seeds)
    ):
        family, d, n, mi, seed = cell
        with_rivals = n == 256 and d in options.rivals_at and seed == 0
        names = dict.fromkeys(_OURS, ours) | (dict.fromkeys(RIVALS, "-") if with_rivals else {})
        missing = [m for m in names if not records.has(*cell, m, names[m])]
        channel, seconds = Channel(family, d, mi, seed), 0.0
        for name in ["mist", *(m for m in missing if m != "mist")] if missing else []:
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                term = make_term(name, d, d, options.model)
                values, each = _measure(channel, term, n, seconds)
            if name in missing:
                spent = seconds if term.inner else 0.0
                records.add(*cell, name, names[name], *values, 1e3 * each, spent)
            if name == "mist":
                seconds = _STEPS * each
    print("\n".join(summary(records)))


if __name__ == "__main__":
    main()
