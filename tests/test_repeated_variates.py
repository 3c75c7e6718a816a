"""What variates say once, where columns are functions of few numbers, and where they are not."""

from __future__ import annotations

import math

import pytest
import torch

from torchmist.models.repeated_variates import Repeated, repeated_information

RHO = 0.9


def _normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _pair(n: int, k: int, batch: int = 1) -> tuple[torch.Tensor, torch.Tensor, float]:
    u = _normal(batch, n, k)
    v = RHO * u + math.sqrt(1 - RHO**2) * _normal(batch, n, k, seed=1)
    return u, v, -k / 2 * math.log(1 - RHO**2)


def _products(u: torch.Tensor) -> torch.Tensor:
    one, other = torch.triu_indices(u.shape[-1], u.shape[-1])
    return torch.cat([u, u[..., one] * u[..., other]], -1)


def _layer(u: torch.Tensor, seed: int) -> torch.Tensor:
    k = u.shape[-1]
    return (u @ _normal(k, 64, seed=seed) / math.sqrt(k) + 0.5 * _normal(64, seed=seed + 9)).relu()


def _whole(found: Repeated) -> torch.Tensor:
    return torch.cat(found, -1)


def test_products_of_columns_are_not_counted_twice() -> None:
    u, v, truth = _pair(2000, 4)
    found = repeated_information(_products(u), _products(v))
    assert float(found.linear) > 2 * truth
    assert float(found.once) == pytest.approx(truth, rel=0.05)
    assert float(found.once) <= float(found.either) < 1.2 * truth
    assert float(found.number) == 14 and float(found.new) == pytest.approx(4, abs=0.3)


def test_layers_of_few_numbers_are_not_counted_many_times() -> None:
    u, v, truth = _pair(3000, 4)
    found = repeated_information(_layer(u, 2), _layer(v, 3))
    assert float(found.linear) > 2 * truth
    assert truth < float(found.once) < 1.15 * truth


@pytest.mark.parametrize(("n", "k"), [(300, 8), (2000, 20)])
def test_independent_pairs_count_in_full(n: int, k: int) -> None:
    u, v, _ = _pair(n, k, batch=4)
    turn = torch.linalg.qr(_normal(4, k, k, seed=5)).Q
    found = repeated_information(u @ turn, v)
    torch.testing.assert_close(found.once, found.linear, atol=0.02, rtol=0.01)
    torch.testing.assert_close(found.either, found.linear, atol=0.02, rtol=0.01)


def test_what_one_side_repeats_alone_is_new_on_the_other() -> None:
    u, _, _ = _pair(2000, 2)
    x, noise = _products(u), _normal(1, 2000, 5, seed=8)
    found = repeated_information(x, x + 0.5 * noise)
    assert float(found.once) < 0.7 * float(found.either)
    assert float(found.either) < 0.95 * float(found.linear)


def test_in_single_or_too_many_columns_or_few_rows_nothing_is_sought() -> None:
    x = _normal(2, 200, 130)
    for a, b in ((x[..., :1], x[..., :4]), (x, x[..., :3]), (x[..., :60], x[..., :60])):
        assert not _whole(repeated_information(a, b)).any()
    assert _whole(repeated_information(x[..., :4], x[..., :4])).any()


def test_variates_count_however_a_side_is_ordered_and_bent() -> None:
    u, v, _ = _pair(500, 3)
    x, y = _products(u), _products(v)
    expected = _whole(repeated_information(x, y))
    rows = torch.randperm(500, generator=torch.Generator().manual_seed(0))
    columns = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    for other in (
        repeated_information(y, x),
        repeated_information(x[:, rows], y[:, rows]),
        repeated_information(x[..., columns], -y),
        repeated_information(x.exp(), y**3 + y),
    ):
        torch.testing.assert_close(_whole(other), expected, atol=5e-3, rtol=5e-3)


def test_padding_changes_nothing() -> None:
    u, v, _ = _pair(500, 3)
    x, y = _products(u), _products(v)
    padded = [torch.cat([side, _normal(1, 40, 9, seed=9)], 1) for side in (x, y)]
    mask = torch.arange(540)[None] < 500
    found = _whole(repeated_information(padded[0], padded[1], mask))
    torch.testing.assert_close(found, _whole(repeated_information(x, y)), atol=5e-3, rtol=5e-3)


def test_what_is_said_once_rises_along_its_gradient() -> None:
    u, v, _ = _pair(500, 3)
    x, y = _products(u).requires_grad_(), _products(v)
    before = repeated_information(x, y).once.sum()
    (slope,) = torch.autograd.grad(before, x)
    assert bool(slope.isfinite().all()) and bool(slope.any())
    moved = (x + 0.3 * slope / slope.abs().amax()).detach()
    assert repeated_information(moved, y).once.sum() > before


def test_rows_of_which_no_regression_can_be_solved_repeat_nothing() -> None:
    x = torch.zeros(1, 200, 20)
    x[:, :2] = torch.tensor([[1.0], [-1.0]])
    found = torch.cat(repeated_information(x, x.clone()), -1)
    assert found.isfinite().all()
