"""Labels in loops keep their meaning, and no batch of an epoch ends in an exception."""

from __future__ import annotations

import pytest
import torch

import torchmist
from torchmist import MIRegularizer
from torchmist.lift import LiftConfig


def code(n: int, d: int = 3, seed: int = 0) -> torch.Tensor:
    """A code ``[n, d]`` that asks for a gradient."""
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def fresh(monkeypatch) -> None:
    """No warning has been given yet."""
    monkeypatch.setattr("torchmist.checks._warned", set())


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_last_batch_of_few_reason_is_nothing(small, monkeypatch, n) -> None:
    fresh(monkeypatch)
    z = code(n)
    with pytest.warns(UserWarning, match="fewer than 4 samples .* the term is 0"):
        term = MIRegularizer(small)(z, torch.arange(n))
    term.backward()
    assert term.item() == 0 and torch.equal(z.grad, torch.zeros_like(z))
    with pytest.raises(ValueError, match="at least 4 samples"):
        torchmist.mist_mi(z, torch.arange(n), model=small)


def test_a_single_class_and_a_constant_code_are_nothing(small, monkeypatch) -> None:
    fresh(monkeypatch)
    z, labels = code(20), torch.zeros(20, dtype=torch.long)
    with pytest.warns(UserWarning, match="one side is constant"):
        term = MIRegularizer(small)(z, labels)
    term.backward()
    assert term.item() == 0 and torch.equal(z.grad, torch.zeros_like(z))
    assert torchmist.mist_mi(z, labels, model=small).item() == 0
    assert torchmist.mist_mi(torch.ones(20, 2), code(20), model=small).item() == 0


def test_a_lift_sees_each_class_at_one_place_whatever_a_batch_holds(small, monkeypatch) -> None:
    seen = []
    term = MIRegularizer(small, lift=LiftConfig(3, targets=5), num_classes=5)
    monkeypatch.setattr(
        type(term.lifts[0]), "forward",
        lambda self, z, y, mask=None, *, squares=True: (seen.append(y) or z, z.sum() * 0),
    )  # fmt: skip
    for classes in ([0, 1, 2, 3, 4], [1, 3, 4]):
        labels = torch.tensor(classes).repeat(12)[:30]
        term(code(30), labels)
        assert torch.equal(seen[-1][0], torch.nn.functional.one_hot(labels, 5).float())


def test_absent_classes_do_not_change_the_value(small) -> None:
    z, labels = code(30), torch.tensor([1, 3, 4]).repeat(10)
    expected = torchmist.mist_mi(z, labels, model=small)
    torch.testing.assert_close(torchmist.mist_mi(z, labels, model=small, num_classes=9), expected)
    torch.testing.assert_close(MIRegularizer(small, num_classes=9)(z, labels), expected)


def test_labels_outside_of_the_classes_are_refused(small) -> None:
    z, labels = code(8), torch.arange(8)
    with pytest.raises(ValueError, match="expected labels y in 0 to 4.*got 0 to 7"):
        torchmist.mist_mi(z, labels, model=small, num_classes=5)
    with pytest.raises(ValueError, match="an int of at least 2, got 1"):
        MIRegularizer(small, num_classes=1)
    with pytest.raises(ValueError, match="num_classes to be an int of at least 2, got 'a'"):
        MIRegularizer(small, num_classes="a")
    with pytest.raises(ValueError, match="expected integer class labels.*leave num_classes out"):
        torchmist.mist_mi(z, code(8, seed=1), model=small, num_classes=5)


def test_labels_on_both_sides_have_no_gradient_and_say_so(small, monkeypatch) -> None:
    fresh(monkeypatch)
    labels = torch.arange(12) % 3
    with pytest.warns(UserWarning, match="both sides are class labels.*torchmist.estimate"):
        torchmist.mist_mi(labels, labels, model=small)
