"""Classifiers of a label change an answer where they show more, and nowhere else."""

from __future__ import annotations

import pytest
import torch
from arbiter_draws import assert_learned, draws, fitted_parent, heir_of
from torch.nn.functional import one_hot

from torchmist.ensemble.arbiter import Arbiter
from torchmist.ensemble.arbiter_training import Data, evidence_of
from torchmist.ensemble.correction_classifiers import ClassifierCorrection


@pytest.fixture(scope="module")
def parent() -> Arbiter:
    return fitted_parent(2)


def _told(data: Data, bound: torch.Tensor, entropy: float = 9.0) -> Data:
    """The second classifier shows a ``bound``, the first nothing."""
    none = torch.zeros_like(bound)
    parts = [none, bound, none, none, torch.full_like(bound, entropy), none]
    return {**data, "told": torch.stack(parts, -1)}


def test_classifiers_count_where_one_shows_more_than_the_answer(parent: Arbiter) -> None:
    data = draws(200)
    answer = parent(evidence_of(data)).mean(-1)
    arbiter = heir_of(parent)
    for less in (data, _told(data, answer.clamp(max=0.0)), _told(data, 0.95 * answer)):
        silent = ~arbiter.says_more(evidence_of(less))
        assert silent[answer > 0].all()
        found, expected = (a(evidence_of(less))[silent] for a in (arbiter, parent))
        assert torch.equal(found, expected)
    more = evidence_of(_told(data, 1.2 * answer.clamp(min=0) + 0.2))
    assert arbiter.says_more(more).all()
    assert ((arbiter(more) - parent(more)).abs().amax(-1) > 1e-3).all()
    least = more.told[:, 1] - 2 / more.sizes[:, 0].sqrt()  # a bound that rows had no part in
    each = arbiter.each(more).exp() - 0.2
    assert (each.amin((0, 2)) > least.clamp(min=-0.19) - 1e-3).all()


def test_what_classifiers_show_is_learned_and_all_else_stays(parent: Arbiter) -> None:
    data = draws()
    data["mi"] = data["mi"].clamp(min=0) + 2.0
    data = _told(data, data["mi"] - 0.1)
    assert_learned(parent, data, share=0.6, epochs=10)


def test_only_datasets_with_a_label_that_is_told_of_are_asked_about() -> None:
    g = torch.Generator().manual_seed(0)
    label = torch.randint(0, 5, (3, 400), generator=g)
    y = one_hot(label, 5).float()
    x = torch.randn(3, 400, 4, generator=g)
    assert not ClassifierCorrection.may_say_more(x, y).any()
    assert ClassifierCorrection.may_say_more(x + 2 * y[..., :4], y).all()
    assert not ClassifierCorrection.may_say_more(x, x).any()
