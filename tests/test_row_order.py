"""Rows whose labels stand in another order on the other side are named, and nothing else is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import torchmist
from torchmist.diagnostics.row_order import order_notes
from torchmist.sklearn import MutualInfoSelector, mutual_info

RNG = np.random.default_rng(0)
N = 60
X = pd.DataFrame(RNG.normal(size=(N, 2)), columns=["a", "b"])
Y = pd.Series(RNG.normal(size=N))
SHUFFLED = Y.sample(frac=1, random_state=0)
DAYS = pd.date_range("2020-01-01", periods=N)
NAMED = X.set_axis([f"row {k}" for k in range(N)])


@pytest.fixture(autouse=True)
def fresh(monkeypatch) -> None:
    """No warning has been given yet."""
    monkeypatch.setattr("torchmist.checks._warned", set())


def test_an_estimate_says_how_to_align_once(small) -> None:
    with pytest.warns(UserWarning, match=r"y holds the row labels of x .* y = y.loc\[x.index\]"):
        r = torchmist.estimate(X, SHUFFLED, model=small)
    assert sum("row labels" in note for note in r.warnings) == 1
    aligned = torchmist.estimate(X, SHUFFLED.loc[X.index], model=small)
    assert not any("row labels" in note for note in aligned.warnings)
    plain = torchmist.estimate(X.to_numpy(), SHUFFLED.to_numpy(), model=small)
    np.testing.assert_array_equal(r.quantiles, plain.quantiles)  # paired by place, as before


def test_counted_sides_say_it_too() -> None:
    with pytest.warns(UserWarning, match="rows are paired by their places"):
        r = torchmist.estimate(Y > 0, SHUFFLED > 0)
    assert any("row labels" in note for note in r.warnings)


@pytest.mark.parametrize(
    "y",
    [
        Y,
        Y.set_axis(np.arange(N) + 1),
        Y.set_axis([f"row {k}" for k in range(N)]),
        Y[:-1],
        SHUFFLED.to_numpy(),
        SHUFFLED.to_list(),
        SHUFFLED.reset_index(drop=True),
    ],
    ids=["equal", "moved", "unrelated", "shorter", "array", "list", "reset"],
)
def test_equal_and_unrelated_labels_say_nothing(y) -> None:
    assert order_notes(x=X, y=y) == ()


@pytest.mark.parametrize(
    "labels",
    [
        np.arange(N) + 5,
        [f"row {k}" for k in range(N)],
        DAYS,
        pd.MultiIndex.from_product([range(6), range(10)]),
    ],
    ids=["numbers", "names", "dates", "pairs"],
)
def test_columns_whose_missing_values_were_dropped_one_by_one_are_named(labels) -> None:
    x, y = X["a"].set_axis(labels), Y.set_axis(labels)
    x, y = (side.drop(side.index[k]) for side, k in ((x, 5), (y, 50)))
    (note,) = order_notes(x=x, y=y)
    assert f"y holds {N - 2} of the {N - 1} row labels of x, some of them in other places" in note
    assert "rows = x.index.intersection(y.index), x.loc[rows] and y.loc[rows]" in note
    assert "given[1] holds 58 of the 59 row labels of given[0]" in order_notes(given=[y, x])[0]


def test_half_of_the_labels_in_other_places_are_named_and_fewer_are_not() -> None:
    y = Y.sample(frac=1, random_state=0)
    for shared, said in ((N // 2, 1), (N // 2 - 1, 0)):
        labels = np.arange(N) + N - shared
        assert len(order_notes(x=Y.set_axis([*range(N)]), y=y.set_axis(labels[::-1]))) == said


@pytest.mark.parametrize(
    "x, y",
    [
        (Y[1:], Y[:-1]),
        (Y.set_axis(DAYS)[3:], Y.set_axis(DAYS)[:-3]),
        (Y.drop(5), Y.drop(6)),
        (Y[:-20], SHUFFLED[:40]),
        (SHUFFLED[:30], SHUFFLED[30:]),
        (Y.set_axis(np.arange(N) // 2 + 1), SHUFFLED.set_axis(np.arange(N) // 3 + 1)),
        (NAMED, Y.set_axis(DAYS)),
        (Y.set_axis(DAYS), Y.set_axis(DAYS.to_period("D"))),
        (Y, Y.set_axis(pd.MultiIndex.from_product([range(6), range(10)]))),
    ],
    ids=["lagged", "dates", "in place", "numbered anew", "other rows", "twice", "kinds", "periods",
         "pairs"],
)  # fmt: skip
def test_labels_that_share_a_part_by_intent_or_nothing_say_nothing(x, y) -> None:
    assert order_notes(x=x, y=y) == ()


def test_an_estimate_of_rows_that_share_most_labels_warns(small) -> None:
    with pytest.warns(UserWarning, match="y holds 58 of the 59 row labels of x"):
        r = torchmist.estimate(X.drop(5), Y.drop(50), model=small)
    assert sum("row labels" in note for note in r.warnings) == 1


def test_columns_of_a_dict_and_several_conditions_are_compared() -> None:
    assert "x['b'] holds the row labels of x['a']" in order_notes(x={"a": Y, "b": SHUFFLED})[0]
    assert "given[1] holds the row labels of x" in order_notes(x=X, given=[Y, SHUFFLED])[0]
    assert order_notes(x=NAMED, y=NAMED[::-1]) and not order_notes(x=X, given=[Y, [1.0] * N])


@pytest.mark.parametrize(
    "call",
    [
        lambda: torchmist.estimate_conditional(X["a"], SHUFFLED, Y > 0, model="mist-fast"),
        lambda: torchmist.independence_test(X, SHUFFLED, model=None, permutations=19),
        lambda: torchmist.conditional_independence_test(
            X, SHUFFLED, Y > 0, model=None, permutations=19
        ),
        lambda: torchmist.lagged(X["a"], SHUFFLED, lags=1, permutations=0),
        lambda: torchmist.transfer_entropy(X["a"], SHUFFLED, permutations=0, model="mist-fast"),
        lambda: mutual_info(X, SHUFFLED),
        lambda: MutualInfoSelector(1).fit(X, SHUFFLED),
    ],
    ids=["conditional", "independence", "given", "lagged", "transfer", "mutual_info", "selector"],
)
def test_every_front_door_that_takes_two_objects_says_it(call) -> None:
    with pytest.warns(UserWarning, match=r"y holds the row labels of [xX] in another order"):
        call()
