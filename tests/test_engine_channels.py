"""Channels: closed forms, integrals over densities, ranks of many rows, and what columns show."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.kraskov import scaled_kraskov
from torchmist.synthetic.additive import additive_mi
from torchmist.synthetic.engines import channels as module
from torchmist.synthetic.engines.channels import ChannelParameters, Channels
from torchmist.synthetic.engines.channels_laws import NOISES, SOURCES, Bank, draw_bank
from torchmist.synthetic.engines.channels_tables import Tables, channel_information, make_tables
from torchmist.synthetic.engines.codes_random import Random

FAMILY = Channels()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def banks(source: str, noise: str) -> tuple[Bank, Bank]:
    """Four laws of one kind each."""
    random = Random(1, generator(7))
    return (
        draw_bank(random, {source: SOURCES[source]}),
        draw_bank(random, {noise: NOISES[noise]}),
    )


def tables(
    source: str, noise: str, sigma: float, levels: float = 0.0, zeros: float = 0.0
) -> Tables:
    """One channel of each of the four laws of a kind."""
    law = torch.arange(4)[None]
    size, many, often = (torch.full((1, 4), v, dtype=torch.float64) for v in (sigma, levels, zeros))
    return make_tables(*banks(source, noise), (law, law), size, many, often)


def entropy(density: torch.Tensor, step: float) -> float:
    return -(torch.xlogy(density, density).sum() * step).item()


def by_an_integral(source: str, noise: str, sigma: float, law: int) -> float:
    """The same channel from the distribution functions of its laws, on a grid of its own."""
    first, second = banks(source, noise)
    width, spread = first.width[law].item(), sigma * second.width[law].item()
    mass = first.below[law].diff()
    ends = torch.arange(len(mass) + 1, dtype=torch.float64) * width / len(mass)
    step = (width + spread) / 2_503
    y = (torch.arange(2_503, dtype=torch.float64) + 0.5) * step
    density = torch.zeros_like(y)
    for rows in torch.arange(len(mass)).split(32):
        of_cells = ends[rows[0] : rows[-1] + 2]
        below = second.at(torch.tensor(law), (y[:, None] - of_cells) / spread)
        density -= below.diff() @ mass[rows] * len(mass) / width
    own = second.below[law].diff()
    noise_step = spread / len(own)
    return entropy(density, step) - entropy(own / noise_step, noise_step)


@pytest.mark.parametrize("cells", [(1_000, 40), (900, 300), (120, 700), (50, 3_000)])
def test_uniform_sources_and_noise_share_their_closed_form(cells: tuple[int, int]) -> None:
    source, noise = (torch.zeros(1, 1, 3_072, dtype=torch.float64) for _ in range(2))
    source[..., : cells[0]], noise[..., : cells[1]] = 1 / cells[0], 1 / cells[1]
    one = torch.ones(1, 1).double()
    made = Tables(source, noise, torch.zeros(1, 1, 3_072).bool(), one, (one, one), one)
    known = additive_mi(torch.tensor([[cells[1] / cells[0] / 2]], dtype=torch.float64))
    torch.testing.assert_close(channel_information(made)[0], known, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("sigma", [0.05, 0.5, 2.0, 10.0])
def test_normal_sources_and_noise_share_their_closed_form(sigma: float) -> None:
    known = 0.5 * torch.log1p(torch.tensor([sigma**-2], dtype=torch.float64)).expand(1, 4)
    found = channel_information(tables("normal", "normal", sigma))
    torch.testing.assert_close(found, known, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("source", SOURCES)
def test_any_source_shares_what_an_integral_over_its_density_gives(source: str) -> None:
    for noise, sigma in (("normal", 0.3), ("uniform", 1.5)):
        found = channel_information(tables(source, noise, sigma))
        for law in (0, 3):
            known = by_an_integral(source, noise, sigma, law)
            assert found[0, law].item() == pytest.approx(known, abs=1e-3, rel=2e-3)


@pytest.mark.parametrize("noise", NOISES)
def test_any_noise_leaves_what_an_integral_over_densities_gives(noise: str) -> None:
    for source, sigma in (("uniform", 0.2), ("laplace", 1.0)):
        found = channel_information(tables(source, noise, sigma))
        for law in (0, 3):
            known = by_an_integral(source, noise, sigma, law)
            assert found[0, law].item() == pytest.approx(known, abs=1e-3, rel=3e-3)


@pytest.mark.parametrize(("levels", "zeros"), [(5.0, 0.0), (0.0, 0.4), (9.0, 0.3)])
def test_atoms_share_what_a_sum_over_all_cells_gives(levels: float, zeros: float) -> None:
    """Every cell is split in ten, in which steps and slopes are summed by definition."""
    made = tables("gamma", "laplace", 0.4, levels, zeros)
    for law in range(4):
        source, noise = made.source[0, law], made.noise[0, law]
        atoms = made.atoms[0, law]
        fine = torch.zeros(30_720, dtype=torch.float64)
        for cell in source.nonzero().flatten().tolist():
            if atoms[cell]:
                row = (source[cell] * noise).repeat_interleave(10)
            else:
                t = (torch.arange(10).double() + 0.5) / 10
                up = (source[cell] * noise)[:, None] * t
                down = (source[cell] * noise)[:, None] * (1 - t)
                row = up.flatten() + down.flatten().roll(10)
            fine += row.roll(10 * cell)
        mi = entropy(fine, 0.1) - entropy(noise, 1.0)
        assert channel_information(made)[0, law].item() == pytest.approx(mi, abs=1e-4)
    if levels and not zeros:
        assert (made.source > 0).sum(-1).max() <= levels + 1


@pytest.mark.parametrize(("levels", "zeros"), [(0.0, 0.0), (6.0, 0.0), (0.0, 0.3)])
def test_rows_follow_the_tables(levels: float, zeros: float) -> None:
    made, n = tables("bumps", "student", 0.5, levels, zeros), 20_000
    x = made.sample_source(1, 9, n, generator(1))  # the second kind first
    e = made.sample_noise(8, n, generator(2))
    for mass, centre, value, first in (
        (made.source, made.centres[0], x, 1),
        (made.noise, made.centres[1], e, 0),
    ):
        for column in range(8):
            kind = (first + column) % 4
            cell = (value[0, :, column] + centre[0, kind]) / made.step[0, kind]
            found = torch.bincount((cell + 1e-9).long(), minlength=3_072).cumsum(0) / n
            assert (found - mass[0, kind].cumsum(0)).abs().max() < 2 / n**0.5


def test_single_columns_share_what_neighbours_tell() -> None:
    gaps = []
    for seed in range(4):
        p = FAMILY.draw(3, 1, 1, generator=generator(seed))
        x, y = FAMILY.sample_from(p, 3_000, generator=generator(seed + 50))
        truth, error = FAMILY.information(p, generator=generator())
        assert not error.any() and not truth[p.independent].any()
        for b in (~p.tables.atoms.flatten(1).any(-1)).nonzero().flatten().tolist():
            gaps.append(scaled_kraskov(x[b], y[b]) - truth[b].item())
    assert len(gaps) > 6 and max(abs(gap) for gap in gaps) < 0.2
    assert abs(sum(gaps) / len(gaps)) < 0.05


def normal_channels(monkeypatch: pytest.MonkeyPatch, seed: int, **sizes: int) -> ChannelParameters:
    """Normal sources and noise without atoms, and columns without maps of single ones."""
    monkeypatch.setattr(module, "SOURCES", {"normal": SOURCES["normal"]})
    monkeypatch.setattr(module, "NOISES", {"normal": NOISES["normal"]})
    monkeypatch.setattr(module, "_ROUNDED", 0.0)
    monkeypatch.setattr(module, "_ZEROS", 0.0)
    p = FAMILY.draw(12, generator=generator(seed), **sizes)
    x, y = (replace(side, warp=torch.zeros_like(side.warp)) for side in p.sides)
    return replace(p, sides=(x, y))


@pytest.mark.parametrize(("dx", "dy"), [(3, 3), (6, 2), (5, 7)])
def test_echoes_mixes_and_rotations_keep_what_covariances_tell(monkeypatch, dx, dy) -> None:
    for seed in range(5):
        p = normal_channels(monkeypatch, seed, dx=dx, dy=dy)
        exact = [(side.echoes & (side.blur == 0)).flatten(1).any(-1) for side in p.sides]
        x, y = FAMILY.sample_from(p, 20_000, generator=generator(seed + 20))
        truth, _ = FAMILY.information(p, generator=generator())
        kept = ~(exact[0] | exact[1])  # exact echoes have singular covariances
        covariance = torch.stack([torch.cov(z.mT) for z in torch.cat([x, y], -1).double()])
        parts = (covariance[:, :dx, :dx], covariance[:, dx:, dx:], covariance)
        in_x, in_y, joint = (torch.logdet(part[kept]) for part in parts)
        torch.testing.assert_close((in_x + in_y - joint) / 2, truth[kept], atol=0.015, rtol=0.02)


def test_exact_echoes_are_sums_of_columns_of_their_side(monkeypatch) -> None:
    seen = 0
    for seed in range(12):
        p = normal_channels(monkeypatch, seed, dx=9, dy=3)
        sides = FAMILY.sample_from(p, 50, generator=generator(seed))
        sides = sides[::-1] if p.swapped else sides
        for side, z in zip(p.sides, sides):
            extra, places = side.parents.shape[1], side.order.argsort()
            plain = ~side.rotation.used.flatten() & (side.shears == 0).flatten(2).all(-1).all(0)
            exact = side.echoes & (side.blur == 0) & plain[:, None, None]
            z = z[..., places]
            first, second = (z[..., parent] for parent in side.parents)
            known = first * side.weights[:, :1] + second * side.weights[:, 1:]
            gap = (z[..., z.shape[-1] - extra :] - known).abs().amax(1, keepdim=True)
            assert not gap[exact].numel() or gap[exact].max() < 1e-5
            seen += int(exact.sum())
    assert seen > 5


def test_rounded_sources_stay_so_in_all_columns_that_show_them() -> None:
    seen = 0
    for seed in range(60):
        p = FAMILY.draw(4, 1, 1, generator=generator(seed))
        rounded = p.tables.atoms.all(-1)[:, 0]
        x, y = FAMILY.sample_from(p, 300, generator=generator(seed))
        shown = y if p.swapped else x
        for b in rounded.nonzero().flatten().tolist():
            assert len(shown[b].unique()) <= (p.tables.source[b, 0] > 0).sum()
            seen += 1
    assert seen > 8


def test_totals_and_single_channels_are_within_reach() -> None:
    for d, most in ((1, 5.5), (16, 45.0)):
        mi = torch.cat(
            [
                FAMILY.information(FAMILY.draw(24, d, d, generator=generator(s)), generator=g)[0]
                for s in range(8)
                for g in [generator()]
            ]
        )
        assert torch.isfinite(mi).all() and mi.max() < most and (mi == 0).double().mean() < 0.2
        assert mi.quantile(0.9) > 2
