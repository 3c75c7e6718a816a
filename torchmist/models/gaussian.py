"""Closed forms of a Gaussian copula: ridge log-determinants, partial correlations, radii.

All are invariant under permutations and sign changes of columns, or equivariant where they are
matrices. Legend: ``B`` datasets, ``N`` samples, ``D = dx + dy`` features, ``L`` ridges.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Factor", "gaussian_bias", "ridge_factor"]


class Factor(NamedTuple):
    """Of ``(R + r I) / (1 + r)``: half the log-determinants ``[L, B]`` and the last inverses."""

    half_logdet: Tensor
    precision: Tensor


def ridge_factor(correlation: Tensor, ridges: Tensor, *, inverses: int) -> Factor:
    """Cholesky factors of ``correlation`` ``[B, D, D]`` at all ``ridges`` ``[L]``.

    The inverses ``[inverses, B, D, D]`` are those of the last ridges. Ridges of at least 1e-3 keep
    single precision safe for any correlation matrix.
    """
    size = correlation.shape[-1]
    eye = torch.eye(size, device=correlation.device, dtype=correlation.dtype)
    r = ridges.to(correlation.dtype).view(-1, 1, 1, 1)
    lower = torch.linalg.cholesky_ex((correlation + r * eye) / (1 + r)).L
    half_logdet = lower.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    root = torch.linalg.solve_triangular(
        lower[len(ridges) - inverses :], eye.expand(inverses, *correlation.shape), upper=False
    )
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
