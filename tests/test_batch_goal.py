"""``mist_mi(..., goal=...)``: one line, without a module and without state."""

from __future__ import annotations

import math

import pytest
import torch
from conftest import Constant
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

import torchmist
from benchmarks.pursuits import TERMS, Pursuit
from torchmist.copula import normal_scores
from torchmist.terms import batch_goal
from torchmist.terms.gaussian_process import PLAIN, SHARP, kernel_information
from torchmist.terms.kernel_floor import kernel_floor

GOALS = ("minimize", "maximize")
SEEN = {"minimize": PLAIN, "maximize": SHARP}


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


Z, Y = draw(60, 3), draw(60, 2, seed=1)


def gradient(z: torch.Tensor, y: torch.Tensor, **options) -> tuple[torch.Tensor, torch.Tensor]:
    z = z.clone().requires_grad_()
    value = torchmist.mist_mi(z, y, **options)
    return value.detach(), torch.autograd.grad(value, z)[0]


@pytest.fixture
def blind() -> Constant:
    return Constant(0.1)


@pytest.mark.parametrize("goal", GOALS)
def test_the_gradient_is_that_of_the_processes_and_a_tenth_of_the_value(
    small, goal, monkeypatch
) -> None:
    found = []
    for share in (0.0, 1.0, 0.1):
        monkeypatch.setattr(batch_goal, "_SHARE", share)
        found.append(gradient(Z, Y, model=small, goal=goal)[1])
    z = Z.clone().requires_grad_()
    (pull,) = torch.autograd.grad(kernel_information(z[None], Y[None], None, SEEN[goal]).sum(), z)
    torch.testing.assert_close(found[0], pull, atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(found[2], pull + 0.1 * (found[1] - pull), atol=1e-5, rtol=1e-3)
    assert not torch.allclose(found[1], pull, atol=1e-4)


def test_what_the_network_does_not_see_costs_what_a_kernel_sees(blind) -> None:
    angle = 6.2832 * torch.rand(200, generator=torch.Generator().manual_seed(0))
    z, y = angle.cos()[:, None], angle.sin()[:, None]
    kernel = kernel_floor(normal_scores(z[None]), normal_scores(y[None])).item()
    value, moved = gradient(z, y, model=blind, goal="minimize")
    assert kernel > 0.7 and kernel - 0.05 * math.log(2) <= value <= kernel and moved.any()
    assert not gradient(z, y, model=blind)[1].any()


def test_when_maximising_the_value_is_about_the_smallest_of_three_views(small) -> None:
    least = torchmist.mist_mi(Z, Y, model=small, maximize=True)
    value = torchmist.mist_mi(Z, Y, model=small, goal="maximize")
    assert least <= value <= least + 0.05 * math.log(3)


@pytest.mark.parametrize("goal", GOALS)
def test_a_call_depends_on_no_other_and_leaves_the_random_state_alone(small, goal) -> None:
    state = torch.get_rng_state()
    first = gradient(Z, Y, model=small, goal=goal)
    gradient(Y, Z, model=small, goal=goal)
    torch.testing.assert_close(gradient(Z, Y, model=small, goal=goal), first, atol=0, rtol=0)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("goal", GOALS)
def test_batches_are_averaged_with_their_weights(small, goal) -> None:
    z, y, weight = draw(3, 30, 3), draw(3, 30, 2, seed=1), torch.tensor([1.0, 0.0, 3.0])
    each = [gradient(a, b, model=small, goal=goal) for a, b in zip(z, y)]
    value, moved = gradient(z, y, model=small, goal=goal, weight=weight)
    torch.testing.assert_close(value, (each[0][0] + 3 * each[2][0]) / 4)
    expected = torch.stack([each[0][1] / 4, torch.zeros(30, 3), 3 * each[2][1] / 4])
    torch.testing.assert_close(moved, expected, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("goal", GOALS)
def test_one_column_may_stand_alone_and_be_shared_by_a_batch(small, goal) -> None:
    z, y = Z[:, 0], Y[:, 0]
    whole = torchmist.mist_mi(z[:, None], y[:, None], model=small, goal=goal)
    torch.testing.assert_close(torchmist.mist_mi(z, y, model=small, goal=goal), whole)
    shared = torchmist.mist_mi(z[None, :, None].expand(2, -1, -1), y, model=small, goal=goal)
    torch.testing.assert_close(shared, whole)


@pytest.mark.parametrize("goal", GOALS)
@pytest.mark.parametrize("n", [60, 515])
def test_masked_samples_do_not_count(small, goal, n, monkeypatch) -> None:
    monkeypatch.setattr(batch_goal, "_SHARE", 0.0)  # ranks have a gradient by the size of the batch
    z, y, mask = draw(n, 3), draw(n, 2, seed=1), torch.arange(n) < 40
    expected, wanted = gradient(z[:40], y[:40], model=small, goal=goal)
    value, moved = gradient(z, y, model=small, goal=goal, mask=mask)
    assert not moved[40:].any() and torch.isfinite(moved).all()
    if n == 60:
        torch.testing.assert_close(value, expected, atol=1e-4, rtol=1e-3)
        torch.testing.assert_close(moved[:40], wanted, atol=1e-6, rtol=1e-3)


@pytest.mark.parametrize("n", [300, 515])
def test_all_of_many_samples_are_pulled_at_in_equal_parts(blind, n) -> None:
    z, y, parts = draw(n, 2), draw(n, 2, seed=1), -(-n // 256)
    z = z + y
    _, moved = gradient(z, y, model=blind, goal="maximize")  # the value has no gradient
    u = z.clone().requires_grad_()
    each = [u[k::parts] for k in range(parts)]
    found = [
        len(a) / n * kernel_information(a[None], y[None, k::parts], None, SHARP).sum()
        for k, a in enumerate(each)
    ]
    (expected,) = torch.autograd.grad(torch.stack(found).sum(), u)
    assert moved.abs().sum(1).min() > 0
    torch.testing.assert_close(moved, expected, atol=1e-6, rtol=1e-3)


@pytest.mark.parametrize("goal", GOALS)
@pytest.mark.parametrize("wrt, sides", [("z", (1, 0)), ("y", (0, 1)), ("both", (1, 1))])
def test_gradient_reaches_the_sides_asked_for(small, goal, wrt, sides) -> None:
    z, y = Z.clone().requires_grad_(), Y.clone().requires_grad_()
    torchmist.mist_mi(z, y, model=small, wrt=wrt, goal=goal).backward()
    assert ((z.grad is not None), (y.grad is not None)) == tuple(map(bool, sides))


@pytest.mark.parametrize("goal", GOALS)
@pytest.mark.parametrize("count", [2, 4])
def test_labels_are_classes_on_either_side(small, goal, count) -> None:
    labels = torch.arange(60) % count
    expected = gradient(Z, labels, model=small, goal=goal)
    named = gradient(Z, torch.tensor([7, -2, 100, 5])[labels], model=small, goal=goal)
    columns = gradient(Z, F.one_hot(labels, count).float(), model=small, goal=goal,
                       num_classes=count)  # fmt: skip
    z = Z.clone().requires_grad_()
    value = torchmist.mist_mi(labels, z, model=small, goal=goal, wrt="y")
    turned = value.detach(), torch.autograd.grad(value, z)[0]
    assert expected[1].any()
    for found in (named, turned) + ((columns,) if count > 2 else ()):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-3)


def test_the_entropy_of_labels_bounds_the_value_and_not_its_gradient() -> None:
    labels = torch.arange(300) % 2
    value, moved = gradient(9.0 * labels + 0.1 * draw(300), labels, goal="minimize")
    assert value <= math.log(2) + 1e-6 and moved.any()


@pytest.mark.parametrize("goal", GOALS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions(small, goal, dtype) -> None:
    z, y = Z.to(dtype), Y.to(dtype)
    value, moved = gradient(z, y, model=small, goal=goal)
    assert value.dtype == torch.float32 and moved.dtype == dtype and torch.isfinite(moved).all()
    whole = torchmist.mist_mi(z.float(), y.float(), model=small, goal=goal)
    torch.testing.assert_close(value, whole, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("goal", GOALS)
def test_neither_autocast_nor_no_grad_change_the_value(small, goal) -> None:
    expected = gradient(Z, Y, model=small, goal=goal)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(gradient(Z, Y, model=small, goal=goal), expected)
    with torch.no_grad():
        value = torchmist.mist_mi(Z.clone().requires_grad_(), Y, model=small, goal=goal)
    assert not value.requires_grad
    torch.testing.assert_close(value, expected[0])


@pytest.mark.filterwarnings("ignore:torchmist")
@pytest.mark.parametrize("goal", GOALS)
@pytest.mark.parametrize("constant", [torch.zeros(60), torch.zeros(60).long()])
def test_a_constant_side_is_nothing(small, goal, constant) -> None:
    value, moved = gradient(Z, constant, model=small, goal=goal)
    assert value == 0 and not moved.any()
    both = torch.stack([Y[:, :1], constant[:, None].float()])
    half, moved = gradient(torch.stack([Z, Z]), both, model=small, goal=goal)
    alone = gradient(Z, Y[:, :1], model=small, goal=goal)
    torch.testing.assert_close((half, moved[0]), (alone[0] / 2, alone[1] / 2))
    assert not moved[1].any()


@pytest.mark.parametrize("goal", GOALS)
def test_dead_units_get_no_gradient(small, goal) -> None:
    dead = torch.cat([Z, torch.zeros(60, 2)], 1)
    value, moved = gradient(dead, Y, model=small, goal=goal)
    assert torch.isfinite(value) and torch.isfinite(moved).all()
    assert not moved[:, 3:].any() and moved[:, :3].any()


@pytest.mark.parametrize("goal", GOALS)
def test_fewer_samples_than_in_training_are_nothing(small, goal, monkeypatch) -> None:
    monkeypatch.setattr("torchmist.checks._warned", set())
    small.provenance = {"trained_range": {"n": [10, 500]}}
    with pytest.warns(UserWarning, match="fewer than 10 samples, the fewest .* the term is 0"):
        value, moved = gradient(Z[:9], Y[:9], model=small, goal=goal)
    assert value == 0 and not moved.any()
    assert gradient(Z[:10], Y[:10], model=small, goal=goal)[1].any()
    mask = torch.arange(60).expand(2, 60) < torch.tensor([[60], [9]])
    both = [torch.stack([side, side]) for side in (Z, Y)]
    half = torchmist.mist_mi(*both, model=small, goal=goal, mask=mask)
    torch.testing.assert_close(half, torchmist.mist_mi(Z, Y, model=small, goal=goal) / 2)
    with pytest.raises(ValueError, match="expected at least 4 samples, got 3"):
        torchmist.mist_mi(Z[:3], Y[:3], model=small, goal=goal)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"goal": "down"}, "expected goal 'auto', 'minimize' .* got 'down'"),
        ({"goal": "maximize", "maximize": True}, "goal='maximize' without maximize=True"),
        ({"goal": "minimize", "maximize": True}, "goal='minimize' without maximize=True"),
    ],
)
def test_wrong_goals_are_errors_before_anything_else(options, message) -> None:
    with pytest.raises(ValueError, match=message):
        torchmist.mist_mi("no tensor", None, model="no such model", **options)


@pytest.mark.skipif(torch.__version__ < (2, 5), reason="torch.compile of its functions needs 2.5")
def test_a_compiled_step_breaks_its_graph_and_says_the_same(small) -> None:
    small.requires_grad_(False)

    def step(z: torch.Tensor) -> torch.Tensor:
        return 2 * torchmist.mist_mi(z.tanh(), Y, model=small, goal="minimize")

    torch._dynamo.reset()
    found = []
    for run in (step, torch.compile(step, backend="aot_eager")):
        z = Z.clone().requires_grad_()
        value = run(z)
        found.append((value.detach(), torch.autograd.grad(value, z)[0]))
    torch.testing.assert_close(found[1], found[0])


@pytest.mark.filterwarnings("ignore:torchmist")
def test_an_encoder_hides_from_the_derivative_of_the_value_and_from_no_other_gradient() -> None:
    model = torchmist.load_pretrained("mist-fast").requires_grad_(False)
    truth = {}
    for term in TERMS:
        pursuit = Pursuit(model, 1004, term=term)
        for _ in range(150):
            pursuit.step()
        truth[term] = pursuit.truth()[0]
    assert max(truth["goal"], truth["auto"]) < 0.2
    assert truth["plain"] > 4 * max(truth["goal"], truth["auto"])


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("goal", ["auto", "minimize", "maximize"])
def test_a_checkpoint_that_computes_it_again_has_the_same_gradient(small, goal, reentrant) -> None:
    encoder, x, y = torch.nn.Linear(4, 3), draw(60, 4).requires_grad_(), draw(60, 2, seed=1)
    sign = -1.0 if goal == "maximize" else 1.0
    term = lambda x: sign * torchmist.mist_mi(encoder(x), y, model=small, goal=goal)  # noqa: E731
    (expected,) = torch.autograd.grad(term(x), encoder.weight)
    checkpoint(term, x, use_reentrant=reentrant).backward()
    assert torch.equal(encoder.weight.grad, expected)
