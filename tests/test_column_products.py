"""What products of columns show; nothing is made of chance, nor of what columns share."""

from __future__ import annotations

import math

import pytest
import torch

from torchmist.models import column_products
from torchmist.models.column_products import crossed_information
from torchmist.models.variates import SUMS, VARIATE_OPINIONS

BOUNDS = slice(-2 * len(SUMS), -len(SUMS))


def _normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _bits(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 2, shape, generator=torch.Generator().manual_seed(seed)).float()


def _bilinear(n: int, d: int) -> tuple[torch.Tensor, torch.Tensor]:
    a, b = _normal(4, n, d), _normal(4, n, d, seed=1)
    y = (a * b).sum(-1, keepdim=True) / math.sqrt(d) + 0.3 * _normal(4, n, 1, seed=2)
    return torch.cat([a, b], -1), y


def test_a_bilinear_form_of_sixteen_columns_is_found() -> None:
    found = crossed_information(*_bilinear(1000, 8))
    assert torch.equal(found.kept, torch.tensor([[8.0, 0.0]]).expand(4, -1))
    assert (found.opinions[:, BOUNDS] > 1.0).all()  # of 1.2 nats
    assert (found.opinions[:, BOUNDS] < 1.25).all()


def test_the_parity_of_three_bits_among_thirteen_is_found() -> None:
    x = _bits(4, 500, 13)
    found = crossed_information(x, x[..., :3].sum(-1, keepdim=True) % 2)
    assert (found.kept[:, 0] >= 1).all()
    expected = torch.full((4, len(SUMS)), math.log(2))
    torch.testing.assert_close(found.opinions[:, BOUNDS], expected, rtol=0, atol=0.03)


def test_a_value_that_a_bit_chooses_is_found() -> None:
    bit, x = _bits(4, 500, 1), _normal(4, 500, 4)
    y = torch.where(bit > 0, x[..., :1], x[..., 1:2]) + 0.2 * _normal(4, 500, 1, seed=1)
    found = crossed_information(torch.cat([bit, x], -1), y)
    assert (found.kept[:, 0] >= 2).all() and (found.opinions[:, :2] > 1.2).all()


def test_signs_of_rows_that_each_side_has_of_its_own_are_seen_through() -> None:
    a = _normal(4, 1000, 4)
    sides = [a * _bits(4, 1000, 1, seed=s).sub(0.5).sign() for s in (1, 2)]
    y = sides[1] + 0.3 * _normal(4, 1000, 4, seed=3)
    found = crossed_information(sides[0], y)
    assert (found.kept >= 4).all() and (found.opinions[:, BOUNDS].amax(-1) > 1.0).all()


@pytest.mark.parametrize(("n", "d"), [(24, 3), (128, 24), (256, 16), (1000, 40)])
def test_independent_columns_have_none(n: int, d: int) -> None:
    found = crossed_information(_normal(4, n, d), _normal(4, n, d, seed=1))
    assert torch.cat(found, -1).abs().max() == 0


@pytest.mark.parametrize("n", [256, 1000])
def test_rare_ones_have_none(n: int) -> None:
    chance = 0.01 + 0.03 * torch.rand(4, 1, 20, generator=torch.Generator().manual_seed(2))
    x, y = ((_normal(4, n, 20, seed=s) > chance.erfinv().mul(-1).add(2.0)).float() for s in (0, 1))
    assert crossed_information(x, y).kept.max() == 0


@pytest.mark.parametrize("rho", [0.5, 0.9, 0.99])
def test_what_gaussian_columns_share_is_no_matter_of_products(rho: float) -> None:
    x = _normal(4, 1000, 8) @ _normal(8, 8, seed=1)
    x = x / x.std(1, keepdim=True)
    y = (rho * x + math.sqrt(1 - rho**2) * _normal(4, 1000, 8, seed=2)) @ _normal(8, 8, seed=3)
    assert crossed_information(x, y).kept.max() == 0


def test_the_order_of_rows_and_columns_and_of_the_sides_changes_nothing() -> None:
    x, y = _bilinear(400, 2)
    rows = torch.randperm(400, generator=torch.Generator().manual_seed(0))
    told = torch.cat(crossed_information(x, y), -1)
    for again in (
        crossed_information(y, x),
        crossed_information(x[:, rows], y[:, rows]),
        crossed_information(x[..., [2, 0, 3, 1]], y),
        crossed_information(x.exp(), -y),
    ):
        torch.testing.assert_close(torch.cat(again, -1), told, rtol=1e-3, atol=2e-3)


def test_padding_is_not_read_and_other_datasets_neither() -> None:
    x, y = _bilinear(400, 2)
    x[1] = _normal(400, 4, seed=5)  # one of the four shows nothing
    counts = torch.tensor([400, 400, 300, 200])
    mask = torch.arange(400) < counts[:, None]
    told = torch.cat(crossed_information(x, y, mask), -1)
    assert told[1].abs().max() == 0 and (told[[0, 2, 3], -2] > 0).all()
    for k, n in enumerate(counts.tolist()):
        alone = torch.cat(crossed_information(x[k : k + 1, :n], y[k : k + 1, :n]), -1)
        torch.testing.assert_close(told[k : k + 1], alone, rtol=1e-3, atol=5e-3)


def test_a_gradient_reaches_the_columns_of_a_product() -> None:
    x, y = _bilinear(300, 2)
    x.requires_grad_()
    crossed_information(x, y).opinions[:, :2].sum().backward()
    assert bool(x.grad.isfinite().all()) and bool((x.grad.abs().sum(1) > 0).all())


def test_targets_of_two_columns_are_left_out_where_they_are_too_many(monkeypatch) -> None:
    monkeypatch.setattr(column_products, "_COMPARED", 0)
    assert (crossed_information(*_bilinear(500, 2)).kept[:, 0] >= 2).all()


@pytest.mark.parametrize("d", [1, 65])
def test_sides_of_many_columns_have_none_and_single_ones_neither(d: int) -> None:
    x = _normal(2, 100, d)
    assert torch.cat(crossed_information(x, x), -1).abs().max() == 0
    assert crossed_information(x, x).opinions.shape == (2, VARIATE_OPINIONS)
