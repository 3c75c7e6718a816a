"""One sample for every front door: checked once, bounded by its labels, the same in all views."""

from __future__ import annotations

import math

import pytest
import torch

import torchmist
from torchmist import checks
from torchmist.inference.quantiles import answer, at_most
from torchmist.samples.sample import Sample, term_sample

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(3, 40, 2, generator=GENERATOR)
Y = X.sum(-1, keepdim=True) + torch.randn(3, 40, 1, generator=GENERATOR)
LABELS = torch.arange(40) % 4


def test_labels_are_told_and_bound_by_their_entropy() -> None:
    sample = term_sample(X, LABELS)
    assert sample.labels == (False, True) and sample.y.shape == (3, 40, 4)
    assert sample.bound is not None
    torch.testing.assert_close(sample.bound, torch.full((3,), math.log(4)))
    assert term_sample(X, Y).bound is None


def test_a_picked_sample_is_that_of_the_picked_datasets() -> None:
    mask = torch.rand(3, 40, generator=GENERATOR) > 0.3
    picked = term_sample(X, LABELS, mask=mask).pick(torch.tensor([True, False, True]))
    assert picked.mask is not None and torch.equal(picked.mask, mask[[0, 2]])
    assert torch.equal(picked.x, X[[0, 2]]) and picked.bound is not None and len(picked.bound) == 2


def test_views_are_answered_as_one_by_one(small) -> None:
    sample = term_sample(X, LABELS, mask=torch.arange(40) < 30)
    views = [(X, sample.y), (-X, sample.y)]
    together = answer(sample.seen_as(views), small).quantiles
    alone = [answer(sample._replace(x=x), small).quantiles for x, _ in views]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=1e-4)


def test_a_bound_cuts_the_value_and_not_the_gradient() -> None:
    value = torch.tensor([0.5, 3.0], requires_grad=True)
    cut = at_most(value, torch.tensor([1.0, 1.0]))
    cut.sum().backward()
    assert cut.tolist() == [0.5, 1.0] and value.grad is not None
    assert value.grad.tolist() == [1.0, 1.0]


def test_the_answer_names_what_is_outside_of_the_training(small) -> None:
    small.provenance = {"trained_range": {"n": [10, 39]}}
    with torch.no_grad():
        found = answer(Sample(X, Y, notes=("first",)), small)
    assert found.sample.notes[0] == "first" and "40 samples" in found.sample.notes[1]


@pytest.mark.parametrize(
    "call",
    [
        lambda model, x, y, z: torchmist.mist_mi(x, y, model=model),
        lambda model, x, y, z: torchmist.MIRegularizer(model)(x, y),
        lambda model, x, y, z: torchmist.estimate(x, y, model=model),
        lambda model, x, y, z: torchmist.conditional_mi(x, y, z, model=model),
        lambda model, x, y, z: torchmist.conditional_independence_test(
            x, y, z, model=model, permutations=9
        ),
        lambda model, x, y, z: torchmist.independence_test(x, y, model=model, permutations=9),
    ],
    ids=["mist_mi", "MIRegularizer", "estimate", "conditional_mi", "conditional test", "test"],
)
def test_no_side_is_checked_twice(small, monkeypatch, call) -> None:
    checked = []
    real = checks.check_finite
    monkeypatch.setattr(
        "torchmist.checks.check_finite",
        lambda value, name, rows: checked.append(name) or real(value, name, rows),
    )
    call(small, X[0], Y[0], X[1, :, :1])
    assert len(checked) == len(set(checked)) >= 2
