"""Cells of real samples: partitions, diffusion coordinates, and datasets of known information."""

from __future__ import annotations

import math

import pytest
import torch
from adapt_samples import draw

from torchmist.adapt import CellMeta, Pool
from torchmist.adapt.cells import random_table, spread, table_mi
from torchmist.adapt.diffusion import DiffusionMap
from torchmist.adapt.partitions import (
    clustered,
    clusters,
    k_means,
    misplaced,
    nearest,
    purity,
    quantile_cells,
    sliced,
)
from torchmist.models.cell_correction import landmark_shares
from torchmist.models.projected import column_scale, principal_map


def test_information_of_tables() -> None:
    table = torch.tensor([[0.4, 0.1], [0.1, 0.4]], dtype=torch.float64)
    assert float(table_mi(table)) == pytest.approx(math.log(2) + 0.8 * math.log(0.8)
                                                   + 0.2 * math.log(0.2))  # fmt: skip
    assert float(table_mi(torch.full((3, 4), 1 / 12))) == pytest.approx(0.0, abs=1e-6)


def test_cells_carry_the_stated_information() -> None:
    x, y = draw(3000, 2), draw(2500, 3, seed=1)
    meta = CellMeta(*(Pool(v, (torch.bucketize(v[:, 0], torch.tensor([-0.5, 0.4])),))
                      for v in (x, y)), few=0.0)  # fmt: skip
    batch = meta.sample(10, 2000, 2, 3, generator=torch.Generator().manual_seed(0))
    assert float(batch.mi.std()) > 0.05
    for a, b, mi in zip(batch.x, batch.y, batch.mi):
        cells = [torch.bucketize(v[:, 0].contiguous(), torch.tensor([-0.5, 0.4])) for v in (a, b)]
        table = torch.bincount(3 * cells[0] + cells[1], minlength=9).view(3, 3) / 2000
        assert float(table_mi(table)) == pytest.approx(float(mi), abs=0.05)
        assert len(a.unique(dim=0)) > 1500  # samples come once before they come again


def test_some_datasets_repeat_few_samples_and_say_the_same_of_their_cells() -> None:
    z = draw(400, 3)
    pool = Pool(z, ((z[:, 0] > 0).long(),))
    meta = CellMeta(pool, pool, few=1.0)
    batch = meta.sample(12, 1500, 3, 3, generator=torch.Generator().manual_seed(0))
    few = []
    for a, b, mi in zip(batch.x, batch.y, batch.mi):
        cells = [(v[:, 0] > 0).long() for v in (a, b)]
        table = torch.bincount(2 * cells[0] + cells[1], minlength=4).view(2, 2) / 1500
        assert float(table_mi(table)) == pytest.approx(float(mi), abs=0.05)
        few.append(len(torch.cdist(a, z).argmin(-1).unique()))
    assert min(few) < 60 and max(few) > 200
    whole = CellMeta(pool, pool, few=0.0).sample(
        1, 1500, 3, 3, generator=torch.Generator().manual_seed(0)
    )
    assert len(torch.cdist(whole.x[0], z).argmin(-1).unique()) > 350


def test_cells_of_labels_are_the_classes() -> None:
    one_hot = torch.nn.functional.one_hot(torch.arange(60) % 3).float()
    part = Pool.of_labels(one_hot).partitions[0]
    assert len(part.unique()) == 3 and (part[::3] == part[0]).all()


def test_joined_clusters_find_what_k_means_misses() -> None:
    centres = 6 * torch.stack([torch.arange(5.0), torch.arange(5.0) % 2], -1)
    z = centres.repeat(60, 1) + draw(300, 2)
    found = {cut: 0 for cut in (clusters, k_means)}
    for seed in range(10):
        for cut in found:
            part = cut(z, 5, torch.Generator().manual_seed(seed))
            pure = torch.bincount(5 * part + torch.arange(5).repeat(60), minlength=25).view(5, 5)
            found[cut] += int(pure.amax(1).sum() > 290)
    assert found[clusters] == 10 > found[k_means]


@pytest.mark.parametrize("cut, most", [(clustered, 16), (sliced, 8)])
def test_partitions_are_cells_numbered_from_0(cut, most) -> None:
    made = cut(draw(300, 4), 20, torch.Generator().manual_seed(0))
    assert len(made) == 20
    for part in made:
        assert part.shape == (300,) and 2 <= len(part.unique()) == int(part.max()) + 1 <= most
    assert len({len(part.unique()) for part in made}) > 4


def test_every_second_partition_into_clusters_has_samples_out_of_place() -> None:
    z = 8 * torch.nn.functional.one_hot(torch.arange(320) % 16, 16) + draw(320, 16)
    near = nearest(z)
    pure = [purity(part, near) for part in clustered(z, 9, torch.Generator().manual_seed(0))]
    assert min(pure[::2]) > 0.99 and min(pure[1::2]) > 0.75
    assert sum(share < 0.96 for share in pure[1::2]) >= 3


def test_slices_are_convex_along_a_direction_or_a_column_and_shells_round() -> None:
    z = draw(400, 2)
    made = sliced(z, 10, torch.Generator().manual_seed(1))
    angle = torch.arange(0, math.pi, math.pi / 20_000)
    scores = z @ torch.stack([angle.cos(), angle.sin()])

    def ordered(part, score) -> bool:
        found = part[score.argsort()]
        return bool((found.diff() >= 0).all() or (found.diff() <= 0).all())

    for part in made[:5]:
        assert any(ordered(part, score) for score in scores.mT)
    for part in made[5:8]:
        assert ordered(part, z[:, 0]) or ordered(part, z[:, 1])
    for part in made[8:]:
        assert any(ordered(part, (z - v).norm(dim=-1)) for v in z)


def test_columns_that_are_constant_or_tied_are_cut_all_the_same() -> None:
    z = torch.stack([torch.zeros(200), (torch.arange(200) < 3).float()], -1)
    for part in sliced(z, 20, torch.Generator().manual_seed(0)):
        assert len(part.unique()) == 2
    even = quantile_cells(torch.arange(100.0), torch.tensor([0.5, 0.3, 0.2]))
    assert torch.bincount(even).tolist() == [50, 30, 20]


def test_random_tables_have_the_margins_and_any_strength() -> None:
    p, q = (torch.softmax(draw(k).double(), 0) for k in (5, 3))
    generator = torch.Generator().manual_seed(0)
    tables = [random_table(p, q, generator) for _ in range(60)]
    for table in tables:
        torch.testing.assert_close(table.sum(1), p, atol=1e-3, rtol=1e-2)
        torch.testing.assert_close(table.sum(0), q)
    assert min(float(t.min()) for t in tables) >= 0
    even = torch.full((8,), 1 / 8, dtype=torch.float64)
    share = torch.stack([table_mi(random_table(even, even, generator)) for _ in range(60)])
    share = share / math.log(8)
    assert share.min() < 0.1 and share.max() > 0.9 and 0.3 < share.median() < 0.6


def test_half_of_the_tables_follow_the_order_of_the_cells() -> None:
    even = torch.full((6,), 1 / 6, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    tables = [random_table(even, even, generator) for _ in range(200)]
    place = torch.arange(6.0, dtype=torch.float64)
    place = (place - place.mean()) / place.std(correction=0)
    said = torch.stack([place @ t @ place for t in tables if table_mi(t) > 0.5])
    assert 0.3 < (said.abs() > 0.8).double().mean() < 0.7
    assert (said > 0.8).sum() > 10 and (said < -0.8).sum() > 10


def test_columns_of_one_unit_keep_their_proportions() -> None:
    x = draw(500, 4) * torch.tensor([1.0, 0.1, 0.5, 0.0])
    scale = column_scale(x)
    torch.testing.assert_close(scale[:3], scale[:1].expand(3))
    torch.testing.assert_close((x * scale)[:, :3].var(0).mean(), torch.tensor(1.0))
    assert scale[3] == 0
    odd = draw(500, 3) * torch.tensor([1.0, 1000.0, 1.0])
    torch.testing.assert_close((odd * column_scale(odd)).std(0), torch.ones(3))
    mean, directions = principal_map(draw(500, 3) @ torch.diag(torch.tensor([1.0, 5.0, 1.0])), 1)
    assert directions.abs().argmax() == 1 and mean.shape == (3,)


def test_clusters_along_neighbours_come_closest_to_real_classes() -> None:
    source = pytest.importorskip("sklearn.datasets").load_digits(n_class=8)
    images, label = torch.tensor(source.data).float()[:1000], torch.tensor(source.target)[:1000]
    mean, matrix = principal_map(images, 16)
    z = (images - mean) @ matrix
    places = DiffusionMap.of(z[::2])(z)

    def pure(space) -> int:
        part = clusters(space, 8, torch.Generator().manual_seed(0))
        return int(torch.bincount(8 * part + label, minlength=64).view(8, 8).amax(1).sum())

    assert pure(places) > 930 and pure(places) > pure(z)


def test_a_sample_that_is_a_landmark_does_not_stand_for_itself() -> None:
    z = draw(200, 3)
    of = DiffusionMap.of(z)
    share, index = landmark_shares(z, of.landmarks, of.reach)
    assert not (index == torch.arange(200)[:, None]).any()
    torch.testing.assert_close(share.sum(-1), torch.ones(200))


def test_purity_is_the_share_of_neighbours_in_the_same_cell() -> None:
    z = draw(80, 2)
    part = (z[:, 0] > 0).long()
    near = nearest(z)
    assert (near[:, 0] == torch.arange(80)).all()
    same = []
    for i in range(80):
        order = sorted((j for j in range(80) if j != i), key=lambda j: float((z[i] - z[j]).norm()))
        assert set(near[i, 1:].tolist()) == set(order[:5])
        same += [int(part[i] == part[j]) for j in order[:5]]
    assert purity(part, near) == pytest.approx(sum(same) / len(same))


def test_spread_samples_are_new_and_lie_between_neighbours_of_a_cell() -> None:
    far = 100 * torch.arange(3).repeat(40)
    z = draw(120, 4) + far[:, None]
    pool = Pool(z, (far // 100,))
    rows = torch.arange(120).repeat(5)
    made = spread(pool, pool.partitions[0], rows, torch.Generator().manual_seed(0))
    assert len(made.unique(dim=0)) > 550
    for row, new in zip(rows.tolist(), made):
        at = [
            (new - z[row]) @ (v - z[row]) / (v - z[row]).square().sum()
            for v in z[pool.near[row, 1:]]
        ]
        ends = z[row] + torch.stack(at)[:, None] * (z[pool.near[row, 1:]] - z[row])
        assert (ends - new).norm(dim=-1).min() < 1e-3  # on the way to a neighbour
    assert ((made.mean(-1) / 100).round() == far[rows] // 100).all()
    other = Pool(z, (torch.arange(120),))  # every sample a cell of its own: nowhere to go
    assert torch.equal(spread(other, other.partitions[0], rows, torch.Generator()), z[rows])


def test_spread_leaves_grids_and_few_columns_as_they_are() -> None:
    z = torch.cat([draw(100, 4), draw(100, 1, seed=1).round()], -1)
    part, generator = torch.zeros(100, dtype=torch.int64), torch.Generator().manual_seed(0)
    made = spread(Pool(z, (part,)), part, torch.arange(100), generator)
    assert torch.equal(made[:, 4], z[:, 4]) and (made[:, :4] != z[:, :4]).any()
    few = z[:, [0, 1, 4]]
    assert torch.equal(spread(Pool(few, (part,)), part, torch.arange(100), generator), few)


def test_a_share_of_the_samples_is_misplaced() -> None:
    part = torch.arange(6000) % 3
    made = misplaced(part, 0.3, torch.Generator().manual_seed(0))
    assert float((made != part).double().mean()) == pytest.approx(0.2, abs=0.02)  # 0.3 * 2 / 3
    assert torch.equal(misplaced(part, 0.0, torch.Generator()), part)
