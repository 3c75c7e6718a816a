"""Labels of which one side is a function of the other, but for some rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import torchmist
from benchmarks.discrete import draw, table_information
from torchmist.discrete.code_prior import entropy_moments
from torchmist.discrete.contingency import count_pairs
from torchmist.discrete.noisy_codes import _log_odds, _terms, fit_noisy_codes

Law = NDArray[np.float64]


def falling(classes: int, power: float = 1.0) -> Law:
    shares = 1 / np.arange(1, classes + 1) ** power
    return np.asarray(shares / shares.sum())


def copied(classes: int, share: float) -> Law:
    """A copy in a share of the rows, of shares like Zipf's; the rest are independent."""
    q = falling(classes)
    return share * np.diag(q) + (1 - share) * np.outer(q, q)


def grouped(classes: int, groups: int, share: float) -> Law:
    """Classes and the group of each, which is another one at times."""
    q, group = falling(classes, 0.5), np.arange(classes) % groups
    law = (1 - share) * np.outer(q, np.bincount(group, q))
    law[np.arange(classes), group] += share * q
    return np.asarray(law)


@pytest.mark.parametrize(
    ("law", "rows"),
    [
        (copied(100, 0.6), 3000),
        (copied(300, 0.6), 3000),
        (copied(100, 0.3), 1000),
        (grouped(200, 10, 0.7), 2000),
        (grouped(60, 10, 0.5), 400),
    ],
)
def test_what_copies_and_groups_share_is_seen(law: Law, rows: int) -> None:
    truth, held, errors = table_information(law), 0, []
    for seed in range(4):
        x, y, _ = draw(law, rows, np.random.default_rng(seed))
        found = torchmist.estimate(x, y, discrete_x=True, discrete_y=True)
        low, high = found.interval()
        held += low <= truth <= high
        errors.append(abs(found.mean - truth))
    assert held >= 3 and np.mean(errors) < 0.12


def test_both_sides_and_any_names_say_the_same() -> None:
    x, y, _ = draw(grouped(60, 10, 0.5), 500, np.random.default_rng(0))
    one = torchmist.estimate(x, y, discrete_x=True, discrete_y=True)
    other = torchmist.estimate(y, 7 * (60 - x), discrete_x=True, discrete_y=True)
    assert one.mean == pytest.approx(other.mean, abs=1e-6)


def test_independent_labels_share_nothing() -> None:
    q = falling(100)
    for seed in range(3):
        x, y, _ = draw(np.outer(q, q), 1000, np.random.default_rng(seed))
        found = torchmist.estimate(x, y, discrete_x=True, discrete_y=True)
        assert found.mean < 0.05 and found.interval()[0] < 0.01


def test_the_evidence_of_a_class_is_a_probability() -> None:
    """Over all counts of a class, likelihood times odds sums to 1."""
    n, share = 7, torch.tensor(0.3, dtype=torch.float64)
    count = torch.arange(n + 1, dtype=torch.float64)
    ways = torch.tensor([math.comb(n, k) for k in range(n + 1)], dtype=torch.float64)
    for model in torch.tensor([[0.0, 1.0], [2.0, 4.0], [-3.0, 0.5]], dtype=torch.float64):
        odds = _terms(count, torch.full_like(count, n), share, model)[0]
        chance = ways * share**count * (1 - share) ** (n - count)
        assert float((chance * odds.exp()).sum()) == pytest.approx(1.0, abs=1e-9)


def test_models_have_moments_within_the_entropy() -> None:
    x, y, _ = draw(copied(40, 0.5), 600, np.random.default_rng(1))
    table = count_pairs(x, y)
    codes = fit_noisy_codes(table, (0.0, 0.0))
    best = int(codes.log_weight.argmax())
    mean, variance = codes.moments([best])[0].tolist()
    entropy, _ = entropy_moments(table.rows)
    assert 0 < mean < entropy and 0 < variance < 0.1


def test_odds_of_a_table_are_those_of_all_partners_of_each_class() -> None:
    x, y, _ = draw(grouped(9, 4, 0.5), 60, np.random.default_rng(1))
    table = count_pairs(x, y)
    counts = torch.zeros(table.classes, dtype=torch.float64)
    places = [torch.from_numpy(np.unique(v, return_inverse=True)[1]) for v in (x, y)]
    counts.index_put_(tuple(places), torch.ones(60, dtype=torch.float64), accumulate=True)
    model = torch.tensor([0.3, 1.5], dtype=torch.float64)
    odds = _terms(counts, counts.sum(1, keepdim=True), counts.sum(0) / 60, model)[0]
    found = _log_odds(fit_noisy_codes(table, (0.0, 0.0)).cells[0], model[None])
    torch.testing.assert_close(found[0], odds.exp().mean(1).log().sum())


def test_a_table_without_a_mistake_is_left_to_codes() -> None:
    x = np.random.default_rng(2).integers(9, size=200)
    assert fit_noisy_codes(count_pairs(x, x // 2), (0.0, 0.0)).cells == ()


def test_the_share_of_rows_that_are_copied_is_told() -> None:
    x, y, _ = draw(copied(200, 0.6), 3000, np.random.default_rng(3))
    codes = fit_noisy_codes(count_pairs(x, y), (0.0, 0.0))
    best = codes.models[int(codes.log_weight.argmax())]
    assert float(best[0].sigmoid()) == pytest.approx(0.6, abs=0.03)


@pytest.mark.parametrize("classes", [(32, 29), (70, 400)])
def test_independent_labels_of_which_most_pairs_occur_share_nothing(classes) -> None:
    law = np.outer(falling(classes[0]), falling(classes[1]))
    for seed in range(4):
        x, y, _ = draw(law, 4500, np.random.default_rng(seed))
        found = torchmist.estimate(x, y, discrete_x=True, discrete_y=True)
        assert found.mean < 0.02 and found.interval()[0] <= 1e-6
