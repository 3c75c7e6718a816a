"""The lift: what it predicts, its pace, and its place in the regularizer."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import torchmist
from torchmist.lift import Lift, LiftConfig, lift_targets

Z = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
Y = torch.randn(40, 2, generator=torch.Generator().manual_seed(1))


def term(model, **options) -> torchmist.MIRegularizer:
    torch.manual_seed(0)
    return torchmist.MIRegularizer(model, lift=LiftConfig(3, width=8), **options)


def test_targets_are_columns_and_their_squares_or_cosine_waves() -> None:
    out = lift_targets(Y[None], 3, squares=True)[0]
    assert out.shape == (40, 3)
    torch.testing.assert_close(out.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    columns = (Y - Y.mean(0)) / Y.std(0, correction=0)
    torch.testing.assert_close(out[:, :2], columns)
    square = columns[:, 0].square()
    assert torch.corrcoef(torch.stack([out[:, 2], square]))[0, 1] > 0.9999
    assert lift_targets(Y[None], 16, squares=False).shape == (1, 40, 2)
    assert lift_targets(torch.randn(1, 40, 20), 16, squares=True).shape == (1, 40, 16)


def test_lift_appends_columns_and_leaves_z_as_it_is() -> None:
    out, error = Lift(LiftConfig(3))(Z[None], Y[None])
    assert out.shape == (1, 40, 7) and torch.equal(out[..., :3], Z[None]) and error > 0


def test_descent_on_the_term_teaches_the_lift_and_leaves_the_value(small) -> None:
    reg, y = term(small), Z[:, :2].square()
    optimizer = torch.optim.Adam(reg.parameters(), 3e-3)
    errors = []
    for _ in range(60):
        errors.append(reg.lifts[0](Z[None], y[None])[1].item())
        optimizer.zero_grad()
        reg(Z, y).backward()
        optimizer.step()
    assert errors[-1] < 0.8 * errors[0]


def test_error_of_the_lift_moves_neither_side() -> None:
    z, y = Z[None].clone().requires_grad_(), Y[None].clone().requires_grad_()
    Lift(LiftConfig(3))(z, y)[1].backward()
    assert z.grad is None and y.grad is None


def test_gradient_of_z_is_that_of_the_lifted_estimate(small) -> None:
    reg = term(small)
    z = Z.clone().requires_grad_()
    reg(z, Y).backward()
    plain = Z.clone().requires_grad_()
    view = copy.deepcopy(reg.lifts[0])
    torchmist.mist_mi(view(plain[None], Y[None])[0][0], Y, model=small, goal=None).backward()
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
        lift(Z[None], Y[None])[1].backward()
        step.step()
        moved.append((pace * layer.weight - before).norm().item())
    ratio = 4.0 if optimizer is torch.optim.Adam else 16.0
    assert moved[1] / moved[0] == pytest.approx(ratio, rel=1e-3)


def test_lifts_are_parameters_and_are_saved_with_the_host(small) -> None:
    host = nn.ModuleDict({"term": term(small)})
    assert len(list(host.parameters())) == 6
    twin = nn.ModuleDict({"term": torchmist.MIRegularizer(small, lift=LiftConfig(3, width=8))})
    twin.load_state_dict(host.state_dict(), strict=True)
    torch.testing.assert_close(twin["term"](Z, Y), host["term"](Z, Y))


def test_several_lifts_are_averaged(small) -> None:
    torch.manual_seed(0)
    reg = torchmist.MIRegularizer(small, lift=LiftConfig(3, count=3, width=8))
    each = [torchmist.mist_mi(lift(Z[None], Y[None])[0][0], Y, model=small) for lift in reg.lifts]
    torch.testing.assert_close(reg(Z, Y), torch.stack(each).mean())


def test_view_is_what_the_term_sees(small) -> None:
    reg = term(small)
    torch.testing.assert_close(torchmist.mist_mi(reg.view(Z, Y), Y, model=small), reg(Z, Y))
    assert torch.equal(torchmist.MIRegularizer(small).view(Z, Y), Z)


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


def test_a_lift_learns_classes_from_batches_that_lack_some(small) -> None:
    """Ten classes, sixteen samples: the columns keep their meaning from batch to batch."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    centres = 3 * torch.randn(10, 3, generator=generator)
    reg = torchmist.MIRegularizer(small, lift=LiftConfig(3, width=32), num_classes=10)
    optimizer = torch.optim.Adam(reg.parameters(), 3e-3)

    def batch(n: int) -> tuple[torch.Tensor, torch.Tensor]:
        labels = torch.randint(10, (n,), generator=generator)
        return centres[labels] + 0.3 * torch.randn(n, 3, generator=generator), labels

    for _ in range(300):
        optimizer.zero_grad()
        reg(*batch(16)).backward()
        optimizer.step()
    z, labels = batch(400)
    predicted = reg.view(z, labels)[:, 3:]
    assert predicted.shape == (400, 10)
    assert (predicted.argmax(-1) == labels).float().mean() > 0.7


def test_labels_without_their_number_are_warned_of(small, monkeypatch) -> None:
    monkeypatch.setattr("torchmist.checks._warned", set())
    reg = term(small)
    reg(Z, torch.arange(40) % 4)
    with pytest.warns(UserWarning, match="hold different classes.*pass num_classes="):
        reg(Z, torch.arange(40) % 3)


def test_one_hot_columns_are_predicted_like_labels(small) -> None:
    reg = term(small, num_classes=5)
    labels = torch.arange(40) % 4
    one_hot = torch.nn.functional.one_hot(labels, 5).float()
    torch.testing.assert_close(reg.view(Z, one_hot), reg.view(Z, labels))
    torch.testing.assert_close(reg(Z, one_hot), reg(Z, labels))


def test_labels_are_shared_by_all_datasets_of_a_batch(small) -> None:
    reg, z, labels = term(small, num_classes=5), torch.stack([Z, -Z]), torch.arange(40) % 4
    torch.testing.assert_close(reg(z, labels), (reg(Z, labels) + reg(-Z, labels)) / 2)
    assert reg.view(z, labels).shape == (2, 40, 8)
