"""Independent components change an answer where they say more, and nowhere else."""

from __future__ import annotations

import pytest
import torch
from arbiter_draws import assert_learned, draws, fitted_parent, heir_of

from torchmist.ensemble.arbiter import Arbiter
from torchmist.ensemble.arbiter_training import Data, evidence_of, rows_of
from torchmist.ensemble.correction_components import ComponentCorrection
from torchmist.models.independent_components import FRAMES


@pytest.fixture(scope="module")
def parent() -> Arbiter:
    return fitted_parent(1)


def _with_components(data: Data, near: torch.Tensor, tied: float = 0.0) -> Data:
    """Of the first frame alone; pairs share linearly as much as all columns do."""
    unmixed = torch.zeros_like(data["unmixed"]).unflatten(-1, (4, FRAMES))
    parts = [near, data["linear"][:, 0], torch.full_like(near, tied), torch.full_like(near, 2.0)]
    unmixed[..., 0] = torch.stack(parts, -1)
    return {**data, "unmixed": unmixed.flatten(1)}


def test_components_count_where_they_share_more_than_the_answer_and_are_independent(
    parent: Arbiter,
) -> None:
    data = draws(200)
    data["linear"] = torch.zeros_like(data["linear"])
    answer = parent(evidence_of(data)).mean(-1)
    data, answer = rows_of(data, answer > 0), answer[answer > 0]
    much = 1.2 * answer + 0.2
    arbiter = heir_of(parent)
    silent = (data, _with_components(data, 0.9 * answer), _with_components(data, much, tied=5.0))
    for less in silent:
        assert not arbiter.says_more(evidence_of(less)).any()
        assert torch.equal(arbiter(evidence_of(less)), parent(evidence_of(less)))
    linear = _with_components({**data, "linear": (much + 1)[:, None]}, much + 2)
    below = parent(evidence_of(linear)).mean(-1) < 0.9 * much  # as that of clusters lies
    assert below.float().mean() > 0.5
    assert not arbiter.says_more(evidence_of(rows_of(linear, below))).any()
    more = evidence_of(_with_components(data, much))
    assert arbiter.says_more(more).float().mean() > 0.95
    changed = (arbiter(more) - parent(more)).abs().amax(-1) > 1e-3
    assert torch.equal(changed, arbiter.says_more(more))


def test_what_components_say_is_learned_and_all_else_stays(parent: Arbiter) -> None:
    data = draws()
    data["linear"] = torch.zeros_like(data["linear"])
    data["mi"] = data["mi"].clamp(min=0) + 2.0  # which components alone show
    data = _with_components(data, data["mi"])
    assert_learned(parent, data, share=0.6, epochs=20)


def test_a_file_tells_that_an_arbiter_reads_components() -> None:
    sizes = Arbiter(16, further=True, unmixed=True).sizes()
    assert sizes["further"] is True and sizes["unmixed"] is True
    assert "unmixed" not in Arbiter(16, further=True).sizes()
    arbiter = Arbiter(**sizes)
    assert len(arbiter.corrections()) == 2
    assert len(arbiter.networks()) == 3 * len(arbiter.members)


def test_only_datasets_whose_components_may_say_more_are_asked_about() -> None:
    g = torch.Generator().manual_seed(0)
    x = torch.rand(2, 2000, 4, generator=g)
    y = x + 0.5 * torch.rand(2, 2000, 4, generator=g)
    turn = torch.linalg.qr(torch.randn(2, 4, 4, generator=g)).Q
    assert ComponentCorrection.may_say_more(x @ turn, y).all()
    normal = torch.randn(20, 400, 4, generator=g)
    told = ComponentCorrection.may_say_more(normal, normal + torch.randn(20, 400, 4, generator=g))
    assert told.float().mean() < 0.1
