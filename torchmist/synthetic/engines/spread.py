r"""Spread: linear dependence of any rank, up to all of up to 1,024 columns, of any size each.

.. math:: x = Q\,S u, \qquad y = Q'\,S' v, \qquad I(X;Y) = -\tfrac12 \sum_k \log(1 - \rho_k^2)

with canonical pairs (u, v) of correlations :math:`\rho_k`, scales S that fall as powers of the
place of a pair among all columns, and rotations Q (``codes_frames``) or none. No pair of columns
may show anything, and the directions that share most may vary least. Legend: ``B`` datasets,
``N`` samples, ``dx``, ``dy`` columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from torchmist.synthetic.engines.codes_frames import Rotation, draw_rotation
from torchmist.synthetic.engines.codes_random import Random
from torchmist.synthetic.engines.family import Family
from torchmist.synthetic.general.canonical import (
    canonical_mi,
    draw_correlations,
    sample_canonical,
)

__all__ = ["Spread", "SpreadParameters"]

_FALL = 1.5  # largest power


@dataclass(frozen=True)
class SpreadParameters:
    """``correlations`` ``[B, min(dx, dy)]`` float64, 0 beyond the rank; for each side its
    ``scales`` ``[B, 1, d]``, rotation, and order of columns ``[d]``."""

    correlations: Tensor
    scales: tuple[Tensor, Tensor]
    rotations: tuple[Rotation, Rotation]
    orders: tuple[Tensor, Tensor]


class Spread(Family[SpreadParameters]):
    """Canonical Gaussian pairs of any rank in any frame."""

    name = "spread"

    def draw(self, batch: int, dx: int, dy: int, *, generator: torch.Generator) -> SpreadParameters:
        """Draw the parameters of ``batch`` distributions of ``dx`` and ``dy`` columns."""
        random = Random(batch, generator)
        correlations = draw_correlations(batch, dx, dy, generator=generator)
        alike = random.coin(0.4, 1, 1)
        scales, rotations, orders = [], [], []
        for d in (dx, dy):
            place = random.uniform(1, d).argsort(-1) + 1.0
            power = torch.where(alike, 0.0, _FALL * random.uniform(1, 1))
            scales.append(place**-power)
            rotations.append(draw_rotation(random, d, random.coin(0.7 if d > 1 else 0.0, 1, 1)))
            orders.append(random.permutation(d))
        return SpreadParameters(
            correlations, (scales[0], scales[1]), (rotations[0], rotations[1]),
            (orders[0], orders[1]),
        )  # fmt: skip

    def sample_from(
        self, parameters: SpreadParameters, n: int, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw ``n`` rows of each distribution: X ``[B, N, dx]`` and Y ``[B, N, dy]``, float32."""
        p = parameters
        dx, dy = (scale.shape[-1] for scale in p.scales)
        normal = torch.full_like(p.correlations[:, 0], torch.inf)
        x, y = sample_canonical(p.correlations, normal, n, dx, dy, generator=generator)
        sides = [
            rotation(side * scale)[..., order]
            for side, scale, rotation, order in zip((x, y), p.scales, p.rotations, p.orders)
        ]
        return sides[0], sides[1]

    def information(
        self, parameters: SpreadParameters, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return I(X;Y) in nats and its standard error, which is 0, both ``[B]`` float64."""
        p = parameters
        dx, dy = (scale.shape[-1] for scale in p.scales)
        normal = torch.full_like(p.correlations[:, 0], torch.inf)
        mi = canonical_mi(p.correlations, normal, dx, dy)
        return mi, torch.zeros_like(mi)
