"""A regression that learns: bounds rise with the rows, and fall where there is noise."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from torchmist.models.number_curves import NUMBER_COUNT, NumberCurves, number_curves


def rows(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.randn(1, n, d, generator=torch.Generator().manual_seed(seed))


def form(x: Tensor, noise: float, seed: int = 7) -> Tensor:
    """The size of a row, with noise of so many of its deviations."""
    size = x.square().sum(-1, keepdim=True)
    return size / size.std() + noise * rows(x.shape[1], 1, seed)


def test_bounds_rise_with_the_rows_and_stay_below_the_truth() -> None:
    x = rows(1200, 5)
    found = NumberCurves.of(number_curves(x, form(x, 0.3)))
    whole, half, quarter = found.bounds[0].tolist()
    assert quarter + 0.005 < half < whole - 0.005
    assert 0.7 < whole < -0.5 * math.log(0.3**2 / 1.09) + 0.05
    assert float(found.linear) < 0.02 and 0.6 < float(found.even) < 0.85


def test_sums_of_bent_columns_are_learned_by_their_own_regression() -> None:
    x = rows(800, 12)
    y = (2 * x).sin().sum(-1, keepdim=True) / 12**0.5 + 0.2 * rows(800, 1, 5)
    found = NumberCurves.of(number_curves(x, y))
    assert float(found.sums[0, 0]) > 0.8 and float(found.bounds[0, 0]) < 0.3


def test_little_noise_shows_where_rows_lie_densely() -> None:
    x = rows(1200, 5)
    wave = (2 * x @ rows(5, 8, 3)[0] / 5**0.5).cos().sum(-1, keepdim=True) / 2
    noisy = [wave + noise * rows(1200, 1, 5) for noise in (0.02, 0.6)]
    ends = [NumberCurves.of(number_curves(x, y)) for y in noisy]
    beyond = [float(found.dense[0, 1] - found.bounds[0, 0]) for found in ends]
    assert beyond[0] > beyond[1] + 0.1


def test_nothing_is_said_of_independent_linear_and_labelled_sides() -> None:
    x = rows(400, 6)
    for y in (rows(400, 1, 3), x[..., :1] + rows(400, 1, 3), (x[..., :1] > 0).float()):
        assert not number_curves(x, y).any()
    assert not number_curves(rows(60, 6), form(rows(60, 6), 0.1)).any()
    assert not number_curves(rows(300, 2), form(rows(300, 2), 0.1)).any()
    assert not number_curves(x, rows(400, 5) ** 2).any()


def test_order_sides_and_padding_do_not_matter() -> None:
    x = rows(300, 5)
    y = torch.cat([form(x, 0.2), x[..., 1:2].abs() + 0.3 * rows(300, 1, 4)], -1)
    whole = number_curves(x, y)
    assert whole.shape == (1, NUMBER_COUNT) and whole.any()
    torch.testing.assert_close(number_curves(y, x), whole)
    order = torch.randperm(300, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(number_curves(x[:, order], y[:, order]), whole)
    padded = [torch.cat([side, rows(40, side.shape[-1], 3)], 1) for side in (x, y)]
    mask = torch.arange(340)[None] < 300
    torch.testing.assert_close(number_curves(*padded, mask), whole, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(number_curves(x, y[..., [1, 0]]), whole, atol=1e-4, rtol=1e-4)


def test_both_sides_may_be_predicted_and_the_better_one_counts() -> None:
    x = rows(400, 3)
    y = torch.cat([form(x, 0.1), rows(400, 2, 5)], -1)
    found = NumberCurves.of(number_curves(x, y))
    torch.testing.assert_close(number_curves(y, x), torch.cat(found, -1))
    assert float(found.bounds[0, 0]) > 0.5


def test_a_gradient_reaches_both_sides() -> None:
    x = rows(200, 4).requires_grad_()
    y = form(x.detach(), 0.3).requires_grad_()
    found = number_curves(x, y)
    for gradient in torch.autograd.grad(found[:, 0].sum(), (x, y)):
        assert gradient.isfinite().all() and gradient.abs().amax() > 0


@pytest.mark.parametrize("copies", [1, 40])
def test_constant_and_repeated_columns_do_no_harm(copies: int) -> None:
    x = rows(300, 5)
    x = torch.cat([x, *([x[..., :1]] * copies), torch.ones_like(x[..., :1])], -1)
    assert number_curves(x, form(x[..., :5], 0.3)).isfinite().all()
