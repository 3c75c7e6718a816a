"""Matrices of mutual information: values, intervals, normalisation and pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import torchmist
from torchmist.cli import main
from torchmist.column_pairs import Pairwise, pairwise
from torchmist.scores import read_table, score_columns


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    a, c = rng.normal(size=(2, 600))
    kind = np.where(a + 0.3 * rng.normal(size=600) > 0, "high", "low")
    return pd.DataFrame(
        {"a": a, "c": c, "b": a + rng.normal(size=600), "d": c**2, "kind": pd.Categorical(kind)}
    )


@pytest.fixture(scope="module")
def matrix(frame: pd.DataFrame) -> Pairwise:
    return pairwise(frame)


def test_the_front_door_leads_here(frame: pd.DataFrame) -> None:
    assert torchmist.pairwise is pairwise


def test_the_matrix_is_symmetric_and_its_intervals_hold_the_estimate(matrix: Pairwise) -> None:
    np.testing.assert_array_equal(matrix.estimate, matrix.estimate.T)
    assert (matrix.low <= matrix.estimate).all() and (matrix.estimate <= matrix.high).all()


def test_values_are_those_of_one_pair_at_a_time(frame: pd.DataFrame, matrix: Pairwise) -> None:
    pair = score_columns(read_table(frame[["b"]]), read_table(frame[["a"]]))
    assert matrix.estimate[0, 2] == pytest.approx(float(pair.mean[0]), abs=1e-6)
    assert matrix.estimate[0, 2] == pytest.approx(0.5 * np.log(2), abs=0.07)


def test_kinds_names_and_the_entropy_on_the_diagonal(matrix: Pairwise) -> None:
    assert matrix.names == ("a", "c", "b", "d", "kind")
    assert matrix.kinds == ("numbers",) * 4 + ("labels",)
    assert np.isinf(matrix.estimate[0, 0])
    assert matrix.estimate[4, 4] == pytest.approx(np.log(2), abs=0.01)


def test_normalised_numbers_are_the_informational_coefficient_of_correlation(matrix) -> None:
    i = matrix.estimate[0, 2]
    assert matrix.normalized[0, 2] == pytest.approx(np.sqrt(1 - np.exp(-2 * i)))
    assert matrix.normalized[0, 2] == pytest.approx(np.sqrt(0.5), abs=0.08)  # the correlation


def test_normalised_labels_are_shares_of_entropies() -> None:
    rng = np.random.default_rng(1)
    x = rng.integers(0, 4, 800)
    r = pairwise(
        {"x": x, "half": x // 2, "z": rng.integers(0, 2, 800), "u": x + 0.1 * rng.random(800)}
    )
    hx, half = r.entropies[:2]
    assert r.normalized[0, 1] == pytest.approx(2 * half / (hx + half), abs=0.02)
    assert r.normalized[0, 2] < 0.03
    assert r.normalized[1, 3] == pytest.approx(1.0, abs=0.03)  # the number tells the label
    np.testing.assert_array_equal(np.diag(r.normalized), 1.0)


def test_columns_that_share_much_stand_together(matrix: Pairwise) -> None:
    order = [matrix.names[k] for k in matrix.order()]
    places = {name: k for k, name in enumerate(order)}
    assert sorted(order) == sorted(matrix.names)
    assert abs(places["c"] - places["d"]) == 1 and abs(places["a"] - places["kind"]) <= 2


def test_missing_values_are_those_of_the_one_table() -> None:
    values = np.random.default_rng(0).normal(size=(50, 3))
    values[4, 1] = np.nan
    for table in (values, {"a": values[:, 0], "b": values[:, 1]}):
        with pytest.raises(ValueError, match="1 NaN or infinite.*drop or impute those rows$"):
            torchmist.pairwise(table)
    with pytest.raises(
        ValueError, match="1 missing ones in column a of table; drop those rows, or"
    ):
        torchmist.pairwise({"a": np.array([1, None] + 48 * [2]), "b": values[:, 0]})
    with pytest.raises(ValueError, match="those rows in both x and y"):
        torchmist.estimate({"a": values[:, 1]}, values[:, 0])


def test_the_interval_of_copies_has_no_upper_end() -> None:
    x = np.random.default_rng(2).normal(size=200)
    r = pairwise({"x": x, "copy": np.exp(x), "near": x + np.random.default_rng(3).normal(size=200)})
    assert np.isinf(r.high[0, 1]) and np.isfinite(r.estimate[0, 1]) and np.isfinite(r.high[0, 2])


def test_frames_arrays_and_polars_like_columns_agree(frame: pd.DataFrame, matrix) -> None:
    numbers = pairwise(frame[["a", "c", "b"]].to_numpy())
    np.testing.assert_allclose(numbers.estimate, matrix.estimate[:3, :3], atol=1e-6)
    assert numbers.names == ("0", "1", "2")
    named = pairwise({name: frame[name].to_numpy() for name in ("a", "c")})
    assert named.estimate[0, 1] == pytest.approx(matrix.estimate[0, 1], abs=1e-6)


def test_frame_of_results(matrix: Pairwise) -> None:
    shown = matrix.to_frame("normalized")
    assert shown.loc["a", "b"] == matrix.normalized[0, 2]
    with pytest.raises(ValueError, match="expected values 'estimate'"):
        matrix.to_frame("mean")


def test_heat_map_is_written(matrix: Pairwise, tmp_path: Path) -> None:
    matrix.plot(tmp_path / "mi.png")
    matrix.plot(tmp_path / "nats.png", values="estimate")
    assert (tmp_path / "mi.png").stat().st_size > 5_000
    assert (tmp_path / "nats.png").stat().st_size > 5_000


def test_command_line(frame: pd.DataFrame, matrix: Pairwise, tmp_path: Path, capsys) -> None:
    data, picture = tmp_path / "data.csv", tmp_path / "out.png"
    frame.to_csv(data, index=False)
    command = ["pairwise", str(data), "--discrete", "kind", "--plot", str(picture)]
    assert main([*command, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["names"] == list(matrix.names) and picture.stat().st_size > 5_000
    assert shown["estimate"][0][2] == pytest.approx(matrix.estimate[0, 2], abs=1e-5)
    assert shown["estimate"][0][0] is None  # infinite
    assert main([*command, "--columns", "a,b", "--bits"]) == 2
    assert "expected --discrete to name columns" in capsys.readouterr().err
    assert main(["pairwise", str(data), "--columns", "a,b,d"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("a")


def test_errors_say_what_was_expected() -> None:
    with pytest.raises(ValueError, match="at least two columns"):
        pairwise(np.zeros((20, 1)))
    with pytest.raises(ValueError, match="one table"):
        pairwise(np.zeros((2, 20, 3)))
    with pytest.raises(ValueError, match="expected random_state to be an int of at least 0"):
        pairwise(np.zeros((20, 2)), random_state="a")


@pytest.mark.parametrize("kind", [np.random.default_rng, np.random.RandomState])
def test_rows_are_drawn_as_scikit_learn_draws_them(kind) -> None:
    table = np.random.default_rng(0).normal(size=(60, 2))
    one, again = (pairwise(table, max_samples=30, random_state=kind(3)) for _ in range(2))
    assert np.array_equal(one.estimate, again.estimate)
    assert pairwise(table, max_samples=30, random_state=None).estimate.shape == (2, 2)


def test_names_are_those_of_the_table_whatever_it_is() -> None:
    pyarrow = pytest.importorskip("pyarrow")
    values = np.random.default_rng(0).normal(size=(2, 60))
    named = dict(zip(("a of b", "column c"), values))
    fields = np.rec.fromarrays(values, names="a of b,column c")
    for table in (named, pd.DataFrame(named), pyarrow.table(named), fields):
        assert torchmist.pairwise(table).names == ("a of b", "column c")
    assert torchmist.pairwise(values.T).names == ("0", "1")
    assert torchmist.pairwise(pd.DataFrame(values.T)).names == ("0", "1")
