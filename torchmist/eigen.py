"""Eigenvectors of symmetric matrices that single precision cannot always find."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["eigenvectors"]


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
