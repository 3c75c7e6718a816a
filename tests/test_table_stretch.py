"""How wide posteriors of tables are made: the misfit of the prior, and what keeps the mean."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import betaln, gammaln

from benchmarks.discrete import copied, draw
from torchmist.discrete.contingency import Table, count_pairs
from torchmist.discrete.table_posterior import table_posterior, table_quantiles
from torchmist.discrete.table_stretch import (
    Stretch,
    _counts_misfit,
    _points,
    drawn_in,
    power_of,
    prior_misfit,
    stretch_of,
)

LEVELS = (torch.arange(24, dtype=torch.float64) + 0.5) / 24


def dirichlet_table(rng: np.random.Generator, n: int, concentration: float) -> Table:
    shape = rng.integers(4, 40, 2)
    p = rng.dirichlet(np.full(math.prod(shape), concentration)).reshape(shape)
    return count_pairs(*draw(p, n, rng)[:2])


def test_intervals_are_stretched_by_the_rows_that_are_alone() -> None:
    assert stretch_of(0.0) == (1.1, 1.1)
    few, many = stretch_of(0.02), stretch_of(0.9)
    assert 1.1 < few[0] < few[1] < many[1] < 3.3 and many[0] < many[1]
    assert stretch_of(0.5, Stretch(1.0, 0.0, 0.0)) == (1.0, 1.0)


def test_quantiles_are_drawn_in_where_the_prior_fits_and_most_where_rows_are_alone() -> None:
    assert power_of(0.5, 1e6, 1.0) == pytest.approx(1)
    assert 0 < power_of(0.9, 0.0, 1.0) < power_of(0.0, 0.0, 1.0) < 1
    assert power_of(0.5, 0.0, 1.0) < power_of(0.5, 2.0, 1.0) < power_of(0.5, 20.0, 1.0)
    assert power_of(0.5, 0.0, 1.0) < power_of(0.5, 0.0, 0.1) < power_of(0.5, 0.0, 0.01)


def test_the_mean_and_zeros_stay() -> None:
    q = torch.linspace(-0.3, 1.0, 24, dtype=torch.float64).clamp(min=0) ** 2
    narrow = drawn_in(q, q, 0.5)
    torch.testing.assert_close(narrow.mean(), q.mean())
    assert bool((narrow[q == 0] == 0).all()) and narrow.max() < q.max()
    assert bool((narrow.diff() >= 0).all())
    torch.testing.assert_close(drawn_in(q, q, 1.0), q)
    torch.testing.assert_close(drawn_in(q[:3], torch.zeros(24), 0.5), q[:3])


def test_the_estimate_is_that_of_the_stretched_posterior() -> None:
    rng = np.random.default_rng(0)
    for n in (60, 400, 3000):
        table = dirichlet_table(rng, n, 0.5)
        posterior, (below, above) = table_posterior(table), stretch_of(table.singletons / n)
        q = posterior.quantiles(LEVELS)
        away = q - posterior.quantiles(torch.tensor([0.5]))
        stretched = q - away + torch.where(away < 0, below, above) * away
        found = table_quantiles(table, LEVELS)
        expected = stretched.clamp(0, posterior.most)
        torch.testing.assert_close(found.mean(), expected.mean())
        assert found[-1] - found[0] < expected[-1] - expected[0]


@pytest.mark.parametrize("n", [100, 1000, 8000])
def test_tables_of_the_law_fit_and_copies_do_not(n: int) -> None:
    rng = np.random.default_rng(1)
    known = [dirichlet_table(rng, n, concentration) for concentration in (0.1, 0.5, 3.0) * 4]
    fits = [prior_misfit(table, table_posterior(table).alpha) for table in known]
    assert np.median(fits) < 2.0
    table = count_pairs(*copied(n, rng, 12)[:2])
    assert prior_misfit(table, table_posterior(table).alpha) > 3 * np.median(fits) + 3


def test_octaves_of_counts_are_those_of_a_sum_over_all_counts() -> None:
    table, alpha = dirichlet_table(np.random.default_rng(2), 5000, 0.2), 60.0
    cells, k = math.prod(table.classes), np.arange(5001)
    a, b = alpha / cells, alpha - alpha / cells
    logs = gammaln(5001) - gammaln(k + 1) - gammaln(5001 - k)
    p = cells * np.exp(logs + betaln(k + a, 5000 - k + b) - betaln(a, b))
    octave = np.where(k > 0, 1 + np.ceil(np.log2(np.maximum(k, 1))), 0).astype(int)
    expected = np.bincount(octave, p)
    count = np.repeat(table.count.numpy(), table.times.numpy().astype(int)).astype(int)
    seen = np.bincount(octave[count], minlength=len(expected))
    seen[0] = cells - len(count)
    known = seen > 0
    sums = (seen[known] * np.log(seen[known] / expected[known])).sum()
    number = (known | (expected > 0.5)).sum()
    assert _counts_misfit(table, alpha) == pytest.approx(sums - number / 2, abs=0.05)


@pytest.mark.parametrize("n", [4, 1000, 1_000_000])
def test_ranges_hold_each_count_once(n: int) -> None:
    start, width, octave = _points(n)
    assert start[0] == 0 and float(width.sum()) == n + 1
    torch.testing.assert_close(start[1:], (start + width)[:-1])
    assert octave[:6].tolist() == [0, 1, 2, 3, 3, 4][: len(octave)]
    assert len(start) < 1000


def test_intervals_of_independent_labels_hold_0() -> None:
    rng = np.random.default_rng(3)
    for n, classes in ((60, 5), (500, 8), (300, 30)):
        table = count_pairs(rng.integers(0, classes, n), rng.integers(0, classes, n))
        assert table_quantiles(table, LEVELS)[1] <= 1e-6
