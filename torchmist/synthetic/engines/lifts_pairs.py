r"""Pairs of a few latent dimensions with exact MI, of three kinds, summed over the dimensions.

Gaussian (or Student) pairs: :math:`-\tfrac12 \log(1 - \rho^2)` (``general.canonical``). Angles
:math:`b = j a + \sigma e` modulo :math:`2 \pi`, a uniform, j a whole number:
:math:`\log 2 \pi - h`, with h the entropy of the wrapped normal law. Uniform
:math:`y = x + U(-\epsilon, \epsilon)` (``additive``).

Legend: ``B`` datasets, ``N`` samples, ``k`` latent dimensions of a side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from torchmist.synthetic.additive import additive_mi, sample_additive
from torchmist.synthetic.engines.codes_random import Random
from torchmist.synthetic.general.canonical import (
    canonical_mi,
    draw_correlations,
    sample_canonical,
)

__all__ = [
    "PairParameters",
    "draw_pairs",
    "pairs_information",
    "pairs_of",
    "sample_pairs",
    "wrapped_mi",
]

_SCALE = 0.7  # of the MI of draw_correlations, which goes to 12 nats
_POINTS, _WRAPS = 256, 6
_NARROW = 0.5  # radians: wrapped normal laws narrower than that have the entropy of normal ones
_INDEPENDENT = 0.1


@dataclass(frozen=True)
class PairParameters:
    """``kind`` ``[B]``: 0 Gaussian or Student, 1 angles, 2 uniform; ``rho`` ``[B, k]`` and ``df``
    ``[B]``; ``sigma`` ``[B, k]`` radians and ``turns`` ``[B, k]``; ``epsilon`` ``[B, k]``; datasets
    that are ``independent`` ``[B]``."""

    kind: Tensor
    rho: Tensor
    df: Tensor
    sigma: Tensor
    turns: Tensor
    epsilon: Tensor
    independent: Tensor


def draw_pairs(random: Random, k: int) -> PairParameters:
    """Random pairs: four in ten of angles, two uniform, the rest Gaussian, a quarter of them
    Student. The total is log-uniform up to about 8 nats, with at most 3.5 in one dimension."""
    rho = draw_correlations(random.batch, k, k, generator=random.generator, scale=_SCALE)
    return pairs_of(random, rho)


def pairs_of(random: Random, rho: Tensor) -> PairParameters:
    """The same, of Gaussian information with correlations ``rho`` ``[B, k]`` float64."""
    k = rho.shape[-1]
    independent = random.coin(_INDEPENDENT)
    rho = torch.where(independent[:, None], 0.0, rho)
    nats = -0.5 * torch.log1p(-rho.square())
    u = random.uniform()
    kind = torch.where(u < 0.4, 0, torch.where(u < 0.8, 1, 2))
    heavy = random.coin(0.25) & ~independent
    df = torch.where(heavy, random.log_uniform(1.5, 20.0), torch.inf).double()
    few = (-nats.clamp(min=1e-12).log()).clamp(min=0).sqrt()
    sigma = torch.where(nats < 0.3, few, torch.exp(0.4189 - nats))
    turns = torch.where(random.coin(0.7, 1), 1, random.integers(1, 3, k)).float()
    wide = 0.25 / nats.clamp(min=1e-3)
    epsilon = torch.where(nats < 0.5, wide, 0.5 * torch.exp(0.5 - nats))
    return PairParameters(kind, rho, df, sigma, turns, epsilon, independent)


def sample_pairs(p: PairParameters, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Both sides ``[B, N, k]`` float32: angles in 0 to 2 pi, numbers of variance about 1."""
    batch, k = p.rho.shape
    x, y = sample_canonical(p.rho, p.df, n, k, k, generator=generator)
    tailed = torch.isfinite(p.df)[:, None, None]
    x, y = torch.where(tailed, x.asinh(), x), torch.where(tailed, y.asinh(), y)
    a = 2 * math.pi * torch.rand(batch, n, k, generator=generator, device=x.device)
    e = torch.randn(batch, n, k, generator=generator, device=x.device)
    b = (p.turns[:, None] * a + p.sigma.float()[:, None] * e) % (2 * math.pi)
    s, t = sample_additive(p.epsilon, n, generator=generator)
    width = (1 / 12 + p.epsilon.square() / 3).sqrt().float()[:, None]
    s, t = math.sqrt(12) * (s - 0.5), (t - 0.5) / width
    alone = torch.rand(batch, n, k, generator=generator, device=x.device)
    independent, kind = p.independent[:, None, None], p.kind[:, None, None]
    b = torch.where(independent, 2 * math.pi * alone, b)
    t = torch.where(independent, math.sqrt(12) * (alone - 0.5), t)
    return (
        torch.where(kind == 0, x, torch.where(kind == 1, a, s)),
        torch.where(kind == 0, y, torch.where(kind == 1, b, t)),
    )


def pairs_information(p: PairParameters) -> Tensor:
    """Exact I(X;Y) in nats, ``[B]`` float64."""
    k = p.rho.shape[-1]
    gaussian = canonical_mi(p.rho, p.df, k, k)
    angles, uniform = wrapped_mi(p.sigma).sum(-1), additive_mi(p.epsilon)
    mi = torch.where(p.kind == 0, gaussian, torch.where(p.kind == 1, angles, uniform))
    return torch.where(p.independent, 0.0, mi)


def wrapped_mi(sigma: Tensor) -> Tensor:
    """I of a uniform angle and itself with normal noise of ``sigma`` radians, in nats, float64.

    The entropy of the wrapped normal law is a sum over a grid, which converges exponentially.
    """
    sigma = sigma.double()
    wide = sigma.clamp(min=_NARROW)[..., None, None]
    step = 2 * math.pi / _POINTS
    grid = torch.arange(_POINTS, device=sigma.device, dtype=torch.float64) * step
    wraps = torch.arange(-_WRAPS, _WRAPS + 1, device=sigma.device, dtype=torch.float64)
    place = (grid[:, None] - math.pi + 2 * math.pi * wraps) / wide
    density = (torch.exp(-0.5 * place.square()) / wide).sum(-1) / math.sqrt(2 * math.pi)
    entropy = -torch.xlogy(density, density).sum(-1) * step
    narrow = 0.5 * math.log(2 * math.pi * math.e) + sigma.log()
    return math.log(2 * math.pi) - torch.where(sigma < _NARROW, narrow, entropy)
