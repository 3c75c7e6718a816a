r"""Gaussian and Student pairs from one latent-variable form, with exact mutual information.

Each of the ``d`` columns of X and of Y is a sum of independent standard normals,

.. math:: x_i = \epsilon e_i + \alpha u + \beta u_x + m_i \lambda z_i + (1 - m_i) \eta v_i,

and likewise y with its own ``e``, ``u_x``, ``v`` but the same ``u`` and ``z``; ``m_i`` marks the
first ``k`` columns (Czyz et al. 2023, appendix). Columns are scaled to unit variance; a Student
pair is divided by ``sqrt(chi2_df / df)``, one draw per sample. Legend: ``B`` datasets, ``N``
samples, ``d`` columns on each side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["LatentParameters", "latent_mi", "sample_latent", "student_correction"]


@dataclass(frozen=True, eq=False)
class LatentParameters:
    """Parameters of ``B`` pairs; every field is ``[B]`` float64. ``df`` is inf for Gaussians."""

    interacting: Tensor
    epsilon: Tensor
    alpha: Tensor
    beta: Tensor
    lambd: Tensor
    eta: Tensor
    df: Tensor

    def interacts(self, dim: int) -> Tensor:
        """Which of ``dim`` columns share a factor with their partner, ``[B, dim]`` float64."""
        index = torch.arange(dim, device=self.interacting.device)
        return (index < self.interacting[:, None]).double()

    def private_variance(self, dim: int) -> Tensor:
        """Variance that a column shares with no other, ``[B, dim]``."""
        m = self.interacts(dim)
        return self.epsilon.square()[:, None] + (1 - m) * self.eta.square()[:, None]


def _rank_one_logdet(diagonal: Tensor, weight: Tensor) -> Tensor:
    """``log det(diag(a) + c 1 1^T)`` for ``a`` ``[B, d]``, ``c`` ``[B]``."""
    return diagonal.log().sum(-1) + torch.log1p(weight * diagonal.reciprocal().sum(-1))


def student_correction(df: Tensor, dx: int, dy: int) -> Tensor:
    """MI of a Student pair beyond that of the Gaussian with its dispersion, nats; 0 at ``inf``.

    Arellano-Valle, Contreras-Reyes and Genton (2013): from the entropies of standard Student
    vectors of dimensions ``dx``, ``dy`` and ``dx + dy``.
    """
    finite = torch.where(torch.isinf(df), torch.ones_like(df), df)

    def entropy(d: int) -> Tensor:
        half = 0.5 * (finite + d)
        constant = torch.lgamma(0.5 * finite) - torch.lgamma(half)
        scale = 0.5 * d * torch.log(finite * math.pi)
        return constant + scale + half * (torch.digamma(half) - torch.digamma(0.5 * finite))

    return torch.where(torch.isinf(df), 0.0, entropy(dx) + entropy(dy) - entropy(dx + dy))


def latent_mi(p: LatentParameters, dim: int) -> Tensor:
    """Exact I(X;Y) in nats, ``[B]`` float64.

    X and Y have the same covariance S and symmetric cross-covariance C, so the joint
    log-determinant is ``log det(S + C) + log det(S - C)``, each of a diagonal plus rank one.
    """
    shared = p.interacts(dim) * p.lambd.square()[:, None]
    private = p.private_variance(dim)
    alpha, beta = p.alpha.square(), p.beta.square()
    one_side = _rank_one_logdet(private + shared, alpha + beta)
    plus = _rank_one_logdet(private + 2 * shared, 2 * alpha + beta)
    minus = _rank_one_logdet(private, beta)
    return one_side - 0.5 * (plus + minus) + student_correction(p.df, dim, dim)


def sample_latent(
    p: LatentParameters, n: int, dim: int, *, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Samples X and Y, each ``[B, N, d]`` float32, on the generator's device."""
    device = generator.device
    batch = len(p.df)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device=device)

    shared = p.interacts(dim) * p.lambd[:, None]
    private = p.private_variance(dim)
    variance = private + shared.square() + (p.alpha.square() + p.beta.square())[:, None]
    scale = variance.rsqrt()[:, None]
    own = (private.sqrt()[:, None] * scale).float()
    pair = (shared[:, None] * scale).float()
    common = (p.alpha[:, None, None] * scale).float()
    side = (p.beta[:, None, None] * scale).float()

    factor = torch.addcmul(normal(batch, n, 1) * common, pair, normal(batch, n, dim))
    x = torch.addcmul(factor + side * normal(batch, n, 1), own, normal(batch, n, dim))
    y = torch.addcmul(factor + side * normal(batch, n, 1), own, normal(batch, n, dim))
    student = torch.isfinite(p.df).nonzero().squeeze(-1)
    if len(student):
        half = (p.df[student] / 2)[:, None].expand(-1, n).contiguous()
        ratio = torch._standard_gamma(half, generator=generator) / half
        heavy = ratio.clamp(min=1e-30).rsqrt().float()[..., None]
        x[student] *= heavy
        y[student] *= heavy
    return x, y
