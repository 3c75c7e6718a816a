"""Crowds: dozens of classes on both sides that overlap in dozens of columns.

Identities, words, products, species: each side shows a noisy view of a class, a few rows of each
class are at hand, and no few directions tell them apart. Beside these, classes of which each has
several on the other side, are mixed up, or are few. As the clusters of
:mod:`torchmist.synthetic.engines.codes_clusters`, which seldom overlap. Legend: ``B`` datasets,
``N`` samples, ``K`` classes of a side, ``m`` latent columns, ``dx``, ``dy`` columns.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchmist.synthetic.engines.codes_clusters import (
    ClusterParameters,
    Clusters,
    clusters_information,
    draw_joint_table,
    mixed_up,
    sample_pair,
)
from torchmist.synthetic.engines.codes_frames import draw_frame
from torchmist.synthetic.engines.codes_random import Random
from torchmist.synthetic.engines.family import Family, check_sizes

__all__ = ["Crowds"]

_FEWEST, _MOST = 10, 96  # classes of a side
_LATENT = 64  # most columns in which classes differ
_NEAR, _FAR = 1.8, 6.0  # deviations by which classes differ from the middle
_SAME = 0.8  # share of the calls with as many classes on both sides


class Crowds(Family[ClusterParameters]):
    """Overlapping classes. How many there are is shared by a call."""

    name = "crowds"

    def draw(
        self, batch: int, dx: int, dy: int, *, generator: torch.Generator
    ) -> ClusterParameters:
        """Draw the parameters of ``batch`` distributions of ``dx`` and ``dy`` columns."""
        check_sizes(batch=batch, dx=dx, dy=dy)
        random = Random(batch, generator)
        u = random.choices(3)
        k = int(_FEWEST * (_MOST / _FEWEST) ** u[0])
        other = k if u[1] < _SAME else int(_FEWEST * (_MOST / _FEWEST) ** u[2])
        table, independent = draw_joint_table(random, k, other, exact=True)
        table = torch.where(random.coin(0.5, 1, 1), table, mixed_up(random, table))
        x, y = (_draw_side(random, count, d) for count, d in ((k, dx), (other, dy)))
        return ClusterParameters(table, x, y, 0, independent)

    def sample_from(
        self, parameters: ClusterParameters, n: int, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw ``n`` rows of each distribution: X ``[B, N, dx]`` and Y ``[B, N, dy]``, float32."""
        return sample_pair(parameters, n, generator)

    def information(
        self, parameters: ClusterParameters, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return I(X;Y) in nats and its standard error, both ``[B]`` float64."""
        return clusters_information(parameters, generator)


def _draw_side(random: Random, k: int, d: int) -> Clusters:
    """``k`` classes in ``d`` columns, in all of whose latent ones or in some of them they
    differ, more in some than in others, with noise of any spectrum."""
    latent = min(d, _LATENT)
    place = torch.arange(latent, device=random.device)
    used = random.log_uniform(1.0, latent + 0.999, 1, 1).floor()
    used = torch.where(random.coin(0.8, 1, 1), float(latent), used)
    fall = random.uniform(1, 1) * 2.0 * random.coin(0.25, 1, 1)
    weight = torch.where(place < used, (1.0 + place).pow(-fall), 0.0)
    means = random.normal(k, latent) * weight / weight.square().sum(-1, keepdim=True).sqrt()
    apart = random.log_uniform(_NEAR, _FAR, 1, 1)
    strength = random.log_uniform(0.05, 0.8, 1, 1) * random.coin(0.3, 1, 1)
    scale = torch.exp(strength * random.normal(1, latent))
    size = (1 + apart.square() / latent).rsqrt()  # of a column of the latent ones
    noise = size * torch.where(random.coin(0.6, 1, 1), 1.0, random.log_uniform(0.1, 1.5, 1, 1))
    decay = random.uniform(1, 1) * random.coin(0.2, 1, 1)
    frame = draw_frame(random, latent, d, noise=noise, decay=decay, turned=0.85, curved=0.2)
    return Clusters(means * apart * size, scale * size, frame)
