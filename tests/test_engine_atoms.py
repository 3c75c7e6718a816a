"""The engine of atoms: its mutual information against dense tables and plug-in estimates."""

import math

import pytest
import torch

from torchmist.synthetic.engines.atoms import Atoms
from torchmist.synthetic.engines.atoms_latent import (
    Cells,
    LatentPairs,
    draw_latent,
    latent_information,
    sample_latent,
)
from torchmist.synthetic.engines.atoms_tables import (
    TABLES,
    digits_table,
    draw_table,
    sample_table,
    table_information,
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def dense_information(pairs: LatentPairs, f: int, steps: int = 500) -> float:
    """MI of pair ``f`` from a table of 500 x 500 rectangles whose atomic cells are merged."""
    grid = torch.linspace(-5, 5, steps + 1, dtype=torch.float64)
    edges = []
    for side in (pairs.x, pairs.y):
        cut = side.thresholds[f].double()
        edges.append(torch.cat((grid, cut[cut.isfinite()])).sort().values)
    ex, ey = edges
    width = ex.diff()
    table = torch.zeros(len(ex) - 1, len(ey) - 1, dtype=torch.float64)
    for rho, weight in zip(pairs.correlation[f].double(), pairs.weight[f].double()):
        for node, share in ((-(0.6**0.5), 5 / 18), (0.0, 8 / 18), (0.6**0.5, 5 / 18)):
            z = (ex[1:] + ex[:-1]) / 2 + node * width / 2
            mass = (-z.square() / 2).exp() / math.sqrt(2 * math.pi) * width * share
            law = torch.special.ndtr((ey - rho * z[:, None]) / (1 - rho.square()).sqrt()).diff()
            table += weight * mass[:, None] * law
    for side, edge in ((pairs.x, ex), (pairs.y, ey)):
        cells = side.label.shape[1]
        middle = (edge[1:] + edge[:-1]) / 2
        cell = torch.searchsorted(side.thresholds[f].double(), middle)
        own = cells + torch.arange(len(middle))
        target = torch.where(side.atomic[f][cell], side.label[f][cell], own)
        merged = torch.zeros(cells + len(middle), table.shape[1], dtype=torch.float64)
        table = merged.index_add_(0, target, table).T
    table = table / table.sum()
    gates = pairs.gates[f].double()
    labels = torch.zeros_like(table)
    cells = pairs.table.shape[1]
    labels[:cells, :cells] = pairs.table[f].double()
    rows, columns = table.sum(1, keepdim=True), table.sum(0, keepdim=True)
    joint = (
        gates[0] * table
        + gates[3] * labels
        + gates[1] * rows * labels.sum(0)
        + gates[2] * labels.sum(1, keepdim=True) * columns
    )
    return table_information(joint[None]).item()


def plug_in(x: torch.Tensor, y: torch.Tensor) -> float:
    """MI of two vectors of few values, with the correction of Miller and Madow."""
    _, i = x.unique(return_inverse=True)
    _, j = y.unique(return_inverse=True)
    a, b = int(i.max()) + 1, int(j.max()) + 1
    counts = torch.bincount(i * b + j, minlength=a * b).reshape(1, a, b).double()
    spare = int((counts > 0).sum()) - a - b + 1
    return table_information(counts / counts.sum()).item() - spare / (2 * len(x))


@pytest.mark.parametrize(("cells", "hidden"), [(4, 1), (10, 2), (24, 1)])
def test_the_information_of_latent_pairs_is_that_of_a_dense_table(cells: int, hidden: int) -> None:
    pairs = draw_latent(16, cells, hidden, 1.0, generator=seeded(cells))
    mi, error = latent_information(pairs, generator=seeded())
    for f in range(16):
        expected = dense_information(pairs, f)
        tolerance = 0.002 + 0.01 * expected + 3 * error[f].item()
        assert abs(mi[f].item() - expected) < tolerance


def test_a_pair_without_atoms_has_the_information_of_its_correlation() -> None:
    pairs = draw_latent(8, 4, 1, 1.0, generator=seeded())
    none = torch.zeros_like(pairs.x.atomic)
    sides = [Cells(**{**vars(side), "atomic": none}) for side in (pairs.x, pairs.y)]
    opened = torch.tensor([1.0, 0, 0, 0]).expand(8, 4)
    pairs = LatentPairs(pairs.correlation, pairs.weight, *sides, opened, pairs.table)
    mi, _ = latent_information(pairs, generator=seeded())
    expected = -0.5 * torch.log1p(-pairs.correlation[:, 0].double().square())
    torch.testing.assert_close(mi, expected, atol=0.01, rtol=0.01)


def test_samples_of_latent_pairs_have_the_stated_information() -> None:
    pairs = draw_latent(40, 4, 1, 1.0, generator=seeded(5))
    mi, _ = latent_information(pairs, generator=seeded())
    correlation = pairs.correlation.expand(-1, 100_000)
    x, y = sample_latent(pairs, correlation, 100_000, generator=seeded(1))
    discrete = [f for f in range(40) if len(x[f].unique()) < 9 and len(y[f].unique()) < 9]
    assert len(discrete) > 4
    for f in discrete:
        assert abs(plug_in(x[f], y[f]) - mi[f].item()) < 0.01 + 0.01 * mi[f].item()


@pytest.mark.parametrize("name", sorted(TABLES))
def test_samples_of_tables_have_the_stated_information(name: str) -> None:
    tables = draw_table(name, 6, 7, 6, generator=seeded(2))
    torch.testing.assert_close(tables.sum((1, 2)), torch.ones(6))
    row, column = sample_table(tables, 100_000, generator=seeded(3))
    for table, x, y in zip(tables, row, column):
        assert abs(plug_in(x, y) - table_information(table[None]).item()) < 0.01


@pytest.mark.parametrize("name", sorted(TABLES))
def test_thousands_of_tables_are_finite_and_sum_to_one(name: str) -> None:
    tables = draw_table(name, 4000, 27, 27, generator=seeded())
    torch.testing.assert_close(tables.sum((1, 2)), torch.ones(4000))
    assert (tables >= 0).all() and table_information(tables).isfinite().all()


def test_common_counts_are_poisson_sums() -> None:
    table = draw_table("common counts", 4, 40, 40, generator=seeded())
    count = torch.arange(40.0)
    rate = (table.sum(2) * count).sum(-1)
    expected = torch.distributions.Poisson(rate[:, None]).log_prob(count).exp()
    torch.testing.assert_close(table.sum(2), expected, atol=1e-4, rtol=1e-3)


def test_parity_is_seen_by_all_digits_only() -> None:
    tables = digits_table(64, 2, 3, 2, generator=seeded())
    single = tables.reshape(64, 4, 2, 2).sum(1)
    hidden = (table_information(tables) > 0.1) & (table_information(single) < 1e-4)
    assert hidden.any()


@pytest.mark.parametrize("kind", ["latent", "table", "digits"])
@pytest.mark.parametrize(("n", "dx", "dy"), [(8, 1, 1), (30, 3, 5), (20, 40, 2), (10, 300, 300)])
def test_samples_have_the_shapes_asked_for(kind: str, n: int, dx: int, dy: int) -> None:
    engine = Atoms({kind: 1.0})
    for seed in range(4):
        batch = engine.sample(6, n, dx, dy, generator=seeded(seed))
        assert batch.x.shape == (6, n, dx) and batch.y.shape == (6, n, dy)
        assert batch.x.dtype == batch.y.dtype == torch.float32
        assert batch.x.isfinite().all() and batch.y.isfinite().all()
        assert (batch.mi >= 0).all() and (batch.error < 0.1).all()


def test_information_is_computed_in_double_precision() -> None:
    engine = Atoms()
    mi, error = engine.information(engine.draw(4, 2, 2, generator=seeded()), generator=seeded())
    assert mi.dtype == error.dtype == torch.float64


def test_equal_generators_give_equal_batches_and_leave_the_global_state() -> None:
    state = torch.get_rng_state()
    for seed in range(6):
        first, second = (Atoms().sample(5, 20, 4, 3, generator=seeded(seed)) for _ in range(2))
        assert torch.equal(first.x, second.x) and torch.equal(first.y, second.y)
        assert torch.equal(first.mi, second.mi)
    assert torch.equal(state, torch.get_rng_state())


def test_a_tenth_of_the_datasets_is_independent() -> None:
    engine = Atoms({"table": 1.0})
    batch = engine.sample(200, 3000, 1, 1, generator=seeded(4))
    none = batch.mi == 0
    assert 8 < int(none.sum()) < 40
    for x, y in zip(batch.x[none], batch.y[none]):
        if len(x.unique()) < 20 and len(y.unique()) < 20:
            assert abs(plug_in(x[:, 0], y[:, 0])) < 0.02


def test_atoms_are_exact_ties_in_many_datasets() -> None:
    batch = Atoms({"latent": 1.0}).sample(64, 500, 1, 1, generator=seeded())
    tied = [len(x.unique()) < 499 or len(y.unique()) < 499 for x, y in zip(batch.x, batch.y)]
    assert sum(tied) > 32


def test_an_unknown_kind_raises() -> None:
    with pytest.raises(ValueError, match="expected kinds among"):
        Atoms({"counts": 1.0})
