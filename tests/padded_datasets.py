"""What is found of a dataset, also where it is padded and another one stands beside it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Found = Callable[..., Tensor]


def _normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def assert_padding_changes_nothing(find: Found, x: Tensor, y: Tensor) -> None:
    """``find(x, y)`` ``[1, R]`` of sides ``[1, N, d]`` is what it finds of them with 50 rows of
    padding, beside a dataset without any."""
    n = x.shape[1]
    expected = find(x, y)
    padded = [torch.cat([s, _normal(1, 50, s.shape[-1], seed=9)], 1) for s in (x, y)]
    both = [torch.cat([s, _normal(1, n + 50, s.shape[-1], seed=8)]) for s in padded]
    mask = torch.arange(n + 50).expand(2, -1) < torch.tensor([[n], [n + 50]])
    found = find(both[0], both[1], mask)
    torch.testing.assert_close(found[:1], expected, atol=1e-3, rtol=1e-3)
