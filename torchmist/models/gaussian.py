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
    """Of ``(R + r I) / (1 + r)``: half the log-determinant ``[L, B]`` and the inverse."""

    half_logdet: Tensor
    precision: Tensor | None


def ridge_factor(correlation: Tensor, ridges: Tensor, *, inverse: bool) -> Factor:
    """Cholesky factors of ``correlation`` ``[B, D, D]`` at all ``ridges`` ``[L]``.

    Ridges of at least 1e-3 keep single precision safe for any correlation matrix.
    """
    size = correlation.shape[-1]
    eye = torch.eye(size, device=correlation.device, dtype=correlation.dtype)
    r = ridges.to(correlation.dtype).view(-1, 1, 1, 1)
    lower = torch.linalg.cholesky_ex((correlation + r * eye) / (1 + r)).L
    half_logdet = lower.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    if not inverse:
        return Factor(half_logdet, None)
    root = torch.linalg.solve_triangular(lower, eye.expand_as(lower), upper=False)
    return Factor(half_logdet, root.mT @ root)


def gaussian_bias(n: Tensor, dx: int, dy: int) -> Tensor:
    """Expected plug-in MI of independent Gaussians beyond the truth, ``[B]`` in nats.

    From ``E log|S|`` of a Wishart matrix: sums of digamma functions; meaningful for
    ``n > dx + dy + 1``, held at that value for smaller ``n``.
    """
    lowest = n.clamp(min=dx + dy + 2).to(torch.float64)

    def half_logdet(d: int) -> Tensor:
        i = torch.arange(d, device=n.device, dtype=torch.float64)
        return 0.5 * torch.digamma((lowest[:, None] - 1 - i) / 2).sum(-1)

    return half_logdet(dx) + half_logdet(dy) - half_logdet(dx + dy)
