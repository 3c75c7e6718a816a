"""The range that weights were trained on: read from a header, refused if malformed, kept whole."""

from __future__ import annotations

import copy
import dataclasses
import warnings

import pytest
import torch

import torchmist
from torchmist import checks
from torchmist.models.trained_range import TrainedRange


def test_a_header_may_state_any_of_the_ranges() -> None:
    assert TrainedRange.from_header({}) == TrainedRange()
    stated = TrainedRange.from_header({"n": [8, 500], "mi": [0, 5.5]})
    assert stated == TrainedRange(n=(8, 500), mi=(0, 5.5)) and stated.d is None


def test_a_range_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainedRange(n=(1, 2)).n = (1, 3)  # type: ignore[misc]


@pytest.mark.parametrize(
    "content",
    [None, [8, 500], {"m": [1, 2]}, {"n": 8}, {"n": [8]}, {"n": [500, 8]}, {"n": [0, 5]},
     {"n": [1.5, 5]}, {"n": [True, 5]}, {"d": ["1", "2"]}, {"mi": [-1, 5]}, {"mi": [0, 2**63]},
     {"mi": [float("nan"), 1.0]}],
)  # fmt: skip
def test_malformed_ranges_are_refused(content, small) -> None:
    with pytest.raises(ValueError, match="expected 'trained_range' to hold two increasing"):
        TrainedRange.from_header(content)
    with pytest.raises(ValueError, match="expected 'trained_range' to hold two increasing"):
        small.provenance = {"trained_range": content}


def test_a_network_has_the_range_of_its_provenance(small) -> None:
    assert small.trained_range is None and small.provenance == {}
    small.provenance = {"seed": 3, "trained_range": {"d": [1, 9]}}
    assert small.trained_range == copy.deepcopy(small).trained_range == TrainedRange(d=(1, 9))
    small.provenance = {"seed": 3}
    assert small.trained_range is None


@pytest.mark.parametrize("n, words", [(7, "extrapolation"), (8, "at most 32 directions")])
def test_wide_sides_of_few_reason_are_an_extrapolation(n, words) -> None:
    (note,) = TrainedRange(d=(1, 32)).notes(n, 33, 2)
    assert note.startswith("33 columns of the first variable") and words in note


@pytest.mark.parametrize("options", [{"goal": "minimize", "num_classes": 40}, {"lift": 4}])
def test_columns_that_a_term_appends_itself_are_not_noted(small, options) -> None:
    small.provenance = {"trained_range": {"d": [1, 5]}}
    generator = torch.Generator().manual_seed(0)
    z, y = torch.randn(200, 4, generator=generator), torch.randint(2, (200,), generator=generator)
    if "lift" in options:
        y = torch.randn(200, 5, generator=generator)
    checks._warned.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torchmist.MIRegularizer(small, **options)(z, y)
    checks._warned.clear()
    with pytest.warns(UserWarning, match="torchmist: 6 columns of the first variable"):
        torchmist.mist_mi(torch.randn(200, 6, generator=generator), y, model=small)
