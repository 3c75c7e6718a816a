"""Views of an item: what one side shows of it, and how likely each item makes what is seen.

Legend: ``B`` datasets, ``M`` items, ``R`` draws, ``d`` columns.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

__all__ = ["NormalView", "View", "view_dtype"]


class View(Protocol):
    """One side of the items: draws of it, and log densities up to a constant of the draw."""

    @property
    def size(self) -> tuple[int, int]:
        """Numbers of datasets and of items."""

    def draw(self, item: Tensor, generator: torch.Generator) -> Tensor:
        """What is seen of each item ``[B, R]``, ``[B, R, d]``."""

    def logits(self, values: Tensor) -> Tensor:
        """Log densities of each item ``[B, R, M]`` up to a constant of each draw."""


def view_dtype() -> torch.dtype:
    """The type of densities: float64 where products of float32 are not exact.

    Distances need full precision: TF32 or bfloat16 products would ruin their differences.
    """
    exact = torch.get_float32_matmul_precision() == "highest"
    return torch.float32 if exact else torch.float64


class NormalView:
    """Normal columns around what the items look like.

    Args:
        means: what the items look like, ``[B, M, d]``.
        scale: standard deviations of the noise, ``[B, 1, d]`` or per item ``[B, M, d]``.
    """

    def __init__(self, means: Tensor, scale: Tensor) -> None:
        dtype = view_dtype()
        means, scale = means.to(dtype), scale.to(dtype)
        self.shared = scale.shape[1] == 1
        self.means = means - means.mean(1, keepdim=True)
        if self.shared:
            self.means = self.means / scale
            self.scale = torch.ones_like(scale)
            self.centre = self.means.mT
            self.constant = 0.5 * self.means.square().sum(-1)
        else:
            self.scale = scale
            precision = scale.square().reciprocal()
            self.centre = torch.cat([-0.5 * precision, self.means * precision], -1).mT
            squares = 0.5 * self.means.square() * precision
            self.constant = (squares + scale.log()).sum(-1)

    @property
    def size(self) -> tuple[int, int]:
        """Numbers of datasets and of items."""
        return self.means.shape[0], self.means.shape[1]

    def draw(self, item: Tensor, generator: torch.Generator) -> Tensor:
        """A noisy view of each item ``[B, R]``, ``[B, R, d]``."""
        index = item[..., None].expand(-1, -1, self.means.shape[-1])
        shape, device = index.shape, self.means.device
        noise = torch.randn(shape, generator=generator, device=device).to(self.means.dtype)
        if not self.shared:
            noise = noise * self.scale.gather(1, index)
        return self.means.gather(1, index) + noise

    def logits(self, values: Tensor) -> Tensor:
        """Log densities of each item ``[B, R, M]`` up to a constant of each draw."""
        if not self.shared:
            values = torch.cat([values.square(), values], -1)
        return torch.baddbmm(self.constant[:, None], values, self.centre, beta=-1)
