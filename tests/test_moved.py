"""Moved pairs of datasets: their information, their shared noise, and the loss on the change."""

from __future__ import annotations

import math

import pytest
import torch

from torchmist.models.losses import difference_loss
from torchmist.synthetic.batch import Batch
from torchmist.synthetic.general.canonical import canonical_mi, sample_canonical
from torchmist.synthetic.general.moved import MOVED_KINDS, _moved_mi, sample_moved

SIZES = ((1, 1), (3, 5), (8, 3), (40, 24))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def plug_in(batch: Batch) -> torch.Tensor:
    """Gaussian MI from the sample covariance, ``[B]`` nats."""
    dx = batch.x.shape[-1]
    joint = torch.cat([batch.x, batch.y], -1).double()
    joint = joint - joint.mean(1, keepdim=True)
    cov = joint.mT @ joint / joint.shape[1]
    return (cov[:, :dx, :dx].logdet() + cov[:, dx:, dx:].logdet() - cov.logdet()) / 2


@pytest.mark.parametrize("kind", MOVED_KINDS)
@pytest.mark.parametrize("dx, dy", SIZES)
def test_pairs_are_finite_and_near_each_other(kind: str, dx: int, dy: int) -> None:
    before, after = sample_moved(6, 50, dx, dy, generator=generator(), kinds={kind: 1.0})
    assert before.x.shape == after.x.shape == (6, 50, dx) and before.y.shape == (6, 50, dy)
    assert torch.equal(before.y, after.y)
    for batch in (before, after):
        assert batch.x.isfinite().all() and batch.mi.isfinite().all() and (batch.mi >= 0).all()
    assert not torch.equal(before.x, after.x)


def test_moved_gaussian_pairs_have_the_information_of_their_covariance() -> None:
    before, after = sample_moved(8, 40_000, 3, 4, generator=generator(1), kinds={"gaussian": 1.0})
    for batch in (before, after):
        torch.testing.assert_close(plug_in(batch).float(), batch.mi, atol=0.03, rtol=0.03)
    change, seen = after.mi - before.mi, plug_in(after) - plug_in(before)
    assert (change - seen).abs().max() < 0.1 * change.abs().max()


def test_an_invertible_map_of_x_alone_changes_nothing() -> None:
    rho = torch.tensor([[0.9, 0.5]], dtype=torch.float64)
    own = torch.randn(1, 3, 3, dtype=torch.float64, generator=generator())
    moved = _moved_mi(rho, own, torch.zeros(1, 2, 3, dtype=torch.float64))
    exact = canonical_mi(rho, torch.tensor([torch.inf]), 3, 2)
    torch.testing.assert_close(moved, exact)


def test_moved_single_columns_follow_the_closed_form() -> None:
    r, a, b = 0.6, 1.2, 0.3  # x' = a x + b y
    own, other = torch.full((1, 1, 1), a).double(), torch.full((1, 1, 1), b).double()
    correlation = (a * r + b) / math.sqrt(a * a + b * b + 2 * a * b * r)
    moved = _moved_mi(torch.tensor([[r]], dtype=torch.float64), own, other)
    assert moved.item() == pytest.approx(-0.5 * math.log(1 - correlation**2))


def test_moved_student_pairs_stay_student() -> None:
    """A linear map of an elliptical pair is elliptical: the ratio cancels in x'/y regressions."""
    rho, df = torch.tensor([[0.7]], dtype=torch.float64), torch.tensor([3.0], dtype=torch.float64)
    x, y = sample_canonical(rho, df, 100_000, 1, 1, generator=generator())
    moved = 1.1 * x + 0.4 * y
    rest = moved - y * (1.1 * 0.7 + 0.4)  # uncorrelated with y, and heavy where y is heavy
    heavy = y.abs() > y.abs().quantile(0.99)
    assert rest[heavy].abs().median() > 2 * rest.abs().median()


def test_noisier_columns_know_less() -> None:
    before, after = sample_moved(64, 400, 1, 1, generator=generator(), kinds={"additive": 1.0})
    noise = [(batch.x - batch.y).std(1).squeeze(-1) for batch in (before, after)]
    assert torch.equal(noise[1] > noise[0], after.mi < before.mi)


def test_the_same_generator_gives_the_same_pairs() -> None:
    state = torch.get_rng_state()
    (one, _), (again, _) = (sample_moved(16, 30, 3, 4, generator=generator(5)) for _ in range(2))
    assert torch.equal(one.x, again.x) and torch.equal(one.mi, again.mi)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("kinds", [{"cauchy": 1.0}, {}])
def test_unknown_kinds_are_errors(kinds: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected shares of some of"):
        sample_moved(4, 20, 2, 2, generator=generator(), kinds=kinds)


def test_the_loss_of_the_change_is_zero_for_the_true_change_alone() -> None:
    before, after = torch.tensor([0.5, 1.0]), torch.tensor([0.8, 0.9])
    off = 0.3  # a bias of both estimates leaves the change alone
    quantiles = [(v + off)[:, None].expand(-1, 3) for v in (before, after)]
    assert difference_loss(*quantiles, before, after).item() == pytest.approx(0, abs=1e-10)
    flat = [(0 * v)[:, None].expand(-1, 3) for v in (before, after)]
    relative = (after - before).abs() / ((after - before).abs() + 0.01 + 0.02 * before)
    expected = relative.square().mean().item() / 2
    assert difference_loss(*flat, before, after).item() == pytest.approx(expected)
