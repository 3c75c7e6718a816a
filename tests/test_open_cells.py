"""Tables of which most cells are empty: what copies, codes and channels share, and by which law."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import torchmist
from benchmarks.discrete import copied, draw, table_information
from torchmist.discrete.code_prior import fit_codes
from torchmist.discrete.contingency import count_pairs
from torchmist.discrete.open_cells import fit_openings
from torchmist.discrete.table_posterior import table_posterior, table_quantiles


def channel(classes: int, cells: int = 2) -> np.ndarray:
    """Each class goes with a few equally likely ones."""
    p = np.zeros((classes, classes))
    for k in range(cells):
        p[np.arange(classes), (np.arange(classes) + 2 * k) % classes] = 1 / classes / cells
    return p


def mistaken(classes: int, accuracy: float) -> np.ndarray:
    """Classes and what is said of them, all mistakes alike."""
    p = np.full((classes, classes), (1 - accuracy) / (classes - 1) / classes)
    np.fill_diagonal(p, accuracy / classes)
    return p


def blocks(classes: int, size: int) -> np.ndarray:
    """Classes of a block go with each other alike."""
    p = np.kron(np.eye(classes // size), np.ones((size, size)))
    return p / p.sum()


TABLES = {
    "channel 5": (channel(5), 200), "channel 20": (channel(20), 1000),
    "channel 30 of 4": (channel(30, 4), 2000), "copy 5": (np.eye(5) / 5, 90),
    "copy 26": (np.eye(26) / 26, 500), "copy 100": (np.eye(100) / 100, 1900),
    "mistakes 10": (mistaken(10, 0.99), 300), "mistakes 40": (mistaken(40, 0.99), 1000),
    "blocks 24": (blocks(24, 4), 1500),
    "function": (np.kron(np.eye(8), np.ones((6, 1))) / 48, 400),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_tables_of_empty_cells_are_not_read_low(name: str) -> None:
    p, n = TABLES[name]
    truth, errors, covered = table_information(p), [], []
    for seed in range(6):
        x, y, _ = draw(p, n, np.random.default_rng([17, seed]))
        q = table_quantiles(count_pairs(x, y), torch.linspace(0.01, 0.99, 99, dtype=torch.float64))
        errors.append(float(q.mean()) - truth)
        covered.append(float(q[4]) - 1e-9 <= truth <= float(q[94]) + 1e-9)
    assert abs(np.mean(errors)) < (0.025 if "mistakes" in name else 0.01)
    assert sum(covered) >= 4


def test_the_estimate_of_a_copy_under_other_names_holds_its_entropy() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(26, size=500)
    r = torchmist.estimate(x, rng.permutation(26)[x])
    low, high = r.interval(0.9)
    assert low - 1e-6 <= math.log(26) <= high + 1e-6 and abs(r.mean - math.log(26)) < 0.02


def test_copies_of_classes_of_which_many_were_not_seen_reach_above_those_seen() -> None:
    x = np.random.default_rng(1).integers(200, size=150)
    q = table_quantiles(count_pairs(x, x), torch.tensor([0.05, 0.95], dtype=torch.float64))
    assert len(np.unique(x)) < 120 and q[1] > math.log(200) > q[0]


def test_moments_of_open_cells_are_those_of_a_dirichlet_law_on_them() -> None:
    rng = np.random.default_rng(2)
    p = channel(6) * rng.dirichlet(np.ones(6))[:, None] * 6
    x, y, _ = draw(p, 300, rng)
    table = count_pairs(x, y)
    openings = fit_openings(table, 0.0)
    closed = openings.models[:, 1].isinf() & (openings.models[:, 3].exp() < 3)
    best = int(torch.where(closed, openings.log_weight, -math.inf).argmax())
    mean, variance = openings.moments([best])[0].tolist()
    counts = np.zeros((6, 6))
    np.add.at(counts, (x, y), 1)
    shape = float(openings.models[best, 3].exp())
    drawn = np.array([table_information(some / some.sum()) for some in rng.standard_gamma(
        np.where(counts > 0, counts + shape, 0), (4000, 6, 6))])  # fmt: skip
    assert mean == pytest.approx(drawn.mean(), abs=0.005)
    assert math.sqrt(variance / 2) == pytest.approx(drawn.std(), rel=0.15)  # twice as wide


def test_moments_of_codes_are_those_of_the_entropy_of_a_dirichlet_law() -> None:
    rng = np.random.default_rng(3)
    x = rng.choice(7, 200, p=rng.dirichlet(np.ones(7)))
    codes, count = fit_codes(count_pairs(x, x)), np.unique(x, return_counts=True)[1]
    for k in (1, 3):
        shape = np.full(int(codes.classes[k]), float(codes.concentration[k]))
        shape[: len(count)] += count
        p = rng.dirichlet(shape, 8000)
        drawn = -(p * np.log(np.maximum(p, 1e-300))).sum(1)
        mean, variance = codes.moments([k])[0].tolist()
        assert mean == pytest.approx(drawn.mean(), abs=0.005)
        assert math.sqrt(variance) == pytest.approx(drawn.std(), rel=0.15)


def test_labels_that_occur_once_on_either_side_are_no_code() -> None:
    n = 60
    posterior = table_posterior(count_pairs(np.arange(n), np.arange(n)))
    assert posterior.patterned < 0.5
    assert len(fit_codes(count_pairs(np.arange(n) % 3, np.arange(n) % 2)).classes) == 0


def test_tables_of_independent_and_of_half_copied_labels_are_read_as_they_were() -> None:
    rng = np.random.default_rng(4)
    levels = torch.tensor([0.05, 0.5, 0.95], dtype=torch.float64)
    x, y, truth = copied(100_000, rng, 50, 0.3)
    q = table_quantiles(count_pairs(x, y), levels)
    assert q[0] < truth < q[2] and q[2] - q[0] < 0.03
    q = table_quantiles(count_pairs(x[:400], rng.integers(50, size=400)), levels)
    assert q[0] <= 1e-6 and q[1] < 0.08
