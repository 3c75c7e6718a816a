"""What a classifier of a label still learns changes an answer of labels, and no other."""

from __future__ import annotations

import pytest
import torch
from arbiter_draws import assert_learned, draws, fitted_parent, heir_of

from torchmist.ensemble.arbiter import CORRECTIONS, Arbiter
from torchmist.ensemble.arbiter_training import Data, evidence_of
from torchmist.ensemble.correction_label_curves import LabelCurveCorrection
from torchmist.models.label_curves import LabelCurves
from torchmist.quantile_head import from_nats, to_nats


@pytest.fixture(scope="module")
def parent() -> Arbiter:
    return fitted_parent(CORRECTIONS.index("learned"))


def _curved(data: Data, whole: torch.Tensor, step: float = 0.1, pace: float = 0.5) -> Data:
    """A doubling of the rows added ``step`` nats, and the one before that over ``pace``."""
    one = torch.ones_like(whole)
    bounds = torch.stack([whole, whole - step, whole - step - step / pace], -1)
    surest = torch.stack([whole + 0.3, whole + 0.4], -1)
    found = LabelCurves(
        bounds, 0.1 * torch.ones_like(bounds), (whole + 0.5)[:, None], surest,
        torch.zeros_like(surest), one[:, None], 4 * one[:, None],
    )  # fmt: skip
    return {**data, "learned": torch.cat(found, -1)}


def test_candidates_lie_where_a_curve_goes() -> None:
    data = draws(10)
    whole = torch.full((10,), 0.6)
    evidence = evidence_of(_curved(data, whole))
    part = LabelCurveCorrection(2, 24)
    answer = from_nats(torch.full((10, 24), 0.7))
    found = to_nats(part.candidates(evidence, answer))
    torch.testing.assert_close(found[0], torch.tensor([0.6, 0.7, 0.7, 0.9, 1.0, 1.1]))
    flat = part.candidates(evidence_of(_curved(data, whole, step=-0.1)), answer)
    torch.testing.assert_close(to_nats(flat)[:, :3], torch.full((10, 3), 0.6))


def test_an_answer_stands_where_there_is_no_label_or_nothing_is_learned(parent: Arbiter) -> None:
    data = draws(100)
    arbiter = heir_of(parent)
    answer = parent(evidence_of(data)).mean(-1)
    for silent in (data, _curved(data, torch.full((100,), 0.01)), _curved(data, 0.35 * answer)):
        assert not arbiter.says_more(evidence_of(silent)).any()
        assert torch.equal(arbiter(evidence_of(silent)), parent(evidence_of(silent)))
    heard = evidence_of(_curved(data, (0.5 * answer).clamp(min=0.03)))
    assert arbiter.says_more(heard).all()


def test_the_highest_quantiles_do_not_fall() -> None:
    part, answer = LabelCurveCorrection(2, 24), from_nats(torch.linspace(0.2, 1.2, 24))
    for member in part.members:  # down by as much as a shift of 1 in t
        torch.nn.init.constant_(member[-1].bias[7:8], -1.0)
    evidence = evidence_of(_curved(draws(20), torch.full((20,), 0.6)))
    with torch.no_grad():
        found = part(answer.expand(2, 20, -1), evidence, lambda network, seen: network(seen))
    torch.testing.assert_close(found[..., -4:], answer[-4:].expand(2, 20, -1))
    assert (found[..., :12] < answer[:12] - 0.2).all()


def test_where_a_classifier_goes_is_learned_and_all_else_stays(parent: Arbiter) -> None:
    data = draws()
    data["mi"] = data["mi"].clamp(min=0) + 1.0
    assert_learned(parent, _curved(data, data["mi"] - 0.4), share=0.6, epochs=10)


def test_labels_of_rows_of_several_columns_are_asked_about() -> None:
    x = torch.randn(2, 200, 4, generator=torch.Generator().manual_seed(0))
    label = (x.prod(-1, keepdim=True) + x[..., :1] > 0).float()
    assert LabelCurveCorrection.may_say_more(x, label).all()
    assert not LabelCurveCorrection.may_say_more(x, x[..., :1]).any()
