r"""Frames: a few latent columns and independent noise columns, mixed by maps that keep MI.

.. math:: x = Q_2\, c(Q_1 [s_1 z_1, \dots, s_m z_m, s_{m+1} e_1, \dots, s_d e_{d-m}])

with orthogonal :math:`Q`, positive scales s, and c a strictly increasing map of each column or
none. The map is invertible and the noise e independent of all else: I(X;Y) is that of z. A rotation
is random signs, a discrete cosine transform, which spreads every column over all columns, and three
Householder reflections, which differ by dataset; no factorisation is needed.

Legend: ``B`` datasets, ``N`` samples, ``m`` latent columns, ``d`` columns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from torchmist.synthetic.engines.codes_random import Random

__all__ = ["Frame", "Rotation", "draw_frame", "draw_rotation"]

_MIRRORS = 3
_BEFORE, _LOUDEST = 32, 6.0  # noise columns larger than the latent ones, and by how much


@dataclass(frozen=True)
class Rotation:
    """Orthogonal maps: ``signs`` ``[B, 1, d]``, unit ``mirrors`` ``[B, 3, d]``, and whether a
    dataset is turned at all, ``used`` ``[B, 1, 1]``."""

    signs: Tensor
    mirrors: Tensor
    used: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """The rows of ``x`` ``[B, N, d]`` in the new frame."""
        turned = (x * self.signs) @ _cosines(x.shape[-1], x.device)
        for mirror in self.mirrors.unbind(1):
            part = turned @ mirror[..., None]
            turned = torch.baddbmm(turned, part, mirror[:, None], alpha=-2)
        return torch.where(self.used, turned, x)


@dataclass(frozen=True)
class Frame:
    """How latent columns become columns.

    ``scale`` ``[B, 1, d]``: standard deviations, of the noise columns too; ``bend`` ``[B, 1, 1]``:
    strength of the curve, ``leak`` ``[B, 1, 1]``: slope below 0, 1 where there is none;
    ``order`` ``[d]``: of the columns; ``second`` is None where no dataset is curved, and both
    rotations are for a single column.
    """

    scale: Tensor
    first: Rotation | None
    second: Rotation | None
    bend: Tensor
    leak: Tensor
    order: Tensor

    def __call__(self, z: Tensor, generator: torch.Generator) -> Tensor:
        """Columns ``[B, N, d]`` of latent columns ``z`` ``[B, N, m]``."""
        extra = self.scale.shape[-1] - z.shape[-1]
        if extra:
            shape = (*z.shape[:-1], extra)
            noise = torch.randn(shape, generator=generator, device=z.device)
            z = torch.cat([z, noise], -1)
        x = z * self.scale
        if self.first is not None:
            x = self.first(x)
        if self.second is not None:
            x = torch.where(x < 0, self.leak * x, x)
            x = torch.where(self.bend > 0, torch.asinh(self.bend * x) / self.bend.clamp(min=0.1), x)
            x = self.second(x)
        return x[..., self.order]


def draw_rotation(random: Random, d: int, used: Tensor) -> Rotation:
    """Random rotations of ``d`` columns for the datasets in ``used`` ``[B, 1, 1]``."""
    signs = 1 - 2 * random.coin(0.5, 1, d).float()
    mirrors = torch.nn.functional.normalize(random.normal(_MIRRORS, d), dim=-1)
    return Rotation(signs, mirrors, used)


def draw_frame(
    random: Random,
    latent: int,
    d: int,
    *,
    noise: Tensor,
    decay: Tensor,
    turned: float,
    curved: float,
) -> Frame:
    """Random frames of ``d`` columns for ``latent`` columns of size about 1.

    Args:
        random: the draws.
        latent: number of latent columns, at most ``d``.
        d: number of columns.
        noise: standard deviation of the noise columns, ``[B, 1, 1]``.
        decay: exponent of the power law of the columns' sizes, ``[B, 1, 1]``; the latent columns
            come first in that spectrum, or after up to 32 noise columns, in its first half, that
            are up to six times as large.
        turned: share of the datasets that are rotated.
        curved: share of calls in which two thirds of those are curved and rotated again.
    """
    place = torch.arange(d, device=random.device)
    start = (random.uniform(1, 1).square() * 0.5 * d).floor().clamp(max=_BEFORE)
    power = (1 + (place + start * random.coin(0.7, 1, 1)) % d).pow(-decay)
    power = power / power[..., :latent].square().mean(-1, keepdim=True).sqrt()
    power = torch.where(place < latent, power, power.clamp(max=_LOUDEST))
    scale = torch.where(place < latent, power, noise * power)
    used = random.coin(turned, 1, 1)
    again = used & random.coin(2 / 3, 1, 1)
    leaky = random.coin(0.5, 1, 1)
    bend = torch.where(again & ~leaky, random.log_uniform(0.3, 3.0, 1, 1), 0.0)
    leak = torch.where(again & leaky, random.log_uniform(0.1, 0.7, 1, 1), 1.0)
    several = d > 1
    first = draw_rotation(random, d, used) if several else None
    bent = several and random.choices(1)[0] < curved
    second = draw_rotation(random, d, again) if bent else None
    return Frame(scale, first, second, bend, leak, random.permutation(d))


def _cosines(d: int, device: torch.device) -> Tensor:
    """The orthogonal matrix of the discrete cosine transform ``[d, d]``."""
    place = torch.arange(d, device=device, dtype=torch.float64)
    waves = torch.cos(math.pi / d * place[:, None] * (place + 0.5)) * math.sqrt(2 / d)
    waves[0] /= math.sqrt(2)
    return waves.float()
