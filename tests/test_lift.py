"""The lift: reversed gradients, a faster pace, and its place in the regularizer."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import torchmist
from torchmist.lift import Lift, LiftConfig, reverse_gradient

Z = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
Y = torch.randn(40, 2, generator=torch.Generator().manual_seed(1))


def term(model, **options) -> torchmist.MIRegularizer:
    torch.manual_seed(0)
    return torchmist.MIRegularizer(model, lift=LiftConfig(3, features=2, width=8), **options)


def test_reversal_keeps_the_value_and_turns_the_gradient() -> None:
    x = Z.clone().requires_grad_()
    y = reverse_gradient(x)
    assert torch.equal(y, x)
    (y * Z).sum().backward()
    torch.testing.assert_close(x.grad, -Z)


def test_lift_appends_columns_and_leaves_z_as_it_is() -> None:
    out = Lift(LiftConfig(3, features=5))(Z[None])
    assert out.shape == (1, 40, 8) and torch.equal(out[..., :3], Z[None])


def test_descent_on_the_term_makes_the_lift_raise_it(small) -> None:
    reg = term(small)
    optimizer = torch.optim.Adam(reg.parameters(), 3e-3)
    values = []
    for _ in range(20):
        value = reg(Z, Y)
        values.append(value.item())
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    assert values[-1] > values[0] + 1e-4


def test_gradient_of_z_is_not_reversed(small) -> None:
    reg = term(small)
    z = Z.clone().requires_grad_()
    reg(z, Y).backward()
    plain = Z.clone().requires_grad_()
    view = copy.deepcopy(reg.lifts[0])
    torchmist.mist_mi(view(plain[None])[0], Y, model=small, statistic=0.75).backward()
    torch.testing.assert_close(z.grad, plain.grad)


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam])
def test_pace_multiplies_the_step_of_the_weights(small, optimizer) -> None:
    moved = []
    for pace in (1.0, 4.0):
        torch.manual_seed(0)
        lift = Lift(LiftConfig(3, width=8, pace=pace))
        layer = lift.hidden[0]
        before = (pace * layer.weight).detach().clone()
        step = optimizer(lift.parameters(), 1e-3)
        lift(Z[None])[..., 3:].square().sum().backward()
        step.step()
        moved.append((pace * layer.weight - before).norm().item())
    ratio = 4.0 if optimizer is torch.optim.Adam else 16.0
    assert moved[1] / moved[0] == pytest.approx(ratio, rel=1e-3)


def test_lifts_are_parameters_and_are_saved_with_the_host(small) -> None:
    host = nn.ModuleDict({"term": term(small)})
    assert len(list(host.parameters())) == 6
    twin = nn.ModuleDict({"term": torchmist.MIRegularizer(small, lift=LiftConfig(3, 2, 1, 8))})
    twin.load_state_dict(host.state_dict(), strict=True)
    torch.testing.assert_close(twin["term"](Z, Y), host["term"](Z, Y))


def test_several_lifts_are_averaged(small) -> None:
    torch.manual_seed(0)
    reg = torchmist.MIRegularizer(small, lift=LiftConfig(3, features=2, count=3, width=8))
    each = [
        torchmist.mist_mi(lift(Z[None])[0], Y, model=small, statistic=0.75) for lift in reg.lifts
    ]
    torch.testing.assert_close(reg(Z, Y), torch.stack(each).mean())


def test_with_a_lift_the_upper_quartile_is_lowered_unless_told_otherwise(small) -> None:
    assert torchmist.MIRegularizer(small).statistic == "mean"
    assert term(small).statistic == 0.75
    assert term(small, statistic="mean").statistic == "mean"


def test_masked_samples_do_not_count(small) -> None:
    z, reg = torch.cat([Z, 100 * Z[:9]]), term(small)
    y, mask = torch.cat([Y, Y[:9]]), torch.arange(49) < 40
    torch.testing.assert_close(reg(z, y, mask=mask), reg(Z, Y))


@pytest.mark.parametrize(
    "make, error, message",
    [
        (lambda: LiftConfig(0), ValueError, "expected inputs of LiftConfig to be a positive int"),
        (lambda: LiftConfig(3, pace=0.0), ValueError, "positive and finite"),
        (lambda: LiftConfig(3, pace="fast"), TypeError, "expected pace of LiftConfig"),
        (lambda: torchmist.MIRegularizer(lift="yes"), TypeError, "expected lift to be the number"),
    ],
)
def test_wrong_configuration_is_an_error(make, error, message) -> None:
    with pytest.raises(error, match=message):
        make()


def test_other_columns_than_the_lift_was_made_for_are_an_error(small) -> None:
    with pytest.raises(ValueError, match="expected z of 3 columns.*got 2.*lift=2"):
        term(small)(Z[:, :2], Y)
