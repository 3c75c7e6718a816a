"""Labels that both sides hold count by their entropy, and nothing else changes."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch

import torchmist
from torchmist.discrete.shared_labels import entropy_draws, shared_labels
from torchmist.inference.quantile_sums import DRAWS
from torchmist.samples.column_kinds import sort_pair
from torchmist.samples.columns import read_side

N, TRUTH = 900, math.log(3) - math.log(0.6)  # three classes, and a pair of correlation 0.8


def _columns(seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    u = rng.normal(size=N)
    return u, 0.8 * u + 0.6 * rng.normal(size=N), rng.integers(0, 3, N)


def _found(x: object, y: object) -> object:
    return shared_labels(sort_pair(read_side(x, "x", "auto"), read_side(y, "y", "auto")))


@pytest.mark.parametrize("form", ["frames", "one-hot", "codes", "other names"])
def test_a_common_label_adds_its_entropy(form) -> None:
    u, v, s = _columns()
    x, y = {
        "frames": (pd.DataFrame({"u": u, "s": pd.Categorical(s)}),
                   pd.DataFrame({"s": pd.Categorical(s), "v": v})),
        "one-hot": (np.c_[u, np.eye(3)[s]], np.c_[np.eye(3)[s], v]),
        "codes": (np.c_[u, s], np.c_[v, s]),
        "other names": (np.c_[u, s], np.c_[v, np.array([5.0, -1.0, 2.5])[s]]),
    }[form]  # fmt: skip
    found = torchmist.estimate(x, y)
    assert "tell the same 3 labels: both sides share their entropy" in found.warnings[-1]
    low, high = found.interval()
    assert low < TRUTH < high and found.mean == pytest.approx(TRUTH, abs=0.1)
    assert high - low < 0.3
    swapped = torchmist.estimate(y, x)
    assert swapped.mean == pytest.approx(found.mean, abs=1e-3)


def test_a_side_that_holds_nothing_else_shares_the_entropy_alone() -> None:
    u, _, s = _columns()
    found = torchmist.estimate(np.c_[s, s == 1].astype(float), np.c_[u, s])
    share = np.bincount(s) / N
    assert found.mean == pytest.approx(-(share @ np.log(share)), abs=0.01)


@pytest.mark.parametrize(("classes", "coarse"), [(10, 10), (100, 100), (100, 10)])
def test_a_label_that_is_a_function_of_the_other_shares_its_entropy(
    classes: int, coarse: int
) -> None:
    rng = np.random.default_rng(classes + coarse)
    codes = rng.integers(0, classes, 40 * classes)
    names = rng.permutation(classes) * coarse // classes
    found = torchmist.estimate(codes, names[codes])
    low, high = found.interval(0.9)
    assert low <= math.log(coarse) <= high + 0.002
    assert high - low < 0.02


def test_columns_that_follow_from_the_label_are_left_out() -> None:
    u, v, s = _columns()
    found = _found(np.c_[u, s, s == 0], np.c_[v, s])
    assert found.x.values.shape == (N, 1) and found.x.names == ("column 0 of x",)
    assert torch.equal(found.y.values[:, 0], torch.from_numpy(v).to(found.y.values))


def test_two_labels_are_joint_classes() -> None:
    u, v, s = _columns()
    t = (np.arange(N) % 2).astype(float)
    found = _found(np.c_[u, s, t], np.c_[t, v, s])
    assert int(found.codes.max()) == 5 and found.y.names == ("column 1 of y",)


@pytest.mark.parametrize(("n", "counted"), [(300, True), (2000, False)])
@pytest.mark.parametrize("kind", ["category", "int64"])
def test_labels_beside_it_count_within_its_classes_where_their_tables_are_dense(
    n, counted, kind
) -> None:
    rng = np.random.default_rng(0)
    s, a, b = rng.integers(0, 8, n), *rng.integers(0, 10, (2, n))
    x, y = (pd.DataFrame({"s": s, "own": v}).astype(kind) for v in (a, b))
    found = torchmist.estimate(x, y)
    told = any("tell the same 8 labels" in note for note in found.warnings)
    assert told or counted
    if not counted:
        assert found.mean == pytest.approx(math.log(8), abs=0.05)


def test_of_a_label_and_a_coarser_one_the_coarser_is_common() -> None:
    u, v, _ = _columns()
    s = np.random.default_rng(3).integers(0, 6, N)
    x = pd.DataFrame({"city": pd.Categorical(s), "u": u})
    y = pd.DataFrame({"v": v, "country": pd.Categorical(s // 2)})
    truth = math.log(3) - math.log(0.6)
    for pair in ((x, y), (y, x)):
        found = torchmist.estimate(*pair)
        low, high = found.interval()
        assert low < truth < high and found.mean == pytest.approx(truth, abs=0.1)
    assert _found(x, y).x.names == ("column city of x", "column u of x")


def test_nothing_is_found_without_a_label_on_both_sides() -> None:
    u, v, s = _columns()
    noisy = np.where(np.arange(N) == 5, (s + 1) % 3, s)
    assert _found(np.c_[u, s], np.c_[v, noisy]) is None
    assert _found(np.c_[u, np.ones(N)], np.c_[v, np.ones(N)]) is None
    assert _found(np.c_[u, v], np.c_[v, u]) is None
    many = np.arange(N) % 60  # 15 rows each
    frames = (pd.DataFrame({"u": w, "s": pd.Categorical(many)}) for w in (u, v))
    assert _found(*frames) is None
    batch = torch.from_numpy(np.stack([np.c_[u, s], np.c_[v, s]]))
    assert _found(batch, batch) is None


def test_equal_shares_are_not_exceeded_and_have_a_width() -> None:
    s = np.arange(150) % 3
    u = np.random.default_rng(0).normal(size=150)
    low, high = torchmist.estimate(s.astype(float), np.c_[u, s]).interval()
    assert low < math.log(3) and high == pytest.approx(math.log(3), abs=1e-6)


def test_a_batch_of_one_is_read_as_its_dataset() -> None:
    u, v, s = _columns()
    x, y = (torch.from_numpy(np.c_[w, s]) for w in (u, v))
    alone, batch = torchmist.estimate(x, y), torchmist.estimate(x[None], y[None])
    assert batch.mean.shape == (1,) and float(batch.mean[0]) == pytest.approx(alone.mean)
    assert batch.warnings == alone.warnings


def test_classes_of_few_rows_neither_decide_nor_open_the_interval() -> None:
    u, v, _ = _columns()
    s = np.r_[np.repeat([0, 1], 440), np.repeat([2, 3], 10)]
    v = np.where(s > 1, u, v)  # copies there
    found = torchmist.estimate(np.c_[u, s], np.c_[v, s])
    share = np.bincount(s) / N
    truth = -(share @ np.log(share)) - math.log(0.6)
    low, high = found.interval()
    assert low < truth < high < np.inf


def test_notes_on_what_is_left_are_those_of_the_largest_class() -> None:
    u, _, s = _columns()
    s = np.where(s == 2, 1, s)
    found = torchmist.estimate(np.c_[u, s], np.c_[u, s])
    told = [note for note in found.warnings if note.startswith("in the class of")]
    assert told and all(f"class of {(s == 1).sum()} rows: " in note for note in told)
    assert found.interval()[1] == np.inf


def test_draws_of_an_entropy_have_its_mean_and_its_error() -> None:
    rng = np.random.default_rng(0)
    p = np.array([0.7, 0.2, 0.1])
    truth = -(p @ np.log(p))
    each = [entropy_draws(torch.from_numpy(rng.choice(3, 300, p=p)), rng) for _ in range(300)]
    means = np.array([draws.mean() for draws in each])
    assert each[0].shape == (DRAWS,)
    assert means.mean() == pytest.approx(truth, abs=0.01)
    spread = np.mean([draws.std() for draws in each])
    assert spread == pytest.approx(means.std(), rel=0.15)


def test_what_chance_could_have_made_alike_is_no_label() -> None:
    rng = np.random.default_rng(0)
    x, y = np.zeros((2, 200, 30))
    for side in (x, y):
        side[rng.permutation(200)[:30], np.arange(30)] = 1.0  # set in one row each
        side[:, 0] = np.arange(200) % 100 == 7  # and one on both sides, in the same two rows
    assert _found(x, y) is None
    x[:, 1] = y[:, 1] = np.arange(200) % 40 == 7  # in five
    found = _found(x, y)
    assert found is not None and int(found.codes.sum()) == 5
