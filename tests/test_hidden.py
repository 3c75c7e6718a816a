"""Rows that a mask leaves out: what they hold is of no account."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import torchmist
from torchmist.samples.sample import without_hidden

Term = Callable[..., Tensor]
LEFT = torch.arange(60) < 40


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def terms(small) -> list[Term]:
    calls: list[Term] = [
        lambda z, y, goal=goal, **k: torchmist.mist_mi(z, y, model=small, goal=goal, **k)
        for goal in ("auto", None, "minimize", "maximize")
    ]
    modules = [torchmist.MIRegularizer(small, goal=g) for g in ("auto", "minimize", "maximize")]
    return calls + [module.eval() for module in modules]


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf, 1e38])
@pytest.mark.parametrize("lead", [(), (2,)])
def test_hidden_rows_hold_anything(small, bad: float, lead: tuple[int, ...]) -> None:
    z, y = draw(*lead, 60, 3), draw(*lead, 60, 2, seed=1)
    y = y + z[..., :2]
    filled = [torch.where(LEFT[:, None], side, bad) for side in (z, y)]
    plain = [torch.where(LEFT[:, None], side, 0.0) for side in (z, y)]
    for term in terms(small):
        found = []
        for a, b in (plain, filled):
            a, b = a.clone().requires_grad_(), b.clone().requires_grad_()
            value = term(1.0 * a, 1.0 * b, mask=LEFT)
            found.append((value, *torch.autograd.grad(value, (a, b))))
        for expected, same in zip(*found):
            assert torch.equal(expected, same) and bool(same.isfinite().all())
        assert found[1][1][..., 40:, :].abs().max() == 0


def test_a_leaf_keeps_the_derivative_of_the_value(small) -> None:
    z, y = torch.where(LEFT[:, None], draw(60, 3), torch.nan).requires_grad_(), draw(60, 2, seed=1)
    found = [
        torch.autograd.grad(torchmist.mist_mi(z, y, model=small, goal=goal, mask=LEFT), z)[0]
        for goal in ("auto", None)
    ]
    assert torch.equal(*found)


def test_labels_of_hidden_rows_are_no_class_and_need_be_none(small) -> None:
    z, y = draw(60, 3), torch.arange(60) % 3
    value = torchmist.mist_mi(z, y, model=small, mask=LEFT, num_classes=3)
    padded = torch.where(LEFT, y, -100)
    assert torch.equal(torchmist.mist_mi(z, padded, model=small, mask=LEFT, num_classes=3), value)
    for goal in ("minimize", "maximize"):
        term = torchmist.MIRegularizer(small, goal=goal, num_classes=3)
        assert bool(term(z, padded, mask=LEFT).isfinite())


@pytest.mark.parametrize("first", [0, 1, 5])
def test_hidden_rows_add_no_class_of_any_number(small, first: int) -> None:
    z, y = draw(60, 3), torch.arange(60) % 2 + first
    padded = torch.where(LEFT, y, 0)
    found = torchmist.mist_mi(z, padded, model=small, mask=LEFT)
    torch.testing.assert_close(found, torchmist.mist_mi(z[LEFT], y[LEFT], model=small))


def test_a_column_that_datasets_share_is_hidden_where_all_of_them_hide_it(small) -> None:
    z, y = draw(2, 60, 3), torch.where(LEFT, draw(60, seed=1), torch.nan)
    mask = torch.stack([LEFT, torch.arange(60) < 30])
    assert bool(torchmist.mist_mi(z, y, model=small, mask=mask).isfinite())
    mask[0, 50] = True
    with pytest.raises(ValueError, match="expected finite values, got 2 NaN or infinite entries"):
        torchmist.mist_mi(z, y, model=small, mask=mask)


def test_rows_that_count_are_finite(small) -> None:
    z = draw(60, 3)
    z[3, 0] = torch.nan
    with pytest.raises(ValueError, match="expected finite values, got 1 NaN"):
        torchmist.mist_mi(z, draw(60, 2), model=small, mask=LEFT)


def test_what_does_not_fit_is_left_to_the_checks() -> None:
    z = draw(60, 3)
    assert without_hidden(z, None) is z
    assert without_hidden(z, LEFT[:59]) is z
    assert without_hidden(z, LEFT.float()) is z
