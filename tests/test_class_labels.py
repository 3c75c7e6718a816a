"""Sides that hold classes: one-hot columns are told from codes, and tables of classes are named."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch.nn import functional as F

import torchmist
from torchmist.samples.class_labels import one_hot

GENERATOR = torch.Generator().manual_seed(0)
LABELS = torch.randint(4, (64,), generator=GENERATOR)
SOFT = torch.randn(64, 4, generator=GENERATOR).softmax(-1)
CODES = F.one_hot(SOFT.argmax(-1), 4).float() - SOFT + SOFT  # straight-through
TABLE = "both sides are classes, as one-hot columns or labels.*torchmist.estimate"


@pytest.fixture(autouse=True)
def fresh(monkeypatch) -> None:
    monkeypatch.setattr("torchmist.checks._warned", set())


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (CODES, True),
        (CODES.bfloat16(), True),
        (CODES.expand(2, 64, 4), True),
        (SOFT, False),
        (torch.cat([CODES[:63], SOFT[:1]]), False),
        (torch.cat([CODES[:63], torch.zeros(1, 4)]), False),
        (torch.ones(64, 2), False),
        (LABELS, False),
        (CODES[:, :1], False),
        (CODES[:0], False),
    ],
    ids=["codes", "half", "batch", "soft", "last row", "a row of zeros", "ones", "labels",
         "one column", "no rows"],
)  # fmt: skip
def test_one_hot_columns_are_told_from_others(value: torch.Tensor, expected: bool) -> None:
    assert one_hot(value) is expected


@pytest.mark.parametrize("y", [LABELS, F.one_hot(LABELS, 4).double()], ids=["labels", "one-hot"])
def test_terms_of_two_classes_say_that_counts_are_better(small, y: torch.Tensor) -> None:
    for z, other in ((CODES, y), (y, CODES)):
        torchmist.checks._warned.clear()
        with pytest.warns(UserWarning, match=TABLE):
            torchmist.mist_mi(z, other, model=small)
    torchmist.checks._warned.clear()
    with pytest.warns(UserWarning, match=TABLE):
        torchmist.MIRegularizer(small)(CODES, y)


def test_codes_beside_labels_and_one_hot_labels_beside_codes_are_ordinary(small) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torchmist.mist_mi(SOFT, LABELS, model=small)
        torchmist.mist_mi(SOFT, F.one_hot(LABELS, 4).float(), model=small, num_classes=4)


def test_values_that_are_not_at_hand_are_no_classes(small) -> None:
    labels = F.one_hot(LABELS, 4).float()
    batch = torch.stack([CODES, CODES.roll(1, 0), CODES.flip(0)])
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="torchmist")
        found = torch.func.vmap(lambda z: torchmist.mist_mi(z, labels, model=small))(batch)
    for value, codes in zip(found, batch):
        torch.testing.assert_close(value, torchmist.mist_mi(codes, labels, model=small))
    compiled = torch.compile(lambda z: z + 1 if one_hot(z) else z - 1, backend="eager")
    torch.testing.assert_close(compiled(CODES), CODES - 1)


@pytest.mark.parametrize("call", [torchmist.mist_mi, torchmist.MIRegularizer()], ids=["", "module"])
def test_labels_that_losses_leave_out_are_named_unless_masked(call) -> None:
    labels = LABELS.where(torch.arange(64) > 9, -100)
    with pytest.warns(UserWarning, match=r"y holds the label -100.*mask=y != -100"):
        call(SOFT, labels)
    torchmist.checks._warned.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = call(SOFT, labels, mask=labels != -100)
    torch.testing.assert_close(found, call(SOFT[10:], LABELS[10:]))


def test_num_classes_says_how_to_leave_rows_without_a_label_out() -> None:
    labels = LABELS.where(torch.arange(64) > 9, -100)
    with pytest.raises(ValueError, match=r"got -100 to 3; leave out rows .* mask=y != -100"):
        torchmist.mist_mi(SOFT, labels, num_classes=4)
