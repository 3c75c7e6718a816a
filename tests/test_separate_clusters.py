"""Rows in clusters on a side or on both, with dependence within them."""

from __future__ import annotations

import math

import pytest
import torch
from padded_datasets import assert_only_the_rows_count
from torch import Tensor

import torchmist
from torchmist.models.separate_clusters import parted_by_clusters


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def clusters(rows: int, count: int, columns: int, seed: int) -> tuple[Tensor, Tensor]:
    """Clusters ``[N]`` and their middles at each row ``[N, d]``, about four deviations apart."""
    label = torch.randint(count, (rows,), generator=torch.Generator().manual_seed(seed))
    return label, 4 * draw(count, columns, seed=seed + 1)[label]


def linear(rows: int, columns: int, seed: int = 5) -> tuple[Tensor, Tensor]:
    """Normal pairs of correlation 0.8 in two columns: 2 x 0.511 nats."""
    x, noise = draw(rows, columns, seed=seed), draw(rows, columns, seed=seed + 1)
    y = noise.clone()
    y[:, :2] = 0.8 * x[:, :2] + 0.6 * noise[:, :2]
    return x, y


_LINEAR = -math.log(1 - 0.8**2)  # of two columns


@pytest.mark.parametrize("both", [False, True])
def test_clusters_and_places_are_told(both: bool) -> None:
    x, y = linear(600, 6)
    label, middle = clusters(600, 5, 6, seed=20)
    x = x + middle
    other, away = clusters(600, 7, 6, seed=30)
    y = y + away if both else y
    ((place, parts),) = parted_by_clusters(x[None], y[None])
    assert place == 0
    for side, part, known in zip((x, y), parts, (label, other)):
        assert part.columns.shape == part.place.shape == (1, 600, 6)
        if side is y and not both:
            assert part.cluster is None and torch.equal(part.place, part.columns)
            continue
        assert part.cluster is not None
        assert len(part.cluster.unique()) == len(known.unique())
        assert sorted(part.cluster.bincount().tolist()) == sorted(known.bincount().tolist())
        assert float(part.place.square().mean()) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("shared", ["none", "all"])
def test_what_both_parts_share_is_seen(shared: str) -> None:
    x, y = linear(1000, 6)
    label, middle = clusters(1000, 8, 6, seed=20)
    away = clusters(1000, 8, 6, seed=30)[1] if shared == "none" else 4 * draw(8, 6, seed=9)[label]
    truth = _LINEAR + (0 if shared == "none" else math.log(8))
    found = torchmist.estimate(x + middle, y + away)
    low, high = found.interval()
    assert low < truth < high and abs(found.mean - truth) < 0.1 * truth
    one = torchmist.estimate(x + middle, y)
    low, high = one.interval()
    assert low < _LINEAR < high and abs(one.mean - _LINEAR) < 0.3 * _LINEAR


def corners(rows: int, columns: int, wrong: float) -> tuple[Tensor, Tensor]:
    """Three bits among further columns, all of them mixed, on both sides; bits flip in a share."""
    bits = draw(rows, 3, seed=50) > 0
    flip = torch.rand(rows, 3, generator=torch.Generator().manual_seed(51)) < wrong
    sides = []
    for seed, bit in ((52, bits), (54, bits ^ flip)):
        side = draw(rows, columns, seed=seed)
        side[:, :3] = 2.0 * bit - 1 + 0.2 * side[:, :3]
        sides.append(side @ torch.linalg.qr(draw(columns, columns, seed=seed + 1)).Q)
    return sides[0], sides[1]


@pytest.mark.parametrize(("rows", "columns"), [(600, 6), (1200, 10)])
def test_corners_of_a_cube_are_all_found(rows: int, columns: int) -> None:
    x, y = corners(rows, columns, 0.1)
    ((_, parts),) = parted_by_clusters(x[None], y[None])
    assert all(len(part.cluster.unique()) == 8 for part in parts)  # type: ignore[union-attr]
    truth = 3 * (math.log(2) + 0.1 * math.log(0.1) + 0.9 * math.log(0.9))
    found = torchmist.estimate(x, y)
    low, high = found.interval()
    assert low < truth < high and abs(found.mean - truth) < 0.15


def test_independent_clusters_share_nothing() -> None:
    for seed in (20, 40, 60):
        x = draw(400, 4, seed=seed) + clusters(400, 6, 4, seed=seed + 2)[1]
        y = draw(400, 3, seed=seed + 4) + clusters(400, 4, 3, seed=seed + 6)[1]
        assert torchmist.estimate(x, y).mean < 0.05


def test_rows_without_clusters_single_columns_labels_and_few_rows_are_left_out() -> None:
    x, y = linear(600, 6)
    assert not list(parted_by_clusters(x[None], y[None]))
    uniform = torch.rand(600, 2, generator=torch.Generator().manual_seed(2))
    assert not list(parted_by_clusters(uniform[None], y[None]))
    apart = x + clusters(600, 5, 6, seed=20)[1]
    assert not list(parted_by_clusters(apart[None, :100], y[None, :100]))
    assert not list(parted_by_clusters(apart[None], (y[None, :, :1] > 0).float()))
    assert not list(parted_by_clusters(apart[None, :, :1], y[None, :, :1]))


def test_constant_columns_and_far_rows_do_no_harm() -> None:
    x, y = linear(600, 6)
    x = x + clusters(600, 5, 6, seed=20)[1]
    x[:, 5], x[0, 0] = 3.0, 1e6
    ((_, (part, _)),) = parted_by_clusters(x[None], y[None])
    assert part.place.isfinite().all() and len(part.cluster.unique()) == 5  # type: ignore[union-attr]


def test_neither_padding_nor_the_order_of_rows_counts_and_there_is_a_gradient() -> None:
    x, y = linear(300, 4)
    assert_only_the_rows_count(x + clusters(300, 4, 4, seed=20)[1], y)
