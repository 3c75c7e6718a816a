"""Terms that know which way they are driven: value, steps, state, memory, the fresh probe."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from torch import nn

import torchmist
from torchmist.critic import Critic, CriticConfig
from torchmist.inference.views import RunningDirections, rotated_view, whitened_view
from torchmist.terms.gaussian_process import PLAIN, SHARP, kernel_information
from torchmist.terms.kernel_floor import kernel_floor
from torchmist.terms.probe import probe_bounds

GOALS = ("minimize", "maximize")


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


Z, Y = draw(60, 3), draw(60, 2, seed=1)


def term(model, goal: str, **options) -> torchmist.MIRegularizer:
    return torchmist.MIRegularizer(model, goal=goal, **options)


@pytest.mark.parametrize("goal", GOALS)
def test_the_value_is_a_number_with_a_gradient_in_both_sides(small, goal) -> None:
    z, y = Z.clone().requires_grad_(), Y.clone().requires_grad_()
    value = term(small, goal)(z, y)
    value.backward()
    assert value.shape == () and torch.isfinite(value)
    assert torch.isfinite(z.grad).all() and z.grad.any() and y.grad.any()


@pytest.mark.parametrize("goal", GOALS)
def test_a_goal_has_no_parameters_and_takes_its_own_steps(small, goal) -> None:
    reg = term(small, goal)
    assert not list(reg.parameters())
    reg(Z.clone().requires_grad_(), Y)
    before = reg.pursuit.critic.weights.clone()
    reg(Z.clone().requires_grad_(), Y)
    assert not torch.equal(reg.pursuit.critic.weights, before)
    assert not list(reg.parameters())


@pytest.mark.parametrize("goal", GOALS)
def test_between_the_calls_that_ask_the_last_value_stands_with_the_gradient_of_now(
    small, goal
) -> None:
    said: list[dict[str, torch.Tensor]] = []
    reg, values = term(small, goal, log=said.append), []
    seen = {"minimize": PLAIN, "maximize": SHARP}[goal]
    for k in range(18):
        z, y = draw(50 + k, 3, seed=k).requires_grad_(), draw(50 + k, 2, seed=99 + k)
        weights = reg.pursuit.critic.weights
        value = reg(z, y)
        values.append(value.item())
        gradient, pull = (
            torch.autograd.grad(v.sum(), z)[0]
            for v in (value, kernel_information(z[None], y[None], resolution=seen))
        )
        asked = k in (0, 1, 8, 16)
        assert (reg.pursuit.critic.weights is not weights) == asked
        assert (value.item() not in values[-2:-1]) == asked
        assert torch.allclose(gradient, pull, atol=1e-6) == (not asked)
    assert said[15] == said[8] and said[15]["mi"].item() == pytest.approx(values[8])


@pytest.mark.filterwarnings("ignore:torchmist")
def test_a_value_that_stands_is_the_mean_of_its_datasets_whatever_comes_next(small) -> None:
    reg, z, y = term(small, "minimize"), draw(3, 40, 3), draw(3, 40, 2, seed=1)
    weight, mask = torch.tensor([1.0, 2.0]), torch.arange(40) < 30
    for _ in range(2):
        stands = reg(z, y)
    torch.testing.assert_close(reg(z[:2].requires_grad_(), y[:2], weight=weight), stands)
    torch.testing.assert_close(reg(z, y, mask=mask.expand(3, -1)), stands)
    z[0] = 1.0  # constant: 0, the other two as they stand
    torch.testing.assert_close(reg(z.detach(), y), 2 / 3 * stands)


def test_every_call_asks_in_eval_mode_and_without_gradients(small) -> None:
    reg = term(small, "minimize")
    for _ in range(3):
        stands = reg(Z, Y)
    with torch.no_grad():
        assert reg(2 + Z[:50].sin(), Y[:50]) != stands
    assert reg.eval()(Z[:50], Y[:50]) != stands
    assert reg.train()(Z[:50], Y[:50]) == stands


def test_copies_go_on_and_loaded_states_ask_anew(small) -> None:
    reg = term(small, "minimize")
    for _ in range(3):
        stands = reg(Z, Y)
    twin = copy.deepcopy(reg)
    assert twin(-Z[:50], Y[:50]) == reg(-Z[:50], Y[:50]) == stands
    twin.load_state_dict(reg.state_dict())
    assert twin(-Z[:50], Y[:50]) != stands


def test_nothing_learns_in_eval_mode_or_without_gradients(small) -> None:
    reg = term(small, "minimize")
    reg(Z, Y)
    state = copy.deepcopy(reg.state_dict())
    with torch.no_grad():
        reg(Z, Y)
    first, second = reg.eval()(Z, Y), reg(Z, Y)
    torch.testing.assert_close(first, second)
    assert all(torch.equal(value, state[name]) for name, value in reg.state_dict().items())


def test_steps_do_not_disturb_the_backward_pass_that_waits(small) -> None:
    reg = term(small, "minimize")
    z = Z.clone().requires_grad_()
    (reg(z, Y) + reg(z, Y)).backward()
    assert torch.isfinite(z.grad).all()


def test_the_global_random_state_is_left_alone(small) -> None:
    before = torch.get_rng_state()
    for goal in GOALS:
        reg = term(small, goal)
        reg(Z, Y)
    reg.check(draw(100, 3), draw(100, 2, seed=1), steps=3)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("width", [3, 40])
def test_state_loads_strictly_into_a_term_that_saw_nothing(small, width) -> None:
    z, host = draw(60, width), nn.ModuleDict({"term": term(small, "minimize")})
    for _ in range(3):
        host["term"](z, Y)
    buffer = io.BytesIO()
    torch.save(host.state_dict(), buffer)
    buffer.seek(0)
    twin = nn.ModuleDict({"term": term(small, "minimize")})
    twin.load_state_dict(torch.load(buffer, weights_only=True), strict=True)
    torch.testing.assert_close(twin.eval()["term"](z, Y), host.eval()["term"](z, Y))


def test_half_precision_of_the_host_and_copies_leave_the_critic_as_it_is(small) -> None:
    reg = term(small, "minimize")
    reg(Z, Y)
    twin = copy.deepcopy(reg).half()
    assert twin.pursuit.critic.weights.dtype == torch.float32
    torch.testing.assert_close(twin.eval()(Z, Y), reg.eval()(Z, Y))


def test_autocast_does_not_reach_a_goal(small) -> None:
    reg = term(small, "minimize")
    reg(Z, Y)
    outside = reg.eval()(Z, Y)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(reg(Z, Y), outside)


def test_masked_samples_do_not_count(small) -> None:
    reg = term(small, "minimize")
    reg(Z, Y)
    reg.eval()
    z, y, mask = torch.cat([Z, 9 * Z[:9]]), torch.cat([Y, Y[:9]]), torch.arange(69) < 60
    torch.testing.assert_close(reg(z, y, mask=mask), reg(Z, Y), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("goal", GOALS)
@pytest.mark.parametrize("classes", [None, 5])
def test_labels_keep_their_place_when_a_batch_lacks_some(small, goal, classes) -> None:
    reg = term(small, goal, num_classes=classes)
    for highest in (5, 3, 4):
        assert torch.isfinite(reg(Z.clone().requires_grad_(), torch.arange(60) % highest))


def test_the_critic_finds_a_parity_and_its_bound_stays_below_the_truth() -> None:
    generator = torch.Generator().manual_seed(0)
    critic = Critic(CriticConfig(steps=1, rate=1e-2), plain=True)

    def batch(n: int) -> tuple[torch.Tensor, torch.Tensor]:
        z = torch.randn(1, n, 2, generator=generator)
        return z, (z[..., :1] * z[..., 1:] > 0).float()

    for _ in range(200):
        critic.learn(*batch(256))
    bound = critic(*batch(2000)).bound.item()
    assert 0.4 < bound < 0.6931 + 0.02


def test_a_kernel_sees_a_circle_and_nothing_in_independent_sides() -> None:
    angle = 6.2832 * torch.rand(400, generator=torch.Generator().manual_seed(0))
    x, y = (v[None, :, None] * 2**0.5 for v in (angle.cos(), angle.sin()))
    assert kernel_floor(x, y) > 0.7
    assert kernel_floor(draw(1, 400, 2), draw(1, 400, 2, seed=1)).abs() < 0.05


def test_dependence_that_the_network_is_blind_to_costs(small) -> None:
    """The network is made to say nothing; the term says what the kernel sees."""
    angle = 6.2832 * torch.rand(200, generator=torch.Generator().manual_seed(0))
    z = angle.cos()[:, None].requires_grad_()
    seen: list[dict[str, torch.Tensor]] = []
    reg = term(small, "minimize", log=seen.append).eval()
    value = reg(z, angle.sin())
    assert seen[0]["kernel"] > 0.7
    assert value > max(seen[0].get("network"), seen[0]["kernel"]) - 0.05 * 1.1


def test_when_maximising_the_value_is_no_more_than_any_opinion(small) -> None:
    seen: list[dict[str, torch.Tensor]] = []
    reg = term(small, "maximize", log=seen.append)
    for _ in range(2):
        value = reg(Z, Y)
    opinions = [seen[-1][name] for name in ("raw", "whitened", "rotated", "critic")]
    assert value <= min(opinions) + 0.05 * 1.4  # tau log 4: the width of the soft minimum


def test_maximize_of_the_function_is_the_smallest_of_its_views(small) -> None:
    views = [(Z, Y)] + [(turn(Z[None])[0], turn(Y[None])[0]) for turn in (
        whitened_view, rotated_view)]  # fmt: skip
    each = [torchmist.mist_mi(a, b, model=small, statistic=0.05) for a, b in views]
    value = torchmist.mist_mi(Z, Y, model=small, maximize=True)
    torch.testing.assert_close(value, torch.stack(each).min(), atol=1e-4, rtol=1e-3)


def test_a_rotation_keeps_distances_and_whitening_makes_columns_uncorrelated() -> None:
    z = draw(1, 300, 4)
    z = torch.cat([z[..., :3], z[..., :1] + 0.5 * z[..., 3:]], -1)  # correlation 0.9
    scaled = (z - z.mean(1)) / z.std(1, correction=0)
    torch.testing.assert_close(
        torch.cdist(rotated_view(z), rotated_view(z)), torch.cdist(scaled, scaled),
        atol=1e-2, rtol=1e-3,
    )  # fmt: skip
    correlation = torch.corrcoef(whitened_view(z)[0].T)
    assert (correlation - torch.eye(4)).abs().max() < 0.15


def test_running_directions_find_the_shared_one_of_many_columns() -> None:
    directions, generator = RunningDirections(keep=8), torch.Generator().manual_seed(0)
    way = nn.functional.normalize(torch.randn(200, generator=generator), dim=0)

    def batch() -> tuple[torch.Tensor, torch.Tensor]:
        y = torch.randn(1, 128, 1, generator=generator)
        return torch.randn(1, 128, 200, generator=generator) + 3 * y * way, y

    for _ in range(40):
        directions.learn(*batch())
    z, y = batch()
    a, b = directions(z, y)
    assert a.shape == (1, 128, 8) and torch.equal(b, y)
    correlation = torch.corrcoef(torch.cat([a[0], y[0]], 1).T)[-1, :-1].abs()
    assert correlation.max() > 0.8


@pytest.mark.parametrize("goal", GOALS)
def test_goals_take_a_memory(small, goal) -> None:
    reg = term(small, goal, memory=64)
    for k in range(3):
        z = draw(32, 3, seed=k).requires_grad_()
        reg(z, draw(32, 2, seed=9 + k)).backward()
        assert torch.isfinite(z.grad).all()
    assert len(reg.memory) == 64


@pytest.mark.parametrize("goal", GOALS)
def test_fewer_samples_than_in_training_are_nothing(small, goal, monkeypatch) -> None:
    monkeypatch.setattr("torchmist.checks._warned", set())
    small.provenance = {"trained_range": {"n": [10, 500]}}
    reg, z = term(small, goal), Z[:9].clone().requires_grad_()
    with pytest.warns(UserWarning, match="fewer than 10 samples, the fewest .* the term is 0"):
        value = reg(z, Y[:9])
    value.backward()
    assert value.item() == 0 and torch.equal(z.grad, torch.zeros_like(z))
    assert not reg.pursuit._calls and reg(Z[:10], Y[:10]).item() != 0
    assert torchmist.MIRegularizer(small)(Z[:9], Y[:9]).item() != 0  # without a goal: as mist_mi
    mask = torch.arange(60).expand(2, 60) < torch.tensor([[60], [9]])
    both = (torch.stack([side, side]) for side in (Z, Y))
    torch.testing.assert_close(reg.eval()(*both, mask=mask), reg(Z, Y) / 2)


def test_the_samples_of_the_memory_count_towards_the_fewest(small) -> None:
    small.provenance = {"trained_range": {"n": [10, 500]}}
    reg = term(small, "minimize", memory=16)
    reg(Z[:32], Y[:32])
    z = Z[32:36].clone().requires_grad_()
    reg(z, Y[32:36]).backward()
    assert z.grad.any()


def test_probes_find_what_is_there_and_nothing_where_nothing_is() -> None:
    s = draw(2000)
    z = torch.stack([s + 0.5 * draw(2000, seed=1), draw(2000, seed=2)], 1)
    found, rows = probe_bounds(z, s, steps=150)
    truth = 0.5 * torch.tensor(5.0).log().item()
    assert rows == 500 and all(0.5 < value < truth + 0.15 for value, _ in found.values())
    nothing, _ = probe_bounds(z, draw(2000, seed=3), steps=150)
    assert all(value < 0.05 for value, _ in nothing.values())
    labels, _ = probe_bounds(z, (s > 0).long(), steps=150)
    assert 0.3 < labels["logistic"][0] < 0.6931


def test_a_binary_column_is_no_number_for_a_ridge() -> None:
    z = draw(200, 2)
    assert "ridge" not in probe_bounds(z, (z[:, 0] > 0).float(), steps=3)[0]


def test_check_warns_of_what_the_term_does_not_see(small) -> None:
    for p in small.parameters():
        p.data.zero_()  # a network that says the same of all
    z = draw(600, 2)
    reg = torchmist.MIRegularizer(small)
    with pytest.warns(UserWarning, match="nats are hidden from the term"):
        report = reg.check(z, z[:, 0] + 0.1 * draw(600, seed=1), steps=100, tolerance=0.0)
    assert report.hidden and report.probe > 1 and "fresh probes find at least" in str(report)
    assert reg.training


def test_every_few_calls_the_last_batches_are_checked(small) -> None:
    reg = torchmist.MIRegularizer(small, every=3)
    for k in range(3):
        assert not hasattr(reg, "report")
        reg(draw(40, 2, seed=k), draw(40, 1, seed=9 + k))
    assert reg.report.rows == 30


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda m: term(m, "down"), "expected goal 'auto', 'minimize'"),
        (lambda m: term(m, "minimize", lift=3), "without lift and trainable"),
        (lambda m: term(m, "minimize", memory=-1), "expected memory to be an int of at least 0"),
        (lambda m: term(m, "minimize", memory=9)(Z[None], Y[None]), "and no mask with memory"),
        (lambda m: torchmist.MIRegularizer(m).check(Z, Y), "expected at least 64 rows"),
        (lambda m: CriticConfig(steps=0), "expected steps of CriticConfig to be a positive int"),
    ],
)
def test_wrong_uses_are_errors(small, make, message) -> None:
    with pytest.raises(ValueError, match=message):
        make(small)


def test_other_columns_than_at_first_are_an_error(small) -> None:
    reg = term(small, "minimize")
    reg(Z, Y)
    with pytest.raises(ValueError, match="one MIRegularizer for each pair"):
        reg(Z[:, :2], Y)
