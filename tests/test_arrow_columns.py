"""Columns of pyarrow, and those of pandas and polars whose types come from there."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

import torchmist
from torchmist.samples.columns import read_side

pyarrow = pytest.importorskip("pyarrow")

VALUES = {
    "integers": [3, 1, 2, 3, 1, 2],
    "numbers": [0.5, 1.5, 2.5, 0.5, 1.5, 2.5],
    "bools": [True, False, True, True, False, False],
    "text": ["b", "a", "c", "b", "a", "c"],
}


def plain(values: list) -> object:
    return pyarrow.array(values)


def chunked(values: list) -> object:
    return pyarrow.chunked_array([plain(values[:2]), plain(values[2:])])


def dictionary(values: list) -> object:
    return plain(values).dictionary_encode()


def own_dictionaries(values: list) -> object:
    return pyarrow.chunked_array([dictionary(values[:2]), dictionary(values[2:])])


def pandas_type(values: list) -> object:
    return pd.Series(pd.arrays.ArrowExtensionArray(pyarrow.chunked_array([plain(values)])))


def pandas_dictionary(values: list) -> object:
    return pd.Series(pd.arrays.ArrowExtensionArray(own_dictionaries(values)))


NUMBERS, CODES = (plain, chunked, pandas_type), (dictionary, own_dictionaries, pandas_dictionary)
ALONE_OR_IN_A_FRAME = [
    (lambda column: column, "x"),
    (lambda column: {"a": column}, "column a of x"),
]


def equal(found: torch.Tensor, wanted: list) -> bool:
    """Whether two columns tell the same rows apart."""
    codes = np.unique(wanted, return_inverse=True)[1]
    same = found.flatten()[:, None] == found.flatten()[None]
    return same.tolist() == (codes[:, None] == codes[None]).tolist()


@pytest.mark.parametrize("make", NUMBERS)
@pytest.mark.parametrize(("frame", "where"), ALONE_OR_IN_A_FRAME)
def test_numbers_and_bools_are_read(make, frame, where) -> None:
    for name in ("integers", "numbers", "bools"):
        side = read_side(frame(make(VALUES[name])), "x")
        assert side.names == (where,)
        assert side.kinds == ("number" if name == "numbers" else "integer",)
        assert side.values.flatten().tolist() == [float(v) for v in VALUES[name]]


@pytest.mark.parametrize("make", CODES)
@pytest.mark.parametrize(("frame", "where"), ALONE_OR_IN_A_FRAME)
def test_dictionaries_are_labels_as_in_a_table(make, frame, where) -> None:
    for values in VALUES.values():
        side = read_side(frame(make(values)), "x")
        assert (side.names, side.kinds) == ((where,), ("label",))
        assert equal(side.values, values)


@pytest.mark.parametrize("make", NUMBERS)
@pytest.mark.parametrize(("frame", "where"), ALONE_OR_IN_A_FRAME)
def test_text_is_labels_where_it_is_marked(make, frame, where) -> None:
    with pytest.raises(TypeError, match=f"expected {where} to hold numbers, got text such as 'b'"):
        read_side(frame(make(VALUES["text"])), "x")
    side = read_side(frame(make(VALUES["text"])), "x", discrete=True)
    assert side.kinds == ("label",) and equal(side.values, VALUES["text"])


@pytest.mark.parametrize("make", NUMBERS + CODES)
@pytest.mark.parametrize(("frame", "where"), ALONE_OR_IN_A_FRAME)
@pytest.mark.parametrize("place", [0, 3])
def test_missing_values_are_errors(make, frame, where, place) -> None:
    for values in VALUES.values():
        lacking = [None if k == place else value for k, value in enumerate(values)]
        for discrete in ("auto", True):
            with pytest.raises(ValueError, match=f"every row, got 1 missing ones in {where}; drop"):
                read_side(frame(make(lacking)), "x", discrete)


def test_a_dictionary_that_lacks_a_name_has_missing_values() -> None:
    indices, names = pyarrow.array([0, 1, 0, None, 1, 0]), pyarrow.array(["a", None])
    column = pyarrow.DictionaryArray.from_arrays(indices, names)
    with pytest.raises(ValueError, match="got 3 missing ones in x"):
        read_side(column, "x")


@pytest.mark.parametrize("make", [dictionary, own_dictionaries, pandas_dictionary])
def test_estimates_of_dictionaries_are_those_of_labels(small, make) -> None:
    rng = np.random.default_rng(0)
    codes, numbers = rng.integers(3, size=200), rng.normal(size=200)
    names = np.array(["red", "green", "blue"])[codes].tolist()
    wanted = torchmist.estimate(codes, numbers, model=small).mean
    assert torchmist.estimate(make(names), plain(numbers), model=small).mean == wanted
    given = torchmist.estimate_conditional(numbers, numbers**2, make(names), model=small)
    plainly = torchmist.estimate_conditional(numbers, numbers**2, codes, model=small)
    assert given.mean == plainly.mean


class Wide:
    """A series of 128 bits as polars has it: no array of numpy holds it."""

    def __init__(self, values: list[int | None], dtype: str) -> None:
        self.values, self.dtype, self.name = values, dtype, "a"

    def null_count(self) -> int:
        return self.values.count(None)

    def to_list(self) -> list[int | None]:
        return self.values

    def to_numpy(self) -> None:
        raise ValueError("cannot convert i128 to NumPy, which has no 128-bit integer types")


def wide_series(values: list, dtype: str) -> object:
    try:
        import polars
    except ImportError:
        return Wide(values, dtype)
    return polars.Series("a", values, dtype=getattr(polars, dtype))


@pytest.mark.parametrize("dtype", ["Int128", "UInt128"])
def test_integers_of_128_bits_are_read(dtype: str) -> None:
    for start in (0, 2**100):
        values = [start + value for value in VALUES["integers"]]
        side = read_side(wide_series(values, dtype), "x")
        assert side.kinds == ("integer",) and equal(side.values, VALUES["integers"])
        assert (
            side.values.argsort(stable=True).tolist() == np.argsort(values, kind="stable").tolist()
        )
        marked = read_side({"a": wide_series(values, dtype)}, "x", ["a"])
        assert marked.kinds == ("label",) and equal(marked.values, VALUES["integers"])
    with pytest.raises(ValueError, match="got 1 missing ones in column a of x"):
        read_side(wide_series([None, *VALUES["integers"]], dtype), "x")


def test_enums_of_polars_are_labels() -> None:
    polars = pytest.importorskip("polars")
    series = polars.Series("a", VALUES["text"], dtype=polars.Enum(["c", "a", "b"]))
    side = read_side(polars.DataFrame({"a": series}), "x")
    assert side.kinds == ("label",) and equal(side.values, VALUES["text"])
    lacking = polars.Series("a", [None, *VALUES["text"]], dtype=polars.Enum(["c", "a", "b"]))
    with pytest.raises(ValueError, match="got 1 missing ones in column a of x"):
        read_side(lacking, "x")
