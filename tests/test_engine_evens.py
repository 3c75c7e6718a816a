"""Evens: information against naive means, and numbers that no direction goes with."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from torchmist.synthetic.engines.evens import EvenParameters, Evens

FAMILY = Evens()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _plain(p: EvenParameters) -> EvenParameters:
    """The same without frames."""
    still = torch.zeros_like(p.frame.used)
    order = torch.arange(p.columns)
    frame, mixed = replace(p.frame, used=still), replace(p.mixed, used=still)
    return replace(p, frame=frame, mixed=mixed, order=order, swapped=False)


def test_information_is_the_mean_log_ratio_of_densities() -> None:
    directions = set()
    for seed in range(20):
        p = FAMILY.draw(1, 9, 4, generator=generator(seed))
        mi, error = FAMILY.information(p, generator=generator())
        assert not error.any()
        numbers = p.shape.shape[1]
        u = torch.randn(1, 12_000, numbers, p.directions, generator=generator(seed + 1))
        middle = p.shown(u.norm(dim=-1)) + p.tilt[:, None] * u[..., 0]
        noise = torch.randn(1, 4000, numbers, generator=generator(seed + 2))
        y = (middle[:, 8000:] + p.noise[:, None] * noise)[0]
        found = 0.0
        for k in range(numbers):  # densities at rows that had no part in them
            away = (y[:, k, None] - middle[0, :8000, k]) / p.noise[0, k]
            found += float(-0.5 - (-away.square() / 2).exp().mean(1).log().mean())
        assert found == pytest.approx(float(mi), abs=0.06 * numbers), seed
        directions.add(p.directions)
    assert len(directions) > 2


def test_sides_have_their_columns_and_finite_values() -> None:
    for dx, dy in ((1, 1), (5, 40), (40, 2), (3, 130)):
        for seed in range(4):
            p = FAMILY.draw(3, dx, dy, generator=generator(seed))
            x, y = FAMILY.sample_from(p, 60, generator=generator(seed))
            assert x.shape == (3, 60, dx) and y.shape == (3, 60, dy)
            assert bool(x.isfinite().all()) and bool(y.isfinite().all())


def test_numbers_go_with_no_direction_unless_they_are_tilted() -> None:
    for seed in range(20):
        p = _plain(FAMILY.draw(2, 12, 3, generator=generator(seed)))
        p = replace(p, noise=torch.full_like(p.noise, 0.1))
        u, y = FAMILY.sample_from(p, 4000, generator=generator(seed))
        numbers = p.shape.shape[1]
        sides = [(s - s.mean(1, keepdim=True)) / s.std(1, keepdim=True) for s in (u, y)]
        found = (sides[0].mT @ sides[1])[..., :numbers].abs().amax(1) / 4000
        even = p.tilt == 0
        assert (found[even] < 0.1).all() and (found[p.tilt.abs() > 1] > 0.2).all()
        x, _ = FAMILY.sample_from(replace(p, noise=1e-6 * p.noise), 50, generator=generator(seed))
        radius = (x / p.scale)[..., : numbers * p.directions].unflatten(-1, (numbers, -1))
        shown = p.shown(radius.norm(dim=-1)) + p.tilt[:, None] * radius[..., 0]
        _, y = FAMILY.sample_from(replace(p, noise=1e-6 * p.noise), 50, generator=generator(seed))
        torch.testing.assert_close(y[..., :numbers], shown, atol=1e-3, rtol=1e-3)


def test_a_square_of_a_normal_number_has_the_information_of_an_integral() -> None:
    p = FAMILY.draw(1, 8, 1, generator=generator())
    one = torch.ones_like(p.noise[:, :1])
    p = replace(p, shape=one.long(), rate=one, tilt=0 * one, noise=0.5 * one, directions=1)
    mi, _ = FAMILY.information(p, generator=generator())
    u = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    weight = (-u.square() / 2).exp() / math.sqrt(2 * math.pi) * (u[1] - u[0])
    y = torch.linspace(-3, 30, 6001, dtype=torch.float64)
    density = torch.zeros_like(y)
    for part in torch.arange(len(u)).split(500):
        away = (y - 0.7 * u[part, None].square()) / 0.5
        density += weight[part] @ (-away.square() / 2).exp() / (0.5 * math.sqrt(2 * math.pi))
    entropy = -torch.xlogy(density, density).sum() * (y[1] - y[0])
    expected = entropy - math.log(0.5) - 0.5 * math.log(2 * math.pi * math.e)
    assert float(mi) == pytest.approx(float(expected), abs=0.01)
