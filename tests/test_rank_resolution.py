"""Where the ranks of a sample cannot tell how much more the sides share."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import torchmist
from torchmist.diagnostics.rank_resolution import nearly_copies, resolution, thin_notes

RNG = np.random.default_rng(0)
X, E = RNG.normal(size=(2, 500))


@pytest.mark.parametrize(
    "y", [X, -X, np.exp(X), X + 1e-4 * E], ids=["same", "minus", "exp", "near"]
)
def test_copies_open_the_upper_end_and_say_so(y) -> None:
    r = torchmist.estimate(X, y)
    low, high = r.interval(0.9)
    assert high == math.inf and r.interval(0.5)[1] == math.inf
    assert math.isfinite(r.mean) and math.isfinite(r.median) and low < r.median
    assert any("cannot tell how much more than 4.7 nats" in note for note in r.warnings)
    assert "to inf" in repr(r)


def test_a_near_copy_beside_other_columns_is_found() -> None:
    noise = RNG.normal(size=(500, 3))
    x, y = np.column_stack([X, noise]), np.column_stack([E, X + 1e-4 * E])
    assert torchmist.estimate(x, y).interval()[1] == math.inf
    assert math.isfinite(torchmist.estimate(x[:, 1:], y).interval()[1])


def test_what_a_sample_resolves_stays_closed() -> None:
    """Noise, ties with an entropy of their own, labels, and chance among many short columns."""
    generator = torch.Generator().manual_seed(0)
    assert math.isfinite(torchmist.estimate(X, X + 0.1 * E).interval()[1])
    rounded = torch.tensor(X).round(decimals=1)[None, :, None]
    assert not nearly_copies(rounded, rounded).any()
    labels = np.arange(500) % 2
    assert torchmist.estimate(labels + 0.01 * X, labels).interval()[1] <= math.log(2) + 1e-6
    wide = torch.randn(5, 30, 64, generator=generator), torch.randn(5, 30, 64, generator=generator)
    assert not nearly_copies(*wide).any()


def test_datasets_of_a_batch_are_judged_apart() -> None:
    r = torchmist.estimate(np.stack([X, X])[..., None], np.stack([X, E])[..., None])
    assert np.isinf(r.interval()[1]).tolist() == [True, False]


def test_above_the_most_of_the_training_is_open(small) -> None:
    small.provenance = {"trained_range": {"mi": [0, 0.001]}}
    with torch.no_grad():
        small.head.project.bias[0] += 3.0
    r = torchmist.estimate(X[:50], E[:50], model=small)
    assert r.interval()[1] == math.inf
    assert any("trained on at most 0.001 nats" in note for note in r.warnings)


def test_resolution_is_the_logarithm_of_the_samples_less_a_margin() -> None:
    assert resolution(1000) == pytest.approx(math.log(1000) - 1.5)


def test_many_columns_in_few_rows_are_named() -> None:
    """What many columns share thinly is not to be seen in few rows, and the estimate says so; from
    four rows a column on, and of few columns, there is nothing to say."""
    x = torch.randn(300, 100, generator=torch.Generator().manual_seed(0))
    y = x[:, :1] + torch.randn(300, 1, generator=torch.Generator().manual_seed(1))
    with pytest.warns(UserWarning, match="x: 100 columns in 300 rows: dependence that is spread"):
        assert any("4 rows a column" in note for note in torchmist.estimate(x, y).warnings)
    assert not torchmist.estimate(x[:, :60], y).warnings
    assert not thin_notes(torch.zeros(1, 400, 100), torch.zeros(1, 400, 1))
