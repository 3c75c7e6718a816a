"""Eigenvectors and singular vectors that single precision cannot always find, and whitening."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["eigenvectors", "singular_vectors", "white_frame", "whitening"]

_RIDGE = 1e-5  # of the largest variance of a direction


def eigenvectors(symmetric: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues ``[..., d]``, least first, and eigenvectors of matrices ``[..., d, d]``.

    The iteration behind :func:`torch.linalg.eigh` does not converge for some matrices in single
    precision, real data among them; these are solved in double precision.
    """
    try:
        values, vectors = torch.linalg.eigh(symmetric)
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
        values, vectors = torch.linalg.eigh(symmetric.double())
    return values.to(symmetric.dtype), vectors.to(symmetric.dtype)


def singular_vectors(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Left singular vectors ``[..., m, k]`` of matrices ``[..., m, d]``, the values ``[..., k]``,
    largest first, and right ones ``[..., k, d]``: in double precision where single fails, as for
    :func:`eigenvectors`."""
    try:
        found = torch.linalg.svd(matrix, full_matrices=False)
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
        found = torch.linalg.svd(matrix.double(), full_matrices=False)
    left, values, right = (part.to(matrix.dtype) for part in found)
    return left, values, right


def whitening(covariance: Tensor) -> Tensor:
    """The symmetric map ``[..., d, d]`` after which columns of that covariance, in double
    precision, are uncorrelated; directions that hardly vary are not blown up."""
    values, vectors = torch.linalg.eigh(covariance)
    values = values.clamp(min=0) + _RIDGE * values[..., -1:].clamp(min=_RIDGE)
    out: Tensor = (vectors * values.rsqrt()[..., None, :]) @ vectors.mT
    return out


def white_frame(rows: Tensor, ridge: float = 0.0) -> Tensor:
    """The map ``[d, d]``, in double precision, after which columns of ``rows`` ``[N, d]`` of mean 0
    are uncorrelated, or nearly with a ``ridge`` on their variances."""
    fixed = rows.double()
    covariance = fixed.mT @ fixed / len(fixed)
    if ridge:
        covariance.diagonal().add_(ridge)
    return whitening(covariance)
