"""Closed forms of a Gaussian copula: ridge log-determinants, partial correlations, radii.

All are invariant under permutations and sign changes of columns, or equivariant where they are
matrices. Legend: ``B`` datasets, ``N`` samples, ``D = dx + dy`` features, ``L`` ridges.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from torchmist.numerics.cache import cached

__all__ = ["Factor", "gaussian_bias", "ridge_factor"]


class Factor(NamedTuple):
    """Of ``(R + r I) / (1 + r)``: half the log-determinants ``[L, ...]`` and the last inverses."""

    half_logdet: Tensor
    precision: Tensor


def _shrinkage(size: int, *ridges: float, like: Tensor) -> Tensor:
    """``1 / (1 + r)`` and ``r / (1 + r) I`` of each ridge, and ``I``, ``[3, L, D, D]``."""
    r = torch.tensor(ridges, dtype=like.dtype, device=like.device).view(-1, 1, 1)
    eye = torch.eye(size, dtype=like.dtype, device=like.device)
    return torch.stack(
        [1 / (1 + r).expand(-1, size, size), eye * r / (1 + r), eye.expand(len(r), -1, -1)]
    )


def ridge_factor(correlation: Tensor, ridges: tuple[float, ...], *, inverses: int) -> Factor:
    """Cholesky factors of ``correlation`` ``[..., D, D]`` at all ``ridges``, ``L`` of them.

    The inverses ``[inverses, ..., D, D]`` are those of the last ridges. Ridges of at least 1e-3
    keep single precision safe for any correlation matrix.
    """
    size = correlation.shape[-1]
    gain, shift, eye = cached(_shrinkage, size, *ridges, like=correlation)
    lead = len(ridges), *[1] * (correlation.dim() - 2), size, size
    shrunk = torch.addcmul(shift.view(lead), correlation, gain.view(lead))
    lower = torch.linalg.cholesky_ex(shrunk).L
    half_logdet = lower.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    last = lower[len(ridges) - inverses :]
    root = torch.linalg.solve_triangular(last, eye[0].expand(last.shape), upper=False)
    return Factor(half_logdet, root.mT @ root)


def gaussian_bias(n: Tensor, dx: int, dy: int) -> Tensor:
    """Expected plug-in MI of independent Gaussians beyond the truth, ``[B]`` in nats.

    From ``E log|S|`` of a Wishart matrix: sums of digamma functions; meaningful for
    ``n > dx + dy + 1``, held at that value for smaller ``n``.
    """
    lowest = n.clamp(min=dx + dy + 2).to(torch.float64)

    i = torch.arange(dx + dy, device=n.device, dtype=torch.float64)
    half_logdet = 0.5 * torch.digamma((lowest[:, None] - 1 - i) / 2).cumsum(-1)
    return half_logdet[:, dx - 1] + half_logdet[:, dy - 1] - half_logdet[:, dx + dy - 1]
