"""Scores of single columns of many rows: counts and neighbours against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from torchmist.scores import read_table, score_columns
from torchmist.scoring import many_rows
from torchmist.scoring.many_rows import (
    MANY,
    counted,
    counted_beside_labels,
    near_ones,
    random_ranks,
    refined,
)

pytest.importorskip("sklearn")
from torchmist.sklearn import mutual_info

ROWS = 20_000


def _correlated(r: float, n: int = ROWS, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    x, e = np.random.default_rng(seed).normal(size=(2, n))
    return x, r * x + np.sqrt(1 - r * r) * e


@pytest.mark.parametrize("r", [0.0, 0.2, 0.6, 0.9, 0.99])
def test_normal_pairs_have_their_closed_form(r: float) -> None:
    x, y = _correlated(r)
    found = mutual_info(x[:, None], y)[0]
    deviation = r / np.sqrt(ROWS)  # that of the mean of the local information
    assert abs(found + 0.5 * np.log1p(-r * r)) < 0.004 + 3 * deviation


def test_weak_pairs_are_counted_and_strong_ones_go_by_neighbours() -> None:
    weak, strong = ([random_ranks(v) for v in _correlated(r)] for r in (0.05, 0.95))
    assert many_rows._numbers(*weak) == counted(*weak)[0] != near_ones(*weak)
    assert many_rows._numbers(*strong) == near_ones(*strong) != counted(*strong)[0]


def test_entropies_of_counts_are_nearly_without_bias() -> None:
    rng = np.random.default_rng(0)
    found = [counted(*(rng.permutation(ROWS) for _ in range(2)))[0] for _ in range(20)]
    plug_in = 63**2 / (2 * ROWS)  # what counts alone would have too much: 0.1
    assert abs(np.mean(found)) < 0.01 * plug_in < plug_in


def test_neighbours_are_those_of_a_plain_loop() -> None:
    from scipy.special import digamma, ndtri

    x, y = (random_ranks(v) for v in _correlated(0.8, 200))
    a, b = (ndtri((v + 0.5) / 200) for v in (x, y))
    sums = []
    for i in range(200):
        dx, dy = np.abs(a - a[i]), np.abs(b - b[i])
        reach = np.sort(np.maximum(dx, dy))[3] * (1 - 1e-7)  # the grid of scores has equal gaps
        sums.append(digamma((dx < reach).sum()) + digamma((dy < reach).sum()))
    assert near_ones(x, y) == pytest.approx(digamma(3) + digamma(200) - np.mean(sums))


def test_labels_beside_numbers_have_the_information_of_their_bands() -> None:
    rng = np.random.default_rng(1)
    y = rng.uniform(size=ROWS)
    labels = np.where(rng.random(ROWS) < 0.25, rng.integers(0, 4, ROWS), (4 * y).astype(int))
    p = 0.75 + 0.25 / 4
    truth = np.log(4) + p * np.log(p) + (1 - p) * np.log((1 - p) / 3)
    for x, target in ((y, labels), (labels, y)):
        assert mutual_info(x[:, None], target)[0] == pytest.approx(truth, abs=0.015)
    exact = (4 * y).astype(int)
    assert counted_beside_labels(exact, random_ranks(y)) == pytest.approx(np.log(4), abs=2e-3)


def test_labels_are_counted_without_bias_and_many_classes_are_left_to_the_weights() -> None:
    rng = np.random.default_rng(3)
    draws = [rng.integers(0, 20, (2, ROWS)) for _ in range(20)]
    found = [mutual_info(x[:, None], y, discrete_features=True)[0] for x, y in draws]
    plug_in = 19**2 / (2 * ROWS)  # 0.009
    assert np.mean(found) < 0.1 * plug_in
    many = read_table(rng.integers(0, 60, ROWS), discrete=True)
    assert refined(many, many, np.array([0.123])) == [0.123]


def test_atoms_share_what_the_rest_shares() -> None:
    x, y = _correlated(0.8)
    hidden = np.where(np.random.default_rng(2).random(ROWS) < 0.4, 0.0, x)
    truth = -0.6 * 0.5 * np.log1p(-0.64)
    assert mutual_info(hidden[:, None], y)[0] == pytest.approx(truth, abs=0.02)


def test_increasing_maps_change_nothing() -> None:
    x, y = _correlated(0.7)
    table = np.stack([x, np.exp(x), x**3], -1)
    found = mutual_info(table, y)
    assert (found == found[0]).all() and found[0] == mutual_info(table, 5 * y - 2)[0]


def test_constant_columns_copies_and_other_weights_keep_their_answers() -> None:
    x, y = _correlated(0.7)
    table = np.stack([np.ones(ROWS), y, x], -1)
    weights = np.asarray(score_columns(read_table(table), read_table(y)).mean)
    found = mutual_info(table, y)
    assert found[0] == 0 and found[1] == weights[1] > 4 and found[2] != weights[2]
    assert (mutual_info(table, y, model="mist-pairs-v1") == weights).all()
    assert (refined(read_table(table[:MANY]), read_table(y[:MANY]), weights) == weights).all()


def test_processes_give_the_same_scores() -> None:
    x, y = _correlated(0.7)
    table = np.stack([x, x + y, np.sign(x)], -1)
    assert (mutual_info(table, y) == mutual_info(table, y, n_jobs=2)).all()
