"""Rounded columns, whose ties are spread before networks are asked."""

from __future__ import annotations

import math

import pytest
import torch
from padded_datasets import assert_only_the_rows_count
from torch import Tensor

import torchmist
from torchmist.models.spread_ties import with_ties_spread


def pair(rows: int, rho: float = 0.8, seed: int = 0) -> tuple[Tensor, Tensor]:
    z = torch.randn(2, 1, rows, 1, generator=torch.Generator().manual_seed(seed))
    return z[0], rho * z[0] + math.sqrt(1 - rho**2) * z[1]


def rounded(side: Tensor, levels: float = 6.0) -> Tensor:
    return (side * levels).round() / levels


def spread(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    ((place, sides),) = with_ties_spread(x, y)
    assert place == 0
    return sides


def test_values_are_told_from_what_is_spread() -> None:
    x, y = (rounded(side) for side in pair(500))
    a, b = spread(x, y)
    scale = float(x.std() / a.std())  # columns come in another order and in units of their own
    read = [(side * scale * 6).round().sort(1).values for side in (a, b)]
    for found, side in zip(read, (x, y)):
        wanted = (side * 6).round().sort(1).values
        assert float((found - wanted).abs().gt(0.5).float().mean()) < 0.02  # wide gaps in the tails


def test_no_two_rows_are_alike_then() -> None:
    x, y = (rounded(side) for side in pair(500))
    assert all(len(side.unique()) == 500 for side in spread(x, y))


def test_columns_without_ties_stay_as_they_are() -> None:
    x, y = pair(300)
    assert list(with_ties_spread(x, y)) == []
    a, b = spread(rounded(x), y)
    assert len(a.unique()) == 300
    ratio = b.sort(1).values / y.sort(1).values
    torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio))


@pytest.mark.parametrize("levels", [0.5, 2000.0])
def test_few_values_and_hardly_any_ties_are_left(levels: float) -> None:
    x, y = (rounded(side, levels) for side in pair(300))
    assert list(with_ties_spread(x, y)) == []


def test_atoms_are_left() -> None:
    x, y = (side.clamp(min=0.4) for side in pair(300))
    assert list(with_ties_spread(x, y)) == []


def test_order_of_rows_and_sides_do_not_matter() -> None:
    x, y = (rounded(side) for side in pair(200))
    a, b = spread(x, y)
    order = torch.randperm(200, generator=torch.Generator().manual_seed(1))
    for one, other in (spread(x[:, order], y[:, order]), spread(y, x)[::-1]):
        torch.testing.assert_close(one, a)
        torch.testing.assert_close(other, b)


def test_rows_alone_count() -> None:
    x, y = (rounded(side) for side in pair(200))
    assert_only_the_rows_count(x[0], y[0])


@pytest.mark.parametrize("rows", [300, 1000])
def test_rounding_both_sides_costs_little(rows: int) -> None:
    truth, errors = -0.5 * math.log(1 - 0.83**2), torch.zeros(3)
    for seed in range(3):
        x, y = (rounded(side[0]) for side in pair(rows, 0.83, seed))
        found = torchmist.estimate(x, y, discrete_x=False, discrete_y=False)
        errors[seed] = float(found.mean) - truth
    assert abs(float(errors.mean())) < 0.07


def test_the_gradient_goes_through() -> None:
    x, y = (rounded(side) for side in pair(200))
    x.requires_grad_()
    a, _ = spread(x, y)
    a.sum().backward()
    assert x.grad is not None and bool((x.grad != 0).all())
