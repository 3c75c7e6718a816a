"""Cells of real samples: partitions, and datasets of known information."""

from __future__ import annotations

import math

import pytest
import torch
from adapt_samples import draw

from torchmist.adapt import CellMeta, Pool
from torchmist.adapt.cells import jittered
from torchmist.adapt.partitions import (
    clustered,
    clusters,
    column_scale,
    quantile_cells,
    sliced,
)
from torchmist.adapt.sides import both_sides
from torchmist.synthetic.random_tables import random_table, table_mi


def test_information_of_tables() -> None:
    table = torch.tensor([[0.4, 0.1], [0.1, 0.4]], dtype=torch.float64)
    assert float(table_mi(table)) == pytest.approx(math.log(2) + 0.8 * math.log(0.8)
                                                   + 0.2 * math.log(0.2))  # fmt: skip
    assert float(table_mi(torch.full((3, 4), 1 / 12))) == pytest.approx(0.0, abs=1e-6)


def test_cells_carry_the_stated_information() -> None:
    x, y = draw(3000, 2), draw(2500, 3, seed=1)
    meta = CellMeta(*(Pool(v, (torch.bucketize(v[:, 0], torch.tensor([-0.5, 0.4])),))
                      for v in (x, y)))  # fmt: skip
    batch = meta.sample(10, 2000, 2, 3, generator=torch.Generator().manual_seed(0))
    assert float(batch.mi.std()) > 0.05
    for a, b, mi in zip(batch.x, batch.y, batch.mi):
        cells = [torch.bucketize(v[:, 0].contiguous(), torch.tensor([-0.5, 0.4])) for v in (a, b)]
        table = torch.bincount(3 * cells[0] + cells[1], minlength=9).view(3, 3) / 2000
        assert float(table_mi(table)) == pytest.approx(float(mi), abs=0.05)
        assert len(a.unique(dim=0)) > 1500  # samples come once before they come again


def test_cells_of_labels_are_the_classes() -> None:
    one_hot = torch.nn.functional.one_hot(torch.arange(60) % 3).float()
    part = Pool.of_labels(one_hot).partitions[0]
    assert len(part.unique()) == 3 and (part[::3] == part[0]).all()


def test_joined_cells_are_the_clusters_there_are() -> None:
    centres = 6 * torch.stack([torch.arange(5.0), torch.arange(5.0) % 2], -1)
    z = centres.repeat(60, 1) + draw(300, 2)
    for seed in range(10):
        part = clusters(z, 5, torch.Generator().manual_seed(seed))
        pure = torch.bincount(5 * part + torch.arange(5).repeat(60), minlength=25).view(5, 5)
        assert int(pure.amax(1).sum()) > 290


def test_clusters_come_close_to_real_classes() -> None:
    source = pytest.importorskip("sklearn.datasets").load_digits(n_class=8)
    z, label = torch.tensor(source.data).float()[:1000], torch.tensor(source.target)[:1000]
    part = clusters(z, 8, torch.Generator().manual_seed(0))
    assert int(torch.bincount(8 * part + label, minlength=64).view(8, 8).amax(1).sum()) > 850


@pytest.mark.parametrize("cut, most", [(clustered, 16), (sliced, 8)])
def test_partitions_are_cells_numbered_from_0(cut, most) -> None:
    z, generator = draw(300, 4), torch.Generator().manual_seed(0)
    made = [cut(z, generator) for _ in range(20)]
    for part in made:
        assert part.shape == (300,) and 2 <= len(part.unique()) == int(part.max()) + 1 <= most
    assert len({len(part.unique()) for part in made}) > 4


def test_slices_are_convex_along_a_direction_or_a_column_and_shells_round() -> None:
    z, generator = draw(400, 2), torch.Generator().manual_seed(1)
    angle = torch.arange(0, math.pi, math.pi / 20_000)
    columns, directions, shells = (
        score.argsort(0)
        for score in (z, z @ torch.stack([angle.cos(), angle.sin()]), (z[:, None] - z).norm(dim=-1))
    )

    def ordered(part, orders) -> bool:
        steps = part[orders].diff(dim=0)
        return bool(((steps >= 0).all(0) | (steps <= 0).all(0)).any())

    found = {"column": 0, "direction": 0, "shell": 0}
    for _ in range(20):
        part = sliced(z, generator)
        if ordered(part, columns):
            found["column"] += 1
        elif ordered(part, directions):
            found["direction"] += 1
        else:
            assert ordered(part, shells)
            found["shell"] += 1
    assert min(found.values()) > 1


def test_columns_that_are_constant_or_tied_are_cut_all_the_same() -> None:
    z = torch.stack([torch.zeros(200), (torch.arange(200) < 3).float()], -1)
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        assert len(sliced(z, generator).unique()) == 2
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


def test_spread_samples_are_new_and_lie_between_neighbours_of_a_cell() -> None:
    far = 100 * torch.arange(3).repeat(40)
    z = draw(120, 4) + far[:, None]
    pool = Pool(z, (far // 100,))
    rows = torch.arange(120).repeat(5)
    made = jittered(pool, pool.partitions[0], rows, torch.Generator().manual_seed(0))
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
    assert torch.equal(jittered(other, other.partitions[0], rows, torch.Generator()), z[rows])


def test_spread_leaves_grids_and_few_columns_as_they_are() -> None:
    z = torch.cat([draw(100, 4), draw(100, 1, seed=1).round()], -1)
    part, generator = torch.zeros(100, dtype=torch.int64), torch.Generator().manual_seed(0)
    made = jittered(Pool(z, (part,)), part, torch.arange(100), generator)
    assert torch.equal(made[:, 4], z[:, 4]) and (made[:, :4] != z[:, :4]).any()
    few = z[:, [0, 1, 4]]
    assert torch.equal(jittered(Pool(few, (part,)), part, torch.arange(100), generator), few)


def test_some_clusters_have_samples_out_of_place() -> None:
    z = 8 * torch.nn.functional.one_hot(torch.arange(320) % 16, 16) + draw(320, 16)
    generator = torch.Generator().manual_seed(0)
    made = [clustered(z, generator) for _ in range(24)]
    strays = [
        int(sum((part[k::16] != part[k::16].mode().values).sum() for k in range(16)))
        for part in made
    ]
    assert sum(v == 0 for v in strays) >= 6 and sum(8 < v < 40 for v in strays) >= 3


def test_wide_samples_come_back_from_their_directions() -> None:
    x = draw(300, 2) @ draw(2, 30, seed=3) + 0.1 * draw(300, 30, seed=4) + 5
    side = both_sides(x, draw(200, 2), 0)[0]
    z = side.project(side.fit)
    assert z.shape == (195, 16)
    lifted = side.lift(z, torch.Generator().manual_seed(0))
    torch.testing.assert_close(side.project(lifted), z, atol=1e-4, rtol=1e-4)
    assert (lifted - side.fit).abs().max() > 0.01  # the rest is that of other samples
    torch.testing.assert_close(lifted.std(0), side.fit.std(0), atol=0.05, rtol=0.05)


def test_labels_have_no_directions_and_narrow_samples_all() -> None:
    labels, narrow = both_sides(torch.arange(240) % 3, draw(220, 4), 0)
    assert labels.labels and labels.pool("check", "slices", 0).partitions[0].max() == 2
    assert torch.equal(narrow.project(narrow.fit), narrow.fit)
