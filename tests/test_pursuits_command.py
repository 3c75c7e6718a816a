"""The benchmark of pursuits: what is recorded, of whom, and once."""

from __future__ import annotations

import csv

import pytest
from conftest import Constant

from benchmarks import pursuits
from torchmist.functional import mist_mi


@pytest.fixture
def quick(monkeypatch) -> None:
    monkeypatch.setattr(pursuits, "SNAPSHOTS", (1, 2))


def rows(path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_a_judge_sees_the_codes_that_were_trained_against_the_model(quick, tmp_path) -> None:
    found = []
    for name, judge in (("alone", []), ("judged", ["--judge", "mist-paper-v1"])):
        path = tmp_path / f"{name}.csv"
        arguments = ["--model", "mist-v1", "--seeds", "0", "--out", str(path), *judge]
        pursuits.main(arguments)
        before = path.read_text()
        pursuits.main(arguments)
        assert path.read_text() == before
        found.append(rows(path))
    alone, judged = found
    assert [r["model"] for r in judged] == ["mist-v1 (mist-paper-v1)"] * 2
    assert [r["truth"] for r in alone] == [r["truth"] for r in judged]
    assert [r["estimate_512"] for r in alone] != [r["estimate_512"] for r in judged]


@pytest.mark.parametrize("seed, direction", [(0, "minimize"), (3, "maximize")])
def test_a_goal_is_that_of_the_pursuit_and_recorded_under_a_name_of_its_own(
    quick, tmp_path, monkeypatch, seed, direction
) -> None:
    asked, path = [], tmp_path / "r.csv"

    def value(x, y, *, goal=None, **options):
        asked.append(goal)
        return mist_mi(x, y, goal=goal, **options)

    monkeypatch.setattr(pursuits, "mist_mi", value)
    arguments = ["--model", "mist-v1", "--seeds", str(seed), "--out", str(path)]
    pursuits.main(arguments)
    assert set(asked) == {None}
    asked.clear()
    pursuits.main([*arguments, "--term", "goal"])
    assert set(asked) == {direction}
    plain, guarded = rows(path)[:2], rows(path)[2:]
    assert [r["model"] for r in guarded] == ["mist-v1 goal"] * 2
    assert [r["goal"] for r in guarded] == [r["goal"] for r in plain]
    assert [r["truth"] for r in guarded] != [r["truth"] for r in plain]


@pytest.mark.parametrize("seed", range(4))
def test_every_goal_records_the_gap_between_truth_and_estimate(quick, tmp_path, seed) -> None:
    records = pursuits.Records(tmp_path / "r.csv", pursuits.COLUMNS, keys=3)
    pursuits.run(Constant(0.7), "constant", seed, records)
    for row in records:
        assert row["goal"] == pursuits.GOALS[seed]
        assert float(row["gap_512"]) == pytest.approx(abs(float(row["truth"]) - 0.7), abs=1e-3)
