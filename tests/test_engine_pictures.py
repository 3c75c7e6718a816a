"""Pictures: the class and shared poses can be read from them, and what they look like."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from torchmist.synthetic.engines.atoms_tables import table_information
from torchmist.synthetic.engines.codes_random import Random
from torchmist.synthetic.engines.pictures import PictureParameters, Pictures
from torchmist.synthetic.engines.pictures_side import Side, draw_side

FAMILY = Pictures()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(dx: int, dy: int, seeds: int = 30) -> list[PictureParameters]:
    return [FAMILY.draw(4, dx, dy, generator=generator(seed)) for seed in range(seeds)]


def sides(dx: int, dy: int) -> list[Side]:
    pairs = [pair for p in drawn(dx, dy) for pair in p.pairs]
    return [side for pair in pairs for side in (pair.x, pair.y) if isinstance(side, Side)]


def show(side: Side, count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Labels ``[B, N]`` and pictures ``[B, N, d]`` of ``count`` rows of every class."""
    batch, items = len(side.size), _items(side)
    classes = torch.arange(items // side.styles).repeat(count).expand(batch, -1)
    poses = torch.randn(*classes.shape, side.ink.poses, generator=generator(seed))
    return classes, side(classes, poses, generator(seed + 1))


def _items(side: Side) -> int:
    table = side.ink.widths if hasattr(side.ink, "widths") else side.ink.centres
    return table.shape[1]


def test_a_picture_is_nearest_to_another_one_of_its_class() -> None:
    right = []
    for k, side in enumerate(sides(40, 24)[:24]):
        known, shown = show(side, 60, 2 * k)
        label, new = show(side, 10, 1_000 + 2 * k)
        nearest = torch.cdist(new, shown).argmin(-1)
        hit = (known.gather(1, nearest) == label).float().mean(-1)
        right += hit[side.close < 0.02].tolist()
    assert len(right) > 60
    assert sum(right) / len(right) > 0.97 and min(right) > 0.75


def test_the_information_of_labels_is_that_of_the_classes_that_are_read() -> None:
    """Each picture's class by its nearest neighbour of known class, counted against the label."""
    seen = 0
    for seed in range(40):
        p = FAMILY.draw(4, 30, 1, generator=generator(seed))
        (pair,) = p.pairs
        if pair.y is not None or p.swapped or pair.table.shape[1] > 8:
            continue
        truth, _ = FAMILY.information(p, generator=generator())
        x, y = FAMILY.sample_from(p, 3_000, generator=generator(seed + 100))
        known, shown = show(pair.x, 200, seed)
        read = known.gather(1, torch.cdist(x, shown).argmin(-1))
        for b in (~pair.independent).nonzero().flatten().tolist():
            if pair.x.close[b] > 0:
                continue
            counts = torch.zeros(pair.table.shape[1:])
            counts.index_put_((read[b], y[b, :, 0].long()), torch.ones(3_000), accumulate=True)
            found = table_information(counts[None] / counts.sum())
            bias = (counts.sum(1) > 0).sum() * (counts.sum(0) > 0).sum() / 6_000
            assert found.item() == pytest.approx(truth[b].item(), abs=0.06 + bias.item())
            seen += 1
    assert seen > 12


def test_shared_poses_can_be_read_off_and_add_their_closed_form() -> None:
    seen = 0
    for p in drawn(30, 36, 60):
        mi, _ = FAMILY.information(p, generator=generator())
        total = torch.zeros(4, dtype=torch.float64)
        for pair in p.pairs:
            shared = pair.correlations.shape[-1]
            told = table_information(pair.table)
            told = told - 0.5 * torch.log1p(-(pair.correlations.double() ** 2)).sum(-1)
            total += told.masked_fill(pair.independent, 0)
            if not shared:
                continue
            seen += 1
            for side in (pair.x, pair.y):
                assert side.shape != "cut" and not side.noise.any()
                poses = torch.randn(1, side.ink.poses, generator=generator(1))
                assert _least_slope(side, poses) > 1e-5
        torch.testing.assert_close(mi, total)
    assert seen > 4


def _least_slope(side: Side, pose: torch.Tensor) -> float:
    """The smallest singular value, of the largest, of what a pose changes, before rounding."""
    smooth = replace(side, levels=torch.zeros_like(side.levels))
    item = torch.zeros(4, 1, dtype=torch.long)

    def picture(v: torch.Tensor) -> torch.Tensor:
        return smooth.clean(item, v.expand(4, 1, -1))[:, 0].flatten()

    change = torch.autograd.functional.jacobian(picture, pose[0]).unflatten(0, (4, -1))
    values = torch.linalg.svdvals(change.double())
    return (values[:, -1] / values[:, 0]).min().item()


def test_rows_repeat_where_poses_are_those_of_a_pool() -> None:
    seen = 0
    for p in drawn(20, 1):
        (pair,) = p.pairs
        if pair.pools is None or not isinstance(pair.x, Side):
            continue
        x, y = FAMILY.sample_from(p, 600, generator=generator(3))
        side = y if p.swapped else x
        for b in (pair.x.noise.flatten() == 0).nonzero().flatten().tolist():
            most = min(600, int(pair.pools[0][b])) * _items(pair.x)
            assert len(side[b].unique(dim=0)) <= most
            seen += 1
    assert seen > 6


def test_cut_pictures_have_zeros_and_rounded_ones_few_values() -> None:
    zeros, rounded = [], 0
    for k, side in enumerate(sides(36, 36)):
        _, shown = show(side, 10, k)
        if side.shape == "cut":
            assert shown[side.noise.flatten() == 0].min() >= 0 or not len(shown)
            zeros += (shown == 0).float().mean((1, 2)).tolist()
        for b, level in enumerate(side.levels.flatten().tolist()):
            if level and side.shape != "plain":
                rounded += 1
                assert len(shown[b].unique()) <= 2 * level + 1
    assert max(zeros) > 0.3 and rounded > 20


def test_a_side_of_few_columns_shows_one_value_for_each_class() -> None:
    seen = 0
    for p in drawn(12, 3):
        (pair,) = p.pairs
        if isinstance(pair.y, torch.Tensor):
            x, y = FAMILY.sample_from(p, 300, generator=generator())
            values = (x if p.swapped else y)[0].unique(dim=0)
            assert len(values) <= pair.table.shape[2]
            seen += 1
    assert seen > 6


def test_where_classes_look_alike_nothing_is_shared() -> None:
    side = draw_side(Random(4, generator()), 5, 8, shared=0)
    assert side.close.shape == (4,) and (side.close <= 1).all()
    for p in drawn(6, 6):
        mi, error = FAMILY.information(p, generator=generator())
        for pair in p.pairs:
            for side in (pair.x, pair.y):
                if isinstance(side, Side):
                    assert pair.independent[side.close > 0.02].all()
        assert (error <= 2 * len(p.pairs) * 0.02 * math.log(2) + 1e-9).all()
        assert (mi >= 0).all()
