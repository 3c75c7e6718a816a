"""Columns as people bring them: what becomes labels or numbers, and what is refused, with why."""

from __future__ import annotations

import datetime
import decimal
import math
import sys

import numpy as np
import pandas as pd
import pytest
import torch

import torchmist
from torchmist.checks import check_side
from torchmist.samples.column_kinds import (
    SortedPair,
    bearable,
    countable,
    sort_kinds,
    sort_pair,
)
from torchmist.samples.columns import read_side
from torchmist.samples.one_hot import network_columns
from torchmist.samples.ordinal import order_matters

RNG = np.random.default_rng(0)
N = 200
X = RNG.normal(size=(N, 2))
CODE = RNG.integers(0, 4, N)
NAMES = np.array(["red", "green", "blue", "grey"])[CODE]
GRADES = np.random.default_rng(8).integers(0, 5, (N, 6))


def frame() -> pd.DataFrame:
    return pd.DataFrame({
        "a": X[:, 0], "b": X[:, 1], "code": CODE, "text": NAMES,
        "cat": pd.Categorical(NAMES), "flag": CODE > 1,
        "whole": pd.array(CODE, dtype="Int64"), "real": pd.array(X[:, 0], dtype="Float64"),
        "truth": pd.array(CODE > 1, dtype="boolean"),
    })  # fmt: skip


def quantiles(x, y, **options) -> torch.Tensor:
    return torchmist.estimate(x, y, **options).quantiles


@pytest.mark.parametrize("name", ["code", "cat", "whole"])
def test_columns_of_a_frame_are_labels_by_dtype(small, name: str) -> None:
    expected = quantiles(X, CODE, model=small)
    for y in (frame()[[name]], frame()[name]):
        torch.testing.assert_close(quantiles(X, y, model=small), expected)
    torch.testing.assert_close(quantiles(frame()[["cat"]], CODE), quantiles(CODE, CODE))


@pytest.mark.parametrize("name", ["flag", "truth"])
def test_bool_columns_are_labels(small, name: str) -> None:
    expected = quantiles(X, CODE > 1, model=small)
    torch.testing.assert_close(quantiles(X, frame()[name], model=small), expected)


def test_frames_of_numbers_are_their_matrix(small) -> None:
    expected = quantiles(X, X[:, :1], model=small)
    for x in (frame()[["a", "b"]], {"a": X[:, 0], "b": X[:, 1]}, frame()[["real", "b"]]):
        torch.testing.assert_close(quantiles(x, frame()["a"], model=small), expected)


@pytest.mark.parametrize(
    "marks", [["text"], [False, False, True], [2], np.array([False, False, True])]
)
def test_marked_columns_are_labels_beside_numbers(small, marks) -> None:
    one_hot = np.c_[X, np.eye(4)[CODE]]
    expected = quantiles(one_hot, X[:, 0], model=small)
    got = quantiles(frame()[["a", "b", "text"]], X[:, 0], discrete_x=marks, model=small)
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-3)


def test_a_mask_of_columns_of_a_matrix(small) -> None:
    matrix = np.c_[X, CODE]
    expected = quantiles(np.c_[X, np.eye(4)[CODE]], X[:, 0], model=small)
    got = quantiles(matrix, X[:, 0], discrete_x=[-1], model=small)
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-3)


def test_text_and_dates_marked_as_labels_go_to_the_counts() -> None:
    days = [datetime.date(2020, 1, 1 + int(k)) for k in CODE]
    expected = quantiles(CODE, CODE)
    for x in (NAMES, NAMES.tolist(), frame()[["text"]], days):
        torch.testing.assert_close(quantiles(x, CODE, discrete_x=True), expected)


def test_false_takes_codes_for_numbers(small) -> None:
    expected = quantiles(CODE.astype(float) + 0.5, X, model=small, discrete_x=False)
    got = quantiles(CODE, X, model=small, discrete_x=False)
    torch.testing.assert_close(got, expected)


def test_sparse_matrices_series_and_lists(small) -> None:
    sparse = pytest.importorskip("scipy.sparse")
    expected = quantiles(X, CODE, model=small)
    torch.testing.assert_close(quantiles(sparse.csr_matrix(X), CODE, model=small), expected)
    torch.testing.assert_close(quantiles(X.tolist(), CODE.tolist(), model=small), expected)


def test_polars_frames(small) -> None:
    polars = pytest.importorskip("polars")
    data = polars.DataFrame({"a": X[:, 0], "b": X[:, 1], "code": CODE, "text": NAMES.tolist()})
    data = data.with_columns(data["text"].cast(polars.Categorical).alias("cat"))
    expected = quantiles(X, CODE, model=small)
    for y in (data["code"], data.select("cat"), data["cat"]):
        torch.testing.assert_close(quantiles(data.select("a", "b"), y, model=small), expected)
    with pytest.raises(TypeError, match="column text of x to hold numbers, got text such as"):
        torchmist.estimate(data, CODE)


def test_frames_do_not_import_pandas() -> None:
    source = sys.modules["torchmist.samples.columns"]
    assert not hasattr(source, "pandas") and not hasattr(source, "polars")


@pytest.mark.parametrize(
    "column, error, message",
    [
        (NAMES, TypeError, r"column z of x to hold numbers, got text such as .*discrete_x=\['z'\]"),
        (pd.date_range("2020", periods=N), TypeError, "column z of x .*dates or times .*seconds"),
        ([datetime.date(2020, 1, 1)] * N, TypeError, "column z of x .*dates or times such as"),
        (pd.to_timedelta(np.arange(N), "s"), TypeError, "column z of x .*dates or times"),
        ([decimal.Decimal("1.5")] * N, TypeError, r"column z of x .*Decimal.*\.astype\(float\)"),
        ([{1}] * N, TypeError, "column z of x .*objects of set"),
        ([None] * N, TypeError, "column z of x .*missing values alone"),
        (X[:, 0] * 1j, TypeError, "column z of x .*complex numbers; pass real and imaginary"),
        (np.where(CODE == 1, np.nan, X[:, 0]), ValueError, "NaN or infinite .* column z of x"),
        (pd.array([None, *CODE[1:]], dtype="Int64"), ValueError, "1 missing ones in column z of x"),
        (pd.Categorical([None, *NAMES[1:]]), ValueError, "1 missing ones in column z of x"),
    ],
)
def test_what_cannot_be_used_is_named_with_what_to_do(column, error, message) -> None:
    with pytest.raises(error, match=message):
        torchmist.estimate(pd.DataFrame({"a": X[:, 0], "z": column}), CODE)


@pytest.mark.parametrize(
    "discrete, error, message",
    [
        ("yes", TypeError, "expected discrete_x to be True, False, 'auto', or a list"),
        (3, TypeError, "expected discrete_x to be True"),
        (["c"], ValueError, r"discrete_x to hold columns of x, got \['c'\]; it has \['a', 'b'\]"),
        ([2], ValueError, r"got \[2\]"),
        ([True], ValueError, "discrete_x as a mask of the 2 columns of x, got 1 entries"),
    ],
)
def test_wrong_marks_are_refused(discrete, error, message) -> None:
    with pytest.raises(error, match=message):
        torchmist.estimate(frame()[["a", "b"]], CODE, discrete_x=discrete)


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="rows of one length"):
        torchmist.estimate([[1.0], [1.0, 2.0]], CODE)
    with pytest.raises(ValueError, match="columns of one length in x"):
        torchmist.estimate({"a": [1.0], "b": [1.0, 2.0]}, CODE)
    with pytest.raises(ValueError, match="at least one column"):
        torchmist.estimate(pd.DataFrame(index=range(N)), CODE)
    with pytest.raises(ValueError, match="missing ones in x"):
        torchmist.estimate(np.ma.masked_less(X, 0), CODE)


def test_integers_of_many_values_are_numbers_with_one_note(small) -> None:
    x = np.round(1e6 * X[:, 0]).astype(int)
    with pytest.warns(UserWarning, match="integers of 200 distinct values .*discrete_x=True"):
        r = torchmist.estimate(x, X, model=small)
    assert sum("integers of" in note for note in r.warnings) == 1
    torch.testing.assert_close(r.quantiles, quantiles(x.astype(float), X, model=small))


def test_integers_whose_order_matters_are_numbers() -> None:
    rng = np.random.default_rng(1)
    u = rng.normal(size=2000)
    x, y = (np.round(20 * (u + 0.4 * rng.normal(size=2000))).astype(int) for _ in range(2))
    label = rng.integers(0, 200, 2000)
    copy = np.where(rng.random(2000) < 0.5, label, rng.integers(0, 200, 2000))
    assert order_matters(torch.tensor(x), torch.tensor(y))
    assert not order_matters(torch.tensor(label), torch.tensor(copy))
    assert any("whose order matters" in note for note in torchmist.estimate(x, y).warnings)


def test_large_integers_keep_their_values_apart() -> None:
    big = torch.tensor([2**60, 2**60 + 1]).repeat(20)
    assert torchmist.estimate(big, big).mean > 0.5


@pytest.mark.parametrize("n, most", [(10, 5), (40, 20), (1000, 200)])
def test_the_rule_of_integers(n: int, most: int) -> None:
    assert bearable(n) == most


def test_rare_classes_are_pooled_with_a_note() -> None:
    for codes, classes, note in (
        (np.arange(3000) % 1100, 1024, "y: the 77 rarest of 1100 classes"),
        (np.arange(1000) % 300, 300, None),
    ):
        side = read_side(codes, "y", True)
        found, _ = sort_kinds(side, check_side(side.values, "y"))
        columns, notes = network_columns(found, found)
        assert columns.shape == (1, len(codes), classes) and bool((columns.sum(-1) == 1).all())
        assert notes == [] if note is None else note in notes[0]


def test_several_labels_share_the_columns_of_the_network() -> None:
    codes = np.stack([np.arange(3000) % 300, np.arange(3000) // 7 % 401, np.arange(3000) % 50], 1)
    side = read_side(codes, "y", True)
    found, _ = sort_kinds(side, check_side(side.values, "y"))
    columns, notes = network_columns(found, found)
    assert columns.shape == (1, 3000, 300 + 341 + 50)
    assert len(notes) == 1 and "column 1 of y: the 61 rarest of 401 classes" in notes[0]


def test_joint_codes_of_several_labels_show_their_interaction() -> None:
    bits = np.random.default_rng(2).integers(0, 2, (400, 2))
    y = (bits.sum(1) % 2) + 0.1 * np.random.default_rng(3).normal(size=400)
    assert torchmist.estimate(bits, y).quantile(0.95) > 0.5


def network_side(values: np.ndarray, other: np.ndarray | None = None) -> torch.Tensor:
    """The columns ``[N, K]`` that the network reads of a matrix beside an ``other`` side."""
    beside = np.arange(float(len(values))) if other is None else other
    pair = sort_pair(read_side(values, "x"), read_side(beside, "y"))
    return network_columns(pair.x, pair.y)[0][0]


def test_numbers_of_few_values_beside_others_have_indicators_too() -> None:
    x = np.c_[CODE.astype(float), X[:, 0]]
    columns = network_side(x)
    assert torch.equal(columns[:, :2], torch.tensor(x))
    assert torch.equal(columns[:, 2:], torch.eye(4, dtype=columns.dtype)[CODE])
    assert network_side(np.c_[CODE > 1, X[:, 0]]).shape == (N, 2)  # two values are one indicator


def test_many_indicators_are_those_of_codes() -> None:
    rng = np.random.default_rng(11)
    code, grade = rng.integers(0, 20, (2, 600))
    x, noise = np.c_[code, grade, rng.normal(size=600)].astype(float), rng.normal(size=(600, 2))
    level, turned = rng.permutation(20)[code] / 6, np.where(code * 7 % 20 < 10, x[:, 2], -x[:, 2])
    assert network_side(x, grade[:, None] / 6 + noise).shape == (600, 3)
    for y in (level, turned):
        columns = network_side(x, y[:, None] + noise)
        assert columns.shape == (600, 23)
        assert torch.equal(columns[:, 3:], torch.eye(20, dtype=columns.dtype)[code])
    four = np.c_[x, np.roll(x[:, 0], 3), np.roll(x[:, 0], 5), np.roll(x[:, 0], 7)]
    every = sum(rng.permutation(20)[four[:, k].astype(int)] for k in (0, 3, 4, 5))
    assert network_side(four, every[:, None] + noise).shape == (600, 6)  # 80 are too many


@pytest.mark.parametrize("sides", ["both", "one"])
def test_rounded_columns_share_no_more_than_numbers(sides: str) -> None:
    rng = np.random.default_rng(12)
    x = rng.normal(size=(1000, 4))
    y = 0.9 * x + math.sqrt(0.19) * rng.normal(size=x.shape)
    both = torchmist.estimate(np.round(2 * x) / 2, np.round(2 * y) / 2 if sides == "both" else y)
    assert 2.6 < both.mean < 3.4  # 3.0 if both are rounded, 3.16 if one is, 3.32 if none


def test_values_of_few_rows_have_one_indicator_together() -> None:
    code = CODE.astype(float)
    code[:3], code[3:6] = 7.0, 8.0
    columns = network_side(np.c_[code, X[:, 0]])
    assert columns.shape == (N, 7)
    assert torch.equal(columns[:, 6], torch.tensor(code > 6).to(columns))


def test_independent_counts_in_many_columns_share_nothing() -> None:
    rng = np.random.default_rng(8)
    for _ in range(4):
        x, y = (rng.poisson(0.3, (200, 14)).astype(float) for _ in range(2))
        assert torchmist.estimate(x, y).mean < 0.2


def test_several_numbers_of_few_values_have_joint_indicators() -> None:
    columns = network_side(np.c_[CODE % 2 * 1.0, CODE // 2 * 1.0, X[:, 0]])
    assert columns.shape == (N, 7) and bool((columns[:, 3:].sum(-1) == 1).all())


def test_a_sign_that_turns_with_an_unordered_code_of_floats_is_seen() -> None:
    rng = np.random.default_rng(5)
    code, z = rng.integers(0, 5, 1000), rng.normal(size=1000)
    y = np.where(np.isin(code, [0, 3]), -z, z) + 0.6 * rng.normal(size=1000)
    low, high = torchmist.estimate(np.c_[code.astype(float), z], y).interval()
    assert low < 0.5 * np.log(1 + 1 / 0.36) < high


def settled(x: object, y: object, discrete: bool | str = "auto") -> SortedPair:
    """Both sides with their kinds settled beside each other, and the notes on how."""
    return sort_pair(read_side(x, "x", discrete), read_side(y, "y", discrete))


def test_several_integer_columns_are_numbers_where_their_table_is_sparse() -> None:
    x, y = GRADES[:, :3], GRADES[:, 3:]
    pair = settled(x, y)
    assert not countable(pair.x, pair.y)
    for side, other, values, note in zip(pair, pair[1::-1], (x, y), pair.notes):
        columns = network_columns(side, other)[0][0]
        assert torch.equal(columns, torch.tensor(values, dtype=torch.float64))
        assert "3 integer columns of" in note and "=True" in note
    one, many = settled(CODE, x), settled(x, CODE)
    assert [side.declared for side in one[:2]] == [True, False]
    assert [side.declared for side in many[:2]] == [False, True]
    assert len(one.notes) == len(many.notes) == 1


def test_integer_columns_of_a_table_with_a_row_for_each_cell_are_joint_labels() -> None:
    bits = np.random.default_rng(9).integers(0, 2, (N, 5))
    for pair in (settled(bits[:, :3], bits[:, 2:]), settled(bits, bits[:, 0] ^ bits[:, 3])):
        assert countable(pair.x, pair.y) and not pair.notes


def test_columns_that_are_marked_or_categories_stay_labels_in_a_sparse_table() -> None:
    x, y = GRADES[:, :3], GRADES[:, 3:]
    pair = settled(x, y, discrete=True)
    assert countable(pair.x, pair.y) and not pair.notes
    mixed = {"cat": pd.Categorical(NAMES), "flag": CODE > 1, "grade": GRADES[:, 0]}
    pair = settled(mixed, y)
    assert pair.x.label == (True, False, False) and pair.y.label == (False, False, False)
    assert "2 integer columns of x are taken as numbers" in pair.notes[0]


@pytest.mark.parametrize("form", [np.asarray, torch.from_numpy, pd.DataFrame])
def test_bools_are_bits(form) -> None:
    bits = np.random.default_rng(8).integers(0, 2, (N, 14))
    y = np.random.default_rng(9).integers(0, 4, N)
    for x in (bits, bits[:, :2], bits[:, :1]):
        found, wanted = settled(form(x.astype(bool)), y), settled(form(x), y)
        assert found.x.label == wanted.x.label and found.notes == wanted.notes
        torch.testing.assert_close(found.x.values, wanted.x.values)


def test_grades_that_hang_on_one_opinion_are_within_the_interval() -> None:
    rng = np.random.default_rng(11)
    answers = 0.8 * rng.normal(size=(1000, 1)) + 0.6 * rng.normal(size=(1000, 6))
    grades = np.searchsorted([-0.8, -0.2, 0.2, 0.8], answers)
    low, high = torchmist.estimate(grades[:, :3], grades[:, 3:]).interval()
    assert low < 0.516 < high < 0.7  # the truth is a sum over the table of 125 x 125 cells
