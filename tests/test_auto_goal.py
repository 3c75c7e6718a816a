"""The plain term in a training: which way it is driven is read off what comes back."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from conftest import Constant

import torchmist
from torchmist import checks
from torchmist.terms import auto_goal
from torchmist.terms.gaussian_process import PLAIN, SHARP, kernel_information


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


Z, Y = draw(80, 3), draw(80, 2, seed=1)
ANGLE = 6.2832 * torch.rand(200, 1, generator=torch.Generator().manual_seed(0))


def moved(term, sign: float, z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The gradient in what ``z`` is computed from, of a loss that has ``sign`` times the term."""
    z = z.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(sign * term(1.0 * z, y), z)
    return sign * gradient


def pull(z: torch.Tensor, y: torch.Tensor, resolution) -> torch.Tensor:
    z = z.clone().requires_grad_()
    information = kernel_information(z[None], y[None], None, resolution)
    return torch.autograd.grad(information.sum(), z)[0]


@pytest.fixture
def forms(small) -> tuple:
    plain = lambda z, y: torchmist.mist_mi(z, y, model=small, goal=None)  # noqa: E731
    return plain, lambda z, y: torchmist.mist_mi(z, y, model=small), torchmist.MIRegularizer(small)


def test_the_value_is_the_plain_one_and_a_leaf_has_its_derivative(forms) -> None:
    plain, *others = forms
    for term in others:
        torch.testing.assert_close(term(1.0 * Z, Y), plain(Z, Y))
        z = Z.clone().requires_grad_()
        wanted, found = (torch.autograd.grad(t(z, Y), z)[0] for t in (plain, term))
        torch.testing.assert_close(found, wanted)


def test_subtracted_codes_follow_the_processes_alone(forms) -> None:
    for term in forms[1:]:
        torch.testing.assert_close(
            moved(term, -1.0, Z, Y), 0.2 * pull(Z, Y, SHARP), atol=1e-6, rtol=1e-4
        )


def test_a_goal_pulls_harder_at_the_same_weight() -> None:
    """What the page on trust says of changing ``goal`` in a loop that has its weight."""
    default = torchmist.mist_mi
    z = draw(128, 4)
    y = 2 * z[:, :2] + draw(128, 2, seed=1)
    for goal, sign, least, most in (("maximize", -1.0, 4.5, 5.5), ("minimize", 1.0, 1.5, 5.0)):
        pulls = [moved(t, sign, z, y).norm() for t in (default, partial(default, goal=goal))]
        assert least < pulls[1] / pulls[0] < most
    views = (z + draw(128, 4, seed=1)).requires_grad_()
    pulls = [
        moved(partial(default, goal=goal), -1.0, z, 1.0 * views).norm()
        for goal in ("auto", "maximize")
    ]
    assert 2.2 < pulls[1] / pulls[0] < 2.8


def test_two_codes_that_are_joined_are_told_from_moved_rows(forms) -> None:
    z, y = (side.clone().requires_grad_() for side in (Z, Y))
    wanted = torch.autograd.grad(
        torchmist.terms.batch_goal.pulled_at(z[None], y[None], None, "maximize"), [z, y]
    )
    found = torch.autograd.grad(-forms[1](1.0 * z, 1.0 * y), [z, y])
    for a, b in zip(found, wanted):
        torch.testing.assert_close(-a, 0.4 * b, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize(
    ("columns", "own", "share"),
    [(3, 0.25, 0.2), (8, 0.25, 0.2), (12, 0.25, 0.35), (16, 0.25, 0.5), (24, 0.125, 0.75),
     (32, 0.0, 1.0), (40, 0.0, 1.0)],
)  # fmt: skip
def test_added_codes_follow_the_value_in_part_as_long_as_it_sees_what_there_is(
    forms, columns: int, own: float, share: float
) -> None:
    z = draw(80, columns)
    y = z[:, :3] + 0.3 * draw(80, 3, seed=2)
    plain, *others = forms
    high = lambda z, y: plain(z, y) + 9.0 - plain(z, y).detach()  # noqa: E731
    for term in others:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(auto_goal, "_LITTLE", -9.0)
            patch.setattr(auto_goal, "column_floor", lambda *_: torch.full((1,), -9.0))
            wanted = own * moved(high, 1.0, z, y) + share * pull(z, y, PLAIN)
            torch.testing.assert_close(moved(term, 1.0, z, y), wanted, atol=1e-6, rtol=1e-3)


def test_what_hides_from_the_network_is_pulled_at_by_the_processes() -> None:
    z, y = ANGLE.cos(), ANGLE.sin()
    term = torchmist.MIRegularizer(Constant(0.3))
    wanted = pull(z, y, PLAIN)
    torch.testing.assert_close(moved(term, 1.0, z, y), wanted, atol=1e-6, rtol=1e-3)
    assert wanted.any()


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_batches_of_datasets_masks_and_long_samples(forms, sign) -> None:
    z, y = draw(2, 300, 2), draw(2, 300, 2, seed=1)
    one = [moved(forms[1], sign, a, b) / 2 for a, b in zip(z, y)]
    torch.testing.assert_close(moved(forms[1], sign, z, y), torch.stack(one))
    mask = torch.arange(300).expand(2, -1) < torch.tensor([[200], [90]])
    term = lambda a, b: torchmist.mist_mi(a, b, model=forms[2].estimator(a), mask=mask)  # noqa: E731
    found = moved(term, sign, z, y)
    assert not found[~mask].any() and found[mask].abs().sum(-1).gt(0).all()


def test_each_dataset_is_driven_its_own_way(small) -> None:
    x, y = draw(2, 60, 2), draw(2, 60, 2, seed=1)
    value = torch.tensor([1.0, 1.0], requires_grad=True)
    x.requires_grad_()
    out = auto_goal.driven(value, x, y, None, 10)
    (found,) = torch.autograd.grad(out[0] - out[1], x)
    each = [torch.autograd.grad(s * auto_goal.driven(value, x, y, None, 10)[k], x)[0][k]
            for k, s in enumerate((1, -1))]  # fmt: skip
    torch.testing.assert_close(found, torch.stack(each))


def test_few_samples_have_the_derivative_of_the_value() -> None:
    value, x = torch.ones(1, requires_grad=True), Z[None, :12].clone().requires_grad_()
    mask = torch.arange(12)[None] < 9
    for few, shown in ((x[:, :9], None), (x, mask)):
        out = auto_goal.driven(value, few, Y[None, : few.shape[1]], shown, 10)
        own, pulled = torch.autograd.grad(out, [value, x], allow_unused=True)
        assert own == 1.0 and (pulled is None or not pulled.any())


def test_sides_without_a_gradient_do_not_make_a_leaf_a_code(forms) -> None:
    plain, _, module = forms
    z, y = (side.clone().requires_grad_() for side in (Z, Y))
    wanted = torch.autograd.grad(plain(z, Y), z)[0]
    for term in (module, partial(torchmist.mist_mi, model=module.estimator(Z))):
        found = torch.autograd.grad(term(z, 1.0 * y, wrt="z"), z)[0]
        torch.testing.assert_close(found, wanted)


def test_a_second_derivative_is_an_error(forms) -> None:
    z = Z.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(forms[1](1.0 * z, Y), z, create_graph=True)
    with pytest.raises(RuntimeError, match="expected one derivative"):
        gradient.square().sum().backward()


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_transforms_of_functions_say_the_same(forms, sign) -> None:
    small = forms[2].estimator(Z).requires_grad_(False)
    loss = lambda w: sign * torchmist.mist_mi(Z @ w, Y, model=small)  # noqa: E731
    w = torch.eye(3)[:, :2].clone().requires_grad_()
    (wanted,) = torch.autograd.grad(loss(w), w)
    torch.testing.assert_close(torch.func.grad(loss)(w.detach()), wanted)
    both = torch.func.vmap(torch.func.grad(loss))(w.detach().expand(2, -1, -1))
    torch.testing.assert_close(both, wanted.expand(2, -1, -1), atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize(("goal", "sign"), [("minimize", -1.0), ("maximize", 1.0)])
def test_a_goal_that_is_driven_the_other_way_warns_once(small, goal, sign, monkeypatch) -> None:
    monkeypatch.setattr(checks, "_warned", set())
    function = lambda z, y: torchmist.mist_mi(z, y, model=small, goal=goal)  # noqa: E731
    for term in (function, torchmist.MIRegularizer(small, goal=goal)):
        checks._warned.clear()
        with pytest.warns(UserWarning, match="the other way"):
            moved(term, sign, Z, Y)
        moved(term, -sign, Z, Y)
