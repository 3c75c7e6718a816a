"""What neighbours say among all rows, and among fewer of them."""

from __future__ import annotations

import math

import pytest
import torch
from kraskov import kraskov

from torchmist.models import settled_neighbours
from torchmist.models.settled_neighbours import FEWEST_ROWS, Settled, settled_information


def _pair(n: int, d: int, rho: float = 0.8, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(1, n, d, generator=g)
    return x, rho * x + math.sqrt(1 - rho**2) * torch.randn(1, n, d, generator=g)


def _whole(found: Settled) -> torch.Tensor:
    return torch.stack(found)


def test_neighbours_are_those_of_all_rows() -> None:
    x, y = _pair(3000, 1)
    found = settled_information(x, y)
    assert float(found.near[0, 0]) == pytest.approx(kraskov(x[0], y[0], k=3), abs=5e-3)
    assert float(found.broad[0, 0]) == pytest.approx(kraskov(x[0], y[0], k=8), abs=5e-3)


def test_parts_of_the_rows_are_asked_by_themselves() -> None:
    x, y = _pair(4000, 2)
    found = settled_information(x, y)
    fewer = [settled_information(x[:, :n], y[:, :n]) for n in (2000, 1000, 500)]
    for mine, part in zip((found.half, found.quarter, found.eighth), fewer, strict=True):
        torch.testing.assert_close(mine, part.near, atol=0.06, rtol=0)


def test_estimates_rise_to_the_truth_where_rows_become_dense_and_stay_where_they_are() -> None:
    x, y = _pair(6000, 3, rho=0.95)
    found, truth = settled_information(x, y), -1.5 * math.log(1 - 0.95**2)
    near, half, quarter, eighth = (v[0, 0] for v in (found.near, *found[2:]))
    assert eighth < quarter < half < near < truth
    assert truth - (2 * near - half) < 0.75 * (truth - near)
    x, y = _pair(6000, 1)
    found = settled_information(x, y)
    torch.testing.assert_close(found.near, found.half, atol=0.02, rtol=0)


def test_whitened_columns_see_what_their_mixture_hides() -> None:
    x, y = _pair(2000, 4, rho=0.9)
    mixing = torch.eye(4) + 5 * torch.ones(4, 4)
    near = settled_information(x @ mixing, y @ mixing).near[0]
    assert near[1] > near[0] + 0.3


def test_nothing_depends_on_the_order_of_rows_nor_on_the_swap() -> None:
    x, y = _pair(1500, 3)
    found = settled_information(x, y)
    order = torch.randperm(1500, generator=torch.Generator().manual_seed(1))
    for other in ((y, x), (x[:, order], y[:, order]), (x.flip(-1).exp(), y)):
        torch.testing.assert_close(
            _whole(settled_information(*other)), _whole(found), atol=2e-3, rtol=0
        )


def test_double_precision_is_read_as_single() -> None:
    x, y = _pair(300, 2)
    found = settled_information(x.double(), y.double())
    assert found.near.dtype == torch.float32
    torch.testing.assert_close(_whole(found), _whole(settled_information(x, y)))


def test_a_default_dtype_does_not_reach_into_distances() -> None:
    x, y = _pair(600, 2)
    expected = _whole(settled_information(x, y))
    torch.set_default_dtype(torch.float64)
    try:
        found = _whole(settled_information(x, y))
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(found, expected)


def test_padding_counts_for_nothing_and_datasets_do_not_mix() -> None:
    x, y = _pair(600, 2)
    other = _pair(700, 2, rho=0.3, seed=3)
    longer = [torch.cat([v, torch.full((1, 100, 2), 7.0)], 1) for v in (x, y)]
    both = [torch.cat([v, w]) for v, w in zip(longer, other, strict=True)]
    mask = torch.arange(700) < torch.tensor([[600], [700]])
    found = settled_information(*both, mask)
    for row, single in enumerate(((x, y), other)):
        alone = _whole(settled_information(*single))
        torch.testing.assert_close(_whole(found)[:, [row]], alone, atol=1e-4, rtol=1e-4)


def test_few_real_rows_say_nothing_and_take_no_gradient_away() -> None:
    x, y = _pair(200, 2)
    mask = (torch.arange(200) < 5)[None]
    assert not _whole(settled_information(x, y, mask)).any()


def test_some_rows_at_a_time_are_compared_and_of_many_some_are_asked(monkeypatch) -> None:
    x, y = _pair(900, 2)
    found = _whole(settled_information(x, y))
    monkeypatch.setattr(settled_neighbours, "_ON_CPU", 50_000)
    torch.testing.assert_close(_whole(settled_information(x, y)), found, atol=1e-5, rtol=1e-5)
    monkeypatch.setattr(settled_neighbours, "_MOST_ROWS", 300)
    fewer = settled_information(x, y)
    assert not torch.equal(fewer.near, found[0])
    torch.testing.assert_close(fewer.near, found[0], atol=0.15, rtol=0)


def test_single_columns_look_the_same_in_both_views() -> None:
    found = _whole(settled_information(*_pair(700, 1)))
    assert torch.equal(found[..., 0], found[..., 1])


def test_labels_and_copies_are_read_as_they_are() -> None:
    g = torch.Generator().manual_seed(2)
    label = torch.randint(4, (1, 2000, 1), generator=g).float()
    noisy = torch.where(torch.rand(1, 2000, 1, generator=g) < 0.5, label, label.roll(7, 1))
    own = 0.5 + 0.5 / 4
    truth = math.log(4) + own * math.log(own) + 3 * (0.5 / 4) * math.log(0.5 / 4)
    assert settled_information(label, noisy).near[0].tolist() == pytest.approx(
        [truth] * 2, abs=0.04
    )


def test_independent_sides_and_short_samples_say_nothing() -> None:
    x, _ = _pair(2000, 3)
    other, _ = _pair(2000, 3, seed=9)
    found = settled_information(x, other)
    assert found.near.abs().max() < 0.05 and found.eighth.abs().max() < 0.12
    short = settled_information(x[:, : FEWEST_ROWS - 1], other[:, : FEWEST_ROWS - 1])
    assert _whole(short).shape == (5, 1, 2) and not _whole(short).any()
