r"""Uniform additive noise.

:math:`x_i \sim U(0, 1)` and :math:`y_i = x_i + U(-\epsilon_i, \epsilon_i)`.

Legend: ``B`` datasets, ``N`` samples, ``d`` columns on each side.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["additive_mi", "sample_additive"]


def additive_mi(epsilon: Tensor) -> Tensor:
    """Exact I(X;Y) in nats of independent columns with noise ``epsilon`` ``[B, d]``, ``[B]``.

    ``1 / (4 eps)`` if ``eps > 1/2``, else ``eps - log(2 eps)``, summed over columns
    (Czyz et al. 2023).
    """
    wide = 0.25 / epsilon
    narrow = epsilon - torch.log(2 * epsilon)
    return torch.where(epsilon > 0.5, wide, narrow).sum(-1)


def sample_additive(
    epsilon: Tensor, n: int, *, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Samples X and Y, each ``[B, N, d]`` float32, on the generator's device."""
    batch, dim = epsilon.shape
    shape = (batch, n, dim)
    x = torch.rand(shape, generator=generator, device=generator.device)
    noise = 2 * torch.rand(shape, generator=generator, device=generator.device) - 1
    return x, torch.addcmul(x, epsilon.float()[:, None], noise)
