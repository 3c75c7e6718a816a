"""`estimate` and `MIEstimate`."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import torchmist

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(50, 3)), RNG.normal(size=(50, 2))


def test_arrays_lists_and_tensors_agree(small) -> None:
    expected = torchmist.estimate(X, Y, model=small).mean
    assert torchmist.estimate(X.tolist(), Y.tolist(), model=small).mean == expected
    assert torchmist.estimate(torch.tensor(X), torch.tensor(Y), model=small).mean == expected


def test_numbers_are_floats_and_never_negative(small) -> None:
    r = torchmist.estimate(X, Y, model=small)
    assert all(isinstance(v, float) and v >= 0 for v in (r.mean, r.median, *r.interval(0.9)))
    assert r.median == r.quantile(0.5)
    assert r.quantile(0.05) <= r.median <= r.quantile(0.95)
    assert r.interval(0.8) == (r.quantile(0.1), pytest.approx(r.quantile(0.9)))
    assert "nats, 90% interval" in repr(r)


def test_batches_give_arrays(small) -> None:
    x, y = RNG.normal(size=(4, 50, 3)), RNG.normal(size=(4, 50, 2))
    r = torchmist.estimate(x, y, model=small)
    assert r.mean.shape == (4,) and r.interval()[0].shape == (4,)
    one = torchmist.estimate(x[2], y[2], model=small)
    assert r.mean[2] == pytest.approx(one.mean, abs=1e-5)
    assert repr(r) == "MIEstimate(4 datasets, nats)"


def test_a_batch_of_one_stays_a_batch(small) -> None:
    assert torchmist.estimate(X[None], Y[None], model=small).mean.shape == (1,)


def test_large_batches_are_split_without_a_trace(small, monkeypatch) -> None:
    x, y = RNG.normal(size=(5, 50, 3)), RNG.normal(size=(5, 50, 2))
    whole = torchmist.estimate(x, y, model=small)
    monkeypatch.setattr("torchmist.inference.quantiles._ELEMENTS", 600)
    np.testing.assert_allclose(torchmist.estimate(x, y, model=small).mean, whole.mean, atol=1e-5)


def test_no_gradient_is_kept(small) -> None:
    x = torch.tensor(X, requires_grad=True)
    assert not torchmist.estimate(x, Y, model=small).quantiles.requires_grad


@pytest.mark.parametrize(
    "labels",
    [np.arange(50) % 3, (np.arange(50) % 2).astype(bool), (np.arange(50) % 3).astype(np.uint16)],
)
def test_integers_are_class_labels(small, labels) -> None:
    assert torchmist.estimate(X, labels, model=small).mean >= 0


def test_levels_are_checked(small) -> None:
    r = torchmist.estimate(X, Y, model=small)
    with pytest.raises(ValueError, match="expected level in .0, 1., got 90"):
        r.interval(90)
    with pytest.raises(TypeError, match="expected tau to be a float"):
        r.quantile("median")


def test_warnings_say_what_is_outside_the_training(small) -> None:
    small.provenance = {"trained_range": {"n": [10, 49], "d": [1, 5]}}
    with pytest.warns(UserWarning, match="50 samples: the weights were trained on 10 to 49"):
        r = torchmist.estimate(X, Y, model=small)
    assert len(r.warnings) == 1


def test_class_labels_bound_the_estimate_by_their_entropy() -> None:
    rng = np.random.default_rng(0)
    label = np.repeat([0, 1, 2], 40)
    x = 20 * label[:, None] + rng.normal(size=(120, 2))
    r = torchmist.estimate(x, label)
    assert r.quantile(0.95) <= np.log(3) + 1e-6
    batched = torchmist.estimate(np.stack([x, x]), np.stack([label, 0 * label])[..., None])
    assert batched.mean[1] == 0.0 and batched.mean[0] == pytest.approx(r.mean, abs=1e-4)


def test_near_copies_are_named_and_clear_pairs_are_not() -> None:
    rng = np.random.default_rng(0)
    x, e = rng.normal(size=(2, 500))
    near = torchmist.estimate(x, x + 1e-3 * e).warnings
    assert any("as closely as the ranks of 500 samples can tell" in note for note in near)
    assert not torchmist.estimate(x, x + 0.1 * e).warnings


@pytest.mark.parametrize("columns", [1, 3, 80])
def test_four_rows_are_enough(columns: int) -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(4, columns, generator=generator), torch.randn(4, 2, generator=generator)
    for other in (y, torch.tensor([0, 1, 0, 1])):
        assert math.isfinite(torchmist.estimate(x, other).mean)
