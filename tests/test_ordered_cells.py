"""Labels whose order counts: grades, counts, numbers that were rounded."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import torchmist
from benchmarks.discrete import draw, table_information
from torchmist.discrete.contingency import count_pairs
from torchmist.discrete.dirichlet_moments import table_moments
from torchmist.discrete.ordered_cells import base_tables, fit_ordered_cells
from torchmist.discrete.table_posterior import table_quantiles

Law = NDArray[np.float64]


def graded(rho: float, rows: int, columns: int, fine: int = 2000) -> Law:
    """A Gaussian pair whose sides are cut at even places, by a fine grid."""
    axis = np.linspace(-5, 5, fine)
    square = axis[:, None] ** 2 - 2 * rho * np.outer(axis, axis) + axis**2
    cells = [np.digitize(axis, np.linspace(-2, 2, k - 1)) for k in (rows, columns)]
    law = np.zeros((rows, columns))
    np.add.at(law, (cells[0][:, None], cells[1]), np.exp(-square / (2 * (1 - rho**2))))
    return np.asarray(law / law.sum())


def counted(common: float, own: float, zeros: float = 0.0) -> Law:
    """Poisson counts with a common part, of which a share is 0 on both sides instead."""
    k = np.arange(40)
    logs = np.array([math.lgamma(v + 1) for v in k])
    part, rest = (np.exp(k * math.log(m) - m - logs) for m in (common, own))
    law = np.zeros((80, 80))
    for value, weight in enumerate(part):
        law[value : value + 40, value : value + 40] += weight * np.outer(rest, rest)
    law = (1 - zeros) * law / law.sum()
    law[0, 0] += zeros
    return np.asarray(law)


def estimated(law: Law, rows: int, seed: int) -> tuple[float, float, float]:
    x, y, _ = draw(law, rows, np.random.default_rng(seed))
    found = torchmist.estimate(x, y, discrete_x=True, discrete_y=True)
    low, high = found.interval()
    return float(found.mean), float(low), float(high)


@pytest.mark.parametrize("rho", [-0.9, 0.3, 0.95])
def test_cells_are_those_of_a_gaussian_pair(rho: float) -> None:
    law = torch.from_numpy(graded(rho, 6, 9))
    z = torch.tensor([rho], dtype=torch.float64).atanh()
    torch.testing.assert_close(base_tables(law.sum(1), law.sum(0), z)[0], law, atol=2e-3, rtol=0.02)


@pytest.mark.parametrize(
    ("law", "rows"),
    [
        (graded(0.6, 5, 5), 400),
        (graded(0.6, 60, 40), 300),
        (graded(0.95, 40, 40), 1000),
        (counted(1.5, 1.0), 256),
        (counted(3.0, 2.0, zeros=0.4), 300),
    ],
)
def test_what_follows_an_order_is_seen(law: Law, rows: int) -> None:
    truth, held, errors = table_information(law), 0, []
    for seed in range(5):
        mean, low, high = estimated(law, rows, seed)
        held += low <= truth <= high
        errors.append(abs(mean - truth))
    assert held >= 4 and np.mean(errors) < 0.03 + 0.1 * truth


def test_where_order_means_nothing_counts_say_so() -> None:
    rng = np.random.default_rng(0)
    for _ in range(4):
        table = count_pairs(*draw(rng.dirichlet(np.full(48, 0.5)).reshape(8, 6), 500, rng)[:2])
        levels = torch.tensor([0.05, 0.5, 0.95])
        one, other = (table_quantiles(table, levels, ordered) for ordered in (True, False))
        torch.testing.assert_close(one, other, atol=0.01, rtol=0.02)


def test_independent_counts_share_nothing() -> None:
    side = counted(1.5, 1.0).sum(0)
    for seed in range(3):
        mean, low, _ = estimated(np.outer(side, side), 500, seed)
        assert mean < 0.01 and low < 1e-3


def test_sides_and_directions_may_be_exchanged() -> None:
    x, y, _ = draw(graded(0.7, 9, 12), 400, np.random.default_rng(0))
    one = torchmist.estimate(x, y)
    for a, b in ((y, x), (-x, y), (x, 3 * y)):
        assert torchmist.estimate(a, b).mean == pytest.approx(one.mean, abs=1e-6)


def test_zeros_of_both_sides_are_a_share_of_their_own() -> None:
    x, y, _ = draw(counted(3.0, 2.0, zeros=0.4), 2000, np.random.default_rng(1))
    cells = fit_ordered_cells(count_pairs(x, y), 0.0)
    best = cells.models[int(cells.log_weight.argmax())]
    assert float(best[2].sigmoid()) > 0.9  # of the rows in which either side is 0
    assert float(best[0].tanh()) == pytest.approx(0.6, abs=0.1)  # of the others


def test_the_likelihood_is_that_of_a_dirichlet_law() -> None:
    x, y, _ = draw(graded(0.5, 3, 4), 50, np.random.default_rng(2))
    cells = fit_ordered_cells(count_pairs(x, y), 0.0)
    model = torch.tensor([[0.4, 2.0]], dtype=torch.float64)
    prior = math.exp(2.0) * base_tables(cells.seen.sum(1), cells.seen.sum(0), model[:, 0])[0]
    expected = (torch.lgamma(cells.seen + prior) - torch.lgamma(prior)).sum()
    expected = expected + math.lgamma(math.exp(2.0)) - math.lgamma(math.exp(2.0) + 50)
    torch.testing.assert_close(cells.log_likelihood(model)[0], expected)


def test_moments_are_those_of_draws() -> None:
    parameters = torch.tensor([[9.0, 2.0, 4.0], [1.0, 8.0, 6.0]], dtype=torch.float64)
    torch.manual_seed(0)
    tables = torch.distributions.Dirichlet(parameters.flatten()).sample((20_000,)).view(-1, 2, 3)
    alone = tables.sum(2, keepdim=True) * tables.sum(1, keepdim=True)
    drawn = torch.xlogy(tables, tables / alone).sum((1, 2))
    mean, variance = table_moments(parameters)
    assert mean == pytest.approx(float(drawn.mean()), abs=0.002)
    assert variance == pytest.approx(float(drawn.var()), rel=0.3)


@pytest.mark.parametrize("classes", [2, 200])
def test_none_of_two_classes_or_of_too_many_cells(classes: int) -> None:
    x, y = np.random.default_rng(0).integers(classes, size=(2, 3000))
    assert len(fit_ordered_cells(count_pairs(x, y), 0.0).models) == 0
