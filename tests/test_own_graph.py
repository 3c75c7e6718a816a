"""The graph of a frozen network that a backward pass goes through only where it is asked for."""

from __future__ import annotations

import weakref

import pytest
import torch
from torch.utils.checkpoint import checkpoint

import torchmist
from torchmist.terms import auto_goal, own_graph
from torchmist.terms.own_graph import OwnGraph


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


Z, Y = draw(60, 3), draw(60, 2, seed=1)


@pytest.fixture(autouse=True)
def fresh(monkeypatch) -> None:
    monkeypatch.setattr(own_graph, "_unasked", {})


def step(term, sign: float) -> tuple[float, torch.Tensor]:
    z = Z.clone().requires_grad_()
    value = term(1.0 * z, Y)
    (sign * value).backward()
    return value.item(), z.grad


def with_one_graph(monkeypatch, term, sign: float) -> tuple[float, torch.Tensor]:
    """The same with the network in the graph of the host."""
    with monkeypatch.context() as patch:
        patch.setattr(auto_goal, "own_graph", lambda *_: None)
        return step(term, sign)


@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, -1, -1, -1), (-1, -1, -1, 1, 1), (1, -1, 1, -1)])
def test_values_and_gradients_are_those_of_one_graph(small, monkeypatch, signs) -> None:
    for term in (
        lambda z, y: torchmist.mist_mi(z, y, model=small.requires_grad_(False)),
        torchmist.MIRegularizer(small),
    ):
        for sign in signs:
            value, wanted = with_one_graph(monkeypatch, term, sign)
            found, gradient = step(term, sign)
            assert found == pytest.approx(value, abs=1e-6)
            torch.testing.assert_close(gradient, wanted, atol=1e-7, rtol=1e-5)


def test_the_graph_is_built_where_a_gradient_is_asked_for(small) -> None:
    term, built = torchmist.MIRegularizer(small), []
    network = term.estimator(Z)
    network.register_forward_hook(lambda *_: built.append(torch.is_grad_enabled()))
    for sign in (-1, -1, -1, -1, 1, 1):
        step(term, sign)
    assert built == [True, True, False, False, False, True, True]


def test_terms_that_take_turns_have_their_graph_each_time(small) -> None:
    term, built = torchmist.MIRegularizer(small), []
    term.estimator(Z).register_forward_hook(lambda *_: built.append(torch.is_grad_enabled()))
    for sign in (1, -1) * 3:
        step(term, sign)
    assert built == [True] * 6


def test_a_retained_graph_has_the_same_gradient_again(small) -> None:
    z = Z.clone().requires_grad_()
    value = torchmist.MIRegularizer(small)(1.0 * z, Y)
    first, second = (torch.autograd.grad(value, z, retain_graph=True)[0] for _ in range(2))
    torch.testing.assert_close(first, second)
    value.backward()
    with pytest.raises(RuntimeError, match="second time"):
        value.backward()


def test_checkpoints_have_the_same_gradient(small) -> None:
    term = torchmist.MIRegularizer(small)
    for sign in (1.0, -1.0):
        wanted = step(term, sign)[1]
        found = step(lambda z, y: checkpoint(term, z, y, use_reentrant=False), sign)[1]
        torch.testing.assert_close(found, wanted)


def test_checkpoints_of_terms_that_take_turns_find_what_they_saved(small) -> None:
    term = torchmist.MIRegularizer(small)
    for sign in (-1.0, -1.0, -1.0, 1.0, 1.0):
        z = Z.clone().requires_grad_()
        values = [checkpoint(term, k * z, Y, use_reentrant=False) for k in (1.0, 2.0)]
        (sign * torch.stack(values).sum()).backward()
        assert z.grad.isfinite().all()


class Notes:
    """What weak references may point to."""


class Kept(torch.autograd.Function):
    """What is as it was, in a graph that keeps ``notes``."""

    @staticmethod
    def forward(ctx, x, notes):
        ctx.notes = notes
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad, None


def test_a_graph_that_is_not_asked_for_is_let_go_of() -> None:
    x, y = Z[None].clone().requires_grad_(), Y[None]
    kept: weakref.WeakSet[Notes] = weakref.WeakSet()

    def read(a, b):
        notes = Notes()
        kept.add(notes)
        return Kept.apply(a, notes).sum((1, 2)), b

    graph = own_graph.own_graph(read, x, y)
    assert len(kept) == 1
    graph.unasked()
    assert len(kept) == 0
    torch.testing.assert_close(graph.gradients(torch.ones(1))[0], torch.ones_like(x))


def test_weights_that_learn_are_in_the_graph_of_the_host(small) -> None:
    small.requires_grad_(True)
    step(lambda z, y: torchmist.mist_mi(z, y, model=small), 1.0)
    assert all(weight.grad is not None for weight in small.head.parameters())


def test_what_has_no_gradient_is_left_out() -> None:
    x, y = Z[None].clone().requires_grad_(), Y[None]
    graph = own_graph.own_graph(lambda a, b: ((a * b[..., :1]).sum((1, 2)), b), x, y)
    assert isinstance(graph, OwnGraph) and not graph.value.requires_grad
    of_x, of_y = graph.gradients(torch.ones(1))
    torch.testing.assert_close(of_x, y[..., :1].expand_as(x))
    assert of_y is None


def test_other_dtypes_stay_in_the_graph_of_the_host() -> None:
    read = lambda a, b: (a.sum((1, 2)), b)  # noqa: E731
    assert own_graph.own_graph(read, Z[None].double(), Y[None].double()) is None


def test_a_gradient_of_0_does_not_reach_the_network(small, monkeypatch) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(OwnGraph, "gradients", lambda *_, **__: asked.append(True))
    for scale in (0.0, -0.0):
        _, gradient = step(torchmist.MIRegularizer(small), scale)
        torch.testing.assert_close(gradient, torch.zeros_like(Z))
    assert asked == []


def test_a_gradient_of_0_is_0_in_weights_that_learn(small) -> None:
    small.requires_grad_(True)
    _, gradient = step(lambda z, y: torchmist.mist_mi(z, y, model=small), 0.0)
    assert not gradient.any()
    assert not any(w.grad is not None and w.grad.any() for w in small.parameters())


def test_a_weight_that_grows_from_0_has_the_gradient_of_one_graph(small, monkeypatch) -> None:
    term = torchmist.MIRegularizer(small)
    for scale in (0.0, 0.0, 0.0, 0.5, 1.0):
        wanted = with_one_graph(monkeypatch, term, scale)[1]
        torch.testing.assert_close(step(term, scale)[1], wanted, atol=1e-7, rtol=1e-5)


def test_a_gradient_that_is_not_finite_is_not_taken_for_0(small) -> None:
    _, gradient = step(torchmist.MIRegularizer(small), float("nan"))
    assert gradient.isnan().all()
