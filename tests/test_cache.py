"""What is kept between calls: tables of sizes and of weights, and when they are made anew."""

from __future__ import annotations

import copy
import io
import pickle

import pytest
import torch
from torch import Tensor

import torchmist
from torchmist.models.mist import MIST
from torchmist.numerics.cache import _kept, cached, keepable


def evaluate(model: MIST, x: Tensor, y: Tensor) -> Tensor:
    with torch.no_grad():
        return model(x, y)


def fresh(model: MIST, x: Tensor, y: Tensor) -> Tensor:
    """The estimate of a network that has the same weights and has kept nothing."""
    other = MIST(model.config).to(next(model.parameters()).dtype)
    other.load_state_dict(model.state_dict())
    return evaluate(other, x, y)


def range_of(n: int, like: Tensor) -> Tensor:
    return torch.arange(n, dtype=like.dtype, device=like.device)


def test_a_constant_is_made_once_for_each_size_and_dtype() -> None:
    like = torch.zeros(1)
    found = cached(range_of, 3, like=like)
    assert found is cached(range_of, 3, like=like)
    assert cached(range_of, 4, like=like).tolist() == [0, 1, 2, 3]
    assert cached(range_of, 3, like=like.double()).dtype == torch.float64
    assert cached(range_of, 3, like=torch.zeros(1, device="meta")).device.type == "meta"


def test_little_is_kept() -> None:
    like = torch.zeros(1)
    for n in range(200):
        cached(range_of, n, like=like)
    assert len(_kept) <= 64
    assert cached(range_of, 2**17, like=like) is not cached(range_of, 2**17, like=like)


def test_constants_made_in_inference_mode_serve_gradients() -> None:
    with torch.inference_mode():
        found = cached(range_of, 7, like=torch.zeros(1))
    x = torch.ones(7, requires_grad=True)
    (found * x.square()).sum().backward()
    torch.testing.assert_close(x.grad, 2 * found)


def test_subclasses_of_tensors_are_not_kept() -> None:
    class Other(Tensor):
        pass

    assert keepable(torch.zeros(1)) and not keepable(torch.zeros(1).as_subclass(Other))


def in_place(model: MIST) -> None:
    with torch.no_grad():
        model.basis.mix.weight.mul_(1.5)


def through_data(model: MIST) -> None:
    model.basis.leave.weight.data[0, 0] += 1.0  # moves no version counter


def other_storage(model: MIST) -> None:
    model.basis.enter.bias.data = model.basis.enter.bias.data + 0.5


def other_parameter(model: MIST) -> None:
    model.basis.mix.bias = torch.nn.Parameter(model.basis.mix.bias.detach() - 0.5)


def optimiser_step(model: MIST) -> None:
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.1)
    generator = torch.Generator().manual_seed(5)
    model(*torch.randn(2, 1, 40, 3, generator=generator)).sum().backward()
    optimiser.step()


def other_state(model: MIST) -> None:
    state = {k: v + 0.3 if k.startswith("basis") else v for k, v in model.state_dict().items()}
    model.load_state_dict(state)


@pytest.mark.parametrize(
    "change",
    [in_place, through_data, other_storage, other_parameter, optimiser_step, other_state],
)
def test_changed_weights_are_seen(small: MIST, pair: tuple[Tensor, Tensor], change) -> None:
    before = evaluate(small, *pair)
    assert torch.equal(before, evaluate(small, *pair))
    change(small)
    after = evaluate(small, *pair)
    assert (after - before).abs().max() > 1e-5
    torch.testing.assert_close(after, fresh(small, *pair), atol=1e-6, rtol=1e-6)


def test_values_with_kept_tables_are_those_with_gradients(small, pair) -> None:
    kept = evaluate(small, *pair)
    torch.testing.assert_close(small(*pair).detach(), kept, atol=1e-6, rtol=1e-6)
    assert small(*pair).requires_grad


def test_frozen_weights_keep_the_slopes_too(small, pair) -> None:
    small.requires_grad_(False)
    x, y = pair
    with torch.inference_mode():
        small(x, y)
    found = []
    for model in (small, small, copy.deepcopy(small)):
        z = x.clone().requires_grad_()
        model(z, y).sum().backward()
        found.append(z.grad)
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])
    with torch.no_grad():
        small.basis.leave.weight.mul_(1.5)
    z = x.clone().requires_grad_()
    small(z, y).sum().backward()
    assert (z.grad - found[0]).abs().max() > 1e-6


def test_a_gradient_of_the_weights_does_not_stop_at_kept_tables(small, pair) -> None:
    evaluate(small, *pair)
    small(*pair).sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in small.basis.parameters())


def test_func_derivatives_of_the_weights(small, pair) -> None:
    evaluate(small, *pair)
    weights = {k: v.detach() for k, v in small.named_parameters()}
    term = lambda w: torch.func.functional_call(small, w, pair).sum()  # noqa: E731
    got = torch.func.grad(term)(weights)
    small(*pair).sum().backward()
    for name, parameter in small.named_parameters():
        torch.testing.assert_close(got[name], parameter.grad, atol=1e-5, rtol=1e-4)
    with torch.no_grad():
        stacked = {k: torch.stack([v, 1.5 * v]) for k, v in weights.items()}
        both = torch.func.vmap(term)(stacked)
        one_by_one = [term({k: v[i] for k, v in stacked.items()}) for i in (0, 1)]
    torch.testing.assert_close(both, torch.stack(one_by_one), atol=1e-4, rtol=1e-4)


def test_copies_and_files_leave_kept_tables_out(small, pair) -> None:
    names = set(small.state_dict())
    before = len(pickle.dumps(small))
    out = evaluate(small, *pair)
    assert small.basis._kept is not None and set(small.state_dict()) == names
    assert len(pickle.dumps(small)) < before + 100
    file = io.BytesIO()
    torch.save(small, file)
    file.seek(0)
    for other in (copy.deepcopy(small), torch.load(file, weights_only=False)):
        assert other.basis._kept is None
        assert torch.equal(evaluate(other, *pair), out)
        in_place(other)
        assert not torch.equal(evaluate(other, *pair), out)
    assert torch.equal(evaluate(small, *pair), out)


def test_weights_in_another_dtype_make_their_own_tables(small, pair) -> None:
    scores = [torch.randn(1, 9, d, dtype=torch.float64) for d in (2, 1)]
    evaluate(small, *pair)
    small.double()
    ranks = torchmist.copula.rank_transform(pair[0])
    values = small.basis(ranks.scores, ranks.codes, torch.tensor([40]))
    assert values.dtype == torch.float64 and small.from_scores(*scores).dtype == torch.float64
    with torch.no_grad():
        kept = small.basis(ranks.scores, ranks.codes, torch.tensor([40]))
    assert torch.equal(kept, values)


def test_few_tables_are_kept(small) -> None:
    generator = torch.Generator().manual_seed(0)
    for n in range(10, 40):
        evaluate(small, *torch.randn(2, 1, n, 2, generator=generator))
    assert len(small.basis._kept[1]) <= 8


def test_what_no_grad_returns_can_be_learned_from(small, pair) -> None:
    out = evaluate(small, *pair)
    assert not out.is_inference() and not out.requires_grad
    scale = torch.ones(12, requires_grad=True)
    (out * scale).sum().backward()
    torch.testing.assert_close(scale.grad, out.sum(0))


def test_vmap_without_gradients(small) -> None:
    z, y = torch.randn(2, 3, 30, 2, generator=torch.Generator().manual_seed(0))
    small.requires_grad_(False)
    term = lambda a, b: torchmist.mist_mi(a, b, model=small)  # noqa: E731
    with torch.no_grad():
        loop = torch.stack([term(a, b) for a, b in zip(z, y)])
        torch.testing.assert_close(torch.func.vmap(term)(z, y), loop)


def test_compiled_without_gradients(small, pair) -> None:
    with torch.no_grad():
        run = torch.compile(lambda x, y: small(x, y), fullgraph=True, backend="aot_eager")
        torch.testing.assert_close(run(*pair), small(*pair), atol=1e-5, rtol=1e-5)
        in_place(small)
        torch.testing.assert_close(run(*pair), small(*pair), atol=1e-5, rtol=1e-5)
