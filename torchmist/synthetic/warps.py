"""Coordinate-wise increasing maps of the paper's meta-distribution; none changes MI."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["WARPS"]

Warp = Callable[[Tensor], Tensor]


def _identity(x: Tensor) -> Tensor:
    return x


def _half_cube(x: Tensor) -> Tensor:
    return x * x.abs().sqrt()


def _wiggly_x(x: Tensor) -> Tensor:
    sines = 0.4 * torch.sin(x) + 0.2 * torch.sin(1.7 * x + 1) + 0.03 * torch.sin(3.3 * x - 2.5)
    return x + sines


def _wiggly_y(y: Tensor) -> Tensor:
    sines = 0.17 * torch.sin(1.3 * y + 3.5) - 0.4 * torch.sin(0.4 * y)
    return y + sines + 0.02 * torch.sin(4.3 * y - 2.5)


WARPS: dict[str, tuple[Warp, Warp]] = {
    "base": (_identity, _identity),
    "halfcube": (_half_cube, _half_cube),
    "asinh": (torch.asinh, torch.asinh),
    "wigglify": (_wiggly_x, _wiggly_y),
}
"""Name to the maps of X and of Y, as in the bmi benchmark (Czyz et al. 2023)."""
