"""What is found of a dataset, also where it is padded and another one stands beside it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from torchmist.weights import load_pretrained

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


def assert_only_the_rows_count(x: Tensor, y: Tensor) -> None:
    """What the default weights say of sides ``[N, d]`` and of noise beside them changes with no
    order of the rows, no padding and no other dataset, and has a gradient everywhere."""
    sides = [torch.stack([side, _normal(*side.shape, seed=9)]) for side in (x, y)]
    duo, n = load_pretrained("mist"), len(x)
    order = torch.randperm(n)
    padded = [torch.cat([s, 10 * _normal(2, 50, s.shape[-1], seed=5)], 1) for s in sides]
    mask = (torch.arange(n + 50)[None] < n).expand(2, -1)
    sides[0].requires_grad_()
    found = duo(*sides)
    (gradient,) = torch.autograd.grad(found.sum(), sides[0])
    assert gradient.isfinite().all() and (gradient.abs().amax((1, 2)) > 0).all()
    with torch.no_grad():
        alone = torch.cat([duo(a[None], b[None]) for a, b in zip(*sides)])
        for same in (alone, duo(*(side[:, order] for side in sides)), duo(*padded, mask)):
            torch.testing.assert_close(same, found.detach(), atol=2e-3, rtol=2e-3)
