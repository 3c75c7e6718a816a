"""What even functions of few directions show: at most the truth, and nothing of other sides."""

from __future__ import annotations

import pytest
import torch
from padded_datasets import assert_padding_changes_nothing

from torchmist.models.even_directions import EvenDirections, even_information


def _normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _turned(n: int, d: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Normal rows ``[1, N, d]`` and the same in a frame of their own."""
    u = _normal(1, n, d)
    return u, u @ torch.linalg.qr(_normal(d, d, seed=1)).Q


def _whole(found: EvenDirections) -> torch.Tensor:
    return torch.cat(found, -1)


def _modulus(n: int, d: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A modulus with noise of 0.3, of 0.77 nats."""
    u, x = _turned(n, d)
    return x, u[..., :1].abs() + 0.3 * _normal(1, n, 1, seed=2)


@pytest.mark.parametrize(("n", "d", "least"), [(1000, 12, 0.6), (1000, 40, 0.45), (3000, 40, 0.55)])
def test_a_modulus_of_a_direction_is_seen(n: int, d: int, least: float) -> None:
    found = even_information(*_modulus(n, d))
    assert least < float(found.one) < 0.85 and least - 0.1 < float(found.form) < 0.85
    assert float(found.sum) == pytest.approx(max(float(found.one), float(found.form)))
    assert float(found.sure) > 10 and float(found.number) == 1


def test_a_product_of_directions_is_a_form() -> None:
    u, x = _turned(1500, 20)
    y = u[..., :1] * u[..., 1:2] + 0.3 * _normal(1, 1500, 1, seed=2)
    found = even_information(x, y)
    assert float(found.form) > 0.8 > 1.6 * float(found.one)


def test_columns_that_show_directions_of_their_own_add_up() -> None:
    u, x = _turned(2000, 20)
    y = _normal(1, 2000, 12, seed=2)
    y = torch.cat([u[..., :2].abs() + 0.3 * y[..., :2], y[..., 2:]], -1)
    found = even_information(x, y)
    assert float(found.number) == 2
    assert 1.7 * float(found.one) < float(found.sum) < 1.54


@pytest.mark.parametrize("d", [8, 20, 64])
def test_of_independent_and_normal_sides_nothing_is_made(d: int) -> None:
    x, y = _normal(6, 600, d), _normal(6, 600, d, seed=1)
    assert not _whole(even_information(x, y)).any()
    scaled = [side * _normal(6, 600, 1, seed=k).exp() for k, side in enumerate((x, y))]
    assert float(_whole(even_information(*scaled))[:, 2].amax()) < 0.05


@pytest.mark.parametrize(("n", "dx", "dy"), [(127, 8, 1), (500, 7, 7), (500, 65, 1), (200, 60, 1)])
def test_in_few_or_many_columns_and_few_rows_nothing_is_sought(n: int, dx: int, dy: int) -> None:
    x = _normal(1, n, dx)
    assert not _whole(even_information(x, x[..., :dy].abs())).any()


def test_directions_count_however_a_sample_is_ordered_and_bent() -> None:
    x, y = _modulus(900, 16)
    y = torch.cat([y, _normal(1, 900, 2, seed=5)], -1)
    expected = _whole(even_information(x, y))
    rows = torch.randperm(900, generator=torch.Generator().manual_seed(0))
    columns = torch.randperm(16, generator=torch.Generator().manual_seed(1))
    for other in (
        even_information(y, x),
        even_information(x[:, rows], y[:, rows]),
        even_information(x[..., columns], -y[..., [2, 0, 1]]),
        even_information(x, y**3 + y),
    ):
        torch.testing.assert_close(_whole(other), expected, atol=0.01, rtol=0.01)


def test_columns_of_one_number_count_once_in_the_sum() -> None:
    u, noise = _normal(1, 1200, 16), _normal(1, 1200, 6, seed=1)
    same = 1.6 * u[..., :1].abs() + 0.5 * noise[..., :3]
    found = even_information(u, torch.cat([same, noise[..., 3:]], -1))
    torch.testing.assert_close(found.sum, torch.maximum(found.one, found.form))
    assert float(found.number) == 1
    apart = 1.6 * u[..., :3].abs() + 0.5 * noise[..., :3]
    found = even_information(u, torch.cat([apart, noise[..., 3:]], -1))
    assert float(found.number) == 3 and found.sum > 2 * torch.maximum(found.one, found.form)


def test_padding_and_other_datasets_change_nothing() -> None:
    x, y = _modulus(800, 12)
    assert_padding_changes_nothing(lambda *sides: _whole(even_information(*sides)), x, y)


def test_what_directions_show_rises_along_its_gradient() -> None:
    x, y = _modulus(800, 12)
    y.requires_grad_()
    before = even_information(x, y).sum.sum()
    (slope,) = torch.autograd.grad(before, y)
    assert bool(slope.isfinite().all()) and bool(slope.any())
    moved = (y + 0.3 * slope / slope.abs().amax()).detach()
    assert even_information(x, moved).sum.sum() > before


def test_columns_that_are_constant_have_no_gradient_and_spoil_none() -> None:
    x, y = _modulus(800, 12)
    still = torch.cat([y, torch.full((1, 800, 2), 3.0)], -1).requires_grad_()
    found = even_information(x, still)
    torch.testing.assert_close(_whole(found), _whole(even_information(x, y)))
    (slope,) = torch.autograd.grad(found.sum.sum(), still)
    assert bool(slope.isfinite().all()) and bool(slope[..., 0].any())
    assert not slope[..., 1:].any()
