"""Conditional MI against its definition."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

import torchmist
from torchmist import conditional_mi, estimate_conditional, mist_mi

G = torch.Generator().manual_seed(0)
C = torch.randn(120, 2, generator=G)
X = torch.randn(120, 3, generator=G)
Y = torch.randn(120, 2, generator=G)


def test_chain_rule_for_continuous_conditions(small) -> None:
    whole, part = mist_mi(X, torch.cat([Y, C], -1), model=small), mist_mi(X, C, model=small)
    torch.testing.assert_close(conditional_mi(X, Y, C, model=small), whole - part)


def test_average_over_classes_for_labels(small) -> None:
    labels = torch.arange(120) % 7 // 3  # classes of different sizes
    expected = sum(
        (labels == k).float().mean() * mist_mi(X[labels == k], Y[labels == k], model=small)
        for k in range(3)
    )
    for given in (labels, labels[:, None]):
        torch.testing.assert_close(conditional_mi(X, Y, given, model=small), expected)


def test_common_cause_is_explained_away() -> None:
    generator = torch.Generator().manual_seed(1)
    c, e, f = (torch.randn(1000, 2, generator=generator) for _ in range(3))
    x, y = c + 0.5 * e, c + 0.5 * f
    assert torchmist.mist_mi(x, y) > 0.8  # the truth is 1.02
    assert conditional_mi(x, y, c).abs() < 0.3  # the truth is 0


def test_gradients_reach_all_three(small) -> None:
    values = [v.clone().requires_grad_() for v in (X, Y, C)]
    conditional_mi(*values, model=small).backward()
    assert all(v.grad.abs().sum() > 0 for v in values)


def test_rare_classes_are_pooled(small) -> None:
    labels = torch.arange(120) % 3
    labels[:3], labels[3:6] = 7, 8  # three samples each: a class of six
    pooled = torch.where(labels > 2, 3, labels)
    torch.testing.assert_close(
        conditional_mi(X, Y, labels, model=small), conditional_mi(X, Y, pooled, model=small)
    )


def test_most_samples_in_rare_classes_are_an_error(small) -> None:
    with pytest.raises(ValueError, match="40 of 40 classes with fewer, which hold 100 %"):
        conditional_mi(X, Y, torch.arange(120) // 3, model=small)


def test_labels_and_numbers_are_given_at_once(small) -> None:
    labels = torch.arange(120) % 2
    expected = sum(
        conditional_mi(X[labels == k], Y[labels == k], C[labels == k], model=small) / 2
        for k in range(2)
    )
    torch.testing.assert_close(conditional_mi(X, Y, [labels, C], model=small), expected)
    with pytest.raises(ValueError, match="expected given to have 120 rows as x has"):
        conditional_mi(X, Y, [labels[:9], C], model=small)


def test_labels_bound_what_they_share_within_each_class(small) -> None:
    labels, given = torch.arange(120) % 2, torch.arange(120) // 60
    x = labels[:, None] + 0.01 * torch.randn(120, 1, generator=G)
    assert conditional_mi(x, labels, given, model=small) <= torch.tensor(2.0).log() + 1e-6


def test_an_estimate_given_a_class_that_turns_the_sign() -> None:
    rng = np.random.default_rng(0)
    c, x = rng.integers(0, 2, 1000), rng.normal(size=1000)
    y = np.where(c, x, -x) + 0.5 * rng.normal(size=1000)
    r = estimate_conditional(x, y, c)
    low, high = r.interval(0.9)
    assert low - 0.05 < 0.5 * np.log(5) < high + 0.05
    z = rng.normal(size=1000)
    both = estimate_conditional(x, y + z, pd.DataFrame({"c": c, "z": z}))
    assert abs(both.mean - 0.5 * np.log(5)) < 0.3


def test_an_estimate_given_a_common_cause_is_near_nothing() -> None:
    rng = np.random.default_rng(1)
    c, e, f = rng.normal(size=(3, 1000))
    assert torchmist.estimate(c + 0.5 * e, c + 0.5 * f).mean > 0.4
    assert estimate_conditional(c + 0.5 * e, c + 0.5 * f, c).mean < 0.15


def test_labels_on_both_sides_are_counted_given_labels() -> None:
    rng = np.random.default_rng(2)
    x, c = rng.integers(0, 3, (2, 2000))
    r = estimate_conditional(x, (x + c) % 3, c)
    assert abs(r.mean - np.log(3)) < 0.02
    with pytest.raises(ValueError, match=r"of one length, got \[2000, 2000, 5\] rows"):
        estimate_conditional(x, x, c[:5])


def test_batches_are_an_error(small) -> None:
    with pytest.raises(ValueError, match=r"expected x of shape \[N\] or \[N, d\]"):
        conditional_mi(X.view(2, 60, 3), Y.view(2, 60, 2), C.view(2, 60, 2), model=small)
