r"""Lifts: pairs with exact MI of a few latent dimensions, through injective maps into many columns.

.. math:: x = Q\,[h(u); e], \qquad y = Q'[h'(v); e'], \qquad I(X;Y) = I(U;V)

with (u, v) a pair of ``lifts_pairs``, h injective, independent noise columns e or none, and frames
Q that keep MI (``codes_frames``). Angles enter as cosines and sines, numbers as they are, on a
spiral or as powers. A generic smooth map of k dimensions into more than 2 k columns is injective
(Whitney), as is any that keeps the latent columns beside others.

Legend: ``B`` datasets, ``N`` samples, ``k`` latent dimensions, ``m`` columns of h, ``dx``, ``dy``
columns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from torchmist.synthetic.engines.codes_frames import Frame, draw_frame
from torchmist.synthetic.engines.codes_random import Random
from torchmist.synthetic.engines.family import Family, check_sizes
from torchmist.synthetic.engines.lifts_pairs import (
    PairParameters,
    draw_pairs,
    pairs_information,
    sample_pairs,
)
from torchmist.synthetic.engines.nets import Network, draw_network

__all__ = ["Lift", "LiftParameters", "Lifts"]

_MOST_LATENT = 6
_POWERS = 5
_SMOOTH = 2  # the first activations, smooth and nowhere flat: tanh and sine


@dataclass(frozen=True)
class Lift:
    """One side's map of ``k`` latent dimensions into columns.

    ``circular`` ``[B, 1, 1]``: the latents are angles; ``rolled``: they lie on spirals of
    ``turns``; ``twist``: radians by which the first two are rotated for each unit of their norm;
    ``network`` of the embedded latents, or None where the side is plain; ``powers``
    ``[B, 5 k, m]``, ``linear`` ``[B, 2 k, m]``: weights of powers and of the embedded latents,
    all zero where a dataset has none; ``curved`` ``[B, 1, 1]``: weight of the network; ``beside``:
    the latents are the first columns themselves.
    """

    latent: int
    circular: Tensor
    rolled: Tensor
    turns: Tensor
    twist: Tensor
    network: Network | None
    powers: Tensor | None
    linear: Tensor | None
    curved: Tensor
    beside: bool
    frame: Frame

    def __call__(self, u: Tensor, generator: torch.Generator) -> Tensor:
        """Columns ``[B, N, d]`` of latents ``u`` ``[B, N, k]``."""
        numbers = torch.where(self.circular, (u - math.pi) / 1.8, self._twisted(u))
        bounded = torch.tanh(0.7 * numbers)
        angle = 1.5 * math.pi * (1 + self.turns * (1 + bounded))
        size = torch.where(self.circular, math.sqrt(2), 0.1 * angle)
        angle = torch.where(self.circular, u, angle)
        bent = self.circular | self.rolled
        first = torch.where(bent, size * angle.cos(), numbers)
        second = torch.where(bent, size * angle.sin(), 0.0)
        embedded = torch.cat([first, second], -1)
        if self.network is None or self.powers is None or self.linear is None:
            return self.frame(embedded if self.latent == 2 * u.shape[-1] else numbers, generator)
        power = bounded[..., None].expand(*bounded.shape, _POWERS).cumprod(-1).flatten(2)
        h = self.curved * self.network(embedded) + power @ self.powers + embedded @ self.linear
        if self.beside:
            h = torch.cat([numbers, h], -1)
        return self.frame(h, generator)

    def _twisted(self, u: Tensor) -> Tensor:
        """Latents whose first two are rotated by an angle that grows with their norm."""
        if u.shape[-1] < 2:
            return u
        a, b = u[..., :1], u[..., 1:2]
        angle = self.twist * (a.square() + b.square()).sqrt()
        cos, sin = angle.cos(), angle.sin()
        return torch.cat([cos * a - sin * b, sin * a + cos * b, u[..., 2:]], -1)


@dataclass(frozen=True)
class LiftParameters:
    """The latent pair, and the map of each side."""

    pair: PairParameters
    x: Lift
    y: Lift


class Lifts(Family[LiftParameters]):
    """Pairs of 1 to 6 latent dimensions a side, lifted on both sides or on one.

    Latent dimensions, columns of the map and noise columns are shared by a call; half of the calls
    have no noise columns where the map can fill all columns. A tenth of the datasets are
    independent.
    """

    name = "lifts"

    def draw(self, batch: int, dx: int, dy: int, *, generator: torch.Generator) -> LiftParameters:
        """Draw the parameters of ``batch`` distributions of ``dx`` and ``dy`` columns."""
        check_sizes(batch=batch, dx=dx, dy=dy)
        random = Random(batch, generator)
        u = random.choices(7)
        k = 1 + int(u[0] * min(_MOST_LATENT, dx, dy) * 0.999)
        pair = draw_pairs(random, k)
        plain = u[1] < 0.25, 0.25 <= u[1] < 0.5  # a side that shows its latents
        x = _draw_lift(random, pair, k, dx, u[2:4], plain[0])
        y = _draw_lift(random, pair, k, dy, u[4:6], plain[1])
        return LiftParameters(pair, x, y)

    def sample_from(
        self, parameters: LiftParameters, n: int, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw ``n`` rows of each distribution: X ``[B, N, dx]`` and Y ``[B, N, dy]``, float32."""
        u, v = sample_pairs(parameters.pair, n, generator)
        return parameters.x(u, generator), parameters.y(v, generator)

    def information(
        self, parameters: LiftParameters, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return I(X;Y) in nats, exact, and its error, 0, both ``[B]`` float64."""
        mi = pairs_information(parameters.pair)
        return mi, torch.zeros_like(mi)


def _draw_lift(
    random: Random, pair: PairParameters, k: int, d: int, u: list[float], plain: bool
) -> Lift:
    """Random maps of ``k`` latent dimensions into ``d`` columns."""
    circular = (pair.kind == 1)[:, None, None]
    rolled = random.coin(0.3, 1, 1)
    turns = random.log_uniform(0.3, 1.5, 1, 1)
    twist = random.log_uniform(0.2, 2.0, 1, 1) * random.coin(0.3, 1, 1)
    least = 2 * k + 1
    if plain or d <= k:
        latent = 2 * k if d >= 2 * k else k
    elif d <= least or u[0] < 0.5:
        latent = d
    else:
        latent = least + int(u[1] * (d - least))
    beside = latent < least or u[1] * 7 % 1 < 0.2
    outputs = latent - k if beside else latent
    network, powers, linear = None, None, None
    kind = random.uniform(1, 1)
    curved = (kind < 0.75).float()
    if not plain and outputs > 0:
        network = draw_network(random, 2 * k, outputs, activations=5 if beside else _SMOOTH)
        powers = random.normal(_POWERS * k, outputs) / math.sqrt(k)
        powers = powers * ((kind >= 0.75) & ~circular)
        weight = random.log_uniform(0.05, 1.0, 1, 1) * random.coin(0.6, 1, 1)
        weight = torch.where((kind >= 0.75) & circular, 1.0, weight)
        linear = weight * random.normal(2 * k, outputs) / math.sqrt(2 * k)
    noise = random.log_uniform(0.02, 1.0, 1, 1)
    decay = random.uniform(1, 1) * random.coin(0.2, 1, 1)
    frame = draw_frame(random, latent, d, noise=noise, decay=decay, turned=0.6, curved=0.25)
    return Lift(
        latent, circular, rolled, turns, twist, network, powers, linear, curved, beside, frame
    )
