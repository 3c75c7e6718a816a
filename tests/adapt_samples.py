"""Samples that the tests of adaptation share."""

from __future__ import annotations

import torch


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def mixed(n: int, d: int) -> torch.Tensor:
    """Skewed, strongly mixed columns."""
    return (draw(n, d) + draw(n, 1, seed=1)).exp() + 0.1 * draw(n, d, seed=2)
