"""MIST behind a fixed linear map of each side, as adaptation to many columns makes it.

Legend: ``B`` datasets, ``N`` samples, ``dx``, ``dy`` columns, ``kx``, ``ky`` of them kept.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from torchmist.models.config import MISTConfig
from torchmist.models.mist import MIST

__all__ = ["ProjectedMIST", "Projection", "principal_map"]


@dataclass(frozen=True)
class Projection:
    """Columns of both sides and how many directions are kept of each."""

    dx: int
    dy: int
    kx: int
    ky: int

    def to_dict(self) -> dict[str, int]:
        """All fields."""
        return asdict(self)


def principal_map(x: Tensor, keep: int) -> tuple[Tensor, Tensor]:
    """Mean ``[d]`` and map ``[d, k]`` onto the leading principal directions of standard columns.

    ``x``: ``[N, d]``. With ``keep`` of at least ``d`` the map is the identity.
    """
    mean, deviation = x.mean(0), x.std(0)
    if keep >= x.shape[1]:
        return torch.zeros_like(mean), torch.eye(x.shape[1])
    scale = torch.where(deviation > 1e-9, 1 / deviation.clamp(min=1e-9), 0.0)
    directions = torch.linalg.svd((x - mean) * scale, full_matrices=False).Vh[:keep]
    return mean, (scale * directions).mT.contiguous()


class ProjectedMIST(MIST):
    """A :class:`MIST` that sees ``(x - mean) @ map`` of each side.

    What the maps leave out of MI is left to the training to make up for. The estimate is no longer
    free of the order of the columns or of the swap of the sides.

    Args:
        config: of the network.
        projection: the sizes of the maps, which are buffers.
    """

    mean_x: Tensor
    mean_y: Tensor
    map_x: Tensor
    map_y: Tensor

    def __init__(self, config: MISTConfig, projection: Projection) -> None:
        super().__init__(config)
        p = self.projection = projection
        for side, d, k in (("x", p.dx, p.kx), ("y", p.dy, p.ky)):
            self.register_buffer(f"mean_{side}", torch.zeros(d))
            self.register_buffer(f"map_{side}", torch.zeros(d, k))

    def project(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Both sides, ``[..., dx]`` and ``[..., dy]``, on the kept directions.

        Raises:
            ValueError: for other numbers of columns than the weights were adapted to.
        """
        for name, value, d in (("first", x, self.projection.dx), ("second", y, self.projection.dy)):
            if value.shape[-1] != d:
                raise ValueError(
                    f"expected {d} columns of the {name} variable, as these weights were adapted "
                    f"to, got {value.shape[-1]}"
                )
        a = (x.to(self.map_x.dtype) - self.mean_x) @ self.map_x
        b = (y.to(self.map_y.dtype) - self.mean_y) @ self.map_y
        return a, b

    def forward(self, x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
        """Quantiles ``[B, Q]`` of I(X;Y) in nats, as :meth:`MIST.forward`."""
        return super().forward(*self.project(x, y), mask)
