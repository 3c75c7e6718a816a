"""Every bad input is refused before any work, with what was expected, what came, and the fix."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import torchmist
from torchmist.checks import trained_range_notes

Z = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
BAD = Z.clone()
BAD[3, 1] = float("nan")


@pytest.mark.parametrize(
    ("z", "y", "error", "match"),
    [
        (Z.numpy(), Z, TypeError, "expected z to be a torch.Tensor, got ndarray.*torch.as_tensor"),
        (Z, [1.0, 2.0], TypeError, "expected y to be a torch.Tensor, got list"),
        (Z, Z.to(torch.complex64), TypeError, "expected y to be floating point.*complex64"),
        (BAD, Z, ValueError, "expected finite values, got 1 NaN or infinite entries in z"),
        (Z, Z / 0 * 0, ValueError, "NaN or infinite entries in y"),
        (Z, Z[:19], ValueError, r"same number of datasets and samples.*\[20, 3\].*\[19, 3\]"),
        (Z[None], Z, ValueError, "both batched or both not"),
        (Z[None], Z[None].expand(2, -1, -1), ValueError, "same number of datasets"),
        (Z[None, None], Z, ValueError, r"\[N\], \[N, d\] or \[B, N, d\], got \[1, 1, 20, 3\]"),
        (torch.tensor(1.0), Z, ValueError, "expected z of shape"),
        (Z[:, :0], Z, ValueError, "at least one column"),
        (Z, torch.zeros(20, 3, dtype=torch.long), ValueError, "class labels of shape"),
    ],
    ids=["array", "list", "complex", "nan", "inf", "lengths", "batched", "batches", "rank 4",
         "rank 0", "no columns", "labels"],
)  # fmt: skip
def test_bad_pairs_are_refused(small, z, y, error, match) -> None:
    for term in (
        lambda: torchmist.mist_mi(z, y, model=small),
        lambda: torchmist.MIRegularizer(small)(z, y),
    ):
        with pytest.raises(error, match=match):
            term()


def test_too_few_samples_are_refused(small) -> None:
    with pytest.raises(ValueError, match="at least 4 samples, got 3"):
        torchmist.mist_mi(Z[:3], Z[:3], model=small)


def test_nothing_is_computed_before_the_checks() -> None:
    with pytest.raises(ValueError, match="at least 4 samples"):
        torchmist.mist_mi(Z[:2], Z[:2], model="no such model")


def test_text_is_refused_with_the_fix(small) -> None:
    with pytest.raises(TypeError, match="expected x to hold numbers.*np.unique"):
        torchmist.estimate(np.array(["a", "b", "c", "d"]), np.zeros(4), model=small)


@pytest.mark.parametrize("statistic", ["mode", 0.0, 1.0, 1.5])
def test_bad_statistics(small, statistic) -> None:
    with pytest.raises(ValueError, match="statistic"):
        torchmist.mist_mi(Z, Z, model=small, statistic=statistic)
    with pytest.raises(ValueError, match="statistic"):
        torchmist.MIRegularizer(small, statistic=statistic)


def test_bad_models() -> None:
    with pytest.raises(ValueError, match="known names are .*mist-paper-v1"):
        torchmist.mist_mi(Z, Z, model="gpt")
    with pytest.raises(TypeError, match="registered name, a path or a MIST module, got Linear"):
        torchmist.mist_mi(Z, Z, model=torch.nn.Linear(2, 2))


def test_notes_name_what_is_out_of_range() -> None:
    trained = {"n": [10, 500], "d": [2, 32]}
    assert trained_range_notes(100, 2, 32, trained) == ()
    notes = trained_range_notes(1000, 1, 40, trained)
    assert len(notes) == 3 and "1000 samples" in notes[0] and "trained on 10 to 500" in notes[0]
