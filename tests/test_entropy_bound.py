"""Sides that repeat few values bound what is shared, whatever their type."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import torchmist
from torchmist.inference.entropy_bound import entropy_limit
from torchmist.quantile_head import quantile_levels
from torchmist.samples.column_kinds import sort_pair
from torchmist.samples.columns import read_side
from torchmist.samples.label_entropy import entropy_estimate, entropy_quantiles

RNG = np.random.default_rng(1)
AGE = RNG.integers(18, 90, 4000).astype(float)
NOISE = RNG.normal(size=4000)


def limit(x: object, y: object) -> float | None:
    pair = sort_pair(read_side(x, "x", "auto"), read_side(y, "y", "auto"))
    found = entropy_limit(pair, quantile_levels())
    return None if found is None else float(found.median())


def test_whole_numbers_as_floats_share_at_most_their_entropy() -> None:
    """A year of birth is an age, and what else stands beside it is nothing to it: log 72."""
    found = torchmist.estimate(np.c_[AGE, NOISE], 2024 - AGE)
    low, high = found.interval(0.9)
    assert low <= math.log(72) + 0.02 and abs(found.mean - math.log(72)) < 0.05
    assert high < math.log(72) + 0.05 and high > low


def test_a_scale_of_few_values_leaves_nothing_open() -> None:
    degrees = np.round(15 + 8 * NOISE)
    found = torchmist.estimate(degrees, 1.8 * degrees + 32)
    entropy = float(entropy_estimate(_codes(degrees))[0])
    assert abs(found.mean - entropy) < 0.1 and math.isfinite(found.interval(0.9)[1])
    assert not [note for note in found.warnings if "cannot tell" in note]


def test_the_smaller_entropy_counts_and_many_values_have_none() -> None:
    bits = (AGE > 50).astype(float)
    assert limit(np.c_[bits, AGE], AGE) == pytest.approx(limit(AGE, NOISE), abs=1e-6)
    assert limit(AGE, bits) == pytest.approx(math.log(2), abs=0.01)
    assert limit(NOISE, np.c_[AGE, NOISE]) is None
    assert limit(AGE[:1000], NOISE[:1000]) is None  # 72 values in 1,000 rows


def test_each_dataset_of_a_batch_has_its_own() -> None:
    """Two scales of 60 values are not one of 120, and numbers beside them have no limit."""
    rng = np.random.default_rng(2)
    steps, more = rng.integers(0, 60, (2, 2000, 1)).astype(float)
    fine = rng.normal(size=(2000, 1))
    x = np.stack([steps, 0.1 * more + 7, fine])
    y = np.stack([2 * steps + 1, more, fine + rng.normal(size=(2000, 1))])
    found = torchmist.estimate(x, y)
    alone = torchmist.estimate(steps, 2 * steps + 1)
    assert found.mean[0] == pytest.approx(alone.mean, abs=1e-3)
    assert (np.abs(found.mean[:2] - math.log(60)) < 0.05).all() and found.mean[2] < 1.0
    assert np.isfinite(found.interval(0.9)[1]).all()


def test_pairs_of_columns_have_it_as_well() -> None:
    steps = np.round(3 * NOISE)
    table = np.c_[steps, 2 * steps + 1, NOISE]
    entropy = float(entropy_estimate(_codes(steps))[0])
    found = torchmist.pairwise(table)
    assert found.estimate[0, 1] == pytest.approx(entropy, abs=0.05)
    assert found.high[0, 2] < entropy + 0.05


def test_labels_that_numbers_decide_are_within_the_interval() -> None:
    classes = np.digitize(NOISE, np.quantile(NOISE, [0.1, 0.3, 0.6]))
    found = torchmist.estimate(np.c_[NOISE, AGE], classes)
    truth = -sum(p * math.log(p) for p in (0.1, 0.2, 0.3, 0.4))
    assert found.interval(0.9)[1] >= truth - 1e-6


def test_quantiles_of_an_entropy_hold_it() -> None:
    rng, share = np.random.default_rng(0), np.array([0.5, 0.3, 0.15, 0.05])
    truth, held = -float((share * np.log(share)).sum()), 0
    for _ in range(400):
        codes = _codes(rng.choice(4, size=300, p=share).astype(float))
        low, high = entropy_quantiles(codes, quantile_levels())[0, [1, -2]]
        held += int(low <= truth <= high)
    assert 0.82 < held / 400 < 0.93  # between levels of 6 and 94 %


def _codes(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.unique(values, return_inverse=True)[1])[None]
