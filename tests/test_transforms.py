"""The term under torch.compile, torch.func, checkpointing and gradient penalties."""

from __future__ import annotations

import pytest
import torch
from torch.utils.checkpoint import checkpoint

import torchmist
from torchmist.lift import LiftConfig

X = torch.randn(40, 5, generator=torch.Generator().manual_seed(0))
Y = torch.randn(40, 2, generator=torch.Generator().manual_seed(1))


def encoder() -> torch.nn.Linear:
    torch.manual_seed(0)
    return torch.nn.Linear(5, 3)


@pytest.mark.skipif(torch.__version__ < (2, 5), reason="torch.compile of its functions needs 2.5")
@pytest.mark.parametrize("form", ["module", "function", "all options"])
def test_host_step_compiles_without_graph_breaks(small, form) -> None:
    net, everything = encoder(), form == "all options"
    seen: list[dict[str, torch.Tensor]] = []
    reg = torchmist.MIRegularizer(
        small, lift=LiftConfig(3, width=8) if everything else None,
        log=seen.append if everything else None,
    )  # fmt: skip
    control = torchmist.MITarget(0.1, rate=0.0)
    small.requires_grad_(False)

    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        z = net(x)
        value = torchmist.mist_mi(z, y, model=small) if form == "function" else reg(z, y)
        return control(value) if everything else value

    expected, compiled = step(X, Y), torch.compile(step, fullgraph=True, backend="aot_eager")
    torch._dynamo.reset()
    value = compiled(X, Y)
    torch.testing.assert_close(value, expected)
    (wanted,) = torch.autograd.grad(expected, net.weight)
    (got,) = torch.autograd.grad(value, net.weight)
    torch.testing.assert_close(got, wanted)


def test_vmap_equals_a_loop(small) -> None:
    z, y = torch.randn(3, 30, 2), torch.randn(3, 30, 2)
    term = lambda a, b: torchmist.mist_mi(a, b, model=small)  # noqa: E731
    small.requires_grad_(False)
    loop = torch.stack([term(a, b) for a, b in zip(z, y)])
    torch.testing.assert_close(torch.func.vmap(term)(z, y), loop)
    each = torch.stack([torch.func.grad(term)(a, b) for a, b in zip(z, y)])
    torch.testing.assert_close(torch.func.vmap(torch.func.grad(term))(z, y), each)


def test_func_grad_equals_backward(small) -> None:
    z = X.clone().requires_grad_()
    torchmist.mist_mi(z, Y, model=small).backward()
    got = torch.func.grad(lambda v: torchmist.mist_mi(v, Y, model=small))(X)
    torch.testing.assert_close(got, z.grad)


def test_checkpointing_leaves_value_and_gradient(small) -> None:
    net, reg = encoder(), torchmist.MIRegularizer(small)
    plain = reg(net(X), Y)
    stored = checkpoint(lambda x: reg(net(x), Y), X, use_reentrant=False)
    torch.testing.assert_close(stored, plain)
    (wanted,), (got,) = (torch.autograd.grad(v, net.weight) for v in (plain, stored))
    torch.testing.assert_close(got, wanted)


def test_second_derivative_is_a_clear_error(small) -> None:
    z = X.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(torchmist.mist_mi(z, Y, model=small), z, create_graph=True)
    with pytest.raises(RuntimeError, match="expected one derivative of mutual information"):
        gradient.square().sum().backward()


FORWARD = r"expected {} without a tangent of forward-mode .* torch\.func\.grad or jacrev"


@pytest.mark.parametrize("goal", ["auto", "minimize", None])
def test_forward_mode_is_a_clear_error(small, goal) -> None:
    term = torchmist.MIRegularizer(small, goal=goal)
    with pytest.raises(RuntimeError, match=FORWARD.format("z")):
        torch.func.jvp(lambda z: term(z, Y), (X,), (X,))
    with pytest.raises(RuntimeError, match=FORWARD.format("y")):
        torch.func.jvp(lambda y: term(X, y), (Y,), (Y,))


def test_forward_mode_is_a_clear_error_of_conditional_terms() -> None:
    with pytest.raises(RuntimeError, match=FORWARD.format("given")):
        torch.func.jvp(lambda given: torchmist.conditional_mi(X, Y, given), (Y,), (Y,))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_step_under_autocast(small, dtype) -> None:
    net = encoder()
    with torch.autocast("cpu", dtype):
        z = net(X)
        value = torchmist.MIRegularizer(small)(z, Y)
    assert z.dtype == dtype and value.dtype == torch.float32
    value.backward()
    assert torch.isfinite(net.weight.grad).all() and net.weight.grad.abs().sum() > 0


def test_scaled_losses_have_scaled_gradients(small) -> None:
    net, reg = encoder(), torchmist.MIRegularizer(small)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    (wanted,) = torch.autograd.grad(reg(net(X), Y), net.weight)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    scaler.scale(reg(net(X), Y)).backward()
    scaler.unscale_(optimizer)
    torch.testing.assert_close(net.weight.grad, wanted)


@pytest.mark.parametrize("goal", ["minimize", "maximize"])
def test_a_function_with_a_goal_is_differentiated_by_torch_func(small, goal) -> None:
    sign = -1.0 if goal == "maximize" else 1.0
    term = lambda z: sign * torchmist.mist_mi(2.0 * z, Y, model=small, goal=goal)  # noqa: E731
    x = X.clone().requires_grad_()
    (expected,) = torch.autograd.grad(term(x), x)
    torch.testing.assert_close(torch.func.grad(term)(X), expected)
    torch.testing.assert_close(torch.func.vjp(term, X)[1](torch.tensor(1.0))[0], expected)
    both = torch.func.grad(
        lambda z, y: sign * torchmist.mist_mi(z, y, model=small, goal=goal), (0, 1)
    )
    assert all(bool(gradient.any()) for gradient in both(X, Y))
    with pytest.raises(RuntimeError, match="outside of torch.func.vmap.*a batch of datasets"):
        torch.func.vmap(term)(X.view(1, 40, 5))


@pytest.mark.skipif(torch.__version__ < (2, 8), reason="torch says why from 2.8 on")
def test_a_whole_graph_with_a_goal_is_refused_with_what_to_do(small) -> None:
    step = lambda z: torchmist.mist_mi(z, Y, model=small, goal="minimize")  # noqa: E731
    with pytest.raises(Exception, match="leave fullgraph=True out"):
        torch.compile(step, fullgraph=True, backend="eager")(X)


@pytest.mark.skipif(torch.__version__ < (2, 8), reason="torch says why from 2.8 on")
def test_a_first_call_breaks_a_graph_and_says_so_where_it_must_not(monkeypatch) -> None:
    step = lambda z: torchmist.mist_mi(z, Y)  # noqa: E731
    monkeypatch.setattr("torchmist.functional._loaded", {})
    with pytest.raises(Exception, match="call the term once before"):
        torch.compile(step, fullgraph=True, backend="eager")(X)
    value = torch.compile(step, backend="eager")(X)
    torch.testing.assert_close(value, step(X))
    torch.testing.assert_close(torch.compile(step, fullgraph=True, backend="eager")(X), value)


def driven_by(goal: str | None, *, module: bool, model):
    if not module:
        return lambda z: torchmist.mist_mi(2.0 * z, Y, model=model, goal=goal)
    term = torchmist.MIRegularizer(model, goal=goal).eval()
    return lambda z: term(2.0 * z, Y)


@pytest.mark.parametrize("goal", ["auto", "minimize", "maximize", None])
@pytest.mark.parametrize("module", [False, True])
@pytest.mark.filterwarnings("ignore:torchmist")
def test_several_gradients_at_once_are_those_one_by_one(small, goal, module) -> None:
    small.requires_grad_(False)
    term = driven_by(goal, module=module, model=small)
    x, scales = X.clone().requires_grad_(), torch.tensor([1.0, -1.0, 0.0])
    value = term(x)
    (found,) = torch.autograd.grad(value, x, scales, is_grads_batched=True, retain_graph=True)
    each = [torch.autograd.grad(value, x, scale, retain_graph=True)[0] for scale in scales]
    torch.testing.assert_close(found, torch.stack(each), atol=1e-6, rtol=1e-4)
    both = lambda z: torch.stack([term(z), -term(z.square())])  # noqa: E731
    wanted = torch.autograd.functional.jacobian(both, X)
    for found in (
        torch.autograd.functional.jacobian(both, X, vectorize=True), torch.func.jacrev(both)(X)
    ):  # fmt: skip
        torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-4)


def test_weights_with_an_arbiter_have_a_jacobian_and_refuse_vmap() -> None:
    term = lambda z: torchmist.mist_mi(2.0 * z, Y[:30], model="mist")  # noqa: E731
    x = X[:30]
    wanted = torch.func.grad(term)(x)
    torch.testing.assert_close(torch.func.jacrev(term)(x), wanted, atol=1e-6, rtol=1e-4)
    found = torch.autograd.functional.jacobian(term, x, vectorize=True)
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-4)
    with pytest.raises(RuntimeError, match=r"outside of torch\.func\.vmap.*model='mist-fast'"):
        torch.func.vmap(term)(x.view(1, 30, 5))


def test_a_module_that_learns_refuses_transforms_and_is_as_before(small) -> None:
    term = torchmist.MIRegularizer(small, goal="minimize")
    with pytest.raises(RuntimeError, match=r"that learns outside of torch\.func.*\.eval\(\)"):
        torch.func.grad(lambda z: term(z, Y))(X)
    for transform in (torch.func.vmap, lambda f: torch.func.vmap(torch.func.grad(f))):
        with pytest.raises(RuntimeError, match=r"outside of torch\.func\.vmap"):
            transform(lambda z: term(z, Y))(X.view(1, 40, 5))
    remembers = torchmist.MIRegularizer(small, memory=80)
    with pytest.raises(RuntimeError, match=r"memory= and every= outside of torch\.func\.vmap"):
        torch.func.vmap(lambda z: remembers(z, Y))(X.view(1, 40, 5))
    assert torch.isfinite(term(X, Y)) and torch.isfinite(remembers(X, Y))


@pytest.mark.parametrize("transform", [torch.func.vmap, torch.func.grad, torch.func.jacrev])
def test_estimates_refuse_transforms(transform) -> None:
    x = X.view(1, 40, 5) if transform is torch.func.vmap else X
    for estimate in (
        lambda z: torchmist.estimate(z, Y).quantiles.mean(),
        lambda z: torchmist.estimate_conditional(Y, Y, z).quantiles.mean(),
        lambda z: torch.tensor(torchmist.independence_test(z, Y).pvalue),
    ):
        with pytest.raises(RuntimeError, match=r"outside of torch\.func\.vmap, grad and jacrev"):
            transform(estimate)(x)
