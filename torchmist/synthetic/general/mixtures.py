r"""Gaussian mixtures, and classes with Gaussian observations; MI from exact densities.

.. math:: p(x, y) = \sum_c w_c\, N(x; \mu_c, \sigma_c)\, N(y; \nu_c, \tau_c)
          \prod_k \frac{N_2(a_k, b_k; \rho_{ck})}{N(a_k)\, N(b_k)}

with ``a``, ``b`` the columns standardised within the component, so that x and y share the component
and, in their first pairs of columns, a correlation. By the chain rule

.. math:: I(X;Y) = -\tfrac12 \sum_{ck} w_c \log(1 - \rho_{ck}^2)
          + H(C) + E[H(C \mid x, y) - H(C \mid x) - H(C \mid y)]

and, with the component itself for y, I(X; C) = H(C) - E H(C | x). The posterior entropies are
exact, lie between 0 and log K, and are averaged over 16 copies of a Sobol' sequence, each shifted
at random (digitally; Owen 1998), whose spread is the standard error. A dataset has 256 points a
copy, and four times as many, at most twice, while the error is above 1 % of the larger of I and
0.5 nats.

Legend: ``B`` datasets, ``N`` samples, ``K`` components, ``p``, ``q`` columns, ``r`` pairs,
``S`` copies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import lru_cache

import torch
from torch import Tensor

__all__ = ["MixtureParameters", "class_mi", "draw_mixture", "mixture_mi", "sample_mixture"]

_COPIES, _POINTS, _MOST_POINTS = 16, 256, 4_096
_TOLERANCE, _LEAST = 0.01, 0.5  # error allowed, as a share of the larger of I and that many nats
_BITS = 30  # of the Sobol' sequence
_CELLS = 1 << 18  # components times points that are worked on at once: what a cache holds


@dataclass(frozen=True, eq=False)
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


def mixture_mi(m: MixtureParameters, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """I(X;Y) in nats, ``[B]`` float64, and its standard error: see the module."""
    inside = -0.5 * torch.log1p(-m.rho.double().square()).sum(-1)
    return _integrate(m, True, (m.weight.double() * inside).sum(-1), generator)


def class_mi(m: MixtureParameters, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """I(X; component) in nats, ``[B]`` float64, and its standard error: see the module."""
    return _integrate(m, False, 0.0, generator)


def _integrate(
    m: MixtureParameters, joint: bool, inside: Tensor | float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """MI and its standard error, ``[B]``; ``inside`` is what the components hold."""
    weight = m.weight.double()
    known = inside - torch.xlogy(weight, weight).sum(-1)
    mi, error = torch.empty_like(known), torch.empty_like(known)
    rows, points = torch.arange(len(known), device=known.device), _POINTS
    while len(rows) and points <= _MOST_POINTS:
        for part in rows.split(max(1, _CELLS // (weight.shape[1] * _COPIES * points))):
            few = MixtureParameters(*(getattr(m, f.name)[part] for f in fields(m)))
            means = _means(few, joint, points, generator)
            mi[part] = (known[part] + means.mean(-1)).clamp(min=0)
            error[part] = means.std(-1) / math.sqrt(_COPIES)
        rows = (error > _TOLERANCE * mi.clamp(min=_LEAST)).nonzero().squeeze(-1)
        points *= 4
    return mi, error


def _means(m: MixtureParameters, joint: bool, points: int, generator: torch.Generator) -> Tensor:
    """``E[H(C|x,y) - H(C|x) - H(C|y)]``, or ``-E H(C|x)``, of each copy ``[B, S]`` float64."""
    p, q = m.mean_x.shape[-1], m.mean_y.shape[-1] if joint else 0
    u = _uniform(len(m.weight), 1 + p + q, points, generator)  # [B, 1 + p + q, S * points]
    ends = m.weight.cumsum(-1)[:, :-1].contiguous()
    component = torch.searchsorted(ends, u[:, 0].contiguous())[:, None]
    normal = math.sqrt(2) * torch.erfinv(2 * u[:, 1:] - 1)

    def of(values: Tensor) -> Tensor:
        return values.mT.gather(2, component.expand(-1, values.shape[-1], -1))

    x = of(m.mean_x) + of(m.scale_x) * normal[:, :p]
    prior = m.weight.log()[..., None]
    of_x = _log_density(x, m.mean_x, m.scale_x)
    entropy = -_entropy(prior + of_x)
    if joint:
        rho, r = of(m.rho), m.rho.shape[-1]
        b = normal[:, p:]
        b[:, :r] = rho * normal[:, :r] + (1 - rho.square()).sqrt() * b[:, :r]
        y = of(m.mean_y) + of(m.scale_y) * b
        of_y = prior + _log_density(y, m.mean_y, m.scale_y)
        entropy += _entropy(of_x + of_y + _log_tie(x[:, :r], y[:, :r], m)) - _entropy(of_y)
    return entropy.view(len(u), _COPIES, points).double().mean(-1)


def _uniform(batch: int, d: int, points: int, generator: torch.Generator) -> Tensor:
    """Copies of a Sobol' sequence with random digital shifts, inside of (0, 1), one after the
    other, ``[B, d, S * points]``."""
    device = generator.device
    size = (batch, d, _COPIES, 1)
    shift = torch.randint(1 << _BITS, size, generator=generator, device=device, dtype=torch.int32)
    u = (_sobol(d, points).to(device)[:, None] ^ shift).float() / (1 << _BITS)
    return u.flatten(2).clamp(1e-7, 1 - 1e-7)


@lru_cache(maxsize=256)
def _sobol(d: int, points: int) -> Tensor:
    """The digits of a Sobol' sequence as integers ``[d, points]`` int32."""
    values = torch.quasirandom.SobolEngine(d).draw(points, dtype=torch.float64)
    return (values.T * (1 << _BITS)).int()


def _log_density(values: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """``log p(values | c)`` up to a constant, ``[B, K, N]``, of ``[B, p, N]``."""
    precision = scale.square().reciprocal()
    weight = torch.cat([-0.5 * precision, mean * precision], -1)
    constant = (0.5 * mean.square() * precision + scale.log()).sum(-1)
    return weight @ torch.cat([values.square(), values], 1) - constant[..., None]


def _log_tie(x: Tensor, y: Tensor, m: MixtureParameters) -> Tensor:
    """``log p(x, y | c) - log p(x | c) - log p(y | c)``, ``[B, K, N]``, of ``[B, r, N]`` each.

    With ``a = i x - s`` and ``b = j y - t`` it is ``u (a^2 + b^2) + v a b - log(1 - rho^2) / 2``.
    """
    r = m.rho.shape[-1]
    rest = 1 - m.rho.square()
    u, v = -0.5 * m.rho.square() / rest, m.rho / rest
    i, j = m.scale_x[..., :r].reciprocal(), m.scale_y[..., :r].reciprocal()
    s, t = i * m.mean_x[..., :r], j * m.mean_y[..., :r]
    weight = torch.cat(
        [u * i * i, u * j * j, v * i * j, -i * (2 * u * s + v * t), -j * (2 * u * t + v * s)], -1
    )
    constant = (u * (s.square() + t.square()) + v * s * t - 0.5 * rest.log()).sum(-1)
    terms = torch.cat([x.square(), y.square(), x * y, x, y], 1)
    return weight @ terms + constant[..., None]


def _entropy(logits: Tensor) -> Tensor:
    """Entropy of the softmax over the components, ``[B, N]`` of ``[B, K, N]``."""
    logits = logits - logits.amax(1, keepdim=True)
    weight = logits.exp()
    whole = weight.sum(1)
    return whole.log() - (weight * logits).sum(1) / whole
