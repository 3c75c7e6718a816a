r"""Gaussian mixtures, and classes with Gaussian observations; MI from exact densities.

.. math:: p(x, y) = \sum_c w_c\, N(x; \mu_c, \sigma_c)\, N(y; \nu_c, \tau_c)
          \prod_k \frac{N_2(a_k, b_k; \rho_{ck})}{N(a_k)\, N(b_k)}

with ``a``, ``b`` the columns standardised within the component, so that x and y share the component
and, in their first pairs of columns, a correlation. The densities are exact and I(X;Y) is the mean
of ``log p(x, y) / (p(x) p(y))`` over 8,192 draws, whose standard error comes with it. With the
component itself for y, I(X; C) = H(C) - E H(C | x).

Legend: ``B`` datasets, ``N`` samples, ``K`` components, ``p``, ``q`` columns, ``r`` pairs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["MixtureParameters", "class_mi", "draw_mixture", "mixture_mi", "sample_mixture"]

_DRAWS, _CHUNK = 8_192, 4_096


@dataclass(frozen=True)
class MixtureParameters:
    """Weights ``[B, K]``, means and deviations of x ``[B, K, p]`` and of y ``[B, K, q]``, and
    correlations within components ``[B, K, r]``; float32."""

    weight: Tensor
    mean_x: Tensor
    scale_x: Tensor
    mean_y: Tensor
    scale_y: Tensor
    rho: Tensor


def draw_mixture(
    batch: int, components: int, p: int, q: int, *, generator: torch.Generator
) -> MixtureParameters:
    """Random mixtures: separation log-uniform in 0.3 to 4, half with equal weights, half with
    equal deviations, and a third without correlation inside of the components."""
    device = generator.device

    def normal(*shape: int) -> Tensor:
        return torch.randn(batch, *shape, generator=generator, device=device)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(batch, *shape, generator=generator, device=device)

    def coin(share: float, *shape: int) -> Tensor:
        return uniform(*shape) < share

    spread = torch.exp(math.log(0.3) + math.log(4 / 0.3) * uniform(1, 2))
    weight = torch.where(coin(0.5, 1), torch.zeros_like(uniform(components)), normal(components))
    unequal = (~coin(0.5, 1, 1)).float()
    rho = (2 * uniform(components, min(p, q)) - 1) * 0.95 * (~coin(1 / 3, 1, 1)).float()
    return MixtureParameters(
        weight=weight.softmax(-1),
        mean_x=spread[..., :1] * normal(components, p),
        scale_x=torch.exp(0.4 * unequal * normal(components, p)),
        mean_y=spread[..., 1:] * normal(components, q),
        scale_y=torch.exp(0.4 * unequal * normal(components, q)),
        rho=rho,
    )


def sample_mixture(
    m: MixtureParameters, n: int, *, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """X ``[B, N, p]``, Y ``[B, N, q]`` and the component of each sample ``[B, N]``."""
    component = torch.multinomial(m.weight, n, replacement=True, generator=generator)
    batch, _, p = m.mean_x.shape
    q, r = m.mean_y.shape[-1], m.rho.shape[-1]

    def of(values: Tensor) -> Tensor:
        return values.gather(1, component[..., None].expand(-1, -1, values.shape[-1]))

    a = torch.randn(batch, n, p, generator=generator, device=m.weight.device)
    b = torch.randn(batch, n, q, generator=generator, device=m.weight.device)
    rho = of(m.rho)
    b[..., :r] = rho * a[..., :r] + (1 - rho.square()).sqrt() * b[..., :r]
    return of(m.mean_x) + of(m.scale_x) * a, of(m.mean_y) + of(m.scale_y) * b, component


def _log_density(values: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """``log p(values | c)`` up to a constant, ``[B, N, K]``, by matrix products."""
    precision = scale.square().reciprocal()
    square = values.square() @ precision.mT - 2 * values @ (mean * precision).mT
    constant = (0.5 * mean.square() * precision + scale.log()).sum(-1)
    return -0.5 * square - constant[:, None]


def _standardised(values: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """Columns ``[B, N, r]`` standardised within each component, ``[B, N, K, r]``."""
    return (values[:, :, None] - mean[:, None]) / scale[:, None]


def mixture_mi(m: MixtureParameters, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """I(X;Y) in nats, ``[B]`` float64, and its Monte Carlo standard error."""
    logs = []
    log_weight = m.weight.log()[:, None]
    r = m.rho.shape[-1]
    rest = (1 - m.rho.square())[:, None]
    for _ in range(_DRAWS // _CHUNK):
        x, y, _ = sample_mixture(m, _CHUNK, generator=generator)
        of_x = _log_density(x, m.mean_x, m.scale_x)
        of_y = _log_density(y, m.mean_y, m.scale_y)
        a = _standardised(x[..., :r], m.mean_x[..., :r], m.scale_x[..., :r])
        b = _standardised(y[..., :r], m.mean_y[..., :r], m.scale_y[..., :r])
        rho = m.rho[:, None]
        tie = -0.5 * (
            rest.log() + (rho.square() * (a.square() + b.square()) - 2 * rho * a * b) / rest
        )
        joint = (log_weight + of_x + of_y + tie.sum(-1)).logsumexp(-1)
        sides = (log_weight + of_x).logsumexp(-1) + (log_weight + of_y).logsumexp(-1)
        logs.append((joint - sides).double())
    values = torch.cat(logs, 1)
    return values.mean(-1).clamp(min=0), values.std(-1) / math.sqrt(_DRAWS)


def class_mi(m: MixtureParameters, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """I(X; component) in nats, ``[B]`` float64, and its Monte Carlo standard error."""
    entropies = []
    log_weight = m.weight.log()[:, None]
    for _ in range(_DRAWS // _CHUNK):
        x, _, _ = sample_mixture(m, _CHUNK, generator=generator)
        posterior = (log_weight + _log_density(x, m.mean_x, m.scale_x)).log_softmax(-1).double()
        entropies.append(-(posterior.exp() * posterior).sum(-1))
    left = torch.cat(entropies, 1)
    weight = m.weight.double()
    whole = -torch.xlogy(weight, weight).sum(-1)
    return (whole - left.mean(-1)).clamp(min=0), left.std(-1) / math.sqrt(_DRAWS)
