"""Neighbours that have settled change an answer near them, and no other."""

from __future__ import annotations

import pytest
import torch
from arbiter_draws import assert_learned, draws, fitted_parent, heir_of

import torchmist.ensemble.duo
from torchmist.ensemble.arbiter import Arbiter
from torchmist.ensemble.arbiter_training import Data, evidence_of
from torchmist.ensemble.correction_even_directions import EvenDirectionCorrection
from torchmist.ensemble.correction_neighbours import NeighbourCorrection
from torchmist.ensemble.duo import DuoMIST
from torchmist.models.settled_neighbours import FEWEST_ROWS, SETTLED_COUNT
from torchmist.quantile_head import from_nats, to_nats
from torchmist.weights import load_pretrained


@pytest.fixture(scope="module")
def parent() -> Arbiter:
    return fitted_parent(5)


def _settled(data: Data, nats: torch.Tensor, rows: float = 600.0) -> Data:
    sizes = torch.tensor([rows, 2.0, 3.0]).expand(len(nats), -1)
    return {**data, "settled": nats[:, None].expand(-1, SETTLED_COUNT), "sizes": sizes}


def test_neighbours_count_near_an_answer_of_enough_rows(parent: Arbiter) -> None:
    data = draws(300)
    answer = parent(evidence_of(data)).mean(-1)
    arbiter = heir_of(parent)
    short = _settled(data, answer + 0.5, FEWEST_ROWS - 1.0)
    for silent in (_settled(data, 0.5 * answer - 0.1), short):
        assert not arbiter.says_more(evidence_of(silent)).any()
        assert torch.equal(arbiter(evidence_of(silent)), parent(evidence_of(silent)))
    for share in (0.8, 1.0, 1.5):
        heard = evidence_of(_settled(data, share * answer.clamp(min=0)))
        assert arbiter.says_more(heard).all()
        assert ((arbiter(heard) - parent(heard)).abs().amax(-1) > 1e-3).any()


def test_an_answer_stands_in_few_rows_and_where_both_networks_are_of_its_opinion() -> None:
    part, answer = NeighbourCorrection(2, 24), from_nats(torch.full((20, 24), 2.0))
    cases = (
        (2.0, 2.2, 600.0, False), (2.3, 2.0, 600.0, True), (2.0, 1.5, 512.0, True),
        (2.0, 1.5, 511.0, False),
    )  # fmt: skip
    for plain, local, rows, trusted in cases:
        data = _settled(draws(20), torch.full((20,), 2.5), rows)
        data["plain"] = torch.full_like(data["plain"], plain)
        data["local"] = torch.full_like(data["local"], local)
        evidence, each = evidence_of(data), answer.expand(2, -1, -1)
        assert (part.trusted(evidence, answer) == trusted).all()
        for part.learns in (True, False):
            with torch.no_grad():
                found = part(each, evidence, lambda network, seen: network(seen))
            assert torch.equal(found, each) != (part.learns or trusted)


def test_what_neighbours_say_is_learned_and_all_else_stays(parent: Arbiter) -> None:
    data = draws()
    data["mi"] = data["mi"].clamp(min=0) + 1.0
    assert_learned(parent, _settled(data, data["mi"]), share=0.6, epochs=10)


def test_steps_of_the_fit_see_answers_that_are_off_by_what_they_say() -> None:
    part = NeighbourCorrection(2, 24)
    each = from_nats(torch.full((2, 4000, 24), 1.0))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        taught = part.taught(each)
    middle, width = taught.mean((0, -1)) - each[0, 0, 0], taught.std(-1)[0]
    kept = width < 1e-4
    assert kept.float().mean() == pytest.approx(1 / 3, abs=0.03)
    assert torch.equal(taught[:, kept], each[:, kept])
    assert (taught.diff(dim=-1) >= 0).all() and torch.equal(taught[0], taught[1])
    off = (middle / width)[~kept]
    assert off.abs().median() == pytest.approx(0.7, abs=0.1)
    assert float((off.abs() > 2).float().mean()) == pytest.approx(0.05, abs=0.02)


def test_answers_are_changed_in_steps_of_the_fit_alone(parent: Arbiter) -> None:
    data = draws(20)
    evidence = evidence_of(_settled(data, data["mi"]))
    arbiter = heir_of(parent)
    plain = arbiter.each(evidence)
    part = arbiter.corrections()[-1]
    part.learns = True
    with torch.no_grad():
        assert torch.equal(arbiter.each(evidence), plain)
    assert not torch.equal(arbiter.each(evidence), plain)


def test_nothing_is_sought_in_rows_too_few_to_be_asked_of_but_to_learn() -> None:
    duo = load_pretrained("mist-duo-v16")
    assert isinstance(duo, DuoMIST)
    x = torch.randn(1, 511, 2, generator=torch.Generator().manual_seed(0))
    answer, evidence = duo(x, x.exp()), duo.ask(x, x.exp())
    assert not evidence.settled.any()
    part = duo.arbiter.corrections()[-1]
    part.learns = True
    learned_from = duo.ask(x, x.exp())
    assert learned_from.settled.all()
    part.learns = False
    assert torch.equal(duo.arbiter(learned_from), answer)
    longer = torch.cat([x, x[:, :1]], 1)
    assert duo.ask(longer, longer.exp()).settled.any()


def test_long_enough_samples_are_asked() -> None:
    x = torch.randn(2, FEWEST_ROWS, 3, generator=torch.Generator().manual_seed(0))
    assert NeighbourCorrection.may_say_more(x, x).all()
    assert not NeighbourCorrection.may_say_more(x[:, 1:], x[:, 1:]).any()


def test_estimates_among_all_rows_have_the_gradient_of_those_among_fewer() -> None:
    data = draws(10)
    evidence = evidence_of(_settled(data, torch.full((10,), 3.0)))
    evidence = evidence._replace(opinions=evidence.opinions.requires_grad_())
    found = NeighbourCorrection(2, 24).candidates(evidence, from_nats(torch.full((10, 24), 2.0)))
    (gradient,) = torch.autograd.grad(found.sum(), evidence.opinions)
    assert sorted(gradient[0].nonzero().flatten().tolist()) == [4, 10]


def test_later_corrections_go_no_farther_from_where_neighbours_have_settled() -> None:
    part, answer = EvenDirectionCorrection(2, 24), from_nats(torch.full((2, 20, 24), 2.0))
    for member in part.members:  # up by as much as a shift of 2 in t
        torch.nn.init.constant_(member[-1].bias[4:5], 2.0)
    data = _settled(draws(20), torch.full((20,), 2.1))
    data["folded"] = torch.full_like(data["folded"], 2.5)

    def found(settled: torch.Tensor) -> torch.Tensor:
        evidence = evidence_of({**data, "settled": settled})
        return to_nats(part(answer, evidence, lambda network, seen: network(seen)).mean((0, -1)))

    agreed, lower = data["settled"].clone(), data["settled"].clone()
    agreed[:, :2] += 0.05
    torch.testing.assert_close(found(agreed), torch.full((20,), 2.15))
    lower[:, 6:8] -= 0.3  # quarters say less: they have not settled
    for open_ended in (lower, 0.5 * agreed, 0 * agreed):
        assert (found(open_ended) > 3).all()


def test_what_does_not_count_is_not_asked_and_changes_nothing(monkeypatch) -> None:
    duo, asked = load_pretrained("mist-duo-v18"), []
    find = torchmist.ensemble.duo.settled_information
    monkeypatch.setattr(
        torchmist.ensemble.duo,
        "settled_information",
        lambda *a: (asked.append(len(a[0])), find(*a))[1],
    )
    generator = torch.Generator().manual_seed(0)
    normal = torch.randn(1, 1200, 2, generator=generator)
    near = normal + torch.randn(1, 1200, 2, generator=generator)
    wave = (9 * normal[..., :1]).sin() + 0.1 * near[..., 1:]
    cases = ((normal, near, False), (normal, wave, True))
    shorter = [(x[:, :800], y[:, :800], counts) for x, y, counts in cases]
    for x, y, counts in (*cases, *shorter):
        asked.clear()
        found = duo._answer(x, y, None)  # before phases of the wave are asked of
        assert bool(asked) == counts
        assert torch.equal(found, duo.arbiter(duo.ask(x, y)))


def test_casts_of_the_host_do_not_reach_what_is_asked_late() -> None:
    duo = load_pretrained("mist-duo-v20")
    x = torch.randn(1, 1100, 2, generator=torch.Generator().manual_seed(0))
    wave = (9 * x[..., :1]).sin() + 0.1 * x[..., 1:]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = duo(x, wave)
    torch.testing.assert_close(found, duo(x, wave), atol=0.1, rtol=0.05)
