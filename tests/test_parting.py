"""Regimes change an answer where they say more, and nowhere else."""

from __future__ import annotations

import pytest
import torch
from arbiter_draws import draws, fitted_arbiter

from torchmist.arbiter import ONWARD, Arbiter
from torchmist.arbiter_fit import Data, evidence_of, rows_of
from torchmist.parting import Parting
from torchmist.quantile_head import quantile_levels
from training.arbiter_fit import fit, inherit


@pytest.fixture(scope="module")
def parent() -> Arbiter:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        heir = Arbiter(16, members=2, **dict.fromkeys(ONWARD[:-1], True))
    inherit(heir, fitted_arbiter())
    return heir


def _heir(parent: Arbiter) -> Arbiter:
    arbiter = Arbiter(16, members=2, **dict.fromkeys(ONWARD, True))
    inherit(arbiter, parent)
    return arbiter


def _parted(
    data: Data, nats: torch.Tensor, one: float = 0.0, gain: float = 0.5, bound: float = 0.95
) -> Data:
    parts = [nats, bound * nats, torch.full_like(nats, one), torch.full_like(nats, gain)]
    return {**data, "regimes": torch.stack([*parts, torch.full_like(nats, 3.0)], -1)}


def test_regimes_count_where_they_say_more_than_the_answer_and_than_one(parent: Arbiter) -> None:
    data = draws(300)
    answer = parent(evidence_of(data)).mean(-1)
    data, answer = rows_of(data, answer < 5), answer[answer < 5]
    arbiter, much = _heir(parent), 1.2 * answer.clamp(min=0) + 0.2
    silent = (
        data,
        _parted(data, answer.clamp(max=0.0)),
        _parted(data, much, one=50.0),
        _parted(data, much, gain=0.01),
        _parted(data, much, bound=0.2),
    )
    for less in silent:
        assert not arbiter.says_more(evidence_of(less)).any()
        assert torch.equal(arbiter(evidence_of(less)), parent(evidence_of(less)))
    more = evidence_of(_parted(data, much))
    assert arbiter.says_more(more).all()
    assert ((arbiter(more) - parent(more)).abs().amax(-1) > 1e-3).all()
    least = more.regimes[:, 1] - 2 / more.sizes[:, 0].sqrt()  # a bound that rows had no part in
    each = arbiter.each(more).exp() - 0.2
    assert (each.amin((0, 2)) > least.clamp(min=-0.19) - 1e-3).all()


def test_what_regimes_say_is_learned_and_all_else_stays(parent: Arbiter) -> None:
    data, levels = draws(), quantile_levels(24)
    data["mi"] = data["mi"].clamp(min=0) + 2.0
    data = _parted(data, data["mi"])
    arbiter = _heir(parent)
    fit(arbiter, data, levels, epochs=10, onward=True)
    held, truth = evidence_of(data, data["check"] > 0), data["mi"][data["check"] > 0]
    errors = [(a(held).mean(-1) - truth).abs().mean() for a in (arbiter, parent)]
    assert errors[0] < 0.6 * errors[1]
    for name, weight in parent.state_dict().items():
        assert torch.equal(arbiter.state_dict()[name], weight)


def test_only_datasets_of_several_regimes_are_asked_about() -> None:
    g = torch.Generator().manual_seed(0)
    x = torch.randn(2, 1500, 3, generator=g)
    sign = 1 - 2 * (torch.rand(2, 1500, 1, generator=g) < 0.5).float()
    noise = torch.randn(2, 1500, 3, generator=g)
    assert Parting.may_say_more(x, sign * x + 0.3 * noise).all()
    assert not Parting.may_say_more(x, x + noise).any()
