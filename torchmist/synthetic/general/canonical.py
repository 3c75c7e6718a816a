r"""Elliptical pairs from canonical correlations, with exact mutual information.

.. math:: y_k = \rho_k x_k + \sqrt{1 - \rho_k^2}\, e_k, \quad k = 1..r, \qquad
          I(X;Y) = -\tfrac12 \sum_k \log(1 - \rho_k^2)

for standard normal ``x`` and ``e``; all other columns are independent. Divided by
``sqrt(chi2_df / df)``, one draw per sample, the pair is Student with the correction of
Arellano-Valle, Contreras-Reyes and Genton (2013).

Legend: ``B`` datasets, ``N`` samples, ``dx``, ``dy`` columns.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchmist.synthetic.latent import student_correction

__all__ = ["canonical_mi", "draw_correlations", "sample_canonical"]

_LOWEST, _HIGHEST = 0.02, 12.0  # nats of a whole pair, log-uniform
_MOST = 3.5  # nats of one canonical pair


def draw_correlations(
    batch: int, dx: int, dy: int, *, generator: torch.Generator, scale: float = 1.0
) -> Tensor:
    """Canonical correlations ``[B, min(dx, dy)]`` float64, zeros beyond the rank of each dataset.

    A third has full rank, a third rank 1 to 3, the rest any rank. The total MI is log-uniform in
    0.02 to 12 nats (times ``scale``) and is split equally or by exponential weights, with at most
    3.5 nats for one canonical pair.
    """
    device = generator.device
    most = min(dx, dy)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=device, dtype=torch.float64)

    kind, u = uniform(batch), uniform(batch)
    few = 1 + (u * min(3, most)).floor()
    any_rank = 1 + (u * most).floor()
    rank = torch.where(kind < 1 / 3, most, torch.where(kind < 2 / 3, few, any_rank))
    used = torch.arange(most, device=device) < rank[:, None]
    total = _LOWEST * (_HIGHEST / _LOWEST) ** uniform(batch) * scale
    weight = (-uniform(batch, most).clamp(min=1e-12).log()) ** (3 * uniform(batch, 1).round())
    weight = weight * used
    nats = total[:, None] * weight / weight.sum(-1, keepdim=True).clamp(min=1e-12)
    return (-torch.expm1(-2 * nats.clamp(max=_MOST))).sqrt()


def canonical_mi(correlations: Tensor, df: Tensor, dx: int, dy: int) -> Tensor:
    """Exact I(X;Y) in nats, ``[B]`` float64; ``df`` ``[B]`` is inf for Gaussian pairs."""
    gaussian = -0.5 * torch.log1p(-correlations.square()).sum(-1)
    return gaussian + student_correction(df, dx, dy)


def sample_canonical(
    correlations: Tensor, df: Tensor, n: int, dx: int, dy: int, *, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """X ``[B, N, dx]`` and Y ``[B, N, dy]``, float32, on the generator's device."""
    batch, rank = correlations.shape
    device = generator.device
    x = torch.randn(batch, n, dx, generator=generator, device=device)
    y = torch.randn(batch, n, dy, generator=generator, device=device)
    rho = correlations.float()[:, None]
    y[..., :rank] = rho * x[..., :rank] + (1 - rho.square()).sqrt() * y[..., :rank]
    heavy = torch.isfinite(df).nonzero().squeeze(-1)
    if len(heavy):
        half = (df[heavy] / 2)[:, None].expand(-1, n).contiguous()
        ratio = torch._standard_gamma(half, generator=generator) / half
        factor = ratio.clamp(min=1e-30).rsqrt().float()[..., None]
        x[heavy] *= factor
        y[heavy] *= factor
    return x, y
