"""What a regression of numbers still learns changes an answer of numbers, and no other."""

from __future__ import annotations

import pytest
import torch
from arbiter_draws import assert_learned, draws, fitted_parent, heir_of

from torchmist.ensemble.arbiter import CORRECTIONS, Arbiter
from torchmist.ensemble.arbiter_training import Data, evidence_of
from torchmist.ensemble.correction_number_curves import NumberCurveCorrection
from torchmist.models.number_curves import NumberCurves
from torchmist.quantile_head import from_nats, to_nats


@pytest.fixture(scope="module")
def parent() -> Arbiter:
    return fitted_parent(CORRECTIONS.index("predicted"))


def _unseen(count: int = 4000) -> Data:
    """Draws of which neighbours see nothing."""
    data = draws(count)
    return {**data, "opinions": torch.full_like(data["opinions"], -0.1)}


def _curved(data: Data, whole: torch.Tensor, step: float = 0.1, pace: float = 0.5) -> Data:
    """A doubling of the rows added ``step`` nats, and the one before that over ``pace``."""
    bounds = torch.stack([whole, whole - step, whole - step - step / pace], -1)
    dense = torch.stack([whole + 0.3, whole + 0.4], -1)
    linear = (whole - 0.3)[:, None]
    found = NumberCurves(bounds, bounds - 0.2, linear, dense, 0.8 * torch.ones_like(linear))
    return {**data, "predicted": torch.cat(found, -1)}


def test_candidates_lie_where_the_better_curve_goes() -> None:
    data = _unseen(10)
    evidence = evidence_of(_curved(data, torch.full((10,), 0.6)))
    part = NumberCurveCorrection(2, 24)
    answer = from_nats(torch.full((10, 24), 0.7))
    found = to_nats(part.candidates(evidence, answer))
    torch.testing.assert_close(found[0], torch.tensor([0.6, 0.7, 0.7, 0.9, 1.0]))
    numbers = NumberCurves.of(evidence.predicted)
    swapped = torch.cat([numbers.sums, numbers.bounds, *numbers[2:]], -1)
    torch.testing.assert_close(
        part.candidates(evidence._replace(predicted=swapped), answer), from_nats(found)
    )
    assert part.seen(evidence, from_nats(found), answer[:, :1]).shape == (10, part.SEEN)


def test_an_answer_stands_where_nothing_is_learned(parent: Arbiter) -> None:
    data = _unseen(100)
    arbiter = heir_of(parent)
    answer = parent(evidence_of(data)).mean(-1)
    seen = {**data, "opinions": torch.full_like(data["opinions"], 9.0)}
    silent_ones = (
        data, _curved(data, torch.full((100,), 0.04)), _curved(data, 0.35 * answer),
        _curved(data, answer, step=0.02), _curved(seen, answer),
    )  # fmt: skip
    for silent in silent_ones:
        assert not arbiter.says_more(evidence_of(silent)).any()
        assert torch.equal(arbiter(evidence_of(silent)), parent(evidence_of(silent)))
    heard = evidence_of(_curved(data, (0.5 * answer).clamp(min=0.06)))
    assert arbiter.says_more(heard).all()


def test_many_products_that_show_most_of_it_leave_the_answer(parent: Arbiter) -> None:
    data, part = _unseen(100), NumberCurveCorrection(2, 24)
    whole = (0.8 * parent(evidence_of(data)).mean(-1)).clamp(min=0.3)
    evidence = evidence_of(_curved(data, whole))
    for share, kept, heard in ((0.9, 6, False), (0.9, 5, True), (0.5, 6, True)):
        crossed = torch.zeros_like(evidence.crossed)
        crossed[:, 0], crossed[:, -2] = share * whole, kept
        answer = from_nats(parent(evidence))
        found = part.candidates(evidence._replace(crossed=crossed), answer)
        assert found.isfinite().all() if heard else found.isnan().all()


def test_the_highest_quantiles_do_not_fall() -> None:
    part, answer = NumberCurveCorrection(2, 24), from_nats(torch.linspace(0.2, 1.2, 24))
    for member in part.members:  # down by as much as a shift of 1 in t
        torch.nn.init.constant_(member[-1].bias[6:7], -1.0)
    evidence = evidence_of(_curved(_unseen(20), torch.full((20,), 0.6)))
    with torch.no_grad():
        found = part(answer.expand(2, 20, -1), evidence, lambda network, seen: network(seen))
    torch.testing.assert_close(found[..., -4:], answer[-4:].expand(2, 20, -1))
    assert (found[..., :12] < answer[:12] - 0.2).all()


def test_where_a_regression_goes_is_learned_and_all_else_stays(parent: Arbiter) -> None:
    data = _unseen()
    data["mi"] = data["mi"].clamp(min=0) + 1.0
    assert_learned(parent, _curved(data, data["mi"] - 0.4), share=0.6, epochs=10)


def test_numbers_of_rows_of_several_columns_are_asked_about() -> None:
    x = torch.randn(2, 200, 4, generator=torch.Generator().manual_seed(0))
    assert NumberCurveCorrection.may_say_more(x, x.square().sum(-1, keepdim=True)).all()
    assert not NumberCurveCorrection.may_say_more(x, (x[..., :1] > 0).float()).any()
