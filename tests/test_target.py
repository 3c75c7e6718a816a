"""The controller of the weight."""

from __future__ import annotations

import pytest
import torch

from torchmist import MITarget


@pytest.mark.parametrize("at_least, sign", [(False, 1.0), (True, -1.0)])
def test_weight_moves_towards_the_target(at_least, sign) -> None:
    for mi, rises in ((1.0, not at_least), (0.1, at_least)):
        control = MITarget(0.5, lam=2.0, rate=0.1, at_least=at_least)
        term = control(torch.tensor(mi))
        assert term.item() == pytest.approx(sign * 2.0 * mi)
        assert (control.lam > 2.0) == rises


def test_holds_the_mutual_information_of_a_channel() -> None:
    # I = log(1 + s^2) / 2 against the pull of s towards 2: the constraint is active
    s = torch.tensor(2.0, requires_grad=True)
    control = MITarget(0.3, lam=0.1, rate=0.05)
    optimizer = torch.optim.SGD([s], 0.05)
    for _ in range(2000):
        mi = 0.5 * torch.log1p(s.square())
        loss = (s - 2).square() + control(mi)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert mi.item() == pytest.approx(0.3, abs=0.01)


def test_is_still_in_eval_mode_and_saved_with_the_host() -> None:
    control = MITarget(0.5, rate=1.0)
    control(torch.tensor(1.0))
    control.eval()(torch.tensor(9.0))
    twin = MITarget(0.5)
    twin.load_state_dict(control.state_dict())
    assert twin.lam == pytest.approx(control.lam) == pytest.approx(torch.e**0.5)


def test_stays_within_its_bounds() -> None:
    control = MITarget(0.0, rate=100.0, highest=7.0)
    control(torch.tensor(50.0))
    assert control.lam == pytest.approx(7.0)


@pytest.mark.parametrize("options", [{"target": -1.0}, {"target": 1.0, "lam": 0.0}])
def test_wrong_settings_are_errors(options) -> None:
    with pytest.raises(ValueError, match="expected target and rate of at least 0"):
        MITarget(**options)


@pytest.mark.parametrize("bounds", [(5.0, 1.0), (0.0, 1.0), (1.0, float("inf"))])
def test_wrong_bounds_are_named(bounds) -> None:
    with pytest.raises(
        ValueError, match=f"expected bounds.*got lowest={bounds[0]}, highest={bounds[1]}"
    ):
        MITarget(0.2, lowest=bounds[0], highest=bounds[1])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_leaves_the_weight(value: float) -> None:
    control = MITarget(0.2, rate=0.1)
    with pytest.raises(ValueError, match=f"expected mi to be finite, got {value}"):
        control(torch.tensor(value))
    assert control.lam == 1.0
    control(torch.tensor(1.2))
    assert control.lam > 1.0


def test_what_is_no_single_value_is_refused() -> None:
    with pytest.raises(TypeError, match="expected mi to be a torch.Tensor, got float"):
        MITarget(0.2)(0.5)
    with pytest.raises(ValueError, match=r"expected mi to hold one number, got shape \[3\]"):
        MITarget(0.2)(torch.ones(3))
