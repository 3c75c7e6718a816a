"""Lists and columns of Python objects: what is in them stays what it is."""

from __future__ import annotations

from enum import Enum

import numpy as np
import pandas as pd
import pytest
import torch

import torchmist

RNG = np.random.default_rng(0)
N = 200
X = RNG.normal(size=(N, 2))
CODE = RNG.integers(0, 4, N)
NAMES = np.array(["red", "green", "blue", "grey"])[CODE]


def quantiles(x, y, **options) -> torch.Tensor:
    return torchmist.estimate(x, y, **options).quantiles


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA], ids=["None", "nan", "NA"])
def test_a_missing_label_in_a_list_is_no_class(missing) -> None:
    with pytest.raises(ValueError, match="1 missing ones in x"):
        torchmist.estimate([missing, *NAMES[1:]], CODE, discrete_x=True)


def test_rows_of_numbers_and_text_keep_their_numbers(small) -> None:
    rows = list(zip(X[:, 0], NAMES))
    expected = quantiles(
        pd.DataFrame({"a": X[:, 0], "cat": pd.Categorical(NAMES)}), X[:, 1], model=small
    )
    found = quantiles(rows, X[:, 1], model=small, discrete_x=[1])
    torch.testing.assert_close(found, expected)
    with pytest.raises(TypeError, match="column 1 of x to hold numbers, got text such as"):
        torchmist.estimate(rows, CODE)


def test_members_of_an_enumeration_of_text_are_labels() -> None:
    colour = Enum("Colour", {name: name for name in NAMES}, type=str)
    marked = {"discrete_x": True, "discrete_y": True}
    found = quantiles([colour(name) for name in NAMES], CODE, **marked)
    torch.testing.assert_close(found, quantiles(NAMES, CODE, **marked))


@pytest.mark.parametrize("values", [[[1]], [{}], [np.zeros(2)]], ids=["list", "dict", "array"])
def test_labels_that_cannot_be_told_apart_are_named(values) -> None:
    with pytest.raises(TypeError, match=r"labels in x that can be told apart.*str\(value\)"):
        torchmist.estimate(pd.Series(values * N), CODE, discrete_x=True)


def test_an_index_of_several_levels_is_a_frame_of_them(small) -> None:
    index = pd.MultiIndex.from_arrays([X[:, 0], CODE], names=["a", "code"])
    expected = quantiles(pd.DataFrame({"a": X[:, 0], "code": CODE}), X[:, 1], model=small)
    torch.testing.assert_close(quantiles(index, X[:, 1], model=small), expected)


@pytest.mark.parametrize("start", [2**60, 10**400], ids=["2 ** 60", "10 ** 400"])
def test_large_integers_of_python_keep_their_values_apart(start: int) -> None:
    values = np.array([start + int(k) for k in CODE], dtype=object)
    torch.testing.assert_close(quantiles(values, CODE), quantiles(CODE, CODE))
