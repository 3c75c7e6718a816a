"""`MIRegularizer(warmup=)`: the pull grows over the first calls, the value stays in nats."""

from __future__ import annotations

import copy

import pytest
import torch

import torchmist
from torchmist.critic import CriticConfig
from torchmist.terms import auto_goal
from torchmist.terms.memory_bank import weighed
from torchmist.terms.warmup import Warmup

Z = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
Y = Z[:, :2] + torch.randn(60, 2, generator=torch.Generator().manual_seed(1))
PATHS = {
    "auto": {}, "minimize": {"goal": "minimize"}, "maximize": {"goal": "maximize"},
    "derivative": {"goal": None}, "lift": {"lift": 3}, "trainable": {"trainable": True},
    "memory": {"memory": 40},
}  # fmt: skip
WARMUP = 4


def call(term, sign: float = 1.0, z: torch.Tensor = Z, y: torch.Tensor = Y):
    """The value of codes, and the gradients in what both sides are computed from."""
    z, y = z.clone().requires_grad_(), y.clone().requires_grad_()
    value = term(1.0 * z, 1.0 * y)
    return value.detach(), *torch.autograd.grad(sign * value, (z, y))


def pair(small, **options) -> tuple:
    """The same term without and with a warm-up."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        plain = torchmist.MIRegularizer(small, **options)
        torch.manual_seed(0)
        return plain, torchmist.MIRegularizer(small, warmup=WARMUP, **options)


@pytest.mark.parametrize("path", PATHS)
def test_the_gradient_grows_along_a_line_and_the_value_stays(small, path: str) -> None:
    plain, warm = pair(small, **PATHS[path])
    sign = -1.0 if path == "maximize" else 1.0
    for k in range(1, WARMUP + 3):
        wanted, found = call(plain, sign), call(warm, sign)
        assert torch.equal(found[0], wanted[0])
        assert all(gradient.any() for gradient in wanted[1:])
        share = min(1.0, k / WARMUP)
        torch.testing.assert_close(found[1:], tuple(share * g for g in wanted[1:]))


@pytest.mark.parametrize("path", ["lift", "trainable"])
def test_weights_that_the_host_trains_are_pulled_at_in_full(small, path: str) -> None:
    terms = pair(small, **PATHS[path])
    for term in terms:
        term(Z.clone().requires_grad_(), Y).backward()
    for wanted, found in zip(*(term.parameters() for term in terms)):
        torch.testing.assert_close(found.grad, wanted.grad)


def test_a_critic_takes_its_own_steps_in_full(small) -> None:
    terms = pair(small, goal="minimize", critic=CriticConfig(width=8))
    for term in terms:
        for _ in range(2):
            call(term)
    states = [term.state_dict() for term in terms]
    assert any("critic" in name for name in states[0])
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_way_a_term_is_driven_is_read_as_without_a_warmup(small, sign: float) -> None:
    """The gradients of a term that is added and of one that is subtracted are no multiples of each
    other, so that the right multiple is the right sign."""
    found, wanted, other = (
        call(torchmist.MIRegularizer(small, warmup=w), s)[1]
        for w, s in ((10, sign), (0, sign), (0, -sign))
    )
    torch.testing.assert_close(found, wanted / 10)
    assert (torch.cosine_similarity(wanted.flatten(), other.flatten(), 0).abs() - 1).abs() > 1e-3


def test_a_goal_that_is_driven_the_other_way_still_warns(small, monkeypatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(auto_goal, "warn_once", told.append)
    call(torchmist.MIRegularizer(small, goal="minimize", warmup=3), -1.0)
    assert "goal='minimize' is subtracted from the loss" in told[0]


def test_evaluation_is_neither_scaled_nor_counted(small) -> None:
    plain, warm = (term.eval() for term in pair(small))
    torch.testing.assert_close(call(warm), call(plain))
    warm.train()
    with torch.no_grad():
        warm(Z, Y)
    assert warm.warmup.calls == 0
    call(warm)
    assert warm.warmup.calls == 1


def test_a_checkpoint_goes_on_where_it_was(small) -> None:
    first, second = (torchmist.MIRegularizer(small, warmup=WARMUP) for _ in range(2))
    full = call(torchmist.MIRegularizer(small))[1]
    for _ in range(2):
        call(first)
    second.load_state_dict(copy.deepcopy(first.state_dict()), strict=True)
    torch.testing.assert_close(call(second)[1], full * 3 / WARMUP)
    assert first.warmup.calls == 2


def test_without_a_warmup_the_state_is_as_before_and_such_states_load(small) -> None:
    plain = torchmist.MIRegularizer(small)
    assert not plain.state_dict() and not list(plain.buffers())
    warm = torchmist.MIRegularizer(small, warmup=WARMUP)
    assert set(warm.state_dict()) == {"warmup.calls"}
    call(warm)
    warm.load_state_dict(plain.state_dict(), strict=True)
    assert warm.warmup.calls == 1
    plain.load_state_dict({}, strict=True)


def test_the_count_stays_an_integer_and_ends(small) -> None:
    term = torchmist.MIRegularizer(small, warmup=2).half()
    for _ in range(4):
        call(term)
    assert term.warmup.calls.dtype == torch.long and term.warmup.calls == 2


@pytest.mark.parametrize("value", [-1, 0.1, "a", True, None])
def test_a_warmup_is_a_count_of_calls(small, value) -> None:
    with pytest.raises(ValueError, match="expected warmup to be an int of at least 0, got"):
        torchmist.MIRegularizer(small, warmup=value)


def test_labels_have_no_gradient_to_scale(small) -> None:
    labels = torch.randint(3, (60,), generator=torch.Generator().manual_seed(0))
    term = torchmist.MIRegularizer(small, warmup=2)
    z = Z.clone().requires_grad_()
    halved, whole = (torch.autograd.grad(term(1.0 * z, labels), z)[0] for _ in range(2))
    torch.testing.assert_close(halved, whole / 2)


def test_transforms_of_functions_are_scaled_and_counted(small) -> None:
    term = torchmist.MIRegularizer(small, warmup=2)
    gradient = torch.func.grad(lambda z: term(1.0 * z, Y))
    halved, whole, later = (gradient(Z) for _ in range(3))
    torch.testing.assert_close(halved, whole / 2)
    torch.testing.assert_close(later, whole)
    assert term.state_dict()["warmup.calls"].data_ptr() and term.warmup.calls == 2


@pytest.mark.skipif(torch.__version__ < (2, 5), reason="torch.compile of its functions needs 2.5")
def test_a_compiled_graph_scales_by_the_count_of_its_call() -> None:
    """One graph for all calls, though the backward pass runs after the count has changed."""
    warmup = Warmup(4)
    torch._dynamo.reset()
    graphs: list[object] = []

    def backend(graph, example):
        graphs.append(graph)
        return torch._dynamo.lookup_backend("aot_eager")(graph, example)

    run = torch.compile(lambda z: warmup(2 * z)[0].square().sum(), fullgraph=True, backend=backend)
    for k in (1, 2, 3, 4, 4):
        z = Z.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(run(z), z)
        torch.testing.assert_close(gradient, 8 * Z * k / 4)
    assert len(graphs) == 1


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_factor_may_be_a_tensor(dtype) -> None:
    z = Z.to(dtype).requires_grad_()
    (gradient,) = torch.autograd.grad(weighed(z, torch.tensor(0.5)).sum(), z)
    assert gradient.dtype == dtype and bool((gradient == 0.5).all())
