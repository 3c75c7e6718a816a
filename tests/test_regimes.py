"""What mixtures of several regimes say, and that they are sought where scores are not normal."""

from __future__ import annotations

import math

import pytest
import torch
from padded_datasets import assert_padding_changes_nothing

from torchmist.models.regimes import Regimes, regime_information


def _normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _chosen(n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """A number that is one of three columns, by a hidden class, of 1.378 nats."""
    x = _normal(1, n, 3, seed=seed)
    place = torch.randint(0, 3, (1, n, 1), generator=torch.Generator().manual_seed(seed + 1))
    return x, x.gather(2, place) + 0.1 * _normal(1, n, 1, seed=seed + 2)


def _strangers(n: int, d: int) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Pairs of correlation 0.8 of which 40 % are of strangers, and their information."""

    def draw(rows: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        u = _normal(rows, d, seed=seed)
        other = 0.8 * u + 0.6 * _normal(rows, d, seed=seed + 1)
        strange = torch.rand(rows, 1, generator=torch.Generator().manual_seed(seed)) < 0.4
        return u, torch.where(strange, _normal(rows, d, seed=seed + 2), other)

    x, y = draw(100_000, 10)
    log = -(0.64 * (x.square() + y.square()) - 1.6 * x * y) / (2 * 0.36) - 0.5 * math.log(0.36)
    truth = float((0.4 + 0.6 * log.sum(-1).exp()).log().mean())
    x, y = draw(n, 20)
    return x[None], y[None], truth


def _whole(found: Regimes) -> torch.Tensor:
    return torch.cat(found, -1)


def test_what_a_hidden_class_chooses_is_seen() -> None:
    found = regime_information(*_chosen(3000))
    assert float(found.nats) == pytest.approx(1.378, abs=0.1)
    assert float(found.one) < 0.3 and float(found.gain) > 0.5 and float(found.number) >= 3
    assert 0.9 < float(found.bound) < 1.45


def test_pairs_among_strangers_are_seen() -> None:
    x, y, truth = _strangers(2000, 6)
    found = regime_information(x, y)
    assert float(found.nats) == pytest.approx(truth, rel=0.1)
    assert float(found.one) < 0.6 * truth and float(found.number) == 1


def test_signs_that_hide_a_pair_are_seen() -> None:
    x = _normal(1, 1500, 4)
    sign = 1 - 2 * (_normal(1, 1500, 1, seed=1) > 0).float()
    y = sign * (0.9 * x + math.sqrt(0.19) * _normal(1, 1500, 4, seed=2))
    found = regime_information(x, y)
    most = -2 * math.log(0.19)
    assert most - math.log(2) - 0.2 < float(found.nats) < most - 0.3


@pytest.mark.parametrize(("n", "d"), [(100, 2), (300, 5), (2000, 16)])
def test_where_scores_are_normal_nothing_is_sought(n: int, d: int) -> None:
    x = _normal(12, n, d)
    y = 0.8 * x + 0.6 * _normal(12, n, d, seed=1)
    sought = _whole(regime_information(x, y))[:, -1] > 0
    assert sought.float().mean() < 0.2


def test_in_many_columns_and_few_rows_nothing_is_sought() -> None:
    x, y = _chosen(3000)
    wide = torch.cat([x, _normal(1, 3000, 40, seed=9)], -1)
    assert not _whole(regime_information(wide, y)).any()
    assert not _whole(regime_information(x[:, :59], y[:, :59])).any()


def test_of_independent_sides_hardly_anything_is_made() -> None:
    x, _ = _chosen(1000)
    _, y = _chosen(1000, seed=5)
    found = regime_information(torch.cat([x, x[..., :1] ** 2], -1), torch.cat([y, y * y], -1))
    assert float(found.number) > 0
    assert float(found.nats) < 0.1 and float(found.bound) < 0.1


def test_regimes_count_however_a_sample_is_ordered_and_bent() -> None:
    x, y = _chosen(800)
    expected = _whole(regime_information(x, y))
    rows = torch.randperm(800, generator=torch.Generator().manual_seed(0))
    columns = torch.tensor([2, 0, 1])
    for other in (
        regime_information(y, x),
        regime_information(x[:, rows], y[:, rows]),
        regime_information(x[..., columns], -y),
        regime_information(x.exp(), y**3 + y),
    ):
        torch.testing.assert_close(_whole(other), expected, atol=0.02, rtol=0.02)


def test_padding_and_other_datasets_change_nothing() -> None:
    x, y = _chosen(800)
    assert_padding_changes_nothing(lambda *sides: _whole(regime_information(*sides)), x, y)


def test_what_regimes_say_rises_along_its_gradient() -> None:
    x, y = _chosen(800)
    x.requires_grad_()
    before = regime_information(x, y).nats.sum()
    (slope,) = torch.autograd.grad(before, x)
    assert bool(slope.isfinite().all()) and bool(slope.any())
    moved = (x + 0.1 * slope / slope.abs().amax()).detach()
    assert regime_information(moved, y).nats.sum() > before
