"""Teachers: information is that of the chances of classes, which no classifier exceeds."""

from __future__ import annotations

import math

import pytest
import torch

from torchmist.models.label_curves import LabelCurves, label_curves
from torchmist.synthetic.engines.teachers import Teachers

FAMILY = Teachers()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("dx", "dy"), [(1, 1), (2, 3), (5, 40), (40, 40), (130, 3)])
def test_the_side_of_fewer_columns_is_a_label_of_as_many_classes(dx: int, dy: int) -> None:
    kinds = set()
    for seed in range(24):
        p = FAMILY.draw(2, dx, dy, generator=generator(seed))
        x, y = FAMILY.sample_from(p, 60, generator=generator(seed))
        assert x.shape == (2, 60, dx) and y.shape == (2, 60, dy)
        assert bool(x.isfinite().all()) and bool(y.isfinite().all())
        label = x if p.swapped else y
        assert dx == dy or label.shape[-1] == min(dx, dy)
        assert ((label == 0) | (label == 1)).all()
        if label.shape[-1] > 1:
            assert (label.sum(-1) == 1).all()
        kinds.add(p.kind)
    assert len(kinds) > 3


def test_information_is_that_of_a_table_where_a_side_is_one_number() -> None:
    """Bins of a single column against a label of two classes."""
    errors = []
    for seed in range(12):
        p = FAMILY.draw(2, 1, 1, generator=generator(seed))
        x, y = FAMILY.sample_from(p, 60_000, generator=generator(seed))
        number, label = (y, x) if p.swapped else (x, y)
        mi, error = FAMILY.information(p, generator=generator(seed + 1))
        assert (error < 0.015).all()
        for row in range(2):
            place = (number[row, :, 0].argsort().argsort() * 300) // 60_000
            hot = torch.cat([label[row], 1 - label[row]], -1)
            table = torch.zeros(300, 2).index_add_(0, place, hot) / 60_000
            product = table.sum(1, keepdim=True) * table.sum(0)
            plain = float(torch.xlogy(table, table / product.clamp(min=1e-12)).sum())
            errors.append(plain - 299 / 120_000 - float(mi[row]))
    assert max(map(abs, errors)) < 0.02


def test_information_is_within_that_of_the_label_and_above_what_a_classifier_shows() -> None:
    near = certain = 0
    for seed in range(12):
        p = FAMILY.draw(3, 5, 3, generator=generator(seed))
        mi, _ = FAMILY.information(p, generator=generator(seed))
        x, y = FAMILY.sample_from(p, 2000, generator=generator(seed))
        found = LabelCurves.of(label_curves(x, y))
        assert (mi > -0.01).all() and (mi < found.entropy[:, 0] + 0.03).all()
        assert (found.bounds[:, 0] < mi + 0.06).all()
        assert (mi < math.log(3) + 1e-6).all()
        near += int((found.bounds[:, 0] > 0.7 * mi - 0.02).sum())
        certain += int((mi > found.entropy[:, 0] - 0.03).sum())
    assert near > 18
    assert 8 < certain < 34
