"""An answer goes back where it counts what variates repeat, and nowhere else."""

from __future__ import annotations

import pytest
import torch
from arbiter_draws import assert_learned, draws, fitted_parent, heir_of

from torchmist.ensemble.arbiter import Arbiter
from torchmist.ensemble.arbiter_training import Data, evidence_of, rows_of
from torchmist.ensemble.correction_repeats import RepeatCorrection


@pytest.fixture(scope="module")
def parent() -> Arbiter:
    return fitted_parent(3)


def _repeated(data: Data, linear: torch.Tensor, once: torch.Tensor) -> Data:
    count = torch.full_like(once, 10.0)
    return {**data, "repeated": torch.stack([linear, once, once, count, count / 2], -1)}


def test_variates_count_where_they_say_less_than_the_answer_and_repeat(parent: Arbiter) -> None:
    data = draws(400)
    answer = parent(evidence_of(data)).mean(-1)
    data, answer = rows_of(data, answer > 0.5), answer[answer > 0.5]
    arbiter, half = heir_of(parent), 0.5 * answer
    label = {**data, "told": data["told"] + 1.0}
    silent = (
        data,
        _repeated(data, half, half),  # nothing is repeated
        _repeated(data, 2 * answer, answer),  # the answer is what is said once
        _repeated(data, 0.8 * answer, half),  # it knows of more than variates do
        _repeated(label, 2 * answer, half),
    )
    for same in silent:
        assert not arbiter.says_more(evidence_of(same)).any()
    less = evidence_of(_repeated(data, 2 * answer, half))
    assert arbiter.says_more(less).all()
    assert ((arbiter(less) - parent(less)).abs().amax(-1) > 1e-3).all()


def test_what_is_said_once_is_learned_and_all_else_stays(parent: Arbiter) -> None:
    data = draws()
    answer = parent(evidence_of(data)).mean(-1).detach()
    data = rows_of(data, answer > 0.5)
    data["mi"] = 0.4 * answer[answer > 0.5]
    data = _repeated(data, 2 * answer[answer > 0.5], data["mi"])
    assert_learned(parent, data, share=0.5, epochs=10)


def test_only_datasets_whose_variates_repeat_are_asked_about() -> None:
    g = torch.Generator().manual_seed(0)
    u = torch.randn(3, 600, 3, generator=g)
    v = 0.9 * u + 0.4 * torch.randn(3, 600, 3, generator=g)
    assert not RepeatCorrection.may_say_more(u, v).any()
    one, other = torch.triu_indices(3, 3)
    x, y = (torch.cat([s, s[..., one] * s[..., other]], -1) for s in (u, v))
    assert RepeatCorrection.may_say_more(x, y).all()
