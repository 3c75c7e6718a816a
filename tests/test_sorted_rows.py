"""Rows in order, where the order of columns does not count."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import torchmist
from torchmist.models.sorted_rows import with_sorted_rows
from torchmist.weights import load_pretrained


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def greatest(x: Tensor) -> Tensor:
    return x.amax(-1, keepdim=True)


def middle(x: Tensor) -> Tensor:
    return x.median(-1, keepdim=True).values


def reach(x: Tensor) -> Tensor:
    return greatest(x) + greatest(-x)


def noisy(value: Tensor, share: float = 0.2) -> Tensor:
    return value + share * value.std() * draw(*value.shape, seed=1)


@pytest.mark.parametrize("follow", [greatest, middle, reach])
@pytest.mark.parametrize("columns", [6, 20])
def test_rows_are_put_in_order(follow: Callable[[Tensor], Tensor], columns: int) -> None:
    x = draw(1, 600, columns)
    y = noisy(follow(x))
    for (place, (found, other)), (_, (one, swapped)) in zip(
        with_sorted_rows(x, y), with_sorted_rows(y, x), strict=True
    ):
        assert place == 0 and found.shape == swapped.shape == x.shape
        assert other.shape == one.shape == y.shape
        assert (found.diff(dim=-1) >= 0).all() and (swapped.diff(dim=-1) >= 0).all()
    assert list(with_sorted_rows(x, y))


def test_they_are_on_both_sides() -> None:
    x, y = draw(1, 1000, 6), draw(1, 1000, 5, seed=2)
    y = y + greatest(x) - greatest(y)  # of the same largest
    (_, (one, other)), *_ = with_sorted_rows(x, y)
    assert (one.diff(dim=-1) >= 0).all() and (other.diff(dim=-1) >= 0).all()


def test_units_may_differ() -> None:
    x = draw(1, 600, 6)
    y = noisy(greatest(x))
    (_, (found, _)), *_ = with_sorted_rows(x * torch.tensor([0.01, 0.1, 1, 5, 20, 400]), y)
    assert (found.diff(dim=-1) >= 0).all() and float(found.std(1).amax()) < 5


@pytest.mark.parametrize("columns", [3, 8, 40])
def test_what_is_of_single_columns_is_left_as_it_is(columns: int) -> None:
    x = draw(1, 400, columns)
    weights = torch.linspace(-1, 1, columns)
    for y in (draw(1, 400, 3, seed=3), noisy((x * weights).sum(-1, keepdim=True)), x[..., :2]):
        assert not list(with_sorted_rows(x, y))


def test_few_rows_and_columns_are_left_out() -> None:
    x = draw(1, 400, 6)
    y = noisy(greatest(x))
    assert not list(with_sorted_rows(x[:, :100], y[:, :100]))
    assert not list(with_sorted_rows(x[..., :2], noisy(greatest(x[..., :2]))))
    wide = draw(1, 400, 65)
    assert not list(with_sorted_rows(wide, noisy(greatest(wide))))


@pytest.mark.parametrize("columns", [8, 20])
def test_the_information_of_the_largest_is_seen(columns: int) -> None:
    x, many = draw(400, columns), greatest(draw(200_000, columns, seed=5))
    noise = 0.1 * float(many.std())
    y = greatest(x) + noise * draw(400, 1, seed=1)
    drawn = many + noise * draw(200_000, 1, seed=6)
    share = torch.histc(drawn, 400) / len(drawn)
    entropy = math.log(float(drawn.amax() - drawn.amin()) / 400) - float(share.xlogy(share).sum())
    truth = entropy - 0.5 * math.log(2 * math.pi * math.e * noise**2)
    found = torchmist.estimate(x, y)
    low, high = found.interval()
    assert low < truth < high and abs(found.mean - truth) < 0.3


def test_neither_padding_nor_the_order_of_rows_counts_and_there_is_a_gradient() -> None:
    x = draw(1, 300, 8)
    sides = [torch.cat([a, draw(*a.shape, seed=9)]) for a in (x, noisy(greatest(x)))]
    duo = load_pretrained("mist")
    order = torch.randperm(300)
    padded = [torch.cat([side, 10 * draw(2, 50, side.shape[-1])], 1) for side in sides]
    mask = (torch.arange(350)[None] < 300).expand(2, -1)
    sides[0].requires_grad_()
    found = duo(*sides)
    (gradient,) = torch.autograd.grad(found.sum(), sides[0])
    assert gradient.isfinite().all() and (gradient.abs().amax((1, 2)) > 0).all()
    with torch.no_grad():
        for same in (duo(*(side[:, order] for side in sides)), duo(*padded, mask)):
            torch.testing.assert_close(same, found.detach(), atol=2e-3, rtol=2e-3)
