"""A classifier that learns: bounds rise with the rows, and noise shows where it is surest."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from torchmist.models.label_curves import (
    _RIDGES,
    CURVE_COUNT,
    LabelCurves,
    label_curves,
)
from torchmist.models.left_out_regression import (
    features_of,
    left_out,
    rectified_kernel,
)


def rows(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.randn(1, n, d, generator=torch.Generator().manual_seed(seed))


def ring(x: Tensor) -> Tensor:
    return (x.square().sum(-1, keepdim=True) > x.shape[-1]).float()


def flipped(label: Tensor, share: float) -> Tensor:
    other = torch.rand(label.shape, generator=torch.Generator().manual_seed(9)) < share
    return torch.where(other, 1 - label, label)


def test_bounds_rise_with_the_rows_and_stay_below_the_entropy() -> None:
    x = rows(1200, 4)
    found = LabelCurves.of(label_curves(x, ring(x)))
    whole, half, quarter = found.bounds[0].tolist()
    assert quarter + 0.01 < half < whole - 0.01
    assert 0.3 < whole < float(found.entropy) <= math.log(2) + 0.001
    assert found.errors[0].diff().gt(0).all()
    assert float(found.rows) == pytest.approx(math.log(600))


def test_a_label_without_noise_is_certain_where_the_classifier_is_surest() -> None:
    x = rows(1200, 4)
    sure, noisy = (
        LabelCurves.of(label_curves(x, label)) for label in (ring(x), flipped(ring(x), 0.2))
    )
    assert float(sure.slips[0, 1]) < 0.01 and float(sure.surest[0, 1]) > 0.66
    assert 0.1 < float(noisy.slips[0, 1]) < 0.3
    truth = math.log(2) + 0.2 * math.log(0.2) + 0.8 * math.log(0.8)
    assert float(noisy.surest[0, 1]) == pytest.approx(truth, abs=0.1)


def test_independent_labels_tell_nothing() -> None:
    for seed in range(5):
        x, label = rows(400, 6, seed), ring(rows(400, 6, seed + 50))
        found = LabelCurves.of(label_curves(x, label))
        assert float(found.bounds[0, 0]) < 0.02 and float(found.entropy) > 0.6


def test_rows_left_out_are_those_of_a_fit_without_them() -> None:
    x = rows(70, 3)[0]
    features, one = (
        features_of(x, rectified_kernel).double(),
        F.one_hot((x[:, 0] > 0).long()).double(),
    )
    centred, eye = one - one.mean(0), torch.eye(len(x), dtype=torch.float64)
    each = left_out(features, centred, _RIDGES)
    assert len(each) == len(_RIDGES)
    for (ridge, found), k in itertools.product(zip(_RIDGES, each), (0, 7, 41)):
        others = [row for row in range(len(x)) if row != k]
        a, b = features[others], centred[others]
        said = features[k] @ torch.linalg.solve(a.mT @ a + ridge * eye, a.mT @ b)
        torch.testing.assert_close(found[k], said)


def test_order_sides_and_the_frame_of_a_label_do_not_matter() -> None:
    x = rows(300, 5)
    label = F.one_hot((2 * ring(x) + (x[..., :1] > 0)).long()[..., 0], 4).float()
    whole = label_curves(x, label)
    order = torch.randperm(300, generator=torch.Generator().manual_seed(1))
    others = [
        label_curves(x[:, order], label[:, order]), label_curves(label, x),
        label_curves(x.flip(-1), label.flip(-1)), label_curves(-x.exp(), label),
        label_curves(torch.cat([x, rows(300, 5, 3)]), torch.cat([label, label]))[:1],
    ]  # fmt: skip
    for other in others:
        torch.testing.assert_close(other, whole, atol=2e-3, rtol=2e-3)
    two = label_curves(x, ring(x))  # of other columns, rows stand in another order, and in parts
    hot = torch.cat([ring(x), 1 - ring(x)], -1)
    torch.testing.assert_close(label_curves(x, hot), two, atol=0.02, rtol=0.0)


def test_padding_counts_for_nothing() -> None:
    x, mask = rows(300, 3), torch.arange(320)[None] < 300
    padded = F.pad(x, (0, 0, 0, 20), value=7.0)
    torch.testing.assert_close(
        label_curves(padded, F.pad(ring(x), (0, 0, 0, 20)), mask), label_curves(x, ring(x))
    )


def test_what_is_no_label_of_many_columns_is_left_out() -> None:
    x = rows(200, 3)
    two_labels = torch.cat([ring(x), (x[..., :1] > 0).float()], -1)
    cases = (
        (x, rows(200, 2, 1)), (ring(x), ring(x)), (x[..., :2], ring(x)),
        (x[:, :60], ring(x)[:, :60]),
        (x, two_labels), (x, torch.ones(1, 200, 1)), (rows(200, 65), ring(x)),
    )  # fmt: skip
    for a, b in cases:
        assert torch.equal(label_curves(a, b), torch.zeros(1, CURVE_COUNT))


def test_columns_have_the_gradient_of_what_is_learned() -> None:
    x = rows(200, 3)
    label = ring(x)
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(label_curves(x, label)[0, 0], x)
    assert gradient.isfinite().all() and gradient.abs().max() > 0
