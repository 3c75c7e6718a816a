"""What a code that shrinks can gain where a term removes: no more than I-MMSE allows."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor

import torchmist
from torchmist.terms import auto_goal, batch_goal
from torchmist.terms.batch_goal import pull_at, pulled_at
from torchmist.terms.gaussian_process import Pull
from torchmist.terms.radial_pull import UNSEEN, bounded_pull, radial_bound


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def growth(gradient: Tensor, side: Tensor) -> Tensor:
    """Derivatives in the logarithms of the scales of columns, ``[..., d]``."""
    return (gradient * (side - side.mean(-2, keepdim=True))).sum(-2)


def minimising(x: Tensor, y: Tensor, seen: Tensor | None, mask: Tensor | None = None) -> Tensor:
    gradient = pull_at(x, y, mask, (True, False), "minimize", seen).in_x
    assert gradient is not None
    return gradient


def test_the_bound_is_the_derivative_of_a_channel_of_equal_columns_and_above_that_of_others() -> (
    None
):
    scale = torch.tensor([0.3, 1.0, 2.0], dtype=torch.float64, requires_grad=True)
    information = 0.5 * torch.log1p(scale.square())
    (gradient,) = torch.autograd.grad(information.sum(), scale)
    each = (gradient * scale).detach()
    torch.testing.assert_close(radial_bound(information.detach(), 1), each)
    assert each.sum() < radial_bound(information.detach().sum(), 3)


@pytest.mark.parametrize("information", [0.0, 0.02, 0.3, -0.1])
def test_an_independent_code_gains_no_more_by_shrinking_than_what_is_left_in_it(
    information: float,
) -> None:
    z, y, seen = draw(1, 128, 16), draw(1, 128, 4, seed=1), torch.tensor([information])
    before, after = minimising(z, y, None), minimising(z, y, seen)
    bound = radial_bound(seen.clamp(min=0) + UNSEEN, 16)
    assert growth(before, z).clamp(min=0).sum() > 1.5 * bound
    found = growth(after, z).clamp(min=0).sum(-1)
    torch.testing.assert_close(found, bound, atol=1e-5, rtol=1e-3)
    torch.testing.assert_close(growth(after, z).clamp(max=0), growth(before, z).clamp(max=0))


def test_what_is_not_radial_stays_as_it_is() -> None:
    z, y = draw(1, 100, 12), draw(1, 100, 3, seed=1)
    taken = minimising(z, y, None) - minimising(z, y, torch.zeros(1))
    centred = z - z.mean(1, keepdim=True)
    share = (taken * centred).sum(1, keepdim=True) / centred.square().sum(1, keepdim=True)
    torch.testing.assert_close(taken, share * centred, atol=1e-7, rtol=1e-3)
    assert taken.any()


def test_a_gaussian_channel_keeps_its_derivative() -> None:
    """Information and gradient of ``x = s m + e``, ``y = m``: d/dlog s is below the bound."""
    m, scale = draw(1, 400, 2, seed=3), torch.tensor([0.5, 1.5])
    x = scale * m + draw(1, 400, 2, seed=4)
    truth = 0.5 * torch.log1p(scale.square()).sum()[None]
    seen = truth - UNSEEN
    share = scale.square() / (1 + scale.square())
    centred = x - x.mean(1, keepdim=True)
    gradient = share * centred / centred.square().sum(1, keepdim=True)
    torch.testing.assert_close(growth(gradient, x), share[None])
    kept = bounded_pull(Pull(truth, gradient, None), x, m, None, seen)
    torch.testing.assert_close(kept.in_x, gradient, atol=1e-7, rtol=1e-4)
    assert kept.in_y is None and kept.information is truth


def test_masked_samples_do_not_count_and_may_hold_anything() -> None:
    z, y, seen = draw(1, 60, 12), draw(1, 60, 2, seed=1), torch.tensor([0.1])
    wanted = minimising(z, y, seen)
    assert not torch.allclose(wanted, minimising(z, y, None), atol=1e-4)
    more = torch.cat([z, 1e6 * draw(1, 20, 12, seed=2)], 1)
    mask = torch.arange(80)[None] < 60
    found = minimising(more, torch.cat([y, y[:, :20]], 1), seen, mask)
    torch.testing.assert_close(found[:, :60], wanted, atol=1e-6, rtol=1e-3)
    assert not found[:, 60:].any()


def test_each_dataset_of_a_batch_has_its_own_bound() -> None:
    z, y, seen = draw(3, 64, 12), draw(3, 64, 2, seed=1), torch.tensor([0.0, 0.05, 9.0])
    each = [minimising(z[k : k + 1], y[k : k + 1], seen[k : k + 1]) for k in range(3)]
    torch.testing.assert_close(minimising(z, y, seen), torch.cat(each), atol=1e-6, rtol=1e-3)


def test_columns_without_spread_and_units_do_not_count() -> None:
    z, y, seen = draw(1, 64, 12), draw(1, 64, 2, seed=1), torch.tensor([0.1])
    wanted, unit = minimising(z, y, seen), torch.logspace(-15, 20, 12)
    assert not torch.allclose(wanted, minimising(z, y, None), atol=1e-4)
    more = torch.cat([z * unit, torch.ones(1, 64, 2)], -1)
    found = minimising(more, y, seen)
    torch.testing.assert_close(found[..., :12] * unit, wanted, atol=1e-6, rtol=1e-3)
    assert found.isfinite().all() and not found[..., 12:].any()
    assert not minimising(torch.ones(1, 64, 2), y, seen).any()


def test_terms_that_are_added_have_the_bound_and_those_that_are_subtracted_do_not() -> None:
    z, y = draw(1, 100, 12).requires_grad_(), draw(1, 100, 3, seed=1)
    for sign in (1.0, -1.0):
        out = auto_goal.driven(torch.zeros(1), z, y, None, 10)
        (gradient,) = torch.autograd.grad(sign * out.sum(), z)
        found = (sign * growth(gradient, z)).clamp(min=0).sum()
        bound = radial_bound(torch.tensor(UNSEEN + 0.02), 12)
        assert found < bound if sign > 0 else found > 0.2 * 2 * bound


def test_a_goal_is_bounded_by_its_own_value(small, monkeypatch) -> None:
    z, y = draw(100, 12).requires_grad_(), draw(100, 3, seed=1)
    monkeypatch.setattr(batch_goal, "_SHARE", 0.0)
    reg = torchmist.MIRegularizer(small, goal="minimize")
    for term in (partial(torchmist.mist_mi, model=small, goal="minimize"), reg, reg, reg):
        value = term(z, y)
        (gradient,) = torch.autograd.grad(value, z)
        free = pulled_at(z[None], y[None], None, "minimize")
        (before,) = torch.autograd.grad(free.sum(), z)
        bound = radial_bound(value.detach().clamp(min=0) + UNSEEN, 12)
        wanted = torch.minimum(growth(before, z).clamp(min=0).sum(), bound)
        found = growth(gradient, z).clamp(min=0).sum()
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-3)
