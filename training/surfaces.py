r"""Curves and surfaces that no engine draws: data of another kind, on which choices are made.

``python -m training.surfaces --model mist --sizes 1000 4000`` prints error and coverage of 90 %
intervals, beside the nearest-neighbour estimate of all rows, and appends a row for each draw to
``training/surfaces.csv`` with ``--write``. A number u, uniform on 0 to 1, passes a channel of known
information to v, and both are shown as points of curves; of surfaces, one or both of their numbers
pass one. Maps are one to one, so that

.. math:: I(X;Y) = \sum_k I(U_k;V_k), \qquad I(U;V) = \int_0^1 f \log f,

with the density f of what a channel adds, modulo 1. Legend: ``N`` rows, ``d`` columns.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor

from torchmist.inference.quantiles import reduce_quantiles
from torchmist.models.settled_neighbours import settled_information
from torchmist.weights import ALIASES, load_pretrained

__all__ = ["CHANNELS", "Draw", "draws", "main"]

RESULT = Path(__file__).parent / "surfaces.csv"
_COLUMNS = ["model", "kind", "n", "seed", "truth", "mean", "low", "high", "neighbours"]
_GRID = 200_000
_TURN = 2 * math.pi


class Channel(NamedTuple):
    """Adds normal or uniform noise of some ``width`` to a ``share`` of the rows, modulo 1; the
    others are drawn anew."""

    width: float
    share: float = 1.0
    normal: bool = True

    def pass_on(self, u: Tensor, generator: torch.Generator) -> Tensor:
        """``[N]`` of ``[N]``."""
        noise, other, lost = (_uniform(len(u), generator) for _ in range(3))
        noise = torch.special.ndtri(noise.clamp(1e-12, 1 - 1e-12)) if self.normal else 2 * noise - 1
        return torch.where(lost < self.share, (u + self.width * noise) % 1, other)

    def information(self) -> float:
        """I(U;V) in nats."""
        t = (torch.arange(_GRID, dtype=torch.float64) + 0.5) / _GRID
        if self.normal:
            away = (t[:, None] - torch.arange(-4.0, 5.0)) / self.width
            added = (-away.square() / 2).exp().sum(-1) / (self.width * math.sqrt(_TURN))
        else:
            added = (torch.minimum(t, 1 - t) < self.width).double() / (2 * self.width)
        density = self.share * added + 1 - self.share
        return float(torch.xlogy(density, density).mean())


CHANNELS = (
    Channel(0.05), Channel(0.15), Channel(0.05, normal=False), Channel(0.2, normal=False),
    Channel(0.02, share=0.5),
)  # fmt: skip
"""What numbers pass."""


class Draw(NamedTuple):
    """One dataset ``x`` ``[N, dx]``, ``y`` ``[N, dy]`` of a ``kind`` and its information ``mi`` in
    nats."""

    kind: str
    x: Tensor
    y: Tensor
    mi: float


def _uniform(n: int, generator: torch.Generator) -> Tensor:
    return torch.rand(n, generator=generator, dtype=torch.float64)


def _waves(u: Tensor, most: int = 1) -> Tensor:
    parts = [
        f(_TURN * k * u) / math.sqrt(k) for k in range(1, most + 1) for f in (torch.cos, torch.sin)
    ]
    return torch.stack(parts, -1)


def _helix(u: Tensor) -> Tensor:
    return torch.cat([_waves(3 * u), 2 * u[:, None]], -1)


def _trefoil(u: Tensor) -> Tensor:
    a = _TURN * u
    parts = [a.sin() + 2 * (2 * a).sin(), a.cos() - 2 * (2 * a).cos(), -(3 * a).sin()]
    return torch.stack(parts, -1)


def _line(u: Tensor) -> Tensor:
    return u[:, None]


def _log_normal(u: Tensor) -> Tensor:
    out: Tensor = torch.special.ndtri(u.clamp(1e-9, 1 - 1e-9)).exp()[:, None]
    return out


def _shuffled(u: Tensor) -> Tensor:
    order = torch.tensor([3.0, 0.0, 5.0, 1.0, 4.0, 2.0], dtype=u.dtype)
    place = (6 * u).long().clamp(max=5)
    return (order[place] + 6 * u - place)[:, None] / 6


def _floors(u: Tensor) -> Tensor:
    return torch.stack([(4 * u).floor(), (4 * u) % 1], -1)


def _sphere(u: Tensor, w: Tensor) -> Tensor:
    height = 2 * w - 1
    return torch.cat([_waves(u) * (1 - height.square()).sqrt()[:, None], height[:, None]], -1)


def _moebius(u: Tensor, w: Tensor) -> Tensor:
    half, a = w - 0.5, _TURN * u
    around = 1 + half * (a / 2).cos()
    return torch.stack([around * a.cos(), around * a.sin(), half * (a / 2).sin()], -1)


def _cylinder(u: Tensor, w: Tensor) -> Tensor:
    return torch.cat([_waves(u), w[:, None]], -1)


def _torus(u: Tensor, w: Tensor) -> Tensor:
    return torch.cat([_waves(u), _waves(w)], -1)


_CURVES: dict[str, Callable[[Tensor], Tensor]] = {
    "helix": _helix, "trefoil": _trefoil, "circle": _waves, "line": _line,
    "six waves": lambda u: _waves(u, 6), "log-normal": _log_normal, "shuffled": _shuffled,
    "floors": _floors,
}  # fmt: skip
_SURFACES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "sphere": _sphere,
    "Moebius strip": _moebius,
    "cylinder": _cylinder,
    "torus": _torus,
}
_PAIRS = (
    ("helix", "line"), ("trefoil", "trefoil"), ("six waves", "circle"), ("log-normal", "shuffled"),
    ("floors", "helix"), ("trefoil", "log-normal"), ("shuffled", "six waves"),
    ("sphere", "cylinder"), ("Moebius strip", "torus"), ("torus", "sphere"),
    ("cylinder", "Moebius strip"),
)  # fmt: skip
_TURNED = {"trefoil": 20, "torus": 30}  # columns among which these are turned on the side of x


def draws(n: int, seed: int) -> Iterator[Draw]:
    """Two datasets of ``n`` rows of each pair of curves and of surfaces: of curves with two
    channels, of surfaces with one of the numbers passed, and with both."""
    generator = torch.Generator().manual_seed(seed)
    for place, (left, right) in enumerate(_PAIRS):
        for again in range(2):
            surface = left in _SURFACES
            channels = [CHANNELS[(place + 2 * again) % len(CHANNELS)]]
            if surface and again:
                channels.append(CHANNELS[(place + 1) % len(CHANNELS)])
            sides: tuple[list[Tensor], list[Tensor]] = [], []
            for k in range(1 + surface):
                u = _uniform(n, generator)
                sides[0].append(u)
                passed = k < len(channels)
                v = channels[k].pass_on(u, generator) if passed else _uniform(n, generator)
                sides[1].append(v)
            maps = _SURFACES if surface else _CURVES
            x, y = (maps[name](*some) for name, some in zip((left, right), sides))
            x = _turned(x, _TURNED.get(left, 0), generator)
            kind = f"{left} and {right}, {'both' if len(channels) > 1 else 'one'}"
            mi = sum(channel.information() for channel in channels)
            yield Draw(kind, x.float(), y.float(), mi)


def _turned(side: Tensor, columns: int, generator: torch.Generator) -> Tensor:
    """A side ``[N, d]`` among so many columns, turned; as it is for 0."""
    if not columns:
        return side
    numbers = torch.randn(columns, columns, generator=generator, dtype=side.dtype)
    out: Tensor = side @ torch.linalg.qr(numbers).Q[: side.shape[1]]
    return out


@torch.no_grad()
def _answers(name: str, n: int, seed: int) -> pd.DataFrame:
    """A row for each draw, as the record has them."""
    network, rows = load_pretrained(name), []
    for kind, x, y, mi in draws(n, seed):
        quantiles = network(x[None], y[None])
        said = [
            float(reduce_quantiles(quantiles, network.levels, level))
            for level in ("mean", 0.05, 0.95)
        ]
        near = float(settled_information(x[None], y[None]).near.amax())
        rows.append((ALIASES.get(name, name), kind, n, seed, mi, *said, near))
    return pd.DataFrame(rows, columns=_COLUMNS)


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", nargs="+", default=["mist"], help="registered names")
    parser.add_argument("--sizes", nargs="+", type=int, default=[1000, 4000])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help=f"the draws, to {RESULT.name}")
    options = parser.parse_args(arguments)
    for name, n in itertools.product(options.model, options.sizes):
        found = _answers(name, n, options.seed)
        near, error = ((found[of] - found.truth).abs().mean() for of in ("neighbours", "mean"))
        held = found.truth.between(found.low, found.high).mean()
        print(
            f"{name} n = {n}: error {error:.3f} (neighbours {near:.3f}), coverage {held:.2f}, "
            f"width {(found.high - found.low).mean():.3f}",
            flush=True,
        )
        if options.write:
            found.to_csv(RESULT, mode="a", header=not RESULT.is_file(), index=False,
                         float_format="%.5g", lineterminator="\n")  # fmt: skip


if __name__ == "__main__":
    main()
