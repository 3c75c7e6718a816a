"""Every bad input is refused before any work, with what was expected, what came, and the fix."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import torchmist
from torchmist.checks import check_pair
from torchmist.models.trained_range import TrainedRange

Z = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
BAD = Z.clone()
BAD[3, 1] = float("nan")


@pytest.mark.parametrize(
    ("z", "y", "error", "match"),
    [
        (Z.numpy(), Z, TypeError, "expected z to be a torch.Tensor, got ndarray.*torch.as_tensor"),
        (Z, [1.0, 2.0], TypeError, "expected y to be a torch.Tensor, got list"),
        (Z, Z.to(torch.complex64), TypeError, r"y .*complex64; pass.*real\(y\)\.flatten\(-2\)"),
        (Z[:, 0].to(torch.complex64), Z, TypeError, r"as two columns, torch\.view_as_real\(z\)$"),
        (Z.to(torch.float8_e4m3fn), Z, TypeError, r"got torch.float8_e4m3fn; .* z\.float\(\)"),
        (Z.mT, Z, ValueError, "so transpose z if each of its rows is a column"),
        (Z, torch.zeros(20, dtype=torch.uint16), TypeError, r"got torch.uint16; .* y.long\(\)"),
        (Z.to("meta"), Z, TypeError, "expected z to hold values, got a tensor on the meta device"),
        (BAD, Z, ValueError, "expected finite values, got 1 NaN or infinite entries in z"),
        (Z, Z / 0 * 0, ValueError, "NaN or infinite entries in y"),
        (Z, Z[:19], ValueError, r"same number of datasets and samples.*\[20, 3\].*\[19, 3\]"),
        (Z[None], Z, ValueError, "both batched or both not"),
        (Z[None], Z[None].expand(2, -1, -1), ValueError, "same number of datasets"),
        (Z[None, None], Z, ValueError, r"\[N\], \[N, d\] or \[B, N, d\], got \[1, 1, 20, 3\]"),
        (torch.tensor(1.0), Z, ValueError, "expected z of shape"),
        (Z[:, :0], Z, ValueError, "at least one column"),
        (Z, torch.zeros(20, 3, dtype=torch.long), ValueError,
         r"class labels of shape.*y\.argmax\(-1\).*y\[\.\.\., None\].*y\.float\(\)"),
    ],
    ids=["array", "list", "complex", "complex column", "float8", "turned", "unsigned", "meta",
         "nan", "inf", "lengths", "batched", "batches", "rank 4", "rank 0", "no columns", "labels"],
)  # fmt: skip
def test_bad_pairs_are_refused(small, z, y, error, match) -> None:
    for term in (
        lambda: torchmist.mist_mi(z, y, model=small),
        lambda: torchmist.MIRegularizer(small)(z, y),
    ):
        with pytest.raises(error, match=match):
            term()


def test_too_few_reason_are_refused(small) -> None:
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
    trained = TrainedRange(n=(10, 500), d=(2, 32))
    assert trained.notes(100, 2, 32) == ()
    notes = trained.notes(1000, 1, 40)
    assert len(notes) == 3 and "1000 samples" in notes[0] and "trained on 10 to 500" in notes[0]


B, N = 3, 20
LABELS = torch.arange(N) % 3
SIDES = {
    "N": Z[:, 0],
    "N labels": LABELS,
    "N d": Z,
    "N 1 labels": LABELS[:, None],
    "B N": Z[:, :1].mT.expand(B, N),
    "B": torch.arange(B).float(),
    "B labels": torch.arange(B),
    "B N labels": LABELS.expand(B, N),
    "B N d": torch.stack([Z, -Z, Z + 1]),
    "B N 1 labels": LABELS[:, None].expand(B, N, 1),
}
APART = "to be both batched or both not"
LENGTHS = "the same number of datasets and samples"
OUTCOMES = [
    ("N", "N", None), ("N", "N d", None), ("N", "N labels", None), ("N", "N 1 labels", None),
    ("N", "B N", LENGTHS), ("N", "B", LENGTHS), ("N", "B N d", None),
    ("N", "B N 1 labels", None), ("N d", "N d", None), ("N d", "N labels", None),
    ("N d", "B N", LENGTHS), ("N d", "B", LENGTHS), ("N d", "B labels", LENGTHS),
    ("N d", "B N d", APART + ".*expand.3, -1, -1."), ("N d", "B N 1 labels", APART),
    ("N d", "B N labels", "class labels of shape"), ("N labels", "B N d", None),
    ("N 1 labels", "B N d", APART), ("B N d", "B N d", None), ("B N d", "B N 1 labels", None),
    ("B N d", "B N", APART + r".*pass y\[..., None\]"), ("B N d", "B N labels", "class labels of"),
    ("B N d", "B", r"a value for each dataset.*z.flatten\(1\)"),
    ("B N d", "B labels", r"a value for each dataset.*z.flatten\(1\)"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other", "match"), OUTCOMES)
@pytest.mark.parametrize("swap", [False, True])
def test_every_combination_of_ranks_is_right_or_refused(one, other, match, swap) -> None:
    sides, names = [SIDES[one], SIDES[other]], ["z", "y"]
    if swap:
        sides, names = sides[::-1], names[::-1]
    if match is not None:
        with pytest.raises(ValueError, match=match):
            check_pair(*sides, tuple(names))
        return
    a, b = check_pair(*sides, tuple(names))
    datasets = max(B if side.dim() == 3 else 1 for side in sides)
    assert a.shape[:2] == b.shape[:2] == (datasets, N)


@pytest.mark.parametrize("y", [Z[:, 0], LABELS], ids=["numbers", "labels"])
def test_one_column_is_shared_by_all_datasets_of_a_batch(small, y) -> None:
    z = SIDES["B N d"]
    expected = torch.stack([torchmist.mist_mi(each, y, model=small) for each in z]).mean()
    torch.testing.assert_close(torchmist.mist_mi(z, y, model=small), expected)
    swapped = torchmist.mist_mi(y, z, model=small)
    torch.testing.assert_close(swapped, expected, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(torchmist.MIRegularizer(small)(z, y), expected)
    each = [torchmist.estimate(one, y, model=small).mean for one in z]
    np.testing.assert_allclose(torchmist.estimate(z, y, model=small).mean, each, atol=1e-5)


def test_as_many_datasets_as_samples_leave_one_column_ambiguous(small) -> None:
    z = torch.randn(N, N, 2)
    with pytest.raises(ValueError, match=r"each sample or for each dataset; say which"):
        torchmist.mist_mi(z, Z[:, 0], model=small)
    shared = Z[:, 0].view(1, N, 1).expand(N, -1, -1)
    assert torchmist.mist_mi(z, shared, model=small).shape == ()


def test_labels_that_are_all_seen_once_are_named(small, monkeypatch) -> None:
    monkeypatch.setattr("torchmist.checks._warned", set())
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(300, 1)), rng.normal(size=300)
    found = torchmist.estimate(x, y, discrete_y=True, model=small)
    assert any("y: 300 classes in 300 rows, each seen once" in note for note in found.warnings)
    assert not any("300 columns" in note for note in found.warnings)
    with pytest.warns(UserWarning, match=r"y holds 200 classes in 200 rows.*pass y.float\(\)"):
        torchmist.mist_mi(torch.from_numpy(x[:200]).float(), torch.arange(200), model=small)


def test_maximize_is_a_bool(small) -> None:
    with pytest.raises(TypeError, match="expected maximize to be True or False, got 'yes'"):
        torchmist.mist_mi(Z, Z, model=small, maximize="yes")


def test_levels_may_be_numbers_of_numpy(small) -> None:
    found = torchmist.estimate(Z, Z[:, :1], model=small)
    assert found.interval(np.float32(0.5)) == found.interval(0.5)
