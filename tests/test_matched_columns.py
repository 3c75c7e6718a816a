"""Columns in pairs: what each pair shares, and that nothing is made of chance."""

from __future__ import annotations

import math

import pytest
import torch

from tests.kraskov import kraskov as plain_kraskov
from torchmist.models import matched_columns
from torchmist.models.kraskov import kraskov
from torchmist.models.matched_columns import matched_information


def _normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _gaussian(n: int, d: int, rho: float) -> tuple[torch.Tensor, torch.Tensor, float]:
    x = _normal(4, n, d)
    y = rho * x + math.sqrt(1 - rho**2) * _normal(4, n, d, seed=1)
    return x, y, -d * math.log1p(-(rho**2)) / 2


def _uniform(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("n", "d", "rho"), [(256, 2, 0.6), (256, 8, 0.9), (1000, 20, 0.99)])
def test_gaussian_pairs_share_the_sum_over_the_pairs(n: int, d: int, rho: float) -> None:
    x, y, truth = _gaussian(n, d, rho)
    found = matched_information(x, y)
    assert (found.pairs == d).all()
    torch.testing.assert_close(found.near.mean(), torch.tensor(truth), rtol=0.05, atol=0.05)
    torch.testing.assert_close(found.linear.mean(), torch.tensor(truth), rtol=0.05, atol=0.05)


def test_noise_with_edges_is_seen_beyond_its_correlation() -> None:
    x = _uniform(4, 1000, 6)
    y = x + 0.05 * _uniform(4, 1000, 6, seed=1)
    truth = 6 * (0.025 - math.log(0.05))
    found = matched_information(x, y)
    assert (found.near - truth).abs().max() < 0.06 * truth
    assert (found.linear < 0.8 * truth).all()


def test_zeros_that_both_sides_have_apart_leave_what_the_rest_shares() -> None:
    x, y, truth = _gaussian(1000, 6, 0.95)
    x, y = x * (_uniform(4, 1000, 6, seed=7) < 0.6), y * (_uniform(4, 1000, 6, seed=8) < 0.6)
    found = matched_information(x, y).near.mean()
    torch.testing.assert_close(found, torch.tensor(0.36 * truth), rtol=0.08, atol=0.0)


def test_counts_that_are_independent_share_nothing() -> None:
    rate = torch.full((6, 300, 40), 0.3)
    x, y = (torch.poisson(rate, generator=torch.Generator().manual_seed(k)) for k in range(2))
    assert matched_information(x, y).near.mean() < 0.05


@pytest.mark.parametrize("levels", [2, 5, 10])
def test_neighbours_on_a_lattice_read_nothing_from_independent_columns(levels: int) -> None:
    x, y = (
        torch.randint(0, levels, (40, 300), generator=torch.Generator().manual_seed(k)).float()
        for k in range(2)
    )
    found = kraskov(x, y, torch.ones_like(x, dtype=torch.bool))
    assert -0.1 < found.mean() < 0.02


def test_neighbours_of_distinct_values_are_those_of_the_estimator() -> None:
    x, y, _ = _gaussian(300, 1, 0.8)
    found = kraskov(x[..., 0], y[..., 0], torch.ones(4, 300, dtype=torch.bool))
    by_force = torch.tensor([plain_kraskov(a, b, k=3) for a, b in zip(x, y)])
    torch.testing.assert_close(found, by_force, atol=0.01, rtol=0.0)


def test_labels_side_by_side_share_what_their_tables_say() -> None:
    x = torch.randint(0, 5, (4, 2000, 3), generator=torch.Generator().manual_seed(0)).float()
    other = torch.randint(0, 5, (4, 2000, 3), generator=torch.Generator().manual_seed(1)).float()
    y = torch.where(_uniform(4, 2000, 3, seed=7) < 0.5, x, other)
    truth = 3 * (0.6 * math.log(3.0) + 0.4 * math.log(0.5))
    found = matched_information(x, y).near.mean()
    torch.testing.assert_close(found, torch.tensor(truth), rtol=0.05, atol=0.0)


@pytest.mark.parametrize(("n", "d"), [(8, 3), (100, 64), (1000, 30)])
def test_independent_columns_make_no_pairs(n: int, d: int) -> None:
    found = matched_information(_normal(8, n, d), _normal(8, n, d, seed=1))
    assert found.pairs.mean() <= 0.25 and found.near.abs().mean() < 0.1


def test_a_column_that_goes_with_two_makes_one_pair() -> None:
    x = _normal(4, 500, 1)
    y = torch.cat([x + 0.1 * _normal(4, 500, 1, seed=1), x + 0.5 * _normal(4, 500, 1, seed=2)], -1)
    assert (matched_information(x, y).pairs == 1).all()


def test_pairs_that_show_the_same_count_as_one() -> None:
    z = _normal(4, 1000, 1)
    x, y = (z + 0.3 * _normal(4, 1000, 8, seed=s) for s in (1, 2))
    found = matched_information(x, y)
    assert (found.pairs < 1.6).all() and (found.pairs >= 1).all()
    alone = matched_information(x[..., :2], y[..., :1]).near
    assert (found.near < 1.7 * alone).all()


def test_pairs_whose_columns_are_independent_on_one_side_count_whole() -> None:
    x = _normal(4, 1000, 4)
    common = _normal(4, 1000, 1, seed=1)
    y = x + common  # the other side's columns go with each other
    found = matched_information(x, y)
    torch.testing.assert_close(found.pairs, torch.full((4, 1), 4.0), rtol=0, atol=0.05)


def test_the_order_of_rows_and_columns_and_of_the_sides_changes_nothing() -> None:
    x, y, _ = _gaussian(300, 5, 0.8)
    y = torch.cat([y, _normal(4, 300, 2, seed=3)], -1)
    rows = torch.randperm(300, generator=torch.Generator().manual_seed(0))
    columns = torch.tensor([3, 1, 6, 0, 5, 2, 4])
    told = matched_information(x, y)
    for again in (
        matched_information(y, x),
        matched_information(x[:, rows], y[:, rows]),
        matched_information(x, y[..., columns]),
        matched_information(x.exp(), y**3),
    ):
        torch.testing.assert_close(torch.cat(again, -1), torch.cat(told, -1), rtol=0, atol=1e-4)


def test_padding_is_not_read() -> None:
    x, y, _ = _gaussian(300, 3, 0.9)
    counts = torch.tensor([300, 120, 40, 9])
    mask = torch.arange(300) < counts[:, None]
    told = torch.cat(matched_information(x, y, mask), -1)
    for k, n in enumerate(counts.tolist()):
        alone = torch.cat(matched_information(x[k : k + 1, :n], y[k : k + 1, :n]), -1)
        torch.testing.assert_close(told[k : k + 1], alone, rtol=0, atol=5e-3)


def test_long_samples_are_read_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y, truth = _gaussian(2000, 2, 0.9)
    monkeypatch.setattr(matched_columns, "_MOST_ROWS", 1000)
    mask = torch.ones(4, 2000, dtype=torch.bool)
    found = matched_information(x, y).near
    torch.testing.assert_close(found.mean(), torch.tensor(truth), rtol=0.06, atol=0.0)
    torch.testing.assert_close(matched_information(x, y, mask).near, found)
    few = torch.arange(2000) < torch.tensor([2000, 1500, 800, 400])[:, None]
    found = matched_information(x, y, few).near.squeeze(-1)
    torch.testing.assert_close(found, torch.full((4,), truth), rtol=0.15, atol=0.0)


def test_the_gradient_is_that_of_gaussian_pairs() -> None:
    x, y, _ = _gaussian(400, 3, 0.7)
    x.requires_grad_()
    found = matched_information(x, y)
    near, linear = (torch.autograd.grad(v.sum(), x, retain_graph=True)[0] for v in found[:2])
    assert near.abs().sum() > 0
    torch.testing.assert_close(near, linear)


@pytest.mark.parametrize("d", [1, 65])
def test_sides_of_many_columns_have_none_and_single_ones_neither(d: int) -> None:
    x = _normal(2, 100, d)
    assert torch.cat(matched_information(x, x), -1).abs().max() == 0
