r"""Evens: Y shows even functions of few directions of many columns of X, or nearly even ones.

.. math:: y_i = g_i(r_i) + b_i u_i + \sigma_i e_i, \qquad r_i = |(u_i, \ldots)|, \qquad
          I(X;Y) = \sum_i h(y_i) - h(\sigma_i e_i)

with u the columns of X in a random frame, each in a single radius r, of one direction or several:
a modulus, a square, a wave, a bump. Neither columns nor their products show much of it. The numbers
y stand among noise columns, some of them mixed. Legend: ``B`` datasets, ``N`` samples, ``T``
numbers, ``q`` directions of each, ``G`` values on a grid, ``dx``, ``dy`` columns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from torchmist.synthetic.engines.codes_frames import Rotation, draw_rotation
from torchmist.synthetic.engines.codes_random import Random
from torchmist.synthetic.engines.family import Family, check_sizes

__all__ = ["EvenParameters", "Evens"]

_MOST_NUMBERS, _MOST_DIRECTIONS = 4, 4
_SHAPES = 4
_MIXED = 0.15  # share of the datasets whose columns of Y are mixed
_TILTED = 0.3  # share of the numbers of one direction that are only nearly even
_GRID, _VALUES = 512, 1024


@dataclass(frozen=True)
class EvenParameters:
    """``shape`` ``[B, T]``: 0 modulus, 1 square, 2 wave, 3 bump, and its ``rate`` ``[B, T]``;
    ``tilt`` and ``noise`` ``[B, T]``: the slope b, 0 where there are several directions, and the
    deviation of the noise; ``directions`` q of each number; sizes of the columns of X in their
    frame, ``scale`` ``[B, 1, dx]``; the frames of both sides; ``columns`` dy, their ``order``;
    ``swapped``: X and Y change places once sampled."""

    shape: Tensor
    rate: Tensor
    tilt: Tensor
    noise: Tensor
    directions: int
    scale: Tensor
    frame: Rotation
    mixed: Rotation
    columns: int
    order: Tensor
    swapped: bool

    def shown(self, radius: Tensor) -> Tensor:
        """g of radii ``[B, ..., T]``, about of deviation 1."""
        lead = (slice(None),) + (None,) * (radius.dim() - 2)
        shape, rate = self.shape[lead], self.rate[lead]
        radius = radius / math.sqrt(self.directions)
        of_each = (
            1.6 * radius, 0.7 * radius.square(), 1.4 * torch.cos((1 + rate) * radius),
            3.0 * (-(rate * radius).square()).exp(),
        )  # fmt: skip
        out = of_each[0]
        for k, values in enumerate(of_each[1:], 1):
            out = torch.where(shape == k, values, out)
        return out


class Evens(Family[EvenParameters]):
    """Even functions of directions. How many there are is shared by a call."""

    name = "evens"

    def draw(self, batch: int, dx: int, dy: int, *, generator: torch.Generator) -> EvenParameters:
        """Draw the parameters of ``batch`` distributions of ``dx`` and ``dy`` columns."""
        check_sizes(batch=batch, dx=dx, dy=dy)
        random = Random(batch, generator)
        u = random.choices(3)
        swapped = dy > dx if u[0] < 0.7 else dx > dy
        if swapped:
            dx, dy = dy, dx
        directions = 1 if u[1] < 0.6 else min(dx, 2 + int((u[1] - 0.6) / 0.4 * 2.999))
        most = min(_MOST_NUMBERS, dy, max(1, dx // directions))
        numbers = 1 + int(u[2] ** 2 * most * 0.999)
        tilted = random.coin(_TILTED, numbers) & (directions == 1)
        return EvenParameters(
            shape=random.integers(0, _SHAPES - 1, numbers),
            rate=random.log_uniform(0.4, 1.6, numbers),
            tilt=torch.where(tilted, random.normal(numbers), 0.0),
            noise=random.log_uniform(0.05, 2.0, numbers),
            directions=directions,
            scale=(random.log_uniform(0.05, 0.6, 1, 1) * random.normal(1, dx)).exp(),
            frame=draw_rotation(random, dx, random.coin(0.85, 1, 1) & (dx > 1)),
            mixed=draw_rotation(random, dy, random.coin(_MIXED, 1, 1) & (dy > 1)),
            columns=dy,
            order=random.permutation(dy),
            swapped=swapped,
        )

    def sample_from(
        self, parameters: EvenParameters, n: int, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw ``n`` rows of each distribution: X ``[B, N, dx]`` and Y ``[B, N, dy]``, float32."""
        p, (batch, numbers) = parameters, parameters.shape.shape

        def normal(columns: int) -> Tensor:
            return torch.randn(batch, n, columns, generator=generator, device=generator.device)

        u = normal(p.scale.shape[-1])
        read = u[..., : numbers * p.directions].unflatten(-1, (numbers, p.directions))
        shown = p.shown(read.norm(dim=-1)) + p.tilt[:, None] * read[..., 0]
        y = normal(p.columns)
        y = torch.cat([shown + p.noise[:, None] * y[..., :numbers], y[..., numbers:]], -1)
        x, y = p.frame(u * p.scale), p.mixed(y)[..., p.order]
        return (y, x) if p.swapped else (x, y)

    def information(
        self, parameters: EvenParameters, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return I(X;Y) in nats by integrals on a grid, and 0, both ``[B]`` float64."""
        p = parameters
        middle = _middles(p)  # [B, G, T]
        noise = p.noise.double()
        ends = [middle.amin(1) - 6 * noise, middle.amax(1) + 6 * noise]
        step = (ends[1] - ends[0]) / (_VALUES - 1)
        found = torch.zeros_like(noise)
        for place in range(_VALUES):
            value = ends[0] + place * step
            away = (value[:, None] - middle) / noise[:, None]
            density = (-away.square() / 2).exp().mean(1) / (noise * math.sqrt(2 * math.pi))
            found = found - torch.xlogy(density, density) * step
        mi = (found - noise.log() - 0.5 * math.log(2 * math.pi * math.e)).sum(-1)
        return mi, torch.zeros_like(mi)


def _middles(p: EvenParameters) -> Tensor:
    """What the numbers show without noise, at ``G`` places of equal chance, ``[B, G, T]``."""
    chance = (torch.arange(_GRID, dtype=torch.float64, device=p.rate.device) + 0.5) / _GRID
    batch, numbers = p.shape.shape
    if p.directions == 1:
        u = torch.special.ndtri(chance)
    else:
        u = _radii(p.directions, chance)
    u = u[None, :, None].expand(batch, -1, numbers)
    out: Tensor = p.shown(u.abs()) + p.tilt[:, None].double() * u
    return out


def _radii(directions: int, chance: Tensor) -> Tensor:
    """Lengths of normal vectors of so many ``directions`` below which shares ``chance`` lie."""
    grid = torch.linspace(0, 12, 20001, dtype=torch.float64, device=chance.device)
    share = torch.special.gammainc(torch.full_like(grid, directions / 2), grid.square() / 2)
    return grid[torch.searchsorted(share, chance).clamp(max=len(grid) - 1)]
