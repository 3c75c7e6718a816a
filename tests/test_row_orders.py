"""The order of columns within rows: values in rising order, and ranks."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from padded_datasets import assert_only_the_rows_count
from torch import Tensor

import torchmist
from torchmist.models.row_orders import by_row_order


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


def rising(side: Tensor) -> bool:
    return bool((side.diff(dim=-1) >= 0).all())


@pytest.mark.parametrize("follow", [greatest, middle, reach])
@pytest.mark.parametrize("columns", [6, 20])
def test_values_are_put_in_order(follow: Callable[[Tensor], Tensor], columns: int) -> None:
    x = draw(1, 600, columns)
    y = noisy(follow(x))
    found = list(by_row_order(x, y))
    assert any(rising(one) for _, (one, _) in found)
    for (place, (one, other)), (_, (swapped, again)) in zip(found, by_row_order(y, x), strict=True):
        assert place == 0 and one.shape == again.shape == x.shape
        assert other.shape == swapped.shape == y.shape
        torch.testing.assert_close(one, again)


def test_they_are_on_both_sides() -> None:
    x, y = draw(1, 1000, 6), draw(1, 1000, 5, seed=2)
    y = y + greatest(x) - greatest(y)  # of the same largest
    assert any(rising(one) and rising(other) for _, (one, other) in by_row_order(x, y))


def test_units_may_differ() -> None:
    x = draw(1, 600, 6)
    found = by_row_order(x * torch.tensor([0.01, 0.1, 1, 5, 20, 400]), noisy(greatest(x)))
    assert any(rising(one) and float(one.std(1).amax()) < 5 for _, (one, _) in found)


@pytest.mark.parametrize("place", [2, 4])
def test_which_column_has_a_rank_is_seen(place: int) -> None:
    x = draw(600, 6)
    label = x.argsort(-1)[:, place]
    found = by_row_order(x[None], torch.nn.functional.one_hot(label).float()[None])
    ranks = x.argsort(-1).argsort(-1).float().sum(0)
    assert any(torch.equal(one[0].sum(0), ranks) for _, (one, _) in found)
    told = torchmist.estimate(x, label)
    low, high = told.interval()
    assert low < math.log(6) < high + 1e-6 and told.mean > math.log(6) - 0.15


@pytest.mark.parametrize("columns", [3, 8, 40])
def test_what_is_of_single_columns_is_left_as_it_is(columns: int) -> None:
    x = draw(1, 400, columns)
    weights = torch.linspace(-1, 1, columns)
    for y in (draw(1, 400, 3, seed=3), noisy((x * weights).sum(-1, keepdim=True)), x[..., :2]):
        assert not list(by_row_order(x, y))


def test_few_rows_and_columns_are_left_out() -> None:
    x = draw(1, 400, 6)
    y = noisy(greatest(x))
    assert not list(by_row_order(x[:, :100], y[:, :100]))
    assert not list(by_row_order(x[..., :2], noisy(greatest(x[..., :2]))))
    wide = draw(1, 400, 65)
    assert not list(by_row_order(wide, noisy(greatest(wide))))


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
    x = draw(300, 8)
    assert_only_the_rows_count(x, noisy(greatest(x)))
