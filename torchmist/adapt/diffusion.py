r"""Diffusion coordinates: samples that a walk along neighbours joins quickly are close.

A kernel with local scales (Zelnik-Manor and Perona, 2004) on landmarks,
:math:`K_{ij} = \exp(-(\lVert z_i - z_j \rVert^2 / (s_i s_j))^4)` with :math:`s` the distance to the
eighth neighbour, is the law of a walk (Coifman and Lafon, 2006). Its leading eigenvectors, times
their eigenvalues to the power of the number of steps, with rows of norm 1 (Ng, Jordan and Weiss,
2002), are coordinates in which real classes are round and far apart, also where they are long or
close in the columns themselves. Legend: ``M`` landmarks, ``N`` samples, ``k`` columns, ``r``
coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from torchmist.models.cell_correction import (
    COORDINATES,
    NEIGHBOURS,
    closeness,
    landmark_mean,
    landmark_shares,
)

__all__ = ["DiffusionMap"]

_LANDMARKS = 1024
_STEPS = 16


@dataclass(frozen=True)
class DiffusionMap:
    """``landmarks`` ``[M, k]``, their ``reach`` ``[M]`` to the eighth neighbour, and their
    ``places`` ``[M, r]``."""

    landmarks: Tensor
    reach: Tensor
    places: Tensor

    @classmethod
    def of(cls, z: Tensor) -> DiffusionMap:
        """From samples ``[P, k]``, of which the first 1,024 are landmarks."""
        z = z[:_LANDMARKS]
        square = torch.cdist(z, z).square()
        neighbour = square.kthvalue(min(NEIGHBOURS + 1, len(z)), dim=-1).values.sqrt()
        reach = neighbour.clamp(min=1e-3 * float(neighbour.median()) + 1e-9)
        kernel = closeness(square, reach[:, None], reach).exp().double()
        degree = kernel.sum(-1)
        symmetric = kernel / (degree[:, None] * degree).sqrt()
        value, vector = torch.linalg.eigh(symmetric)
        kept = slice(max(0, len(z) - COORDINATES), None)  # one is constant, which does not matter
        places = vector[:, kept] * value[kept].clamp(min=0) ** _STEPS
        places = places / places.norm(dim=-1, keepdim=True).clamp(min=1e-30)
        return cls(z, reach, places.flip(1).float())

    def __call__(self, z: Tensor) -> Tensor:
        """Coordinates ``[N, r]`` of samples ``[N, k]``: those of the landmarks around them."""
        return landmark_mean(self.places, *landmark_shares(z, self.landmarks, self.reach))
