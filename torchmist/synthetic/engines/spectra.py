r"""Spectra: factors of many strengths in any number of noisy columns, as embeddings have them.

.. math:: x = A u + C v + e, \qquad y = B u + D w + e'

with independent standard normal :math:`u, v, w, e, e'`. Of the covariance of a side only the Gram
matrix of its loadings counts (Sylvester's identity), so that the information is exact at any width:

.. math:: I(X;Y) = \tfrac12 (\log\det(1 + L_x^T L_x) + \log\det(1 + L_y^T L_y)
                   - \log\det(1 + L^T L)), \qquad L_x = (A\ C), \quad L_y = (B\ D)

and L the loadings of both sides on all factors. The variances of factors fall as powers of their
number, as those of principal components of real data do. The shared ones may be stronger or much
weaker than the others: they are scaled until the information is the one that was drawn.

Legend: ``B`` datasets, ``N`` samples, ``dx``, ``dy`` columns, ``S`` shared factors, ``K`` factors
of a side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from torchmist.synthetic.engines.codes_random import Random
from torchmist.synthetic.engines.family import Family

__all__ = ["Spectra", "SpectraParameters", "factor_columns", "factor_information", "factor_scale",
           "scaled_loadings"]  # fmt: skip

_SHARED, _OWN = 48, 32
_NATS = (0.02, 30.0)
_STRENGTHS = (0.5, 300.0)  # variance of the first factor of a side's own, over that of the noise
_FALL = 2.0  # largest power
_SPARSE = 0.1  # least share of the columns that a factor loads on
_HALVINGS = 40
_SCALES = (1e-4, 1e4)


@dataclass(frozen=True)
class SpectraParameters:
    """Loadings ``x`` ``[B, dx, K]`` and ``y`` ``[B, dy, K']``, float64, whose first ``shared``
    factors are those of both sides."""

    x: Tensor
    y: Tensor
    shared: int


class Spectra(Family[SpectraParameters]):
    """Gaussian factor models with power-law spectra, for 1 to thousands of columns."""

    name = "spectra"

    def draw(
        self, batch: int, dx: int, dy: int, *, generator: torch.Generator
    ) -> SpectraParameters:
        """Draw the parameters of ``batch`` distributions of ``dx`` and ``dy`` columns."""
        random = Random(batch, generator)
        for_shared, for_own = random.choices(2)
        most = min(_SHARED, max(1, min(dx, dy)))
        shared, own = round(most**for_shared), round(_OWN**for_own)
        sides = []
        for d in (dx, dy):
            both = torch.cat([
                _spectrum(random, shared, 1.0),
                _spectrum(random, own, random.log_uniform(*_STRENGTHS, 1)) * random.coin(0.8, 1),
            ], -1)  # fmt: skip
            normal = random.normal(d, shared + own).double()
            loads = random.uniform(d, shared + own) < random.log_uniform(_SPARSE, 1.0, 1, 1)
            loads = torch.where(random.coin(0.5, 1, 1), loads, True)
            normal = normal * loads
            length = normal.norm(dim=1, keepdim=True).clamp(min=1e-3)
            sides.append(normal / length * both.double().sqrt()[:, None])
        target = random.log_uniform(*_NATS).double()
        return SpectraParameters(*scaled_loadings(sides[0], sides[1], shared, target), shared)

    def sample_from(
        self, parameters: SpectraParameters, n: int, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw ``n`` rows of each distribution: X ``[B, N, dx]`` and Y ``[B, N, dy]``, float32."""
        p = parameters
        return factor_columns(p.x, p.y, p.shared, n, generator)

    def information(
        self, parameters: SpectraParameters, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return I(X;Y) in nats and its standard error, which is 0, both ``[B]`` float64."""
        p = parameters
        mi = factor_information(p.x.mT @ p.x, p.y.mT @ p.y, p.shared)
        return mi, torch.zeros_like(mi)


def _spectrum(random: Random, count: int, first: Tensor | float) -> Tensor:
    """Variances ``[B, count]`` that fall as a power, or not at all, from ``first``."""
    place = torch.arange(1, count + 1, device=random.device, dtype=torch.float32)
    power = _FALL * random.uniform(1) * random.coin(0.8, 1)
    out: Tensor = first * place**-power
    return out


def factor_columns(
    x: Tensor, y: Tensor, shared: int, n: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Columns ``[B, N, d]`` float32 of both sides, of loadings ``[B, d, K]`` of factors, the first
    ``shared`` of which are common, and of noise of variance 1."""

    def normal(count: int) -> Tensor:
        return torch.randn((len(x), n, count), generator=generator, device=x.device)

    u = normal(shared)
    sides = []
    for loads in (x, y):
        factors = torch.cat([u, normal(loads.shape[-1] - shared)], -1)
        sides.append(factors @ loads.mT.float() + normal(loads.shape[1]))
    return sides[0], sides[1]


def factor_information(x: Tensor, y: Tensor, shared: int) -> Tensor:
    """I(X;Y) ``[B]`` in nats, of Gram matrices of the loadings of both sides."""
    more = y.shape[-1] - shared
    joint = F.pad(x, (0, more, 0, more))
    places = [*range(shared), *range(x.shape[-1], x.shape[-1] + more)]
    at = torch.tensor(places, device=x.device)
    joint[:, at[:, None], at] += y
    parts = []
    for gram in (x, y, joint):
        eye = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
        parts.append(torch.linalg.cholesky(gram + eye).diagonal(dim1=-2, dim2=-1).log().sum(-1))
    out: Tensor = parts[0] + parts[1] - parts[2]
    return out


def scaled_loadings(x: Tensor, y: Tensor, shared: int, target: Tensor) -> tuple[Tensor, Tensor]:
    """Loadings ``[B, d, K]`` of both sides, those of the ``shared`` factors multiplied by
    :func:`factor_scale`."""
    scale = factor_scale(x, y, shared, target)[:, None, None]
    both = (torch.cat([side[..., :shared] * scale, side[..., shared:]], -1) for side in (x, y))
    return next(both), next(both)


def factor_scale(x: Tensor, y: Tensor, shared: int, target: Tensor) -> Tensor:
    """Factor ``[B]`` of the shared loadings with which both sides share ``target`` ``[B]`` nats,
    which grow with it; the nearest of the range where there is none."""
    grams = [side.mT @ side for side in (x, y)]
    low, high = (torch.full_like(target, math.log(end)) for end in _SCALES)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        scaled = []
        for gram in grams:
            weight = torch.ones(gram.shape[:-1], dtype=gram.dtype, device=gram.device)
            weight[:, :shared] = middle.exp()[:, None]
            scaled.append(gram * weight[:, None] * weight[..., None])
        less = factor_information(scaled[0], scaled[1], shared) < target
        low, high = torch.where(less, middle, low), torch.where(less, high, middle)
    scale: Tensor = ((low + high) / 2).exp()
    return scale
