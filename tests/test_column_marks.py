"""Columns that are marked as labels, by name, position or mask; arrays of any width and order."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

import torchmist
from torchmist.samples.column_marks import column_marks
from torchmist.samples.columns import read_side

N = 60
RNG = np.random.default_rng(0)
A, CODE = RNG.normal(size=N), RNG.integers(0, 3, N)


def labels(value, discrete="auto") -> list[str]:
    """Names of the columns that are labels."""
    side = read_side(value, "x", discrete)
    return [name for name, kind in zip(side.names, side.kinds) if kind == "label"]


def test_integers_that_are_names_are_read_as_names() -> None:
    assert labels(pd.DataFrame({3: A, 5: CODE}), [5]) == ["column 5 of x"]
    assert labels({3: A, 5: CODE}, {5}) == ["column 5 of x"]
    assert labels(pd.DataFrame({1: CODE, 0: A.round()}), [1]) == ["column 1 of x"]
    assert labels(pd.DataFrame({np.int64(7): CODE, "b": A}), [7]) == ["column 7 of x"]
    assert labels(pd.Series(CODE, name=5), [5]) == ["column 5 of x"]


def test_integers_are_positions_where_names_are_not_or_are_the_same() -> None:
    assert labels(pd.DataFrame({"a": A, "c": CODE}), [1]) == ["column c of x"]
    for table in (np.stack([A, CODE], -1), pd.DataFrame(np.stack([A, CODE], -1))):
        assert labels(table, [-1]) == labels(table, [1]) == ["column 1 of x"]


def test_an_integer_that_is_no_name_is_refused_with_the_names() -> None:
    with pytest.raises(ValueError, match=r"to hold columns of x, got \[0\]; it has \[3, 5\]"):
        read_side(pd.DataFrame({3: A, 5: CODE}), "x", [0])
    text = pd.DataFrame({3: A, 5: np.array(["u", "v", "w"])[CODE]})
    with pytest.raises(TypeError, match=r"column 5 of x to hold numbers.*discrete_x=\[5\]"):
        read_side(text, "x")
    assert labels(text, [5]) == ["column 5 of x"]


@pytest.mark.parametrize(
    "marks",
    [
        ["c"], ("c",), {"c"}, pd.Index(["c"]), pd.Series(["c"]), np.array(["c"]),
        np.array(["c"], dtype=object), [1], np.array([1]), torch.tensor([1]), pd.Index([1]),
        [False, True], pd.Series([False, True]), np.array([False, True]),
        torch.tensor([False, True]), {"c": 0}.keys(),
    ],
    ids=lambda marks: type(marks).__name__,
)  # fmt: skip
def test_marks_come_in_any_container(marks) -> None:
    data = pd.DataFrame({"a": A, "c": CODE})
    assert labels(data, marks) == ["column c of x"]
    assert column_marks(["a", "c"], "x", marks, "discrete_x") == [False, True]


@pytest.mark.parametrize("marks", [3, 1.5, "c", b"c", {"c": True}, np.array([["c"]])])
def test_what_marks_no_columns_is_refused(marks) -> None:
    with pytest.raises(TypeError, match="expected discrete_x to be True, False, 'auto', or a list"):
        read_side(pd.DataFrame({"a": A, "c": CODE}), "x", marks)


class Series:
    """A series as that of polars, whose name is empty where the user gave none."""

    name = ""

    def __init__(self, values: np.ndarray) -> None:
        self.values, self.dtype = values, values.dtype

    def to_numpy(self) -> np.ndarray:
        return self.values


def test_a_series_with_an_empty_name_is_called_by_its_side() -> None:
    assert read_side(Series(CODE), "x").names == ("x",)
    with pytest.raises(TypeError, match=r"expected x to hold numbers, .* discrete_x=True"):
        read_side(Series(np.array(["u", "v"])[CODE % 2].astype(object)), "x")


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i2", "i4", "i8", "u2", "u4", "u8"])
def test_either_byte_order_says_the_same(dtype: str) -> None:
    """FITS and HDF5 files hold big-endian numbers."""
    values = (A if dtype[0] == "f" else CODE).astype(dtype)
    for value in (values, {"a": values}, pd.DataFrame({"a": values})):
        one, other = (
            read_side(v, "x") for v in (value, pd.DataFrame({"a": values.astype(f">{dtype}")}))
        )
        assert torch.equal(one.values.double().flatten(), other.values.double().flatten())
    assert torch.equal(
        read_side(values.astype(f">{dtype}"), "x").values, read_side(values, "x").values
    )


def test_calls_take_big_endian_arrays() -> None:
    x, y = np.stack([A, CODE], -1).astype(">f8"), A.astype(">f4")
    assert torchmist.estimate(x, y, model="mist-fast").mean > 0.5
    assert torchmist.pairwise(x).estimate.shape == (2, 2)
    assert torchmist.independence_test(x, y, model=None, permutations=19).p_value < 0.1
    assert torchmist.estimation.as_tensor(y, "y").dtype == torch.float32


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8"])
def test_integers_of_any_width_are_labels(dtype: str) -> None:
    code = CODE.astype(dtype)
    for value in (code, torch.from_numpy(code), {"a": code}, pd.Series(code)):
        side = read_side(value, "x")
        assert side.kinds == ("integer",)
        assert torch.equal(side.values.flatten(), torch.from_numpy(CODE).double())
        found = torchmist.estimate(value, A, model="mist-fast")
        assert not any("whole numbers as floats" in note for note in found.warnings)


def test_unsigned_integers_beyond_signed_ones_are_told_apart() -> None:
    large = CODE.astype("u8") + np.uint64(2**63 + 5)
    for value in (large, torch.from_numpy(large), {"a": large}):
        side = read_side(value, "x")
        assert side.kinds == ("integer",) and len(side.values.unique()) == 3


def test_fields_of_a_structured_array_are_columns() -> None:
    table = np.array(list(zip(A, CODE)), dtype=[("u", ">f8"), ("v", ">i8")])
    assert labels(table, ["v"]) == ["column v of x"]
    assert torch.equal(read_side(table, "x").values[:, 0], torch.from_numpy(A))


def test_masked_entries_of_a_column_are_missing() -> None:
    with pytest.raises(ValueError, match="got 1 missing ones in column a of x"):
        read_side({"a": np.ma.array(A, mask=np.arange(N) == 3)}, "x")


def told(recwarn) -> list[str]:
    return [str(w.message) for w in recwarn if "names other columns" in str(w.message)]


def test_integers_beside_the_named_columns_are_numbers_and_a_warning_says_so(recwarn) -> None:
    frame = pd.DataFrame({"site": CODE, "flag": A > 0, "grade": CODE[::-1], "year": np.arange(N)})
    assert labels(frame, ["site"]) == ["column site of x"]
    assert told(recwarn) == [
        "torchmist: column flag of x and 1 others: integers of at most 20 distinct values are "
        "numbers, as discrete_x names other columns beside them; name them there as well if they "
        "hold class labels"
    ]
    matrix = np.stack([CODE, CODE[::-1]], -1)
    read_side(matrix, "y", [1])
    assert told(recwarn)[1].startswith("torchmist: column 0 of y: integers of at most 20")


@pytest.mark.parametrize("discrete", ["auto", True, False, [True, False, False], ["site", "flag"]])
def test_integers_that_nobody_left_out_are_not_warned_of(discrete, recwarn) -> None:
    read_side(pd.DataFrame({"site": CODE, "flag": A > 0, "size": A}), "z", discrete)
    assert not told(recwarn)
