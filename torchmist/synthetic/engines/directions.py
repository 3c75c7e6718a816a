r"""Directions: unit vectors and others around them, as embeddings of unit length and angles are.

X shows directions u, uniform on the sphere of q columns, and Y directions v around them
(von Mises-Fisher),

.. math:: p(v | u) \propto e^{\kappa u^T v}, \qquad I = \int p(\theta) \log
          \frac{p(\theta)}{p_0(\theta)} d\theta, \qquad
          p(\theta) \propto e^{\kappa \cos\theta} \sin^{q-2}\theta,

with :math:`p_0` the law of the angle at :math:`\kappa = 0`. Independent pairs of them add up.
Lengths of their own, noise columns and invertible maps (``codes_frames``) change nothing.
Legend: ``B`` datasets, ``N`` samples, ``P`` pairs, ``q`` columns of a direction, ``G`` angles.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from torchmist.synthetic.engines.codes_frames import Frame, draw_frame
from torchmist.synthetic.engines.codes_random import Random
from torchmist.synthetic.engines.family import Family, check_sizes

__all__ = ["DirectionParameters", "Directions", "Shown"]

_MOST_PAIRS, _MOST_COLUMNS = 4, 64
_GRID = 4096
_LENGTHS = 0.3  # share of the sides whose directions have lengths
_ANGLES = 0.3  # share of the sides with q = 2 that show the angles themselves
_INDEPENDENT = 0.1


@dataclass(frozen=True)
class Shown:
    """How a side shows directions: as ``angles`` (where q is 2), times lengths whose logarithms
    have a ``deviation`` ``[B, 1, 1, 1]``, in a ``frame``."""

    angles: bool
    deviation: Tensor
    frame: Frame

    def __call__(self, u: Tensor, generator: torch.Generator) -> Tensor:
        """Columns ``[B, N, d]`` of directions ``[B, N, P, q]``."""
        if self.angles:
            z = torch.atan2(u[..., 1], u[..., 0])
        else:
            normal = torch.randn(u[..., :1].shape, generator=generator, device=u.device)
            z = (u * math.sqrt(u.shape[-1]) * (self.deviation * normal).exp()).flatten(2)
        return self.frame(z, generator)


@dataclass(frozen=True)
class DirectionParameters:
    """``kappa`` ``[B, P]`` float64, 0 where independent; ``columns`` q of a direction; how each
    side shows them."""

    kappa: Tensor
    columns: int
    shown: tuple[Shown, Shown]


class Directions(Family[DirectionParameters]):
    """Directions and directions around them, in any number of columns."""

    name = "directions"

    def draw(
        self, batch: int, dx: int, dy: int, *, generator: torch.Generator
    ) -> DirectionParameters:
        """Draw the parameters of ``batch`` distributions of ``dx`` and ``dy`` columns."""
        check_sizes(batch=batch, dx=dx, dy=dy)
        random = Random(batch, generator)
        u = random.choices(4)
        least = min(dx, dy)
        q = 2 + int(u[0] ** 2 * (min(_MOST_COLUMNS, least) - 1)) if least > 1 else 2
        pairs = 1 + int(u[1] ** 2 * (min(_MOST_PAIRS, max(1, least // q)) - 1e-3))
        kappa = q * pairs**-0.7 * random.log_uniform(0.1, 60.0, pairs).double()
        kappa = kappa * ~random.coin(_INDEPENDENT, 1)
        sides = [_draw_shown(random, pairs, q, d, v) for d, v in ((dx, u[2]), (dy, u[3]))]
        return DirectionParameters(kappa, q, (sides[0], sides[1]))

    def sample_from(
        self, parameters: DirectionParameters, n: int, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw ``n`` rows of each distribution: X ``[B, N, dx]`` and Y ``[B, N, dy]``, float32."""
        p = parameters
        batch, pairs = p.kappa.shape
        shape = batch, n, pairs, p.columns
        normal = torch.randn(2, *shape, generator=generator, device=p.kappa.device)
        u = torch.nn.functional.normalize(normal[0], dim=-1)
        aside = normal[1] - (normal[1] * u).sum(-1, keepdim=True) * u
        aside = torch.nn.functional.normalize(aside, dim=-1)
        theta = _draw_angles(p.kappa, p.columns, n, generator)[..., None]
        v = theta.cos() * u + theta.sin() * aside
        return p.shown[0](u, generator), p.shown[1](v, generator)

    def information(
        self, parameters: DirectionParameters, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return I(X;Y) in nats and its standard error, which is 0, both ``[B]`` float64."""
        angle, log_p = _law_of_angles(parameters.kappa, parameters.columns)
        _, log_free = _law_of_angles(torch.zeros_like(parameters.kappa), parameters.columns)
        p = log_p.exp()
        each = torch.where(p > 0, p * (log_p - log_free), 0.0)
        mi = each.sum((-2, -1)) * (2 * angle[0])
        return mi, torch.zeros_like(mi)


def _draw_shown(random: Random, pairs: int, q: int, d: int, u: float) -> Shown:
    """How ``d`` columns show ``pairs`` directions of ``q`` columns."""
    angles = q == 2 and (d < 2 * pairs or u < _ANGLES)
    deviation = random.log_uniform(0.1, 0.6, 1, 1, 1) * random.coin(_LENGTHS, 1, 1, 1)
    noise = torch.where(random.coin(0.5, 1, 1), 1.0, random.log_uniform(0.02, 1.0, 1, 1))
    decay = random.uniform(1, 1) * random.coin(0.3, 1, 1)
    latent = pairs if angles else pairs * q
    frame = draw_frame(random, latent, d, noise=noise, decay=decay, turned=0.6, curved=0.2)
    return Shown(angles, deviation, frame)


def _law_of_angles(kappa: Tensor, columns: int) -> tuple[Tensor, Tensor]:
    """Angles ``[G]`` between both directions, and the logarithms of their density ``[B, P, G]``.

    The ends, where the density may be 0, are left out by half a step.
    """
    step = math.pi / _GRID
    place = torch.arange(_GRID, dtype=torch.float64, device=kappa.device)
    angle = (place + 0.5) * step
    log_p = kappa[..., None] * (angle.cos() - 1) + (columns - 2) * angle.sin().log()
    return angle, log_p - torch.logsumexp(log_p, -1, keepdim=True) - math.log(step)


def _draw_angles(kappa: Tensor, columns: int, n: int, generator: torch.Generator) -> Tensor:
    """Angles ``[B, N, P]`` float32 by inversion of the distribution function on the grid."""
    angle, log_p = _law_of_angles(kappa, columns)
    step = math.pi / _GRID
    below = log_p.exp().cumsum(-1) * step
    shape = (*kappa.shape, n)
    u = torch.rand(shape, generator=generator, device=kappa.device, dtype=torch.float64)
    cell = torch.searchsorted(below, u).clamp(max=_GRID - 1)
    share = log_p.exp().gather(-1, cell) * step
    start = below.gather(-1, cell) - share
    inside = ((u - start) / share.clamp(min=1e-300)).clamp(0, 1)
    theta = (angle[0] * 2) * (cell + inside)
    return theta.transpose(1, 2).float()
