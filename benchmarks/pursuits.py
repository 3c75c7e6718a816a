"""Can an encoder hide from a model, or fool it? ``python -m benchmarks.pursuits --model mist``.

Encoders are trained against the frozen model for 300 steps: they hide a continuous variable or a
label that their task needs, part two codes of the same source, or join two views of it. Codes are
those of a finite list of items with noise added, so that their MI is known to a Monte Carlo error
at every snapshot. Encoders, optimisers, sources and seeds are others than those of
:mod:`training.pursuit`. It is evaluation only.

``--term goal`` trains against ``mist_mi(..., goal=...)`` instead of the plain term, in the
direction of each pursuit, and estimates are the values of that; ``--term auto`` against
``mist_mi(...)`` as it is by default, which is told nothing. ``--judge mist`` asks other weights
than those that were pursued what the codes share.

Records go to ``benchmarks/results/pursuits.csv``; snapshots that are in it are left out. Their
model is the one that was pursued, with ``goal`` or ``auto`` behind it where it was no plain term,
and ``(judge)`` where another one was asked.

Legend: ``M`` items, ``N`` rows, ``R`` dimensions of a source, ``dx``, ``dy`` columns.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.records import Records, exact_name
from benchmarks.run import RESULTS
from torchmist.functional import mist_mi, resolve_model
from torchmist.models.network import QuantileNetwork
from torchmist.synthetic.engines.mixture_information import mixture_information
from torchmist.terms.batch_goal import Told

__all__ = ["COLUMNS", "GOALS", "SNAPSHOTS", "TERMS", "Encoder", "Pursuit", "main", "summary"]

GOALS = ("hide variable", "hide label", "part codes", "join views")
TERMS = ("plain", "auto", "goal")
"""Terms that are trained against: the derivative of the value, the default, and with a goal."""
SNAPSHOTS = (50, 100, 200, 300)
ROWS = (512, 2048)
COLUMNS = (
    "model", "seed", "step", "goal", "dx", "dy", "optimiser", "truth", "error",
    *(f"estimate_{n}" for n in ROWS), *(f"gap_{n}" for n in ROWS), "task",
)  # fmt: skip
_SEEDS = 24
_ITEMS = 3000
_DRAWS = 3000
_WIDTH = 96


class Encoder(nn.Module):
    """Three residual blocks ``h + W silu(norm(h))`` between two affine maps."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.enter = nn.Linear(inputs, _WIDTH)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(_WIDTH), nn.SiLU(), nn.Linear(_WIDTH, _WIDTH))
            for _ in range(3)
        )
        self.leave = nn.Linear(_WIDTH, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Codes ``[N, outputs]`` of ``x`` ``[N, inputs]``."""
        hidden = self.enter(x)
        for block in self.blocks:
            hidden = hidden + block(hidden)
        out: Tensor = self.leave(hidden)
        return out


def source(kind: int, items: int, dimensions: int, generator: torch.Generator) -> Tensor:
    """Items ``[M, R]``: correlated normals, heavy tails, shells with a gap, or skewed columns."""
    normal = torch.randn(items, dimensions, generator=generator)
    if kind == 0:
        s = normal @ torch.randn(dimensions, dimensions, generator=generator)
    elif kind == 1:
        s = (
            normal
            / torch.randn(items, 4, generator=generator).square().mean(1, keepdim=True).sqrt()
        )
    elif kind == 2:
        radius = 1 + torch.randint(2, (items, 1), generator=generator)
        s = normal / normal.norm(dim=1, keepdim=True) * radius + 0.05 * normal
    else:
        s = torch.empty(items, dimensions).exponential_(generator=generator)
    return (s - s.mean(0)) / s.std(0)


class Pursuit:
    """One encoder, or two, against ``model``; all of it follows from ``seed``. ``judge`` is asked
    what the codes share, the term itself by default. ``term``: one of :data:`TERMS`."""

    def __init__(
        self, model: QuantileNetwork, seed: int, judge: QuantileNetwork | None = None,
        term: str = "plain",
    ) -> None:  # fmt: skip
        self.model, self.judge = model, judge
        self.generator = g = torch.Generator().manual_seed(9_000_000 + seed)
        self.goal = seed % len(GOALS)
        told: dict[str, Told] = {"plain": None, "auto": "auto"}
        told["goal"] = "maximize" if self.goal == 3 else "minimize"
        self.told = told[term]
        self.dx = (2, 4, 8, 16, 3, 6)[seed // len(GOALS) % 6]
        self.joint = self.goal >= 2
        dimensions = 2 + self._below(4)
        self.source = source(self._below(4), _ITEMS, dimensions, g)
        self.view_x = self.view_y = torch.ones(dimensions)
        if self.goal == 3:
            place, shared = torch.arange(dimensions), 1 + self._below(dimensions - 1)
            self.view_x = ((place < shared) | (place % 2 == 0)).float()
            self.view_y = ((place < shared) | (place % 2 == 1)).float()
        self.target = self._target(dimensions)
        self.dy = self.dx if self.joint else self.target.shape[1]
        self.noise_x = self._uniform(0.15, 0.8) * math.sqrt(max(1, self.dx / dimensions))
        self.noise_y = self.noise_x if self.joint else self._uniform(0.15, 0.6)
        self.rows = (128, 200, 256)[self._below(3)]
        self.weight = 0.3 * 8 ** self._uniform(0, 1)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.f, self.h = Encoder(dimensions, self.dx), Encoder(dimensions, self.dx)
            self.decoder = Encoder(self.dx * (1 + self.joint), dimensions)
        self.networks = nn.ModuleList([self.f, self.h, self.decoder])
        rate = 3 ** self._uniform(-1, 1)
        self.optimiser: torch.optim.Optimizer = (
            torch.optim.SGD(self.networks.parameters(), 3e-2 * rate, momentum=0.9),
            torch.optim.RMSprop(self.networks.parameters(), 1e-3 * rate),
            torch.optim.Adam(self.networks.parameters(), 2e-3 * rate),
        )[seed % 3]

    def step(self) -> float:
        """One step of the encoders; the error of the task."""
        index, x, y = self.sample(self.rows)
        estimate = mist_mi(x, y, model=self.model, goal=self.told)
        found = self.decoder(torch.cat([x, y], 1) if self.joint else x)
        task = (found - self.source[index]).square().mean()
        loss = -estimate if self.goal == 3 else self.weight * estimate + task
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.networks.parameters(), 5.0)
        self.optimiser.step()
        return float(task)

    def sample(self, n: int) -> tuple[Tensor, Tensor, Tensor]:
        """Indices of ``n`` items, and their codes with noise ``[N, dx]``, ``[N, dy]``."""
        index = torch.randint(_ITEMS, (n,), generator=self.generator)
        means_x, means_y = self.means()
        noise_y = 0.0 if self.goal == 1 else self.noise_y
        x = means_x[index] + self.noise_x * torch.randn(n, self.dx, generator=self.generator)
        y = means_y[index] + noise_y * torch.randn(n, self.dy, generator=self.generator)
        return index, x, y

    def means(self) -> tuple[Tensor, Tensor]:
        """Codes of all items without noise; those of joined views have unit variance."""
        x = self.f(self.source * self.view_x)
        y = self.h(self.source * self.view_y) if self.joint else self.target
        return (_standard(x), _standard(y)) if self.goal == 3 else (x, y)

    @torch.no_grad()
    def truth(self) -> tuple[float, float]:
        """I(X;Y) in nats of the codes as they are now, and its standard error."""
        means_x, means_y = self.means()
        noise_y = 0.03 if self.goal == 1 else self.noise_y  # labels lie 1 apart: 33 deviations
        mi, error = mixture_information(
            means_x[None], means_y[None], torch.full((1, 1, self.dx), self.noise_x),
            torch.full((1, 1, self.dy), noise_y), draws=_DRAWS, generator=self.generator,
        )  # fmt: skip
        return max(0.0, mi.item()), error.item()

    @torch.no_grad()
    def estimate(self, n: int) -> float:
        """What the judge, or the term itself, says of ``n`` fresh rows, in nats."""
        _, x, y = self.sample(n)
        if self.judge is not None:
            return mist_mi(x, y, model=self.judge).item()
        return mist_mi(x, y, model=self.model, goal=self.told).item()

    def _target(self, dimensions: int) -> Tensor:
        """What is to be hidden: one or two coordinates, a wave of one, or a label."""
        if self.goal == 1:
            classes = (2, 3, 5, 10)[self._below(4)]
            score = self.source @ torch.randn(dimensions, generator=self.generator)
            label = score.argsort().argsort() * classes // _ITEMS
            hot = nn.functional.one_hot(label, classes).float()
            return hot[:, 1:] if classes == 2 else hot
        kind = self._below(3)
        return (1.5 * self.source[:, :1]).sin() if kind == 2 else self.source[:, : 1 + kind]

    def _below(self, count: int) -> int:
        return int(torch.randint(count, (), generator=self.generator))

    def _uniform(self, low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=self.generator))


def _standard(x: Tensor) -> Tensor:
    return (x - x.mean(0)) / x.std(0).clamp(min=1e-3)


def snapshots(pursuit: Pursuit) -> Iterator[tuple[int, float]]:
    """Train; the step and the task's error at each snapshot."""
    for step in range(1, SNAPSHOTS[-1] + 1):
        task = pursuit.step()
        if step in SNAPSHOTS:
            yield step, task


def run(
    model: QuantileNetwork, name: str, seed: int, records: Records,
    judge: QuantileNetwork | None = None, term: str = "plain",
) -> None:  # fmt: skip
    """Record the snapshots of one pursuit that are not in ``records``."""
    if all(records.has(name, seed, step) for step in SNAPSHOTS):
        return
    pursuit = Pursuit(model, seed, judge, term)
    kind = type(pursuit.optimiser).__name__
    for step, task in snapshots(pursuit):
        truth, error = pursuit.truth()
        found = [pursuit.estimate(n) for n in ROWS]
        if not records.has(name, seed, step):
            records.add(
                name, seed, step, GOALS[pursuit.goal], pursuit.dx, pursuit.dy, kind, truth, error,
                *found, *(abs(truth - value) for value in found), task,
            )  # fmt: skip


def summary(records: Records, name: str, seeds: list[int]) -> dict[str, tuple[float, float]]:
    """Median and 95th percentile of |truth - estimate|, at the last step and over snapshots."""
    rows = [r for r in records if r["model"] == name and int(r["seed"]) in seeds]
    out = {}
    for n in ROWS:
        for when, steps in (("end", SNAPSHOTS[-1:]), ("all", SNAPSHOTS)):
            gaps = [float(r[f"gap_{n}"]) for r in rows if int(r["step"]) in steps]
            if gaps:
                at = torch.tensor(gaps).quantile(torch.tensor([0.5, 0.95])).tolist()
                out[f"{when}, {n} rows"] = (at[0], at[1])
    return out


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="mist", help="a registered name or a .safetensors file")
    parser.add_argument("--term", choices=TERMS, default="plain", help="what is trained against")
    parser.add_argument("--judge", help="other weights; the pursued term itself by default")
    parser.add_argument("--out", type=Path, default=RESULTS / "pursuits.csv")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(_SEEDS)))
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    name = exact_name(options.model) + ("" if options.term == "plain" else f" {options.term}")
    model, judge = resolve_model(options.model, torch.device("cpu")), None
    if options.judge is not None:
        judge = resolve_model(options.judge, torch.device("cpu"))
        name = f"{name} ({exact_name(options.judge)})"
    records = Records(options.out, COLUMNS, keys=3)
    for seed in options.seeds:
        run(model, name, seed, records, judge, options.term)
    for when, (median, high) in summary(records, name, options.seeds).items():
        print(f"gap of {name} ({when}): median {median:.2f}, 95th percentile {high:.2f} nats")


if __name__ == "__main__":
    main()
