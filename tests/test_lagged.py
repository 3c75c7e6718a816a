"""Series: lags, transfer entropy, blocks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import torchmist
from torchmist.lags import block_length, lagged, transfer_entropy


def memory(rng: np.random.Generator, n: int, phi: float) -> np.ndarray:
    """An autoregression of first order."""
    out = np.zeros(n)
    for t in range(1, n):
        out[t] = phi * out[t - 1] + rng.normal()
    return out


def test_the_front_door_leads_here() -> None:
    assert torchmist.lagged is lagged and torchmist.transfer_entropy is transfer_entropy


def test_the_lag_of_a_delayed_copy_is_found_with_its_information() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=800)
    y = np.roll(x, 4) + rng.normal(size=800)
    r = lagged(x, y, lags=6, permutations=39)
    assert r.best == 4 and r.lags.tolist() == list(range(-6, 7))
    assert r.estimate[r.lags == 4][0] == pytest.approx(0.5 * np.log(2), abs=0.08)
    assert (r.low <= r.estimate).all() and (r.estimate <= r.high).all()
    assert r.p_value[r.lags == 4][0] == r.p_value_any == 1 / 40
    assert np.delete(r.estimate, 10).max() < 0.05


@pytest.mark.parametrize("make", [np.asarray, lambda v: pd.Series(v).astype("category")])
def test_transfer_entropy_takes_numbers_alone_and_says_what_to_do_with_labels(make) -> None:
    labels, y = make(np.array(["a", "b", "c"] * 40)), np.random.default_rng(0).normal(size=120)
    for pair in ((labels, y), (y, labels)):
        with pytest.raises(TypeError, match="numbers alone.*a column of 0 and 1 for each") as error:
            transfer_entropy(*pair, permutations=0)
        assert "discrete" not in str(error.value)
    with pytest.raises(TypeError, match="say so with discrete_x=True"):
        lagged(np.array(["a", "b", "c"] * 40), y)


def test_transfer_entropy_gives_no_advice_that_it_does_not_take() -> None:
    rng = np.random.default_rng(1)
    x, y = (rng.integers(5, size=300).astype(float) for _ in range(2))
    for kind in (float, int):
        found = transfer_entropy(x.astype(kind), y.astype(kind), permutations=0)
        assert not any("integers" in note or "discrete" in note for note in found.estimate.warnings)


def test_a_negative_lag_says_that_y_comes_first() -> None:
    rng = np.random.default_rng(1)
    y = rng.normal(size=500)
    assert lagged(np.roll(y, 2) + 0.3 * rng.normal(size=500), y, lags=4, permutations=0).best == -2


def test_one_lag_is_the_estimate_of_the_shifted_rows() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=400)
    y = np.r_[0.0, 0.0, x[:-2]] + rng.normal(size=400)
    found = lagged(x, y, lags=[2], permutations=0, model="mist-fast").estimate[0]
    assert found == pytest.approx(
        torchmist.estimate(x[:-2], y[2:], model="mist-fast").mean, abs=1e-4
    )


def test_blocks_keep_the_level_where_single_rows_do_not() -> None:
    rng = np.random.default_rng(3)
    hits = {"blocks": 0, "rows": 0}
    for _ in range(40):
        x, y = (memory(rng, 300, 0.9) for _ in range(2))
        hits["blocks"] += lagged(x, y, lags=[0], permutations=19).p_value[0] <= 0.05
        hits["rows"] += lagged(x, y, lags=[0], permutations=19, block=1).p_value[0] <= 0.05
    assert hits["blocks"] <= 8 < hits["rows"]  # of 40; 2 are expected at a level of 5 %


def test_memory_widens_the_interval() -> None:
    rng = np.random.default_rng(4)
    slow = [memory(rng, 900, 0.95) for _ in range(2)]
    fast = rng.normal(size=(2, 900))
    wide = lagged(*slow, lags=[0], permutations=0)
    narrow = lagged(*fast, lags=[0], permutations=0)
    assert wide.high[0] - wide.low[0] > 2 * (narrow.high[0] - narrow.low[0])


def test_blocks_are_longer_where_a_series_remembers_longer() -> None:
    rng = np.random.default_rng(5)
    lengths = [
        block_length(*(torch.from_numpy(memory(rng, 2000, phi)) for _ in range(2)))
        for phi in (0.0, 0.8, 0.97)
    ]
    assert lengths[0] < lengths[1] < lengths[2] <= 250


def test_transfer_entropy_of_a_linear_pair_is_its_closed_form() -> None:
    """y_t = a y_{t-1} + c x_{t-1} + e with x white: T = log(1 + c^2 / s^2) / 2."""
    rng = np.random.default_rng(6)
    x, y = rng.normal(size=1200), np.zeros(1200)
    for t in range(1, 1200):
        y[t] = 0.5 * y[t - 1] + 0.8 * x[t - 1] + rng.normal()
    forward = transfer_entropy(x, y, permutations=19)
    backward = transfer_entropy(y, x, permutations=19)
    assert forward.estimate.mean == pytest.approx(0.5 * np.log1p(0.64), abs=0.08)
    assert forward.p_value == 1 / 20 and backward.p_value > 0.05
    assert backward.effective < 0.03 < forward.effective


def test_longer_histories_see_a_longer_delay() -> None:
    rng = np.random.default_rng(7)
    x = rng.normal(size=600)
    y = np.roll(x, 2) + 0.5 * rng.normal(size=600)
    near = transfer_entropy(x, y, permutations=0).estimate.mean
    both = transfer_entropy(x, y, permutations=0, history_x=2).estimate.mean
    later = transfer_entropy(x, y, permutations=0, lag=2).estimate.mean
    assert near < 0.1 and both > 0.6 and later > 0.6


def test_labels_are_series_too() -> None:
    rng = np.random.default_rng(8)
    state = rng.integers(0, 3, 500)
    r = lagged(state, np.roll(state, 1) + 0.2 * rng.normal(size=500), lags=2, permutations=19)
    assert r.best == 1 and r.estimate.max() <= np.log(3) + 1e-6


def test_orders_that_make_the_same_table_are_ties() -> None:
    """Orders of whole periods rename the classes of x, which rounding alone tells apart."""
    x = np.tile(np.arange(5), 24)
    found = lagged(x, (x > 1).astype(int), lags=[0], permutations=99, block=5)
    assert found.p_value[0] == found.p_value_any == 1


def test_picture(tmp_path: Path) -> None:
    x = np.random.default_rng(9).normal(size=100)
    lagged(x, x[::-1].copy(), lags=3, permutations=5).plot(tmp_path / "lags.png")
    assert (tmp_path / "lags.png").stat().st_size > 5_000


def test_errors_say_what_was_expected() -> None:
    x = np.random.default_rng(10).normal(size=(100, 2))
    with pytest.raises(ValueError, match="one series"):
        lagged(x, x[:, 0])
    with pytest.raises(ValueError, match="series of one length"):
        lagged(x[:, 0], x[:50, 0], lags=3)
    with pytest.raises(ValueError, match="at least 30 times beside lags"):
        lagged(x[:, 0], x[:, 1], lags=40)
    with pytest.raises(ValueError, match="expected history_x to be an int of at least 1, got 0"):
        transfer_entropy(x[:, 0], x[:, 1], history_x=0)
    with pytest.raises(ValueError, match="series of one length"):
        transfer_entropy(x[:, 0], x[:50, 1])
    with pytest.raises(ValueError, match="series of one length, got 5 and 200 times"):
        lagged(x[:5, 0], np.resize(x, 200))
    with pytest.raises(ValueError, match="which reach 300 back, got 100 in all"):
        transfer_entropy(x[:, 0], x[:, 1], lag=300)
    with pytest.raises(ValueError, match=r"of at least 0.* or a list, got -3; pass \[-3\]"):
        lagged(x[:, 0], x[:, 1], -3)
    with pytest.raises(ValueError, match="lags as an int or a list of them, got 1.5"):
        lagged(x[:, 0], x[:, 1], 1.5)
    with pytest.raises(ValueError, match="expected permutations to be an int of at least 0"):
        lagged(x[:, 0], x[:, 1], 1, permutations=-1)


def test_blocks_above_half_of_the_rows_are_refused() -> None:
    x, y = np.random.default_rng(11).normal(size=(2, 100))
    with pytest.raises(ValueError, match="expected block of at most 48 rows, half.*got 60"):
        lagged(x, y, 2, block=60)
    with pytest.raises(ValueError, match="expected block of at most 49 rows, half.*got 50"):
        transfer_entropy(x, y, block=50)
    with pytest.raises(ValueError, match="expected block to be an int of at least 1, got 0"):
        transfer_entropy(x, y, block=0)


def test_lags_may_be_a_number_of_numpy() -> None:
    x, y = np.random.default_rng(12).normal(size=(2, 100))
    assert lagged(x, y, np.int64(2), permutations=0).lags.tolist() == [-2, -1, 0, 1, 2]


@pytest.mark.parametrize("kind", [np.random.RandomState, np.random.default_rng])
def test_generators_of_numpy_seed_the_permutations(kind) -> None:
    x, y = np.random.default_rng(5).normal(size=(2, 80))
    one, again = (lagged(x, y, 1, permutations=19, random_state=kind(3)) for _ in range(2))
    assert (one.chance == again.chance).all()
    assert transfer_entropy(x, y, permutations=3, random_state=None).p_value > 0


def test_permutations_of_transfer_entropy_do_not_repeat_its_warnings(recwarn) -> None:
    rng = np.random.default_rng(11)
    x, y = memory(rng, 200, 0.7), memory(rng, 200, 0.7)
    found = transfer_entropy(x, y, permutations=5)
    told = [str(w.message) for w in recwarn if str(w.message).startswith("torchmist: ")]
    said = [f"torchmist: {note}" for note in found.estimate.warnings]
    assert "consecutive rows" in said[0] and set(told) <= set(said)
