r"""Factor models: X and Y load on shared factors, and each side on factors of its own; exact MI.

.. math:: x = A u + C v + e, \qquad y = B u + D w + e'

with independent standard normal :math:`u, v, w, e, e'`, so that

.. math:: I(X;Y) = \tfrac12 (\log\det\Sigma_x + \log\det\Sigma_y - \log\det\Sigma).

What the sides share lies in the directions in which the columns vary most, as in most data that
users have (Bartholomew, Knott and Moustaki 2011, "Latent variable models and factor analysis").
Legend: ``B`` datasets, ``N`` samples, ``dx``, ``dy`` columns, ``K`` factors.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["draw_loadings", "factor_mi", "sample_factors"]

_SHARED, _OWN = 4, 3
_WEAK, _STRONG = 0.05, 2.0


def draw_loadings(batch: int, dx: int, dy: int, *, generator: torch.Generator) -> Tensor:
    """Loadings ``[B, dx + dy, K]`` float64 of ``K = 4 + 3 + 3`` factors: shared, of X, of Y.

    One shared factor in half of the datasets, two to four in the others; up to three more of each
    side in half of them. The loadings of a factor are between equal and normal with mean 0, times a
    strength log-uniform in 0.05 to 2.
    """
    device = generator.device

    def uniform(*shape: int) -> Tensor:
        return torch.rand(batch, *shape, generator=generator, device=device, dtype=torch.float64)

    spread, size = uniform(1, 1), (batch, dx + dy, _SHARED + 2 * _OWN)
    normal = torch.randn(size, generator=generator, device=device, dtype=torch.float64)
    strength = _WEAK * (_STRONG / _WEAK) ** uniform(1, size[-1])
    shared = torch.where(uniform() < 0.5, 1, 2 + (uniform() * (_SHARED - 1)).floor())
    own = torch.where(uniform() < 0.5, 0, 1 + (uniform() * _OWN).floor())
    place = torch.arange(size[-1], device=device)
    of_x, of_y = place < _SHARED + _OWN, (place < _SHARED) | (place >= _SHARED + _OWN)
    used = torch.where(
        place < _SHARED, place < shared[:, None], (place - _SHARED) % _OWN < own[:, None]
    )
    loads = torch.cat([of_x.expand(dx, -1), of_y.expand(dy, -1)])
    return strength * (1 - spread + spread * normal) * used[:, None] * loads


def factor_mi(loadings: Tensor, dx: int) -> Tensor:
    """Exact I(X;Y) in nats, ``[B]`` float64."""
    covariance = loadings @ loadings.mT + torch.eye(loadings.shape[1]).to(loadings)
    x, y = covariance[:, :dx, :dx], covariance[:, dx:, dx:]
    return 0.5 * (torch.logdet(x) + torch.logdet(y) - torch.logdet(covariance))


def sample_factors(
    loadings: Tensor, n: int, dx: int, *, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """X ``[B, N, dx]`` and Y ``[B, N, dy]``, float32, on the generator's device."""
    batch, size, factors = loadings.shape
    device = generator.device
    u = torch.randn(batch, n, factors, generator=generator, device=device)
    noise = torch.randn(batch, n, size, generator=generator, device=device)
    both = torch.baddbmm(noise, u, loadings.float().mT)
    return both[..., :dx], both[..., dx:]
