"""Lifts: latent pairs against quadrature and neighbours, maps against their injectivity."""

from __future__ import annotations

import math

import pytest
import torch
from kraskov import scaled_kraskov

from torchmist.synthetic.engines.codes_random import Random
from torchmist.synthetic.engines.lifts import Lifts
from torchmist.synthetic.engines.lifts_pairs import (
    PairParameters,
    draw_pairs,
    pairs_information,
    sample_pairs,
    wrapped_mi,
)

SIZES = [(1, 1), (1, 5), (5, 1), (3, 2), (8, 40), (40, 40), (200, 3), (1024, 1024)]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("sigma", [0.05, 0.49, 0.51, 1.0, 2.0])
def test_wrapped_mi_is_the_integral_of_the_wrapped_density(sigma: float) -> None:
    grid = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000 * 2 * math.pi - math.pi
    wraps = 2 * math.pi * torch.arange(-8, 9, dtype=torch.float64)
    z = (grid[:, None] + wraps) / sigma
    density = torch.exp(-0.5 * z.square()).sum(-1) / (sigma * math.sqrt(2 * math.pi))
    entropy = -torch.xlogy(density, density).mean() * 2 * math.pi
    mi = wrapped_mi(torch.tensor([sigma]))
    assert mi.item() == pytest.approx(math.log(2 * math.pi) - entropy.item(), abs=1e-6)


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_pairs_have_the_mi_that_neighbours_find(kind: int) -> None:
    g = generator(kind)
    p = draw_pairs(Random(12, g), 1)
    p = PairParameters(torch.full_like(p.kind, kind), *list(vars(p).values())[1:])
    u, v = sample_pairs(p, 1_500, g)
    if kind == 1:
        u, v = (torch.cat([a.cos(), a.sin()], -1) for a in (u, v))
    mi = pairs_information(p)
    near = torch.tensor([scaled_kraskov(a, b) for a, b in zip(u, v, strict=True)]).double()
    assert ((near - mi).abs() < 0.1 + 0.05 * mi).all()


@pytest.mark.parametrize("seed", range(4))
def test_lifts_keep_the_mi_that_neighbours_find(seed: int) -> None:
    """They never see more than there is, and see most of it unless the map folds far."""
    g = generator(seed)
    p = Lifts().draw(8, 4, 1, generator=g)
    x, y = Lifts().sample_from(p, 1_500, generator=g)
    mi, error = Lifts().information(p, generator=g)
    near = torch.tensor([scaled_kraskov(a, b) for a, b in zip(x, y, strict=True)]).double()
    assert (error == 0).all()
    assert (near < mi + 0.15 + 0.1 * mi).all()
    assert ((near - mi).abs() < 0.1 + 0.2 * mi).float().mean() > 0.5


@pytest.mark.parametrize("d", [2, 3, 5, 7, 30, 100])
def test_different_latents_have_different_images(d: int) -> None:
    """Of 400 points, those nearest in the columns are near in the latents."""
    for seed in range(8):
        g = generator(seed)
        p = Lifts().draw(6, d, d, generator=g)
        u, v = sample_pairs(p.pair, 400, g)
        for lift, latent in ((p.x, u), (p.y, v)):
            quiet = lift(latent, generator(1))
            angle = torch.cat([latent.cos(), latent.sin()], -1)
            place = torch.where(lift.circular, angle, torch.cat([latent, 0 * latent], -1))
            image, source = torch.cdist(quiet, quiet), torch.cdist(place, place)
            eye = torch.eye(400, dtype=torch.bool)
            same = (image < 1e-5) & ~eye & (source > 1e-2)
            assert not same.any()


@pytest.mark.parametrize(("dx", "dy"), SIZES)
def test_lifts_have_the_sizes_asked_for_and_finite_values(dx: int, dy: int) -> None:
    for seed in range(4):
        batch = Lifts().sample(4, 20, dx, dy, generator=generator(seed))
        assert (batch.x.shape, batch.y.shape) == ((4, 20, dx), (4, 20, dy))
        assert batch.x.dtype == batch.y.dtype == batch.mi.dtype == torch.float32
        for values in (batch.x, batch.y, batch.mi):
            assert torch.isfinite(values).all()
        assert (batch.mi >= 0).all() and (batch.mi < 12).all()


def test_lifts_depend_on_their_generator_alone() -> None:
    state = torch.get_rng_state()
    for seed in range(4):
        a, b = (Lifts().sample(4, 30, 5, 6, generator=generator(seed)) for _ in range(2))
        assert torch.equal(a.x, b.x) and torch.equal(a.y, b.y) and torch.equal(a.mi, b.mi)
    assert torch.equal(state, torch.get_rng_state())


def test_a_tenth_of_the_lifts_is_independent_and_reads_zero_to_neighbours() -> None:
    g = generator(5)
    p = Lifts().draw(120, 2, 2, generator=g)
    alone = p.pair.independent
    assert 0.04 < alone.float().mean().item() < 0.18
    x, y = Lifts().sample_from(p, 1_500, generator=g)
    assert all(
        abs(scaled_kraskov(a, b)) < 0.1 for a, b in zip(x[alone][:6], y[alone][:6], strict=True)
    )


def test_half_of_the_wide_lifts_lie_on_a_manifold_without_noise() -> None:
    quiet = 0
    for seed in range(40):
        lift = Lifts().draw(2, 64, 64, generator=generator(seed)).x
        quiet += lift.latent == 64
    assert 8 <= quiet <= 28


def test_sizes_that_are_no_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="expected n to be an integer >= 1, got 0"):
        Lifts().sample(2, 0, 2, 2, generator=generator())
