"""Few directions of rotated columns, that carry all that the other side goes with."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import torchmist
from torchmist.models.sufficient_directions import along_sufficient_directions
from torchmist.weights import load_pretrained


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def rotated(n: int, columns: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Columns ``[1, N, d]`` and what they are mixed of."""
    parts = draw(1, n, columns, seed=seed)
    return parts @ torch.linalg.qr(draw(columns, columns, seed=99)).Q, parts


def flipped(label: Tensor, share: float) -> Tensor:
    """A bit ``[1, N, 1]`` that is wrong in a share of the rows."""
    wrong = torch.rand(label.shape, generator=torch.Generator().manual_seed(7)) < share
    return (label.bool() ^ wrong).float()


def threshold(parts: Tensor) -> Tensor:
    return flipped(parts[..., :1] > 0, 0.1)


def exclusive_or(parts: Tensor) -> Tensor:
    return flipped((parts[..., :1] > 0) ^ (parts[..., 1:2] > 0), 0.1)


def wave(parts: Tensor) -> Tensor:
    return torch.sin(3 * parts[..., :1]) + 0.2 * draw(1, parts.shape[1], 1, seed=1)


_BIT = math.log(2) + 0.1 * math.log(0.1) + 0.9 * math.log(0.9)
_WAVE = 1.154  # numerically, of sin(3 u) + 0.2 e


@pytest.mark.parametrize(
    ("follow", "columns", "directions"), [(threshold, 8, 1), (exclusive_or, 6, 2), (wave, 8, 1)]
)
def test_directions_are_found_and_their_number(
    follow: Callable[[Tensor], Tensor], columns: int, directions: int
) -> None:
    x, parts = rotated(600, columns)
    ((place, found),) = along_sufficient_directions(x, follow(parts))
    assert place == 0
    for along, other in filter(None, (found.apart, found.whole)):
        assert along.shape[:2] == (1, 600) and other.shape == (1, 600, 1)
        assert directions <= along.shape[-1] <= directions + 1


@pytest.mark.parametrize(
    ("follow", "columns", "truth"),
    [(threshold, 8, _BIT), (exclusive_or, 6, _BIT), (wave, 8, _WAVE)],
)
def test_what_they_share_is_seen(
    follow: Callable[[Tensor], Tensor], columns: int, truth: float
) -> None:
    x, parts = rotated(1000, columns, seed=3)
    y = follow(parts)[0]
    found = torchmist.estimate(x[0], y)
    low, high = found.interval()
    assert low < truth < high and abs(found.mean - truth) < 0.12 * truth + 0.02
    swapped = torchmist.estimate(y, x[0])
    assert abs(swapped.mean - found.mean) < 1e-2


def test_none_are_found_between_independent_sides() -> None:
    found = 0
    for seed in range(24):
        columns, kind = 3 + seed % 9, seed % 3
        x, y = draw(1, 300, columns, seed=seed), draw(1, 300, 2, seed=1000 + seed)
        y = y[..., :1] if kind == 0 else (y > 0).float() if kind == 1 else y
        found += len(list(along_sufficient_directions(x, y)))
    assert found <= 1


def test_few_columns_few_rows_and_more_than_twelve_on_both_sides_are_left_out() -> None:
    for n, dx, dy in ((300, 2, 1), (100, 4, 1), (150, 48, 1), (400, 20, 13)):
        x = draw(1, n, dx)
        y = torch.cat([x[..., :1] > 0, draw(1, n, dy - 1, seed=1)], -1).float()
        assert not list(along_sufficient_directions(x, y))


def test_none_are_sought_where_all_are_linear() -> None:
    for columns in (4, 8):
        x = draw(1, 600, columns)
        assert not list(along_sufficient_directions(x, x + draw(1, 600, columns, seed=1)))


def test_many_columns_are_seen_through_principal_components() -> None:
    parts = draw(1, 1000, 6, seed=10)
    x = parts @ draw(6, 150, seed=11) + 0.3 * draw(1, 1000, 150, seed=12)
    y = exclusive_or(parts)[0]
    low, high = torchmist.estimate(x[0], y).interval()
    assert low < _BIT < high and low > 0.5 * _BIT


def test_neither_padding_nor_the_order_of_rows_and_columns_counts() -> None:
    x, parts = rotated(400, 5, seed=4)
    y = wave(parts)
    duo = load_pretrained("mist")
    order, place = torch.randperm(400), torch.randperm(5)
    padded = [torch.cat([side, 10 * draw(1, 50, side.shape[-1], seed=5)], 1) for side in (x, y)]
    mask = torch.arange(450)[None] < 400
    with torch.no_grad():
        found = duo(x, y)
        for same in (duo(x[:, order], y[:, order]), duo(-x[..., place], y), duo(*padded, mask)):
            torch.testing.assert_close(same, found, atol=2e-3, rtol=2e-3)
    with torch.inference_mode():
        torch.testing.assert_close(duo(x, y), found)


def test_a_batch_is_answered_as_each_alone_and_has_a_gradient() -> None:
    x, parts = rotated(300, 6, seed=6)
    both = torch.cat([x, draw(1, 300, 6, seed=8)]).requires_grad_()
    y = torch.cat([exclusive_or(parts), draw(1, 300, 1, seed=9)])
    duo = load_pretrained("mist")
    found = duo(both, y)
    with torch.no_grad():
        alone = torch.cat([duo(a[None], b[None]) for a, b in zip(both, y)])
    torch.testing.assert_close(found.detach(), alone, atol=1e-3, rtol=1e-3)
    (gradient,) = torch.autograd.grad(found.sum(), both)
    assert gradient.isfinite().all() and (gradient.abs().amax((1, 2)) > 0).all()
