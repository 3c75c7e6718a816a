"""Interactions: spacings and counts of fresh rows, characteristic functions, and naive sums."""

from __future__ import annotations

import math

import pytest
import torch

from tests.kraskov import scaled_kraskov
from torchmist.synthetic.engines import channels_columns, interactions_links
from torchmist.synthetic.engines import interactions as module
from torchmist.synthetic.engines.channels_laws import NOISES, draw_bank
from torchmist.synthetic.engines.codes_random import Random
from torchmist.synthetic.engines.interactions import Interactions, Outputs
from torchmist.synthetic.engines.interactions_formulas import (
    FORMULAS,
    INPUTS,
    input_levels,
    value,
)
from torchmist.synthetic.engines.interactions_links import Additive
from torchmist.synthetic.engines.interactions_orbits import GROUPS, group, orbit_information
from torchmist.synthetic.engines.interactions_tables import (
    additive_information,
    additive_tables,
    points,
    tabulate,
)

FAMILY = Interactions()
ROWS = 60_000


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def outputs(monkeypatch: pytest.MonkeyPatch, name: str, seed: int, columns: int = 9) -> Outputs:
    """Formulas of one name, a single output of each of four datasets."""
    monkeypatch.setattr(module, "FORMULAS", {name: FORMULAS[name]})
    monkeypatch.setattr(module, "_ORBITS", 0.0)
    law = FAMILY.draw(4, columns, 1, generator=generator(seed)).law
    assert isinstance(law, Outputs) and law.name == name and law.outputs == 1
    return law


def rows(p: Outputs, seed: int, n: int = ROWS) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Numbers, levels and outputs ``[B, n]`` of fresh rows."""
    formula = FORMULAS[p.name]
    u = torch.rand(4, 1, n, formula.columns(p.q), generator=generator(seed))
    numbers = p.numbers.of(p.law)
    t = p.laws.standard(p.law, value(formula, numbers, INPUTS[p.inputs][0](u), u, p.q))
    level = input_levels(p.name, numbers, u).clamp(max=p.laws.below.shape[1] - 1)
    y = p.link.sample(t, level, torch.zeros(1, dtype=torch.long), generator(seed + 1))
    return t[:, 0], level[:, 0], y[:, 0]


def spacings(y: torch.Tensor) -> float:
    """Vasicek's entropy of a column."""
    m = int(len(y) ** 0.5)
    y = y.double().sort().values
    y = torch.cat([y[:1].expand(m), y, y[-1:].expand(m)])
    gaps = (y[2 * m :] - y[: -2 * m]).clamp(min=1e-12) * (len(y) - 2 * m) / (2 * m)
    return gaps.log().mean().item()


def counted(t: torch.Tensor, y: torch.Tensor, bins: int = 150) -> float:
    """Information of a class and the interval of a number, less its bias."""
    ranks = t.argsort().argsort() * bins // len(t)
    classes = y.unique(return_inverse=True)[1]
    table = torch.zeros(bins, int(classes.max()) + 1).double()
    table.index_put_((ranks, classes), torch.ones(len(t)).double(), accumulate=True)
    table /= len(t)
    mi = -torch.special.entr(table).sum()
    for axis in (0, 1):
        mi += torch.special.entr(table.sum(axis)).sum()
    return mi.item() - (bins - 1) * ((table.sum(0) > 0).sum().item() - 1) / (2 * len(t))


def shared(p: Outputs, b: int, t: torch.Tensor, level: torch.Tensor, y: torch.Tensor) -> float:
    """What fresh rows of a dataset say that an output and its number share."""
    if p.link.discrete:
        return counted(t[b], y[b])
    assert isinstance(p.link, Additive)
    size = (1 + p.link.scales[b, 0, 0] ** 2).sqrt()
    noise = y[b].double() * size - t[b]
    known = sum(
        (level[b] == k).double().mean().item() * spacings(noise[level[b] == k])
        for k in level[b].unique()
    )
    return spacings(y[b] * size) - known


@pytest.mark.parametrize("name", FORMULAS)
def test_every_formula_shares_what_fresh_rows_say(monkeypatch, name) -> None:
    gaps = []
    for seed in range(4):
        p = outputs(monkeypatch, name, seed)
        t, level, y = rows(p, seed + 100)
        truth = p.link.information(p.laws, p.law)[:, 0]
        gaps += [shared(p, b, t, level, y) - truth[b].item() for b in range(2)]
        monkeypatch.undo()
    assert max(abs(gap) for gap in gaps) < 0.05
    assert sum(abs(gap) for gap in gaps) / len(gaps) < 0.015


@pytest.mark.parametrize("link", ["classes", "counts"])
def test_classes_and_counts_share_what_fresh_rows_say(monkeypatch, link) -> None:
    monkeypatch.setattr(interactions_links, "_SHARES", {"classes": 0.0, "counts": 0.0, link: 1.0})
    gaps = []
    for name in ("select", "bilinear", "distance", "cosine"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "_VECTORS", 0.0)
            p = outputs(patch, name, len(gaps))
        assert p.link.discrete
        t, level, y = rows(p, 3, 5 * ROWS)
        truth = p.link.information(p.laws, p.law)[:, 0]
        gaps += [shared(p, b, t, level, y) - truth[b].item() for b in range(4)]
    assert len(gaps) == 16 and max(abs(gap) for gap in gaps) < 0.012


@pytest.mark.parametrize("q", [1, 3, 16])
@pytest.mark.parametrize("sigma", [0.2, 1.0])
def test_inner_products_share_what_their_characteristic_function_gives(q, sigma) -> None:
    base = points(torch.device("cpu"))[:, : 2 * q]
    z = INPUTS["normal"][0](base)
    inner = (z[:, :q] * z[:, q:]).sum(-1)[None]
    laws = tabulate(inner, torch.zeros(1, len(z), dtype=torch.long), 1, False)
    noises = draw_bank(Random(1, generator()), {"normal": NOISES["normal"]})
    scales = torch.full((1, 1, 1), sigma, dtype=torch.float64)
    none = torch.zeros(1, 1, dtype=torch.long)
    found = additive_information(*additive_tables(laws, none, noises, none, scales)).item()

    scale = sigma * laws.unit.item()
    t = torch.linspace(0, 9 / scale, 6_001, dtype=torch.float64)
    spectrum = (1 + t**2) ** (-q / 2) * torch.exp(-((scale * t) ** 2) / 2)
    y = torch.linspace(0, 8 * q**0.5 + 12 + 6 * scale, 2_001, dtype=torch.float64)
    density = torch.trapezoid(torch.cos(y[:, None] * t) * spectrum, t).clamp(min=0) / math.pi
    entropy = -2 * torch.trapezoid(torch.xlogy(density, density), y).item()
    known = entropy - 0.5 * math.log(2 * math.pi * math.e * scale**2)
    assert found == pytest.approx(known, abs=4e-3)


@pytest.mark.parametrize("name", GROUPS)
def test_maps_are_orthogonal_and_make_a_group(name) -> None:
    least, most, _ = GROUPS[name]
    for q in (least, most):
        maps = group(name, q, 7, torch.device("cpu"))
        eye = torch.eye(q)
        torch.testing.assert_close(maps @ maps.mT, eye.expand_as(maps))
        assert (maps[0] == eye).all()
        products = torch.einsum("aij,bjk->abik", maps, maps)
        gaps = (products[:, :, None] - maps).abs().amax((-1, -2)).amin(-1)
        assert gaps.max() < 1e-5


@pytest.mark.parametrize("rho", [0.3, 0.8, 0.98])
def test_sizes_behind_a_sign_share_what_quadrature_gives(rho) -> None:
    maps = group("sign", 1, 2, torch.device("cpu"))
    found, error = orbit_information(maps, torch.tensor([[[rho]]], dtype=torch.float64))
    x = (torch.arange(1_600, dtype=torch.float64) + 0.5) * 0.004
    a, b = x[:, None], x
    rest = 1 - rho**2
    squares = [(a**2 + b**2 + 2 * sign * rho * a * b) / (2 * rest) for sign in (1, -1)]
    joint = sum((-square).exp() for square in squares) / (math.pi * rest**0.5)
    alone = (-(x**2) / 2).exp() * (2 / math.pi) ** 0.5
    known = (
        torch.xlogy(joint, joint) - torch.xlogy(joint, alone[:, None] * alone)
    ).sum() * 0.004**2
    assert abs(found.item() - known.item()) < 0.004 and error.item() < 0.01


@pytest.mark.parametrize("name", GROUPS)
def test_orbits_share_what_naive_sums_over_other_points_give(name) -> None:
    q = GROUPS[name][1]
    maps, n = group(name, q, 9, torch.device("cpu")).double(), 40_000
    rho = torch.linspace(0.9, 0.4, q, dtype=torch.float64)
    if name in ("shift", "permute", "turn"):
        rho = rho.flip(0)
    x, e = (torch.randn(n, q, generator=generator(k), dtype=torch.float64) for k in (1, 2))
    chosen = torch.randint(len(maps), (n,), generator=generator(3))
    deviation = (1 - rho**2).sqrt()
    y = rho * (maps[chosen] @ x[..., None])[..., 0] + deviation * e
    given = torch.zeros(n, dtype=torch.float64)
    for one in maps:
        law = torch.distributions.Normal(rho * (x @ one.T), deviation)
        given += law.log_prob(y).sum(-1).exp() / len(maps)
    alone = torch.distributions.Normal(0.0, 1.0).log_prob(y).sum(-1)
    gain = given.log() - alone
    found, _ = orbit_information(maps.float(), rho[None, None])
    assert abs(found.item() - gain.mean().item()) < 4 * gain.std().item() / n**0.5 + 0.015


def test_sizes_of_single_columns_share_what_neighbours_tell(monkeypatch) -> None:
    monkeypatch.setattr(channels_columns, "_WARPED", 0.0)
    monkeypatch.setattr(module, "_ORBITS", 1.0)
    p = FAMILY.draw(6, 1, 1, generator=generator(4))
    x, y = FAMILY.sample_from(p, 3_000, generator=generator(5))
    truth, _ = FAMILY.information(p, generator=generator())
    for b in range(6):
        assert scaled_kraskov(x[b].abs(), y[b].abs()) == pytest.approx(truth[b].item(), abs=0.1)


def plain_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Normal columns as they are, in any order, and numbers with normal noise of one size."""
    monkeypatch.setattr(interactions_links, "NOISES", {"normal": NOISES["normal"]})
    monkeypatch.setattr(interactions_links, "_SHARES", {"classes": 0.0, "counts": 0.0})
    monkeypatch.setattr(module, "INPUTS", {"normal": INPUTS["normal"]})
    monkeypatch.setattr(module, "_ORBITS", 0.0)
    monkeypatch.setattr(module, "_UNEVEN", 0.0)
    for name in ("_ECHOES", "_TURNED", "_MIXED", "_WARPED"):
        monkeypatch.setattr(channels_columns, name, 0.0)


def gaps_of_columns(p: Outputs, x: torch.Tensor, y: torch.Tensor, truth: torch.Tensor) -> list:
    """What neighbours find between all outputs and the formulas of their columns, less the truth,
    where it is small enough to be found."""
    x, y = (z[..., side.order.argsort()] for side, z in zip(p.sides, (x, y)))
    columns, found = FORMULAS[p.name].columns(p.q), torch.zeros(len(x))
    for k in range(p.outputs):
        z = x[..., k * columns : (k + 1) * columns]
        numbers = p.numbers.of(p.law[:, k % p.law.shape[1]])
        t = value(FORMULAS[p.name], numbers, z, torch.special.ndtr(z), p.q)
        shown = y[..., k * max(p.width, 1) :][..., : max(p.width, 1)]
        shown = shown.norm(dim=-1).log().sinh() if p.width else shown[..., 0]
        found += torch.tensor([scaled_kraskov(a[:, None], b[:, None]) for a, b in zip(t, shown)])
    return [f - m for f, m in zip(found.tolist(), truth.tolist()) if m < 2 * p.outputs]


def test_columns_share_what_neighbours_of_their_formulas_tell(monkeypatch) -> None:
    """Outputs side by side, some as vectors of random direction."""
    plain_columns(monkeypatch)
    monkeypatch.setattr(module, "_VECTORS", 0.5)
    gaps, vectors, several = [], 0, 0
    for seed in range(24):
        p = FAMILY.draw(2, 8, 5, generator=generator(seed))
        if p.law.shown in ("code", "hot"):
            continue
        x, y = FAMILY.sample_from(p, 1_500, generator=generator(seed + 50))
        truth, _ = FAMILY.information(p, generator=generator())
        vectors, several = vectors + (p.law.width > 1), several + (p.law.outputs > 1)
        gaps += gaps_of_columns(p.law, *((y, x) if p.swapped else (x, y)), truth)
    assert len(gaps) > 16 and vectors > 1 and several > 1
    assert max(abs(gap) for gap in gaps) < 0.25 and abs(sum(gaps) / len(gaps)) < 0.04


@pytest.mark.parametrize("shown", ["code", "hot"])
def test_what_is_selected_is_shown_in_the_last_columns(monkeypatch, shown) -> None:
    """With hardly any noise, the value that they name is the output."""
    plain_columns(monkeypatch)
    monkeypatch.setattr(module, "FORMULAS", {"select": FORMULAS["select"]})
    monkeypatch.setattr(module, "_VECTORS", 0.0)
    seen = 0
    for seed in range(30):
        p = FAMILY.draw(2, 6, 1, generator=generator(seed))
        law, columns = p.law, FAMILY.sample_from(p, 400, generator=generator(seed))
        if law.shown != shown:
            continue
        x = columns[p.swapped][..., law.sides[0].order.argsort()]
        y, q = columns[not p.swapped][..., 0], law.q
        index = x[..., q : 2 * q].argmax(-1) if shown == "hot" else x[..., q].long()
        own = x[..., :q].gather(-1, index[..., None])[..., 0]
        numbers = law.numbers.of(law.law[:, 0])
        t = own * numbers.weights.gather(-1, index) + numbers.shifts.gather(-1, index)
        for b in (~law.independent).nonzero().flatten().tolist():
            sigma = law.link.scales[b].max().item()
            noisy = law.laws.unit[law.law[b, 0]] * (
                y[b] * (1 + law.link.scales[b, 0, 0] ** 2).sqrt()
            )
            gap = (noisy + law.laws.mean[law.law[b, 0]] - t[b]) / law.laws.unit[law.law[b, 0]]
            assert gap.std() < 1.2 * sigma
            seen += int(sigma < 0.5)
    assert seen > 0


def test_independent_rows_share_nothing(monkeypatch) -> None:
    monkeypatch.setattr(module, "_INDEPENDENT", 1.0)
    for seed in range(8):
        p = FAMILY.draw(2, 2, 1, generator=generator(seed))
        x, y = FAMILY.sample_from(p, 1_500, generator=generator(seed))
        truth, error = FAMILY.information(p, generator=generator())
        assert not truth.any() and not error.any()
        if len(y[0].unique()) > 500 and len(x[0, :, 0].unique()) > 500:
            assert abs(scaled_kraskov(x[0], y[0])) < 0.12


def test_totals_are_within_reach() -> None:
    for d, most in ((2, 8.0), (24, 40.0)):
        mi = torch.cat([FAMILY.sample(16, 4, d, d, generator=generator(s)).mi for s in range(24)])
        assert torch.isfinite(mi).all() and mi.max() < most and (mi == 0).double().mean() < 0.25
        assert mi.quantile(0.9) > 1
