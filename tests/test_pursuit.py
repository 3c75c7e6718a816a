"""Pursuits: exact MI of snapshots, what encoders do to an estimate, restarts and resuming."""

from __future__ import annotations

import io
from dataclasses import fields
from typing import Any

import pytest
import torch
from torch import Tensor

from torchmist.synthetic.engines.mixture_information import label_information, mixture_information
from training.pursuit import Pursuits
from training.pursuit_population import MODES, SOURCE


def gaussian(x: Tensor, y: Tensor) -> Tensor:
    """I(X;Y) in nats of normal variables with the sample's correlations, as one quantile."""
    z = torch.cat([x, y], -1)
    z = z - z.mean(1, keepdim=True)
    z = z / (z.square().mean(1, keepdim=True) + 1e-6).sqrt()
    c = z.mT @ z / z.shape[1] + 1e-3 * torch.eye(z.shape[-1])
    d = x.shape[-1]
    return 0.5 * (c[:, :d, :d].logdet() + c[:, d:, d:].logdet() - c.logdet())[:, None]


@pytest.fixture
def pursuits() -> Pursuits:
    return Pursuits(12, 3, 2, seed=3, items=128, draws=256)


def test_a_batch_has_rows_of_each_pursuit_and_their_information(pursuits: Pursuits) -> None:
    x, y, mi, error = pursuits.batch(40)
    assert [list(part.shape) for part in (x, y, mi, error)] == [
        [12, 40, 3],
        [12, 40, 2],
        [12],
        [12],
    ]
    assert {part.dtype for part in (x, y, mi, error)} == {torch.float32}
    assert all(part.isfinite().all() for part in (x, y, mi, error)) and not x.requires_grad
    assert (mi >= 0).all() and (mi <= torch.tensor(128.0).log() + 1e-4).all()


def test_information_of_a_snapshot_is_that_of_many_draws(pursuits: Pursuits) -> None:
    pursuits.advance(gaussian, 5)
    mi, error = pursuits.batch(8)[2:]
    p = pursuits.population
    means = pursuits.means()
    noise = p.noise_y.where(p.noise_y > 0, torch.tensor(0.03))
    many, rest = mixture_information(
        *means, p.noise_x, noise, draws=20_000, generator=torch.Generator().manual_seed(0)
    )
    assert ((mi - many).abs() <= 5 * (error + rest) + 1e-4).all()
    assert error.max() < 0.05


def test_information_about_labels_is_that_of_the_labels() -> None:
    pursuits = Pursuits(20, 2, 3, seed=0, items=128, draws=1000)
    mi, error = pursuits.batch(8)[2:]
    p, means = pursuits.population, pursuits.means()
    tested = 0
    for e in (p.mode == MODES.index("hide a label")).nonzero().flatten().tolist():
        _, labels = means[1][e].unique(dim=0, return_inverse=True)
        exact, rest = label_information(
            means[0][e : e + 1], labels[None], p.noise_x[e : e + 1],
            classes=int(labels.max()) + 1, draws=20_000,
            generator=torch.Generator().manual_seed(0),
        )  # fmt: skip
        assert (mi[e] - exact).abs() <= 5 * (error[e] + rest) + 1e-4
        tested += 1
    assert tested


def test_scrambled_codes_keep_their_gaussian_information(pursuits: Pursuits) -> None:
    pursuits.batch(8)
    x, noise = torch.randn(12, 60, 3), pursuits.population.noise_x
    y = x[..., :2] + torch.randn(12, 60, 2)
    scrambled = pursuits._scramble(x, pursuits.means()[0], noise)
    changed = (scrambled != x).flatten(1).any(1)
    assert changed.any() and not changed.all()
    torch.testing.assert_close(_exact(scrambled, y), _exact(x, y), atol=1e-3, rtol=1e-3)


def _exact(x: Tensor, y: Tensor) -> Tensor:
    """Gaussian MI of the sample covariance, invariant under linear maps."""
    z = torch.cat([x, y], -1).double()
    z = z - z.mean(1, keepdim=True)
    c, d = z.mT @ z, x.shape[-1]
    return 0.5 * (c[:, :d, :d].logdet() + c[:, d:, d:].logdet() - c.logdet())


def test_independent_parts_of_a_product_carry_no_information() -> None:
    pursuits = Pursuits(200, 2, 2, seed=1, items=128, draws=64)
    p = pursuits.population
    nothing = (p.mode == MODES.index("join two views")) & ~(p.view_x * p.view_y).any(-1)[
        :, 0
    ].bool()
    assert nothing.any()
    assert pursuits.batch(8)[2][nothing].max() < 0.03


def test_encoders_lower_what_they_minimise_and_raise_what_they_maximise() -> None:
    pursuits = Pursuits(30, 3, 3, seed=5, items=128, draws=8)
    pursuits._left.fill_(1000)
    pursuits.population.weight.copy_(3 * pursuits.population.weight.sign())

    def estimate() -> Tensor:
        return torch.stack([gaussian(*pursuits.batch(1000)[:2])[:, 0] for _ in range(3)]).mean(0)

    before = estimate()
    pursuits.advance(gaussian, 50)
    change = estimate() - before
    sign = pursuits.population.weight.sign()
    for mode in range(len(MODES)):
        of_mode = pursuits.modes == mode
        assert of_mode.any()
        assert (change * sign)[of_mode].mean() < -0.05, MODES[mode]


def test_the_model_gets_no_gradient_and_no_mode_changes(pursuits: Pursuits) -> None:
    gain = torch.ones((), requires_grad=True)
    pursuits.advance(lambda x, y: gain * gaussian(x, y), 2)
    assert gain.grad is None and gain.requires_grad
    assert not pursuits.population.weights.requires_grad


def test_a_run_resumes_bit_for_bit(pursuits: Pursuits) -> None:
    pursuits.advance(gaussian, 4)
    file = io.BytesIO()
    torch.save(pursuits.state_dict(), file)
    file.seek(0)
    other = Pursuits(12, 3, 2, seed=77, items=128, draws=256)
    other.load_state_dict(torch.load(file, weights_only=True))
    for run in (pursuits, other):
        run.batch(16)
        run._left[:5] -= 1000  # restarts come from the state as well
        run.advance(gaussian, 4)
        run.advance(gaussian, 4)
    for a, b in zip(pursuits.batch(16), other.batch(16)):
        assert torch.equal(a, b)


def test_a_state_does_not_change_while_its_run_goes_on(pursuits: Pursuits) -> None:
    state = pursuits.state_dict()
    before = state["population"]["weights"].clone()
    pursuits.advance(gaussian, 2)
    assert torch.equal(state["population"]["weights"], before)


def test_a_state_of_another_size_is_refused(pursuits: Pursuits) -> None:
    with pytest.raises(ValueError, match=r"expected source of shape \[12, 128, 6\], got \[12, 64"):
        pursuits.load_state_dict(Pursuits(12, 3, 2, seed=0, items=64).state_dict())


def test_a_restart_touches_only_those_that_are_over(pursuits: Pursuits) -> None:
    pursuits.advance(gaussian, 2)
    pursuits._left.fill_(10)
    pursuits._left[4:7] = 0
    before = pursuits.state_dict()["population"]
    pursuits.advance(gaussian, 0)
    kept = torch.ones(12, dtype=torch.bool)
    kept[4:7] = False
    for field in fields(pursuits.population):
        now = getattr(pursuits.population, field.name)
        assert torch.equal(now[kept], before[field.name][kept]), field.name
    assert (pursuits.population.source[~kept] != before["source"][~kept]).flatten(1).any(1).all()
    assert (pursuits.population.steps[~kept] == 0).all()
    assert (pursuits._left[kept] == 10).all() and (pursuits._left[~kept] >= 50).all()


def test_draws_depend_on_the_seed_alone() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    runs = [Pursuits(6, 2, 1, seed=s, items=64, draws=32) for s in (9, 9, 10)]
    for run in runs:
        run.advance(gaussian, 2)
    a, b, c = (run.batch(12) for run in runs)
    assert all(torch.equal(p, q) for p, q in zip(a, b)) and not torch.equal(a[0], c[0])
    assert torch.equal(torch.get_rng_state(), before)


def test_a_broken_estimate_leaves_weights_finite(pursuits: Pursuits) -> None:
    pursuits.advance(lambda x, y: (x.sum((1, 2)) * torch.nan)[:, None], 2)
    assert pursuits.population.weights.isfinite().all()
    assert pursuits.population.second.isfinite().all()


def test_every_mode_and_every_width_gives_finite_codes() -> None:
    for dx, dy in ((1, 1), (8, 1), (1, 5), (16, 3), (32, 32)):
        pursuits = Pursuits(10, dx, dy, seed=2, items=64, draws=16)
        pursuits.advance(lambda x, y: x.mean((1, 2))[:, None] + y.mean((1, 2))[:, None], 1)
        x, y, mi, _ = pursuits.batch(9)
        assert x.shape == (10, 9, dx) and y.shape == (10, 9, dy)
        assert all(part.isfinite().all() for part in (x, y, mi))
        assert pursuits.population.source.shape[-1] == SOURCE


@pytest.mark.parametrize("name", ["count", "dx", "dy", "items", "draws"])
def test_sizes_are_checked(name: str) -> None:
    arguments: dict[str, Any] = {"count": 2, "dx": 2, "dy": 2, "items": 64, "draws": 8, name: 0}
    with pytest.raises(ValueError, match=f"expected {name} to be an integer"):
        Pursuits(**arguments, seed=0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_steps_on_a_gpu_do_not_wait_for_it() -> None:
    pursuits = Pursuits(8, 3, 2, seed=0, device="cuda", items=128, draws=64)
    pursuits.advance(lambda x, y: (x.mean((1, 2)) * y.mean((1, 2)))[:, None], 2)
    pursuits._left.fill_(0)
    torch.cuda.set_sync_debug_mode("error")
    try:
        pursuits.advance(lambda x, y: (x.mean((1, 2)) * y.mean((1, 2)))[:, None], 2)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(part.is_cuda and part.isfinite().all() for part in pursuits.batch(20))
