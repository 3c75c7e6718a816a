"""Gates: quadrature, sums over all masks, density ratios, and what rows show."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
import torch

from tests.kraskov import scaled_kraskov
from torchmist.synthetic.engines import gates as module
from torchmist.synthetic.engines.codes_random import Random
from torchmist.synthetic.engines.gates import GateParameters, Gates, Pairs
from torchmist.synthetic.engines.gates_factors import Factors, draw_factors
from torchmist.synthetic.engines.gates_masks import Masks, Sparse, draw_masks
from torchmist.synthetic.engines.gates_strangers import stranger_information

FAMILY = Gates()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbers(*values: float) -> torch.Tensor:
    return torch.tensor([values], dtype=torch.float64)


def plain_columns(p: GateParameters) -> GateParameters:
    """The same without mixes, maps or echoes of columns."""
    sides = []
    for side in p.sides:
        sides.append(
            replace(
                side, rotation=None, shears=torch.zeros_like(side.shears),
                warp=torch.zeros_like(side.warp), echoes=torch.zeros_like(side.echoes),
                order=torch.arange(len(side.order)),
            )
        )  # fmt: skip
    return replace(p, sides=(sides[0], sides[1]))


def table_mi(shown_x: torch.Tensor, shown_y: torch.Tensor) -> float:
    """Plug-in MI of two binary columns ``[N]``."""
    table = torch.bincount(2 * shown_x.long() + shown_y.long(), minlength=4).reshape(2, 2).double()
    table = table / table.sum()
    apart = table.sum(1, keepdim=True) * table.sum(0)
    return torch.xlogy(table, table / apart.clamp(min=1e-12)).sum().item()


@pytest.mark.parametrize("rho", [0.05, 0.6, 0.95, 0.995])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.97])
def test_one_pair_among_strangers_shares_what_quadrature_gives(rho: float, share: float) -> None:
    x = torch.linspace(-9, 9, 1_201, dtype=torch.float64)
    a, b = x[:, None], x[None]
    exponent = (rho**2 * (a**2 + b**2) - 2 * rho * a * b) / (2 * (1 - rho**2))
    ratio = share * torch.exp(-exponent) / math.sqrt(1 - rho**2) + 1 - share
    weight = torch.exp(-(a**2 + b**2) / 2) / (2 * math.pi) * (x[1] - x[0]) ** 2
    known = (weight * torch.xlogy(ratio, ratio)).sum().item()
    found = stranger_information(numbers(rho), torch.tensor([0]), numbers(share))
    assert found.item() == pytest.approx(known, abs=2e-6)


@pytest.mark.parametrize("share", [0.15, 0.6, 0.95])
@pytest.mark.parametrize("rho", [(0.3, 0.9, 0.99), (0.7,) * 12])
def test_groups_among_strangers_share_the_mean_of_their_density_ratio(share, rho) -> None:
    k, n = len(rho), 400_000
    p = Pairs(numbers(*rho), torch.zeros(k).long(), numbers(share), unmasked(1, k, k))
    x, y = (side[0].double() for side in p.sample(n, generator(3)))
    squares = 1 - torch.tensor(rho, dtype=torch.float64) ** 2
    given = (y - numbers(*rho) * x).square() / squares + squares.log()
    ratio = (0.5 * (y.square() - given).sum(-1)).exp()
    values = (share * ratio + 1 - share).log()
    found, error = p.information(generator())
    assert not error.any()
    assert found.item() == pytest.approx(values.mean().item(), abs=4 * values.std().item() / n**0.5)


def unmasked(groups: int, dx: int, dy: int) -> Masks:
    """Masks that show all columns of pairs in ``groups``."""
    one = torch.ones(1, groups, dtype=torch.float64)
    return Masks((one, one), one, (torch.arange(dx) % groups, torch.arange(dy) % groups))


def test_without_strangers_pairs_share_their_closed_form() -> None:
    rho = numbers(0.2, 0.9, 0.999, 0.5)
    found = stranger_information(rho, torch.tensor([0, 1, 0, 1]), numbers(1, 1))
    each = -0.5 * torch.log1p(-rho.square())
    known = torch.stack([each[0, [0, 2]].sum(), each[0, [1, 3]].sum()])
    torch.testing.assert_close(found[0], known)
    nearly = stranger_information(rho, torch.tensor([0, 1, 0, 1]), numbers(1 - 1e-8, 1 - 1e-8))
    torch.testing.assert_close(nearly, found, atol=1e-5, rtol=0)


def test_groups_are_the_sum_of_what_each_shares_whatever_the_size_of_the_parts() -> None:
    rho = torch.rand(3, 1_100, generator=generator()).double() * 0.2
    group, share = torch.arange(1_100) % 2, torch.tensor([[0.3, 0.8]] * 3).double()
    whole = stranger_information(rho, group, share)
    for g in range(2):
        one = stranger_information(rho[:, g::2], torch.zeros(550).long(), share[:, g : g + 1])
        torch.testing.assert_close(whole[:, g : g + 1], one)


def test_the_pairs_of_a_group_are_true_in_the_same_rows() -> None:
    p = Pairs(numbers(0.8, 0.6, 0.9), torch.tensor([0, 0, 1]), numbers(0.3, 0.7), unmasked(2, 3, 3))
    x, y = p.sample(200_000, generator(5))
    products = (x * y)[0].double()
    known = torch.tensor([0.8 * 0.3, 0.6 * 0.3, 0.9 * 0.7], dtype=torch.float64)
    torch.testing.assert_close(products.mean(0), known, atol=0.015, rtol=0)
    joint = (products.mT @ products / len(products))[[0, 0, 1], [1, 2, 2]]
    known = torch.tensor([0.3 * 0.8 * 0.6, 0.3 * 0.7 * 0.8 * 0.9, 0.3 * 0.7 * 0.6 * 0.9]).double()
    torch.testing.assert_close(joint, known, atol=0.025, rtol=0)
    for side in (x, y):
        torch.testing.assert_close(torch.cov(side[0].mT), torch.eye(3), atol=0.015, rtol=0)


MASKS = Masks(
    (numbers(0.3, 0.8, 1.0, 0.5), numbers(0.4, 0.8, 0.6)),
    numbers(0.25, 0.8),
    (torch.tensor([1, 0, 0, 3, 2]), torch.tensor([0, 1, 2])),
)


def test_rows_of_masks_follow_their_gates() -> None:
    x, y = (side[0] for side in MASKS.sample(40_000, generator(2)))
    assert (x[:, 1] == x[:, 2]).all() and x[:, 4].all() and (x[:, 0] == y[:, 1]).all()
    for column, known in ((x[:, 1], 0.3), (x[:, 3], 0.5), (y[:, 0], 0.4), (y[:, 2], 0.6)):
        assert column.double().mean().item() == pytest.approx(known, abs=0.01)
    assert (x[:, 1] & y[:, 0]).double().mean().item() == pytest.approx(0.25, abs=0.01)
    known = table_mi(x[:, 1], y[:, 0]) + table_mi(x[:, 0], y[:, 1])
    assert MASKS.information().item() == pytest.approx(known, abs=0.01)


def test_all_masks_are_listed_with_their_probabilities() -> None:
    x, y, chance = (part[0] for part in MASKS.every())
    assert chance.sum().item() == pytest.approx(1) and len(chance) == 128
    rows = torch.cat([side[0] for side in MASKS.sample(40_000, generator(4))], -1)
    found = {
        tuple(mask): p for mask, p in zip(torch.cat([x, y], -1).tolist(), chance.tolist()) if p
    }
    seen, counts = rows.unique(dim=0, return_counts=True)
    assert len(seen) == len(found)
    for mask, count in zip(seen.tolist(), counts.tolist()):
        assert count / 40_000 == pytest.approx(found[tuple(mask)], abs=0.01)


@pytest.mark.parametrize(("columns", "active", "lost"), [(5, 2, 0.3), (6, 3, 0.0), (4, 1, 0.7)])
def test_sparse_masks_share_what_a_sum_over_all_of_them_gives(columns, active, lost) -> None:
    mi, n = 0.0, math.comb(columns, active)
    joint: dict[tuple[frozenset[int], frozenset[int]], float] = {}
    for code in itertools.combinations(range(columns), active):
        for keep in itertools.product((0, 1), repeat=active):
            left = frozenset(c for c, k in zip(code, keep) if k)
            p = (1 - lost) ** sum(keep) * lost ** (active - sum(keep)) / n
            joint[frozenset(code), left] = p
    of_y: dict[frozenset[int], float] = {}
    for (_, left), p in joint.items():
        of_y[left] = of_y.get(left, 0.0) + p
    mi = sum(p * math.log(p * n / of_y[left]) for (_, left), p in joint.items() if p)
    law = Sparse(columns, active, numbers(lost)[0], 1, (columns + 2, columns))
    assert law.information().item() == pytest.approx(mi, abs=1e-9)
    x, y = (side[0] for side in law.sample(40_000, generator(6)))
    assert (x[:, :columns].sum(-1) == active).all() and not (y & ~x[:, :columns]).any()
    both = (x[:, :columns] & y).double().mean(0)
    torch.testing.assert_close(both, law.both[0], atol=0.01, rtol=0)
    assert x[:, columns:].double().mean().item() == pytest.approx(active / columns, abs=0.01)


def gaussian_mi(p: Factors, b: int, in_x: torch.Tensor, in_y: torch.Tensor) -> torch.Tensor:
    """By the covariances of the columns in both masks, ``[R]`` of ``[R, dx]`` and ``[R, dy]``."""
    x, y, s = p.x[b], p.y[b], p.shared
    cross = x[:, :s] @ y[:, :s].mT
    joint = torch.cat([torch.cat([x @ x.mT, cross], 1), torch.cat([cross.mT, y @ y.mT], 1)])
    joint = joint + torch.eye(len(joint))

    def logdet(*masks: torch.Tensor) -> torch.Tensor:
        seen = torch.cat(masks, -1).to(joint)
        return torch.logdet(joint * seen[:, :, None] * seen[:, None] + torch.diag_embed(1 - seen))

    return (logdet(in_x, in_y & False) + logdet(in_x & False, in_y) - logdet(in_x, in_y)) / 2


def factors(dx: int, dy: int, seed: int, columns: tuple[int, int] | None = None) -> Factors:
    random = Random(3, generator(seed))
    places = torch.arange(dx), torch.arange(dy)
    masks = draw_masks(random, min(dx, dy), (dx, dy), places, torch.ones(3).bool())
    return draw_factors(random, columns or (dx, dy), masks)


def test_few_masked_factors_share_a_sum_over_all_masks() -> None:
    for seed in range(4):
        p = factors(2, 3, seed)
        x, y, chance = p.masks.every()
        mi, error = p.information(generator())
        for b in range(3):
            known = (chance[b] * gaussian_mi(p, b, x[b], y[b])).sum().item()
            known += p.masks.information()[b].item()
            assert mi[b].item() == pytest.approx(known, abs=1e-9) and error[b] == 0


@pytest.mark.parametrize("columns", [(9, 7), (4, 7)])
def test_many_masked_factors_share_a_mean_over_other_masks(columns) -> None:
    for seed in range(3):
        p = factors(9, 7, seed, columns)
        x, y = p.masks.sample(3_000, generator(seed))
        mi, error = p.information(generator())
        for b in range(3):
            values = gaussian_mi(p, b, x[b, :, : columns[0]], y[b, :, : columns[1]])
            known = values.mean().item() + p.masks.information()[b].item()
            noise = 4 * math.hypot(values.std().item() / 3_000**0.5, error[b].item())
            assert mi[b].item() == pytest.approx(known, abs=noise + 1e-6)


def test_rows_of_factors_have_their_covariance() -> None:
    p = factors(3, 2, 1)
    x, y = p.sample(100_000, generator(8))
    for b in range(3):
        joint = torch.corrcoef(torch.cat([x[b], y[b]], -1).mT.double())
        covariance = [side[b] @ side[b].mT + torch.eye(len(side[b])) for side in (p.x, p.y)]
        size = [c.diagonal().sqrt() for c in covariance]
        cross = p.x[b, :, : p.shared] @ p.y[b, :, : p.shared].mT / (size[0][:, None] * size[1])
        torch.testing.assert_close(joint[:3, 3:], cross, atol=0.015, rtol=0)
        known = covariance[0] / (size[0][:, None] * size[0])
        torch.testing.assert_close(joint[:3, :3], known, atol=0.015, rtol=0)


@pytest.mark.parametrize("factors_only", [False, True])
def test_single_columns_share_what_masks_and_neighbours_tell(monkeypatch, factors_only) -> None:
    monkeypatch.setattr(module, "_FACTORS", float(factors_only))
    monkeypatch.setattr(module, "_STRONG", 0.6)
    gaps = []
    for seed in range(4):
        p = FAMILY.draw(4, 1, 1, generator=generator(seed))
        x, y = FAMILY.sample_from(p, 3_000, generator=generator(seed + 50))
        truth, _ = FAMILY.information(p, generator=generator())
        assert not truth[p.independent].any()
        for b in range(4):
            shown = [side[b, :, 0] != side[b, :, 0].mode().values for side in (x, y)]
            both = shown[0] & shown[1]
            if both.sum() < 300:
                continue
            found = table_mi(*shown) + both.double().mean().item() * scaled_kraskov(
                x[b, both], y[b, both]
            )
            gaps.append(found - truth[b].item())
    assert len(gaps) > 8 and max(abs(gap) for gap in gaps) < 0.15
    assert abs(sum(gaps) / len(gaps)) < 0.03


def test_hidden_entries_are_one_value_of_each_column() -> None:
    for seed in range(8):
        p = plain_columns(FAMILY.draw(6, 4, 3, generator=generator(seed)))
        sides = FAMILY.sample_from(p, 4_000, generator=generator(seed))
        masks = p.core.masks.sample(4_000, generator(seed + 1))
        for side, filler, mask in zip(sides, p.fillers, masks):
            hidden = (side == filler).double().mean(1)
            torch.testing.assert_close(hidden, (~mask).double().mean(1), atol=0.05, rtol=0)


def test_mixes_and_echoes_keep_what_covariances_tell(monkeypatch) -> None:
    """Without strangers and masks the pairs are Gaussian, and so are all their mixes."""
    for name in ("_FACTORS", "_SPARSE", "_STRANGERS", "_MASKED"):
        monkeypatch.setattr(module, name, 0.0)
    for seed in range(5):
        p = FAMILY.draw(12, 6, 4, generator=generator(seed))
        x, y = (replace(side, warp=torch.zeros_like(side.warp)) for side in p.sides)
        p = replace(p, sides=(x, y))
        kept = ~torch.cat([side.echoes & (side.blur == 0) for side in p.sides], -1).any(-1)[:, 0]
        x, y = FAMILY.sample_from(p, 20_000, generator=generator(seed + 20))
        truth, error = FAMILY.information(p, generator=generator())
        covariance = torch.stack([torch.cov(z.mT) for z in torch.cat([x, y], -1).double()])[kept]
        blocks = (covariance[:, :6, :6], covariance[:, 6:, 6:], covariance)
        in_x, in_y, joint = (torch.logdet(part) for part in blocks)
        torch.testing.assert_close((in_x + in_y - joint) / 2, truth[kept], atol=0.02, rtol=0.02)
        assert not error.any()


@pytest.mark.parametrize(("d", "most"), [(1, 5.5), (16, 45.0), (64, 50.0)])
def test_totals_are_within_reach(d: int, most: float) -> None:
    g, found = generator(d), []
    for _ in range(16):
        found.append(FAMILY.information(FAMILY.draw(24, d, d, generator=g), generator=g))
    mi, error = (torch.cat(values) for values in zip(*found))
    assert torch.isfinite(mi).all() and mi.min() > -1e-9 and mi.max() < most
    assert (mi == 0).double().mean() < 0.25 and mi.quantile(0.9) > 1
    assert error.max() < 0.5 and error.mean() < 0.02
