"""Signals: the information by other ways than the sampler's, noise, and what columns show."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from torchmist.synthetic.engines.codes_manifolds import ManifoldParameters
from torchmist.synthetic.engines.codes_random import Random
from torchmist.synthetic.engines.signals import SignalParameters, Signals
from torchmist.synthetic.engines.signals_items import WaveSide, draw_items
from torchmist.synthetic.engines.signals_noise import draw_noise, recur
from torchmist.synthetic.engines.signals_processes import ProcessParameters
from torchmist.synthetic.engines.signals_sensor import draw_sensor

FAMILY = Signals()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(dx: int, dy: int, seeds: int, batch: int = 3) -> list[SignalParameters]:
    return [FAMILY.draw(batch, dx, dy, generator=generator(seed)) for seed in range(seeds)]


def straight(p: ProcessParameters) -> ProcessParameters:
    """The processes without curves of single columns, which keep MI."""
    x, y = (replace(sensor, bend=None) for sensor in p.sensors)
    return replace(p, sensors=(x, y))


def entropy(density: torch.Tensor, step: float) -> float:
    return -(torch.xlogy(density, density).sum() * step).item()


def bells(side: WaveSide, b: int, at: torch.Tensor) -> torch.Tensor:
    """Densities ``[M, G]`` of one column of the items at the places ``at``, by definition."""
    sensor = side.sensor
    scale = (sensor.scale[b] * sensor.noise.scale[b, 0]).item()
    z = (at - side.means[b].double()) / scale
    return torch.exp(-0.5 * z.square()) / (scale * math.sqrt(2 * math.pi))


def places(side: WaveSide, b: int, count: int) -> torch.Tensor:
    """An even grid that covers one column of the items and its noise."""
    reach = 8 * (side.sensor.scale[b] * side.sensor.noise.scale[b, 0]).item()
    values = side.means[b]
    return torch.linspace(
        values.min().item() - reach, values.max().item() + reach, count, dtype=torch.float64
    )


def test_processes_share_what_the_covariance_of_many_rows_tells() -> None:
    seen = 0
    for p in drawn(5, 3, 40):
        if not isinstance(p.law, ProcessParameters):
            continue
        parameters = SignalParameters(straight(p.law), p.swapped)
        x, y = FAMILY.sample_from(parameters, 40_000, generator=generator(1))
        truth, error = FAMILY.information(parameters, generator=generator(2))
        covariance = torch.stack([torch.cov(both.mT) for both in torch.cat([x, y], -1).double()])
        parts = (covariance[:, :5, :5], covariance[:, 5:, 5:], covariance)
        in_x, in_y, joint = (torch.logdet(part) for part in parts)
        torch.testing.assert_close((in_x + in_y - joint) / 2, truth, atol=0.01, rtol=0.02)
        assert not error.any()
        seen += 1
    assert seen > 3


@pytest.mark.parametrize("shown", ["waves", "numbers"])
def test_two_columns_of_items_share_what_an_integral_over_both_gives(shown: str) -> None:
    random = Random(4, generator(3))
    p = draw_items(random, 1, 1, shown=shown)
    truth, error = FAMILY.information(SignalParameters(p, False), generator=generator(4))
    for b in p.tied.nonzero().flatten().tolist():
        at = [places(side, b, 1_500) for side in (p.x, p.y)]
        f, g = (bells(side, b, grid) for side, grid in zip((p.x, p.y), at))
        dx, dy = ((grid[1] - grid[0]).item() for grid in at)
        both = f.mT @ g / len(f)
        mi = entropy(f.mean(0), dx) + entropy(g.mean(0), dy) - entropy(both, dx * dy)
        assert truth[b].item() == pytest.approx(mi, abs=4 * error[b].item() + 1e-3)


@pytest.mark.parametrize("columns", [1, 5])
def test_a_column_and_a_label_share_what_an_integral_gives(columns: int) -> None:
    p = draw_items(Random(4, generator(5)), 1, columns, shown="label")
    truth, error = FAMILY.information(SignalParameters(p, False), generator=generator(6))
    for b in p.tied.nonzero().flatten().tolist():
        at = places(p.x, b, 4_000)
        f, step = bells(p.x, b, at), (at[1] - at[0]).item()
        mi = entropy(f.mean(0), step)
        for k in p.labels[b].unique():
            of = p.labels[b] == k
            mi -= of.double().mean().item() * entropy(f[of].mean(0), step)
        assert truth[b].item() == pytest.approx(mi, abs=4 * error[b].item() + 1e-3)


def test_the_rows_of_a_label_have_the_density_that_is_integrated() -> None:
    """Moments of X within each label, by rows and by items."""
    p = draw_items(Random(3, generator(8)), 7, 1, shown="label")
    p = replace(p, x=replace(p.x, sensor=replace(p.x.sensor, bend=None)))
    x, y = FAMILY.sample_from(SignalParameters(p, False), 40_000, generator=generator(9))
    for b in p.tied.nonzero().flatten().tolist():
        unit = p.x.sensor.unit[b]
        for k in range(p.classes):
            rows, items = x[b][y[b, :, 0] == k], p.x.means[b][p.labels[b] == k] / unit
            deviation = rows.std(0) / len(rows) ** 0.5
            assert ((rows.mean(0) - items.mean(0)).abs() < 5 * deviation).all()


@pytest.mark.parametrize("seed", range(12))
def test_whitened_noise_is_independent_and_noise_is_stationary(seed: int) -> None:
    random = Random(2, generator(seed))
    sensor = draw_sensor(random, 11)
    sensor = replace(sensor, bend=None)
    noise = sensor(torch.zeros(2, 40_000, 11), generator(seed + 50))
    white = sensor.whiten(noise)
    for b in range(2):
        found = torch.cov(white[b].mT)
        torch.testing.assert_close(found, torch.eye(11), atol=0.04, rtol=0)
    shaped = sensor.grid.unflatten(noise / sensor.scale)
    seen = shaped.std(1) > 0
    for b in range(2):
        sizes = (shaped / sensor.noise.scale).std(1)[b][seen[b]]
        torch.testing.assert_close(sizes, torch.ones_like(sizes), atol=0.03, rtol=0)


def test_whitening_by_recursion_is_that_of_the_cholesky_factor() -> None:
    """Of first columns too, in either order of channels and times."""
    for seed in range(12):
        noise = draw_noise(Random(1, generator(seed)), 3)
        unit = torch.eye(12, dtype=torch.float64)
        for turned in (False, True):
            cells = unit.unflatten(1, (4, 3)).mT if turned else unit.unflatten(1, (3, 4))
            made = noise.colour(cells[None])[0]
            factor = (made.mT if turned else made).flatten(1).mT
            assert (factor.triu(1).abs() < 1e-6).all()
            torch.testing.assert_close(torch.linalg.cholesky(factor @ factor.mT), factor)
            back = noise.whiten(noise.colour(cells[None]))
            torch.testing.assert_close(back, cells[None], atol=1e-6, rtol=0)


def test_sums_by_doubling_are_those_of_the_recursion() -> None:
    values, coefficient = torch.randn(2, 3, 13, generator=generator()).double(), -0.8
    found = recur(values, torch.full((2, 1, 1), coefficient, dtype=torch.float64))
    state = torch.zeros(2, 3, dtype=torch.float64)
    for t in range(13):
        state = coefficient * state + values[..., t]
        torch.testing.assert_close(found[..., t], state)


@pytest.mark.parametrize("columns", [1, 2, 7, 30])
def test_columns_are_cells_of_the_grid(columns: int) -> None:
    for seed in range(8):
        grid = draw_sensor(Random(2, generator(seed)), columns).grid
        values = torch.randn(2, 5, columns, generator=generator(seed))
        assert torch.equal(grid.flatten(grid.unflatten(values)), values)


def test_independent_datasets_share_nothing_in_their_rows() -> None:
    seen = 0
    for seed, p in enumerate(drawn(3, 2, 60, batch=8)):
        if isinstance(p.law, ManifoldParameters) and p.law.tied.all():
            continue
        mi, error = FAMILY.information(p, generator=generator())
        alone = (mi.abs() < 1e-9) & (error == 0)
        x, y = FAMILY.sample_from(p, 4_000, generator=generator(seed + 100))
        x, y = (side.argsort(1).argsort(1).double()[alone] for side in (x, y))
        together = torch.cat([x, y], -1)
        centred = together - together.mean(1, keepdim=True)
        unit = centred / centred.square().mean(1, keepdim=True).sqrt()
        both = (unit.mT @ unit)[:, :3, 3:] / 4_000
        assert (both.abs() < 5 / 4_000**0.5).all()
        seen += len(both)
    assert seen > 20


def test_neighbouring_columns_of_many_windows_are_alike() -> None:
    alike = []
    for p in drawn(60, 60, 16):
        x, _ = FAMILY.sample_from(p, 400, generator=generator(1))
        unit = (x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True)
        alike += (unit[..., 1:] * unit[..., :-1]).mean((1, 2)).tolist()
    assert sum(value > 0.3 for value in alike) > 0.4 * len(alike)


def test_information_spreads_from_nothing_to_several_nats() -> None:
    made = torch.cat([FAMILY.sample(8, 4, 17, 9, generator=generator(k)).mi for k in range(40)])
    assert made.min() == 0 and (made > 1.5).double().mean() > 0.1 and made.max() < 8
