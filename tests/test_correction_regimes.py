"""Regimes change an answer where they say more, and nowhere else."""

from __future__ import annotations

import pytest
import torch
from arbiter_draws import assert_goes_on, assert_learned, draws, fitted_parent

from torchmist.ensemble.arbiter import Arbiter
from torchmist.ensemble.arbiter_training import Data, evidence_of, rows_of
from torchmist.ensemble.correction_regimes import RegimeCorrection
from torchmist.quantile_head import from_nats


@pytest.fixture(scope="module")
def parent() -> Arbiter:
    return fitted_parent(4)


def _parted(
    data: Data, nats: torch.Tensor, one: float = 0.0, gain: float = 0.5, bound: float = 0.95
) -> Data:
    parts = [nats, bound * nats, torch.full_like(nats, one), torch.full_like(nats, gain)]
    return {**data, "regimes": torch.stack([*parts, torch.full_like(nats, 3.0)], -1)}


def test_regimes_count_where_they_say_more_than_the_answer_and_than_one(parent: Arbiter) -> None:
    data = draws(300)
    answer = parent(evidence_of(data)).mean(-1)
    data, answer = rows_of(data, answer < 5), answer[answer < 5]
    much = 1.2 * answer.clamp(min=0) + 0.2
    silent = (
        data,
        _parted(data, answer.clamp(max=0.0)),
        _parted(data, much, one=50.0),
        _parted(data, much, gain=0.01),
        _parted(data, much, bound=0.2),
    )
    more = _parted(data, much)
    assert_goes_on(parent, silent, more, more["regimes"][:, 1])


def test_most_of_an_answer_counts_where_others_bear_it_out() -> None:
    answer = from_nats(torch.full((20, 24), 2.0))
    part = RegimeCorrection(2, 24)
    for share, others, goes_on in ((0.8, 2.0, True), (0.8, 1.0, False), (0.6, 2.0, False),
                                   (1.2, 1.0, True)):  # fmt: skip
        data = _parted(draws(20), torch.full((20,), 2.0 * share))
        said = ("plain", "local", "opinions", "variates")
        data.update({name: torch.full_like(data[name], others) for name in said})
        found = part.candidates(evidence_of(data), answer)
        assert bool((~found.isnan()).all() if goes_on else found.isnan().all())


def test_what_a_single_regime_says_too_is_learned_from_and_left_to_stand() -> None:
    part, answer = RegimeCorrection(2, 24), from_nats(torch.full((20, 24), 2.0))
    each = answer.expand(2, -1, -1)
    for share, one, linear, trusted in ((0.8, 0.5, 0.5, True), (0.8, 1.4, 0.5, False),
                                        (0.8, 0.5, 1.4, False), (1.2, 0.5, 1.4, True)):  # fmt: skip
        data = _parted(draws(20), torch.full((20,), 2.0 * share), one=one)
        data["linear"] = torch.full_like(data["linear"], linear)
        data["plain"] = torch.full_like(data["plain"], 2.0)
        evidence = evidence_of(data)
        assert (part.trusted(evidence, answer) == trusted).all()
        assert part.says_more(each, evidence).all()
        for part.learns in (True, False):
            for module in (part.train(), part.eval()):  # of which a host decides
                found = module(each, evidence, lambda network, seen: network(seen))
                assert torch.equal(found, each) != (part.learns or trusted)


def test_what_regimes_say_is_learned_and_all_else_stays(parent: Arbiter) -> None:
    data = draws()
    data["mi"] = data["mi"].clamp(min=0) + 2.0
    data = _parted(data, data["mi"])
    assert_learned(parent, data, share=0.6, epochs=10)


def test_only_datasets_of_several_regimes_are_asked_about() -> None:
    g = torch.Generator().manual_seed(0)
    x = torch.randn(2, 1500, 3, generator=g)
    sign = 1 - 2 * (torch.rand(2, 1500, 1, generator=g) < 0.5).float()
    noise = torch.randn(2, 1500, 3, generator=g)
    assert RegimeCorrection.may_say_more(x, sign * x + 0.3 * noise).all()
    assert not RegimeCorrection.may_say_more(x, x + noise).any()
