"""Pairs and products of columns change an answer where they say more, and nowhere else."""

from __future__ import annotations

import pytest
import torch
from arbiter_draws import draws, fitted_arbiter

from torchmist.ensemble.arbiter import Arbiter
from torchmist.ensemble.arbiter_training import Data, evidence_of, rows_of
from torchmist.models.variates import SUMS, VARIATE_OPINIONS
from torchmist.quantile_head import quantile_levels
from training.arbiter_fit import fit, inherit


@pytest.fixture(scope="module")
def parent() -> Arbiter:
    return fitted_arbiter()


def _heir(parent: Arbiter) -> Arbiter:
    """An arbiter with the weights of ``parent``, and further networks away from their start."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        arbiter = Arbiter(16, members=2, further=True)
        inherit(arbiter, parent)
        assert arbiter.further is not None
        for weight in arbiter.further.parameters():
            weight.data.add_(0.3 * torch.randn_like(weight))
        return arbiter


def _with_pairs(data: Data, near: torch.Tensor, linear: torch.Tensor | None = None) -> Data:
    """``linear``: what the pairs share linearly, by default as much as all columns do."""
    linear = data["linear"][:, 0] if linear is None else linear
    return {**data, "matched": torch.stack([near, linear, torch.full_like(near, 2.0)], -1)}


def _with_products(data: Data, opinions: torch.Tensor) -> Data:
    crossed = torch.zeros_like(data["crossed"])
    crossed[:, :VARIATE_OPINIONS] = opinions
    crossed[:, -2] = 3.0
    return {**data, "crossed": crossed}


def test_without_pairs_and_products_the_answer_is_that_of_the_parent(parent) -> None:
    evidence = evidence_of(draws(200))
    arbiter = _heir(parent)
    assert not arbiter.says_more(evidence).any()
    assert torch.equal(arbiter(evidence), parent(evidence))


def test_pairs_count_where_they_share_more_than_the_answer(parent) -> None:
    data = draws(200)
    data["linear"] = torch.zeros_like(data["linear"])
    answer = parent(evidence_of(data)).mean(-1)
    data, answer = rows_of(data, answer > 0), answer[answer > 0]
    much = 1.2 * answer + 0.1
    arbiter = _heir(parent)
    echoes = _with_pairs(data, much, linear=much)  # of what all columns share linearly, too
    for less in (_with_pairs(data, 0.9 * answer), echoes):
        assert not arbiter.says_more(evidence_of(less)).any()
    more = evidence_of(_with_pairs(data, much))
    assert arbiter.says_more(more).float().mean() > 0.95
    changed = (arbiter(more) - parent(more)).abs().amax(-1) > 1e-3
    assert torch.equal(changed, arbiter.says_more(more))


def test_products_count_where_they_show_more_than_the_answer_and_than_variates_do(parent) -> None:
    data = draws(200)
    shown = data["variates"].clamp(min=0)
    sums = shown.clone()
    sums[:, -len(SUMS) :] += 5.0  # which hold for Gaussian variates alone
    arbiter = _heir(parent)
    for opinions in (shown, sums):
        assert not arbiter.says_more(evidence_of(_with_products(data, opinions))).any()
    answer = parent(evidence_of(data)).mean(-1, keepdim=True)
    more = 1.2 * torch.maximum(shown, answer) + 0.1
    assert arbiter.says_more(evidence_of(_with_products(data, more))).all()
    less = torch.minimum(more, answer.clamp(min=0))
    assert not arbiter.says_more(evidence_of(_with_products(data, less))).any()


def test_quantiles_increase_and_carry_a_gradient_to_what_is_read(parent) -> None:
    data = _with_products(draws(50), draws(50)["variates"].clamp(min=0) + 1.0)
    data["crossed"].requires_grad_()
    out = _heir(parent)(evidence_of(data))
    assert (out.diff(dim=-1) >= 0).all()
    out.mean().backward()
    grad = data["crossed"].grad
    assert grad is not None and bool(grad.isfinite().all()) and (grad != 0).any()


def test_what_is_read_further_is_learned_and_all_else_stays(parent) -> None:
    data, levels = draws(), quantile_levels(24)
    some = torch.arange(len(data["mi"])) % 2 == 0
    data["mi"] = torch.where(some, data["mi"] + 2.0, data["mi"])  # which pairs alone show
    data = _with_pairs(data, torch.where(some, data["mi"], 0.0))
    data["matched"][~some] = 0.0
    arbiter = Arbiter(16, members=2, further=True)
    inherit(arbiter, parent)
    data = rows_of(data, some)
    found = fit(arbiter, data, levels, epochs=40, correction=True)
    held, truth = evidence_of(data, data["check"] > 0), data["mi"][data["check"] > 0]
    errors = [(a(held).mean(-1) - truth).abs().mean() for a in (arbiter, parent)]
    assert errors[0] < 0.6 * errors[1]
    assert "arbiter" in found and not any("strange" in name for name in found)
    for name, weight in parent.state_dict().items():
        assert torch.equal(arbiter.state_dict()[name], weight)


def test_a_parent_of_other_sizes_is_refused(parent) -> None:
    with pytest.raises(ValueError, match="expected a parent of sizes .*32.*got .*16"):
        inherit(Arbiter(32, members=2, further=True), parent)


def test_a_file_tells_whether_an_arbiter_reads_further() -> None:
    assert Arbiter(16, further=True).sizes()["further"] is True
    assert "further" not in Arbiter(16).sizes()
    arbiter = Arbiter(**Arbiter(16, further=True).sizes())
    assert len(arbiter.networks()) == 2 * len(arbiter.members)
