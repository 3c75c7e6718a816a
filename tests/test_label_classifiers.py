"""Bounds that classifiers of a label give, on rows that had no part in them."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import one_hot

from torchmist.models.label_classifiers import Told, told_of_labels


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=_generator(seed))


def _clusters(n: int, classes: int, d: int) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Normal clusters around random centres, their labels, and the information of both."""
    centres = _normal(classes, d, seed=7)

    def draw(rows: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        label = torch.randint(0, classes, (rows,), generator=_generator(seed))
        return centres[label] + _normal(rows, d, seed=seed + 1), label

    rows, label = draw(20_000, 1)
    log = (-torch.cdist(rows, centres).square() / 2).log_softmax(-1)
    truth = math.log(classes) + float(log.gather(1, label[:, None]).mean())
    x, label = draw(n, 3)
    return x[None], one_hot(label, classes).float()[None], truth


def _whole(found: Told) -> torch.Tensor:
    return torch.cat(found, -1)


def test_many_clusters_are_told_apart() -> None:
    x, y, truth = _clusters(3000, 100, 20)
    found = told_of_labels(x, y)
    assert truth - 0.2 < float(found.bounds[0, 0]) < truth + 0.05
    assert float(found.entropy) == pytest.approx(math.log(100), abs=0.05)
    assert float(found.rows) == pytest.approx(math.log(30), abs=1e-3)


def test_labels_of_one_column_each_are_told_by_those_that_stand_out() -> None:
    logits = 3 * _normal(3000, 100)
    chances = logits.softmax(-1)
    truth = math.log(100) + float(torch.xlogy(chances, chances).sum(-1).mean())
    label = torch.multinomial(chances, 1, generator=_generator())[:, 0]
    bounds = told_of_labels(logits[None], one_hot(label, 100).float()[None]).bounds[0]
    assert truth - 0.35 < float(bounds[1]) < truth + 0.05
    assert float(bounds[0]) < 0.5 * truth  # where every column of a mean counts


@pytest.mark.parametrize(("n", "classes", "d"), [(200, 5, 3), (500, 60, 20), (1000, 10, 200)])
def test_bounds_of_independent_labels_are_about_zero(n: int, classes: int, d: int) -> None:
    label = torch.randint(0, classes, (4, n), generator=_generator())
    bounds = told_of_labels(_normal(4, n, d), one_hot(label, classes).float()).bounds
    assert (bounds < 0.08).all()


def test_only_one_side_of_three_classes_or_more_is_a_label() -> None:
    x, y, _ = _clusters(300, 6, 3)
    two = one_hot((x[..., 0] > 0).long()).float()
    multi = (x > 0).float()  # several columns at once
    shown = 0.3 * y + 0.1 * x[..., :1]
    for pair in ((x, x), (y, y), (x, two), (x, two[..., :1]), (x, multi), (x, shown)):
        assert not _whole(told_of_labels(*pair)).any()
    both = told_of_labels(torch.cat([x, x]), torch.cat([y, x.repeat(1, 1, 2)]))
    assert both.bounds[0].all() and not _whole(both)[1].any()


def test_labels_count_however_a_sample_is_ordered_and_bent() -> None:
    x, y, _ = _clusters(600, 8, 4)
    expected = _whole(told_of_labels(x, y))
    rows = torch.randperm(600, generator=_generator())
    columns, classes = torch.tensor([2, 0, 3, 1]), torch.tensor([7, 1, 0, 5, 2, 6, 4, 3])
    for other in (
        told_of_labels(y, x),
        told_of_labels(x[:, rows], y[:, rows]),
        told_of_labels(x[..., columns], y[..., classes]),
        told_of_labels(x.exp(), 5 * y - 2),
        told_of_labels(-x, y),
    ):
        torch.testing.assert_close(_whole(other), expected, atol=1e-4, rtol=1e-4)


def test_padding_changes_nothing() -> None:
    x, y, _ = _clusters(600, 8, 4)
    padded = [torch.cat([side, _normal(1, 50, side.shape[-1], seed=9)], 1) for side in (x, y)]
    mask = torch.arange(650)[None] < 600
    found = _whole(told_of_labels(padded[0], padded[1], mask))
    torch.testing.assert_close(found, _whole(told_of_labels(x, y)), atol=1e-4, rtol=1e-4)


def test_bounds_rise_along_their_gradient() -> None:
    x, y, _ = _clusters(400, 5, 4)
    x = (0.3 * x).requires_grad_()
    before = told_of_labels(x, y).bounds.sum()
    (slope,) = torch.autograd.grad(before, x)
    assert bool(slope.isfinite().all())
    moved = (x + 0.5 * slope / slope.abs().amax()).detach()
    assert told_of_labels(moved, y).bounds.sum() > before
