"""Labels on both sides: posterior moments against draws, and what estimates of tables must be."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import torchmist
from benchmarks.discrete import (
    BINS,
    CASES,
    COLUMNS,
    ESTIMATORS,
    PAGE,
    RESULTS,
    copied,
    draw,
    table,
    table_information,
)
from benchmarks.records import Records
from torchmist.discrete.contingency import count_pairs, group_totals
from torchmist.discrete.table_posterior import _bases, _moments, table_quantiles

LEVELS = (torch.arange(24, dtype=torch.float64) + 0.5) / 24


@pytest.mark.parametrize("base", [0, 3], ids=["fitted", "uniform"])
@pytest.mark.parametrize("shape, n, alpha", [((2, 2), 60, 2.0), ((5, 7), 100, 20.0)])
def test_moments_are_those_of_draws_from_the_dirichlet_posterior(shape, n, alpha, base) -> None:
    rng = np.random.default_rng(0)
    x, y, _ = draw(rng.dirichlet(np.full(math.prod(shape), 0.7)).reshape(shape), n, rng)
    counts = np.zeros(shape)
    np.add.at(counts, (x, y), 1)
    counts = counts[counts.sum(1) > 0][:, counts.sum(0) > 0]
    fitted = np.outer(counts.sum(1), counts.sum(0)) / n**2
    prior = alpha * (fitted if base == 0 else np.full(counts.shape, 1 / counts.size))
    table = rng.standard_gamma(counts + prior, (20_000, *counts.shape))
    table /= table.sum((1, 2), keepdims=True)
    drawn = np.array([table_information(p) for p in table])
    numbers = count_pairs(x, y)
    mean, variance = _moments(numbers, _bases(numbers)[base], alpha)
    assert mean == pytest.approx(drawn.mean(), rel=0.01)
    assert math.sqrt(variance) == pytest.approx(drawn.std(), rel=0.06)


def test_tables_keep_the_counts_and_totals() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.integers(0, 6, 500), rng.integers(-3, 9, 500)
    table = count_pairs(x, y)
    assert float((table.count * table.times).sum()) == table.n == 500
    assert table.classes == (6, 12)
    text = count_pairs(np.array(list("abcdef"))[x], y.astype(float))
    torch.testing.assert_close(table_quantiles(text, LEVELS), table_quantiles(table, LEVELS))


def test_many_kinds_of_cells_are_grouped_and_hardly_move_the_estimate(monkeypatch) -> None:
    rng = np.random.default_rng(2)
    p = rng.dirichlet(np.full(60, 0.5))[:, None] * rng.dirichlet(np.full(60, 3.0), 60)
    x, y, _ = draw(p, 20_000, rng)
    exact = table_quantiles(count_pairs(x, y), LEVELS).mean()
    monkeypatch.setattr("torchmist.discrete.contingency._GROUPS", 500)
    grouped = count_pairs(x, y)
    assert len(grouped.times) < 0.8 * len(np.unique(x * 60 + y))
    assert table_quantiles(grouped, LEVELS).mean().item() == pytest.approx(exact.item(), rel=0.01)
    total, number = group_totals(*grouped.rows.unbind(-1))
    assert float((total * number).sum()) == pytest.approx(20_000)


@pytest.mark.parametrize("name", CASES)
def test_known_pairs_are_within_a_tenth_or_covered(name: str) -> None:
    x, y, truth = CASES[name](2000, np.random.default_rng(5))
    r = torchmist.estimate(x, y)
    low, high = r.interval(0.9)
    assert abs(r.mean - truth) < 0.1 or low <= truth <= high


def test_names_and_order_of_labels_rows_and_sides_do_not_matter() -> None:
    rng = np.random.default_rng(3)
    x, y, _ = copied(400, rng, 9)
    expected = torchmist.estimate(x, y).quantiles
    rows, names = rng.permutation(400), rng.permutation(9)
    for a, b in ((x[rows], y[rows]), (names[x], y), (y, x)):
        torch.testing.assert_close(torchmist.estimate(a, b).quantiles, expected)


def test_sparse_tables_shrink_to_independence() -> None:
    rng = np.random.default_rng(4)
    x, y = rng.integers(0, 300, 3000), rng.integers(0, 300, 3000)
    r = torchmist.estimate(x, y, discrete_x=True, discrete_y=True)
    assert r.mean < 0.1 and any("that no other row holds" in note for note in r.warnings)


def test_large_tables_of_ten_thousand_categories() -> None:
    x, y, truth = copied(100_000, np.random.default_rng(5), 10_000)
    assert torchmist.estimate(x, y).mean == pytest.approx(truth, abs=0.15)


@pytest.mark.parametrize("n", [4, 5, 10, 30])
def test_few_rows_give_numbers_within_the_bounds(n: int) -> None:
    x, y = np.arange(n) % 2, (np.arange(n) // 2) % 2
    r = torchmist.estimate(x, y)
    assert 0 <= r.quantile(0.05) <= r.mean <= r.quantile(0.95) <= math.log(2)


def test_one_class_carries_nothing() -> None:
    x = np.arange(40) % 4
    r = torchmist.estimate(x, 0 * x)
    assert r.mean == 0 and "y constant" in r.warnings[0]


def test_batches_of_labels() -> None:
    x = torch.arange(120).view(2, 60, 1) % 3
    r = torchmist.estimate(x, x)
    assert r.mean.shape == (2,) and bool((r.mean > 0.9).all())


@pytest.mark.parametrize("kind", [float, int, bool])
def test_parity_of_three_columns_is_seen(kind: type) -> None:
    bits = np.random.default_rng(6).integers(0, 2, (400, 3))
    r = torchmist.estimate(bits.astype(kind), (bits.sum(1) % 2).astype(kind))
    assert r.mean == pytest.approx(math.log(2), abs=0.02)
    products = torchmist.estimate(bits.astype(float), bits[:, 0] * bits[:, 1])
    assert products.mean == pytest.approx(0.562, abs=0.08)


def test_intervals_cover_random_tables() -> None:
    rng = np.random.default_rng(7)
    covered = []
    for _ in range(40):
        r, c = rng.integers(2, 15, 2)
        x, y, truth = draw(rng.dirichlet(np.full(r * c, 1.0)).reshape(r, c), 500, rng)
        q = table_quantiles(count_pairs(x, y), LEVELS)
        covered.append(bool(q[1] <= truth <= q[-2]))
    assert np.mean(covered) > 0.75


def test_the_page_shows_the_record_of_discrete_sides() -> None:
    records = Records(RESULTS, COLUMNS, keys=3)
    assert table(records) in PAGE.read_text()
    for low, high in BINS:
        rows = [records.row("random tables", f"{low} to {high}", name) for name in ESTIMATORS]
        errors = [float(row["error"]) for row in rows]
        # a law that the prior knows: of the fewest rows still a little wider than need be
        assert errors[0] == min(errors)
        assert 0.9 <= float(rows[0]["coverage"]) <= (0.98 if low == 50 else 0.95)
