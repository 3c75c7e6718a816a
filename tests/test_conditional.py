"""Conditional MI against its definition."""

from __future__ import annotations

import pytest
import torch

import torchmist
from torchmist import conditional_mi, mist_mi

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


def test_rare_classes_are_an_error(small) -> None:
    labels = torch.zeros(120, dtype=torch.long)
    labels[:3] = 5
    with pytest.raises(ValueError, match="samples of every class of given, got 3 of class 5"):
        conditional_mi(X, Y, labels, model=small)


def test_batches_are_an_error(small) -> None:
    with pytest.raises(ValueError, match=r"expected x of shape \[N\] or \[N, d\]"):
        conditional_mi(X.view(2, 60, 3), Y.view(2, 60, 2), C.view(2, 60, 2), model=small)
