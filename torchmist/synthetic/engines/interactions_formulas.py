r"""Formulas: numbers that several columns make together, none of which tells much alone.

Selected values, gates, bilinear forms :math:`\sum_j w_j u_j v_j`, quadratic ones, products of
three, of signs, distances, angles and order statistics. The columns are independent and of one law.

Legend: ``R`` formulas, ``q`` parts of one, ``c`` columns that it reads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from torchmist.synthetic.engines.codes_random import Random

__all__ = ["FORMULAS", "INPUTS", "Formula", "Numbers", "draw_numbers", "input_levels", "selected",
           "value"]  # fmt: skip

_TAIL = 1e-6


@dataclass(frozen=True)
class Numbers:
    """The numbers of formulas: ``weights``, ``shifts`` ``[R, q]``; ``ends`` ``[R, q]``, cumulative
    shares of what is selected; ``linear`` ``[R, c]``: weights of the columns themselves;
    ``steepness`` ``[R]``; ``place`` ``[R]`` int64 below q; ``rooted`` ``[R]``: whether the root of
    the value is taken."""

    weights: Tensor
    shifts: Tensor
    ends: Tensor
    linear: Tensor
    steepness: Tensor
    place: Tensor
    rooted: Tensor

    def of(self, index: Tensor) -> Numbers:
        """Those of the formulas ``index``, of any shape."""
        return Numbers(*(getattr(self, field.name)[index] for field in fields(self)))


Value = Callable[[Numbers, Tensor, Tensor, int], Tensor]


@dataclass(frozen=True)
class Formula:
    """``value`` of numbers, columns, their uniforms and q; ``parts``: columns for each of q;
    ``more``: columns beside them; ``least`` and ``most`` of q; ``share`` of the calls;
    ``signed``: weights are of both signs; ``atoms``: columns of two values are of use."""

    value: Value
    parts: int
    least: int
    most: int
    share: float
    more: int = 0
    signed: bool = False
    atoms: bool = False
    rooted: float = 0.0

    def columns(self, q: int) -> int:
        """Columns that it reads."""
        return self.parts * q + self.more


def value(formula: Formula, numbers: Numbers, z: Tensor, u: Tensor, q: int) -> Tensor:
    """Values ``[..., N]`` of columns ``z``, whose ranks are the uniforms ``u``, ``[..., N, c]``;
    ``numbers`` are those of the leading dimensions."""
    made = formula.value(numbers, z, u, q)
    root = made.sign() * made.abs().sqrt()
    return torch.where(numbers.rooted[..., None], root, made)


def draw_numbers(random: Random, formula: Formula, count: int, q: int) -> Numbers:
    """Random numbers of ``count`` formulas: equal weights in half of them."""
    generator, device = random.generator, random.device

    def uniform(*shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=generator, device=device)

    def normal(*shape: int) -> Tensor:
        return torch.randn(count, *shape, generator=generator, device=device)

    weights = torch.where(uniform(1) < 0.5, 1.0, (0.8 * normal(q)).exp())
    if formula.signed:
        weights = torch.where((uniform(q) < 0.5) & (uniform(1) < 0.6), -weights, weights)
    shifts = normal(q) * 2.5 * uniform(1) ** 2 * (uniform(1) < 0.6)
    shares = (normal(q) * 0.7 * (uniform(1) < 0.5)).softmax(-1)
    linear = normal(formula.columns(q)) * uniform(1) * (uniform(1) < 0.4)
    steepness = 0.7 * 40 ** uniform()
    place = (uniform() * q).long().clamp(max=q - 1)
    rooted = uniform() < formula.rooted
    return Numbers(weights, shifts, shares.cumsum(-1), linear, steepness, place, rooted)


def selected(ends: Tensor, u: Tensor) -> Tensor:
    """Which of q values the uniforms ``[..., N]`` select by cumulative shares ``[..., q]``."""
    return (u[..., None] > ends[..., None, :-1]).sum(-1)


def _weigh(z: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums ``[..., N]`` of ``[..., N, q]``."""
    return torch.matmul(z, weights[..., None])[..., 0]


def _select(numbers: Numbers, z: Tensor, u: Tensor, q: int) -> Tensor:
    """One of q values, times its weight and moved; the last column says which."""
    index = selected(numbers.ends, u[..., -1])
    own = z[..., :q].expand(*index.shape, q).gather(-1, index[..., None])[..., 0]
    return own * numbers.weights.gather(-1, index) + numbers.shifts.gather(-1, index)


def _attend(numbers: Numbers, z: Tensor, u: Tensor, q: int) -> Tensor:
    """Values by the softmax of scores: nearly that of the largest score where it is steep."""
    chances = (z[..., q:] * numbers.steepness[..., None, None]).softmax(-1)
    return (chances * z[..., :q]).sum(-1)


def _gates(numbers: Numbers, z: Tensor, u: Tensor, q: int) -> Tensor:
    """Values whose gates are open, a gate where a second column is above a threshold."""
    share = torch.special.ndtr(numbers.shifts)
    return _weigh(z[..., :q] * (u[..., q:] > share[..., None, :]), numbers.weights)


def _bilinear(numbers: Numbers, z: Tensor, u: Tensor, q: int) -> Tensor:
    return _weigh(z[..., :q] * z[..., q:], numbers.weights) + _weigh(z, numbers.linear)


def _triple(numbers: Numbers, z: Tensor, u: Tensor, q: int) -> Tensor:
    first, second, third = z.split(q, -1)
    return _weigh(first * second * third, numbers.weights)


def _signs(numbers: Numbers, z: Tensor, u: Tensor, q: int) -> Tensor:
    """Products of soft signs."""
    return (z * numbers.steepness[..., None, None]).tanh().prod(-1)


def _quadratic(numbers: Numbers, z: Tensor, u: Tensor, q: int) -> Tensor:
    return _weigh(z.square(), numbers.weights) - _weigh(z, 2 * numbers.weights * numbers.shifts)


def _radius(numbers: Numbers, z: Tensor, u: Tensor, q: int) -> Tensor:
    """Weighted squares around a centre, before their root."""
    centre = (numbers.weights * numbers.shifts.square()).sum(-1)
    return (_quadratic(numbers, z, u, q) + centre[..., None]).clamp(min=0)


def _distance(numbers: Numbers, z: Tensor, u: Tensor, q: int) -> Tensor:
    return _weigh((z[..., :q] - z[..., q:]).square(), numbers.weights)


def _blocks(numbers: Numbers, z: Tensor, u: Tensor, q: int) -> Tensor:
    """Distances along the axes."""
    return _weigh((z[..., :q] - z[..., q:]).abs(), numbers.weights)


def _cosine(numbers: Numbers, z: Tensor, u: Tensor, q: int) -> Tensor:
    """Cosines, and their angles where the steepness is above 5."""
    first, second = z[..., :q], z[..., q:]
    parts = first * second, first.square(), second.square()
    inner, one, two = (_weigh(part, numbers.weights) for part in parts)
    cosine = (inner / (one * two).sqrt().clamp(min=1e-12)).clamp(-1, 1)
    return torch.where(numbers.steepness[..., None] > 5, cosine.acos(), cosine)


def _ordered(numbers: Numbers, z: Tensor, u: Tensor, q: int) -> Tensor:
    """One order statistic of moved columns, or their range where the steepness is above 10."""
    ordered = (z + numbers.shifts[..., None, :]).sort(-1).values
    chosen = torch.nn.functional.one_hot(numbers.place, q).to(z.dtype)
    between = ordered[..., -1] - ordered[..., 0]
    return torch.where(numbers.steepness[..., None] > 10, between, _weigh(ordered, chosen))


FORMULAS: Mapping[str, Formula] = {
    "select": Formula(_select, 1, 2, 12, 0.16, more=1, signed=True, atoms=True),
    "attend": Formula(_attend, 2, 2, 8, 0.08, atoms=True),
    "gates": Formula(_gates, 2, 1, 8, 0.08, signed=True, atoms=True),
    "bilinear": Formula(_bilinear, 2, 1, 16, 0.24, signed=True, atoms=True, rooted=0.1),
    "triple": Formula(_triple, 3, 1, 4, 0.07, signed=True, atoms=True, rooted=0.2),
    "signs": Formula(_signs, 1, 2, 5, 0.06),
    "quadratic": Formula(_quadratic, 1, 1, 16, 0.09, signed=True),
    "radius": Formula(_radius, 1, 1, 16, 0.06, rooted=0.8),
    "distance": Formula(_distance, 2, 1, 16, 0.05, rooted=0.7),
    "blocks": Formula(_blocks, 2, 1, 16, 0.02),
    "cosine": Formula(_cosine, 2, 2, 16, 0.06),
    "ordered": Formula(_ordered, 1, 2, 8, 0.03),
}  # fmt: skip
"""Every formula by its name."""


def _normal(u: Tensor) -> Tensor:
    scores: Tensor = torch.special.ndtri(u.clamp(_TAIL, 1 - _TAIL))
    return scores


def _laplace(u: Tensor) -> Tensor:
    centred = 2 * u - 1
    return -centred.sign() * torch.log1p(-centred.abs().clamp(max=1 - _TAIL)) / math.sqrt(2)


def _exponential(u: Tensor) -> Tensor:
    return -torch.log1p(-u.clamp(max=1 - _TAIL)) - 1


def _humps(u: Tensor) -> Tensor:
    """Two normal humps."""
    side = (u < 0.5).float()
    return 0.4 * _normal(2 * u - 1 + side) + 0.9165 * (1 - 2 * side)


INPUTS: Mapping[str, tuple[Callable[[Tensor], Tensor], float]] = {
    "normal": (_normal, 0.5),
    "uniform": (lambda u: math.sqrt(3) * (2 * u - 1), 0.2),
    "laplace": (_laplace, 0.07),
    "exponential": (_exponential, 0.07),
    "humps": (_humps, 0.06),
    "signs": (lambda u: 1 - 2 * (u < 0.5).float(), 0.1),
}
"""Laws of columns of unit variance, as functions of uniforms, and their shares; the last has atoms,
and takes the place of the first where they are of no use."""


def input_levels(name: str, numbers: Numbers, u: Tensor) -> Tensor:
    """Which of two levels of noise a row has ``[..., N]``: for selected values whether it is the
    first one, for others whether the first column is below its median."""
    if name == "select":
        return (selected(numbers.ends, u[..., -1]) > 0).long()
    return (u[..., 0] > 0.5).long()
