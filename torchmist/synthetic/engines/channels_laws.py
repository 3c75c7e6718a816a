"""Laws of sources and of noise, as distribution functions on an even grid of an interval.

A law is a shape on 0 to 1: location and size are the channel's affair. The unit of a law is the
deviation of a normal law of its entropy, ``exp(h) / sqrt(2 pi e)``, which heavy tails leave alone.

Legend: ``R`` laws, ``M`` cells of the grid.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from torchmist.synthetic.engines.codes_random import Random

__all__ = ["NOISES", "SOURCES", "Bank", "draw_bank"]

_CELLS = 1024
_MEMBERS = 4  # laws of each kind in a bank, of random shapes
Shape = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Bank:
    """Laws that the datasets of a call choose from.

    ``below`` ``[R, M + 1]`` float64: distribution functions at the ends of the cells; ``width``
    ``[R]``: of the interval in units of the law; ``mean`` ``[R]``: as a share of the interval;
    ``ends`` ``[kinds]``: cumulative shares of the kinds, which have equally many laws each.
    """

    below: Tensor
    width: Tensor
    mean: Tensor
    ends: Tensor

    def choose(self, random: Random, count: int) -> Tensor:
        """Random laws ``[B, count]`` int64, by the shares of their kinds."""
        kind = torch.searchsorted(self.ends, random.uniform(count)).clamp(max=len(self.ends) - 1)
        members = len(self.below) // len(self.ends)
        return kind * members + random.integers(0, members - 1, count)

    def at(self, law: Tensor, place: Tensor) -> Tensor:
        """Distribution functions of ``law`` ``[...]`` at ``place`` ``[..., G]`` of the interval."""
        cells = self.below.shape[1] - 1
        where = (place * cells).clamp(0, cells)
        cell = where.long().clamp(max=cells - 1)
        flat, index = self.below.flatten(), law[..., None] * (cells + 1) + cell
        return torch.lerp(flat[index], flat[index + 1], where - cell)


def draw_bank(random: Random, laws: Mapping[str, tuple[Shape, float]]) -> Bank:
    """Four random laws of each kind, half of them mirrored; shares are those of ``laws``."""
    device, members = random.device, _MEMBERS
    place = (torch.arange(_CELLS, device=device, dtype=torch.float64) + 0.5) / _CELLS
    shape = len(laws), 9, members, 1
    u = torch.rand(shape, generator=random.generator, device=device, dtype=torch.float64)
    density = torch.cat(
        [
            made.where(own[-1] < 0.5, made.flip(-1))
            for own, (law, _) in zip(u, laws.values())
            for made in [law(place, own[:-1]).expand(members, -1)]
        ]
    )
    mass = density / density.sum(-1, keepdim=True)
    entropy = -torch.xlogy(mass, mass).sum(-1)
    width = _CELLS * math.sqrt(2 * math.pi * math.e) * (-entropy).exp()
    below = torch.nn.functional.pad(mass.cumsum(-1), (1, 0))
    ends = torch.tensor([share for _, share in laws.values()], device=device).cumsum(0)
    return Bank(below / below[:, -1:], width, mass @ place, ends / ends[-1])


def _between(u: Tensor, low: float, high: float) -> Tensor:
    """Log-uniform between two positive numbers at the quantiles ``u``."""
    return low * (high / low) ** u


def _bell(p: Tensor, centre: Tensor | float, deviation: Tensor | float) -> Tensor:
    return torch.exp(-0.5 * ((p - centre) / deviation) ** 2) / deviation


def _normal(p: Tensor, u: Tensor) -> Tensor:
    return _bell(p, 0.5, 0.11)


def _uniform(p: Tensor, u: Tensor) -> Tensor:
    return torch.ones_like(p)


def _triangular(p: Tensor, u: Tensor) -> Tensor:
    peak = torch.where(u[0] < 0.5, 0.5, u[1].clamp(0.01, 0.99))
    return torch.minimum(p / peak, (1 - p) / (1 - peak))


def _gamma(p: Tensor, u: Tensor) -> Tensor:
    """One-sided: exponential in half of the laws."""
    power = torch.where(u[0] < 0.5, 0.0, _between(u[1], 0.5, 5.0) - 1 + 0.2)
    return p**power * torch.exp(-(10 + 2.5 * power) * p)


def _log_normal(p: Tensor, u: Tensor) -> Tensor:
    deviation = _between(u[0], 0.4, 1.0)
    z = p.log() / deviation + 3.5
    return torch.exp(-0.5 * z**2) / p


def _laplace(p: Tensor, u: Tensor) -> Tensor:
    return torch.exp(-22 * (p - 0.5).abs())


def _student(p: Tensor, u: Tensor) -> Tensor:
    """Of 1 to 5 degrees of freedom, cut at 30 times the scale."""
    df = _between(u[0], 1.0, 5.0)
    return (1 + (60 * (p - 0.5)) ** 2 / df) ** (-(df + 1) / 2)


def _beta(p: Tensor, u: Tensor) -> Tensor:
    """U-shaped in half of the laws, the arc sine law of a wave among them, or skewed."""
    arms = torch.where(u[1] < 0.5, 0.5, _between(u[2], 0.2, 0.8))
    a = torch.where(u[0] < 0.5, arms, _between(u[3], 0.5, 2.0))
    b = torch.where(u[0] < 0.5, a, _between(u[4], 2.0, 8.0))
    return p ** (a - 1) * (1 - p) ** (b - 1)


def _bumps(p: Tensor, u: Tensor) -> Tensor:
    """Two to four bumps of any weights, well apart or not."""
    count, deviation = 2 + 3 * u[0], _between(u[1], 0.01, 0.09)
    density = torch.zeros_like(p)
    for k in range(4):
        centre = 0.25 + 0.5 * (k + 0.7 * (u[2 + k] - 0.5)).clamp(0, 3) / (count.floor() - 1)
        weight = torch.where(k < count.floor(), 0.2 + (u[2 + k] * 7.3) % 1, 0.0)
        density = density + weight * _bell(p, centre, deviation)
    return density


def _two(p: Tensor, u: Tensor) -> Tensor:
    """Noise of two signs: bumps of equal weights or not."""
    deviation, heavy = _between(u[0], 0.01, 0.1), torch.where(u[1] < 0.6, 0.5, u[2])
    return heavy * _bell(p, 0.3, deviation) + (1 - heavy) * _bell(p, 0.7, deviation)


def _flat(p: Tensor, u: Tensor) -> Tensor:
    """A uniform law with smooth shoulders."""
    soft = _between(u[0], 0.01, 0.06)
    return torch.sigmoid((p - 0.25) / soft) * torch.sigmoid((0.75 - p) / soft)


def _impulsive(p: Tensor, u: Tensor) -> Tensor:
    """Small noise that is 3 to 15 times as large now and then."""
    often, ratio = _between(u[0], 0.02, 0.3), _between(u[1], 3.0, 15.0)
    return (1 - often) * _bell(p, 0.5, 0.12 / ratio) + often * _bell(p, 0.5, 0.12)


SOURCES: Mapping[str, tuple[Shape, float]] = {
    "normal": (_normal, 0.2), "uniform": (_uniform, 0.14), "triangular": (_triangular, 0.05),
    "gamma": (_gamma, 0.1), "log-normal": (_log_normal, 0.05), "laplace": (_laplace, 0.07),
    "student": (_student, 0.07), "beta": (_beta, 0.14), "bumps": (_bumps, 0.18),
}  # fmt: skip
"""Shapes of sources and their shares."""

NOISES: Mapping[str, tuple[Shape, float]] = {
    "normal": (_normal, 0.3), "uniform": (_uniform, 0.2), "triangular": (_triangular, 0.06),
    "laplace": (_laplace, 0.1), "gamma": (_gamma, 0.08), "two": (_two, 0.08),
    "student": (_student, 0.07), "flat": (_flat, 0.04), "impulsive": (_impulsive, 0.05),
    "beta": (_beta, 0.02),
}  # fmt: skip
"""Shapes of noise and their shares."""
