"""Decisions: information is that of the chances of classes, and what is shown tells all of them."""

from __future__ import annotations

import math

import pytest
import torch

from torchmist.models.label_classifiers import told_of_labels
from torchmist.synthetic.engines.decisions import Decisions

FAMILY = Decisions()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("dx", "dy"), [(1, 1), (2, 3), (5, 40), (40, 40), (3, 130)])
def test_one_side_is_a_label_of_as_many_classes_as_columns(dx: int, dy: int) -> None:
    seen, kinds = set(), set()
    for seed in range(24):
        p = FAMILY.draw(2, dx, dy, generator=generator(seed))
        x, y = FAMILY.sample_from(p, 60, generator=generator(seed))
        assert x.shape == (2, 60, dx) and y.shape == (2, 60, dy)
        assert bool(x.isfinite().all()) and bool(y.isfinite().all())
        label, columns = (x, dx) if p.swapped else (y, dy)
        assert ((label == 0) | (label == 1)).all()
        if columns > 1:
            assert (label.sum(-1) == 1).all()
        seen.add(p.swapped)
        kinds.add(p.kind)
    assert seen == {True, False} and len(kinds) > 1


def test_information_is_that_of_a_table_where_a_side_is_one_number() -> None:
    """Bins of a single column, which it may be bent but not turned in, against the label."""
    errors = []
    for seed in range(12):
        p = FAMILY.draw(2, 1, 6, generator=generator(seed))
        if p.swapped:
            continue
        x, y = FAMILY.sample_from(p, 60_000, generator=generator(seed))
        mi, error = FAMILY.information(p, generator=generator(seed + 1))
        assert (error < 0.01).all()
        for row in range(2):
            place = (x[row, :, 0].argsort().argsort() * 300) // 60_000
            table = torch.zeros(300, 6).index_add_(0, place, y[row]) / 60_000
            product = table.sum(1, keepdim=True) * table.sum(0)
            plain = float(torch.xlogy(table, table / product.clamp(min=1e-12)).sum())
            errors.append(plain - 299 * 5 / 120_000 - float(mi[row]))
    assert len(errors) > 6
    assert max(map(abs, errors)) < 0.02


def test_information_is_within_that_of_the_label_and_above_what_classifiers_show() -> None:
    near = 0
    for seed in range(10):
        p = FAMILY.draw(3, 6, 8, generator=generator(seed))
        mi, _ = FAMILY.information(p, generator=generator(seed))
        x, y = FAMILY.sample_from(p, 3000, generator=generator(seed))
        found = told_of_labels(x, y)
        assert (mi > -0.01).all() and (mi < found.entropy[:, 0] + 0.02).all()
        assert (found.bounds.amax(-1) < mi + 0.06).all()
        near += int((found.bounds.amax(-1) > 0.8 * mi - 0.02).sum())
    assert near > 12


def test_chances_that_are_shown_are_those_of_the_label() -> None:
    shown = 0
    for seed in range(60):
        p = FAMILY.draw(2, 4, 4, generator=generator(seed))
        if not p.shares:
            continue
        shown += 1
        x, y = FAMILY.sample_from(p, 4000, generator=generator(seed))
        chances, label = (y, x) if p.swapped else (x, y)
        told = (1 - p.noise) * chances + p.noise / 4
        torch.testing.assert_close(told.sum(-1), torch.ones(2, 4000))
        assert ((told - label).mean(1).abs() < 5 * math.sqrt(0.25 / 4000)).all()
    assert shown > 1
