"""What the data themselves warn of: one sentence each, and silence on ordinary data."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

import torchmist
from torchmist.models.mist import MIST

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(200, 3)), RNG.normal(size=(200, 2))
CODES = RNG.integers(5, size=200).astype(float)
ZERO_INFLATED = np.where(RNG.random(200) < 0.7, 0.0, RNG.normal(size=200))
REPEATED = RNG.integers(200, size=200)


@pytest.mark.parametrize(
    ("x", "y", "match"),
    [
        (np.c_[X, np.ones(200)], Y, "1 of 4 columns of x constant"),
        (X, CODES, "y holds 5 whole numbers as floats.*pass them as integers"),
        (X, np.c_[ZERO_INFLATED, Y], "1 of 3 columns of y heavily tied.*torchmist.audit"),
        (X[REPEATED], Y[REPEATED], "% of the samples are exact copies of others"),
    ],
    ids=["constant", "codes", "ties", "copies"],
)
def test_what_is_said_once(small: MIST, x: np.ndarray, y: np.ndarray, match: str) -> None:
    torchmist.checks._warned.clear()
    with pytest.warns(UserWarning, match=match):
        r = torchmist.estimate(x, y, model=small)
    assert len(r.warnings) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torchmist.estimate(x, y, model=small).warnings == r.warnings


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (X, Y),
        (np.random.default_rng(1).standard_cauchy((200, 3)), Y),  # ranks make tails harmless
        (X, CODES.astype(int)),
        (X, (CODES > 2).astype(float)),  # two values are the same as labels
        (X[:, 0].round(2), CODES.astype(int)),
        (np.c_[X, CODES], Y),
    ],
    ids=["normal", "Cauchy", "labels", "binary", "rounded", "a column of bins"],
)
def test_ordinary_data_are_silent(small: MIST, x: np.ndarray, y: np.ndarray) -> None:
    assert torchmist.estimate(x, y, model=small).warnings == ()


def test_ties_are_no_matter_to_weights_that_have_seen_them() -> None:
    y = np.c_[ZERO_INFLATED, Y]
    assert torchmist.estimate(X, y).warnings == ()
    assert any("tied" in note for note in torchmist.estimate(X, y, model="mist-v1").warnings)


def test_tails_leave_the_estimate_alone(small: MIST) -> None:
    heavy = np.sinh(5 * X)
    expected = torchmist.estimate(X, Y, model=small).mean
    assert torchmist.estimate(heavy, Y, model=small).mean == pytest.approx(expected, abs=1e-6)


def test_batches_are_looked_at_as_a_whole(small: MIST) -> None:
    x = torch.randn(3, 50, 2, generator=torch.Generator().manual_seed(0))
    x[1, :, 0] = 4.0
    with pytest.warns(UserWarning, match="1 of 2 columns of x constant"):
        torchmist.estimate(x, x[:, :, :1] + 1, model=small)


SHARED = RNG.random(2000) < 0.7
FREE = RNG.normal(size=(2000, 2))


def test_shared_zeros_are_no_copies(small: MIST) -> None:
    x, y = np.where(SHARED, 0.0, FREE[:, 0]), np.where(SHARED, 0.0, FREE.sum(1))
    assert not any("copies" in note for note in torchmist.estimate(x, y, model=small).warnings)


def _copies(x: np.ndarray, y: np.ndarray, small: MIST) -> list[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        notes = torchmist.estimate(x, y, model=small).warnings
    return [note.split("% of")[0].strip() for note in notes if "exact copies" in note]


PAIR = FREE[:300] @ np.array([[1.0, 0.6], [0.0, 0.8]])
TWICE_OR_THRICE = np.repeat(np.arange(300), np.arange(300) % 2 + 2)


@pytest.mark.parametrize(
    ("rows", "share"),
    [
        (np.tile(PAIR, (2, 1)), "50"),
        (np.tile(PAIR, (3, 1)), "67"),
        (PAIR[TWICE_OR_THRICE], "60"),
        (np.tile(PAIR.round(2), (2, 1)), "50"),
        (np.tile(PAIR[REPEATED], (2, 1)), None),
    ],
    ids=["twice", "three times", "twice or three times", "rounded, twice", "bootstrap, twice"],
)
def test_tables_put_behind_themselves_are_copies(small: MIST, rows, share) -> None:
    found = _copies(rows[:, 0], rows[:, 1], small)
    assert found == [share] if share else len(found) == 1 and 60 < int(found[0]) < 75


@pytest.mark.parametrize(
    "rows",
    [
        (10 * PAIR).round(),
        PAIR.round(1),
        np.random.default_rng(2).integers(1, 6, (300, 2)).astype(float),
        np.c_[(20 * PAIR[:, 0]).round(), np.exp((20 * PAIR[:, 0]).round() / 20)],
        np.where(SHARED[:300, None], 0.0, PAIR),
    ],
    ids=["whole degrees", "one decimal", "grades", "a function of whole numbers", "zeros"],
)
def test_rounded_values_and_shared_zeros_are_no_copies(small: MIST, rows) -> None:
    assert not _copies(rows[:, 0], rows[:, 1], small)


def test_rows_of_a_series_are_named_unless_they_are_sorted(small: MIST) -> None:
    walk = np.zeros((2000, 2))
    for i in range(1, 2000):
        walk[i] = 0.9 * walk[i - 1] + FREE[i]
    with pytest.warns(UserWarning, match="consecutive rows resemble.*here about 2"):
        torchmist.estimate(walk[:, 0], walk[:, 1], model=small)
    ordered = walk[walk[:, 0].argsort()]
    r = torchmist.estimate(ordered[:, 0], ordered[:, 0] + ordered[:, 1], model=small)
    assert not any("consecutive" in note for note in r.warnings)


def test_repeated_and_shared_columns_are_named(small: MIST) -> None:
    repeated = torchmist.estimate(np.c_[X, X[:, :1]], Y, model=small).warnings
    assert any("1 column of x is the same as another of its columns" in note for note in repeated)
    shared = torchmist.estimate(X, np.c_[Y, X[:, 1:2]], model=small).warnings
    assert any("1 column of y is a column of x as well" in note for note in shared)


@pytest.mark.parametrize(
    ("bring", "where"),
    [
        (np.asarray, "y"),
        (torch.as_tensor, "y"),
        (lambda y: {"a": y, "b": Y[:, 0]}, "column a of y"),
        (lambda y: y.astype(object), "y"),
    ],
)
def test_labels_that_losses_ignore_are_named(small: MIST, bring, where: str) -> None:
    torchmist.checks._warned.clear()
    labels = np.where(RNG.random(200) < 0.2, -100, RNG.integers(4, size=200))
    note = f"{where} holds the label -100, here a class like others"
    with pytest.warns(UserWarning, match=note):
        r = torchmist.estimate(X, bring(labels), model=small)
    assert any(text.startswith(note) for text in r.warnings)
    beside = torchmist.estimate(RNG.integers(3, size=200), bring(labels), model=small)
    assert any(text.startswith(note) for text in beside.warnings)


def test_minus_100_among_other_numbers_below_0_is_no_label_to_ignore(small: MIST) -> None:
    values = np.array([-100, -50, 0, 50])[RNG.integers(4, size=200)]
    marked = {"discrete_y": True}
    for y, options in ((values, marked), (values, {}), (values.astype(float), marked)):
        found = torchmist.estimate(X, y, model=small, **options)
        assert not any("-100" in note for note in found.warnings)


def test_marked_columns_of_frames_name_labels_that_losses_ignore(small: MIST) -> None:
    labels = np.where(RNG.random(200) < 0.2, -100, RNG.integers(4, size=200))
    found = torchmist.estimate(X, {"a": labels}, model=small, discrete_y=True)
    assert any("column a of y holds the label -100" in note for note in found.warnings)
