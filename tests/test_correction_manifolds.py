"""An answer goes back where it counts more than the dimensions of both sides."""

from __future__ import annotations

import pytest
import torch
from arbiter_draws import assert_learned, draws, fitted_parent, heir_of

from torchmist.ensemble.arbiter import CORRECTIONS, Arbiter
from torchmist.ensemble.arbiter_training import Data, evidence_of, rows_of
from torchmist.ensemble.correction_manifolds import ManifoldCorrection
from torchmist.quantile_head import from_nats, to_nats


@pytest.fixture(scope="module")
def parent() -> Arbiter:
    return fitted_parent(CORRECTIONS.index("curved"))


def _curved(data: Data, linear: torch.Tensor, most: float, once: torch.Tensor | float = 0) -> Data:
    """The draws, with a share ``most`` of dimensions, and what is linear and said once."""
    numbers = torch.tensor([most, most / 2, most, most / 2, most, 5.0]).expand(len(linear), -1)
    repeated = torch.zeros_like(data["repeated"])
    repeated[:, 0], repeated[:, 2] = linear, once
    return {**data, "curved": numbers, "linear": linear[:, None], "repeated": repeated}


def test_it_counts_where_the_answer_is_more_than_the_dimensions_allow(parent: Arbiter) -> None:
    data = draws(400)
    answer = parent(evidence_of(data)).mean(-1)
    data, answer = rows_of(data, answer > 0.7), answer[answer > 0.7]
    linear = evidence_of(data).linear.squeeze(-1)
    arbiter = heir_of(parent)
    for same in (
        data,  # no dimensions were sought
        _curved(data, linear, 0.9),  # as many as normal columns
        {**_curved(data, linear, 0.3), "told": data["told"] + 1.0},  # a label
    ):
        assert not arbiter.says_more(evidence_of(same)).any()
    seen = evidence_of(_curved(data, linear, 0.3))
    said = parent(seen).mean(-1)
    counts = (said > 1.05 * 0.3 * linear + 0.06) & (said < 1.25 * linear + 0.09)
    assert counts.any() and arbiter.says_more(seen)[counts].all()


def test_its_candidates_are_what_either_side_allows_and_what_is_said_once() -> None:
    part, answer = ManifoldCorrection(2, 24), from_nats(torch.full((20, 24), 1.9))
    data = _curved(draws(20), torch.full((20,), 2.0), 0.5, 0.7)
    found = part.candidates(evidence_of(data), answer)
    torch.testing.assert_close(found, from_nats(torch.tensor([1.0, 0.5, 0.7])).expand(20, -1))
    for nats in (1.0, 2.9):  # no more than the dimensions allow, and far above what is linear
        answer = from_nats(torch.full((20, 24), nats))
        assert part.candidates(evidence_of(data), answer).isnan().all()


def test_members_stay_between_the_answer_and_the_least_candidate() -> None:
    part, answer = ManifoldCorrection(2, 24), from_nats(torch.full((3, 24), 2.0))
    candidates = from_nats(torch.tensor([[1.0, 0.5, 0.7]] * 3))
    candidates[2] = torch.nan
    found = from_nats(torch.tensor([0.1, 5.0, 5.0]))[None, :, None].expand(2, 3, 24)
    limited = to_nats(part.limited(found, answer, candidates)).mean((0, -1))
    torch.testing.assert_close(limited, torch.tensor([0.5, 2.0, 2.0]))


def test_what_dimensions_allow_is_learned_and_all_else_stays(parent: Arbiter) -> None:
    data = draws()
    data = _curved(data, data["linear"].squeeze(-1), 0.4)
    data["mi"] = (0.5 * data["linear"].squeeze(-1)).clamp(min=0)
    arbiter = heir_of(parent)
    with torch.no_grad():
        data = rows_of(data, arbiter.says_more(evidence_of(data)))
    assert_learned(parent, data, share=0.5, epochs=10)


def test_only_curved_datasets_are_asked_about() -> None:
    z = torch.randn(2, 400, 5, generator=torch.Generator().manual_seed(0))
    one, other = torch.triu_indices(5, 5)
    products = z[..., one] * z[..., other]
    assert ManifoldCorrection.may_say_more(products, products).all()
    assert not ManifoldCorrection.may_say_more(products, z).any()
    assert not ManifoldCorrection.may_say_more(z, z).any()
