"""The benchmark of conditional estimates: its record, other ways, tables and page."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks.conditional import LAWS
from benchmarks.conditional.__main__ import PAGE, RECORD, TABLES, main
from benchmarks.conditional.decompositions import DECOMPOSITIONS
from benchmarks.conditional.report import cells, line, tables
from benchmarks.conditional.run import COLUMNS, DIRECT, RIVAL, TERM, Weights, run_cell
from benchmarks.kinds.run import Appended
from torchmist.conditional import estimate_conditional

NAMES = ("mist-duo-v20", "mist-v1")


def test_a_run_that_was_stopped_goes_on(small, tmp_path: Path) -> None:
    record = Appended(tmp_path / "r.csv", COLUMNS, keys=5)
    model, term = Weights(small, "a"), Weights(small, "b")
    law = LAWS["a sign that turns, beside a number"]
    run_cell(law, 80, range(1), model, term, record)
    first = record.path.read_text()
    again = Appended(record.path, COLUMNS, keys=5)
    run_cell(law, 80, range(2), model, term, again)
    assert record.path.read_text().startswith(first)
    found = [(row["seed"], row["method"]) for row in again]
    assert len(found) == len(set(found)) == 3 + len(DECOMPOSITIONS) + 3


def test_the_record_has_the_estimate_of_the_same_sample(small, tmp_path: Path) -> None:
    record = Appended(tmp_path / "r.csv", COLUMNS, keys=5)
    law = LAWS["a line beside the condition"]
    run_cell(law, 80, range(1), Weights(small, "a"), Weights(small, "b"), record)
    s = law.draw(80, 0)
    r = estimate_conditional(s.x, s.y, s.given, model=small)
    row = record.row(law.name, 80, 0, DIRECT, "a")
    assert float(row["estimate"]) == pytest.approx(float(r.mean), abs=1e-5)
    assert float(row["high"]) == pytest.approx(float(r.interval(0.9)[1]), abs=1e-5)
    methods = {row["method"] for row in record}
    assert methods == {DIRECT, TERM, RIVAL, "chain rule from y"}  # numbers: that is the direct way


def test_the_sum_over_classes_is_the_direct_estimate(small) -> None:
    s = LAWS["a sign that turns with the class"].draw(120, 0)
    found = DECOMPOSITIONS["sum over classes"](s, small)
    assert found is not None
    r = estimate_conditional(s.x, s.y, s.given, model=small)
    assert found.mean == pytest.approx(float(r.mean), abs=0.01)
    assert DECOMPOSITIONS["chain rule from x"](s, small) is not None


@pytest.fixture
def made(tmp_path: Path) -> Appended:
    """Two laws at one size: one ahead of the neighbours, one behind them and silently wrong."""
    record = Appended(tmp_path / "r.csv", COLUMNS, keys=5)
    for seed in range(2):
        for case, estimate, low, high, theirs in (
            ("a line beside the condition", 0.55, 0.5, 0.6, 0.4),
            ("a chain of labels", 0.3, 0.2, 0.4, 0.05),
        ):
            truth = LAWS[case].draw(20, 0).truth
            none = (math.nan, math.nan, 0, 0.1)
            record.add(case, 500, seed, DIRECT, NAMES[0], truth, estimate, low, high, 0, 1.0)
            record.add(case, 500, seed, TERM, NAMES[1], truth, 0.2, *none)
            record.add(case, 500, seed, RIVAL, "", truth, theirs, *none)
    row = ("a chain of labels", 500, 0, "chain rule from y", NAMES[0], 0.0, 0.0, 0.0, 0.1, 0, 1.0)
    record.add(*row)
    record.add("a chain", 500, 0, DIRECT, "other weights", 0.0, 9.0, 9.0, 9.0, 0, 1.0)
    return record


def test_cells_say_who_is_ahead_who_covers_and_what_is_silent(made) -> None:
    first, second = cells(made, *NAMES)
    assert (first.law, first.covered, first.silent) == ("a line beside the condition", 2, 0)
    assert first.ahead and not first.behind and second.behind and not second.ahead
    assert (second.covered, second.silent) == (0, 2)
    assert second.error(DIRECT) == pytest.approx(0.3) and second.mean(RIVAL) == 0.05
    assert "covered 0 of 2" in line(second)


def test_tables_hold_what_the_cells_say(made) -> None:
    found = tables(cells(made, *NAMES))
    assert "| **all** | 2 | 0.153 |" in found["conditional_summary"]
    assert "| 1 | 1 | 50 % | 2 of 4 |" in found["conditional_summary"]
    assert "| 0 of 2 | 0.200 | 0.050 | 0.300 | 0.050 | neighbours |" in found["conditional_cases"]
    assert "| chain rule from y | 1 | 0 | 0.300 |" in found["conditional_routes"]
    assert "a chain of labels (500)" in found["conditional_routes"]


def test_one_command_writes_record_tables_and_page(tmp_path: Path) -> None:
    page, record, file = (tmp_path / name for name in ("p.md", "r.csv", "t.md"))
    marks = "<!-- begin table conditional_{0} -->\n<!-- end table conditional_{0} -->\n"
    page.write_text("".join(marks.format(k) for k in ("summary", "cases", "routes")))
    words = ["--only", "a chain of labels", "--sizes", "60", "--seeds", "1", "--model", "mist-fast"]
    main([*words, "--out", str(record), "--tables", str(file), "--page", str(page)])
    assert "a class: a chain of labels | 60 | 0.000 |" in page.read_text()
    assert page.read_text().count("\n| ") == file.read_text().count("\n| ")
    with pytest.raises(SystemExit):
        main(["--only", "nothing"])


def test_tables_of_the_page_are_those_of_the_record() -> None:
    page, file = PAGE.read_text(), TABLES.read_text()
    names = [word for word in file.splitlines()[0].split("`") if word.startswith("mist")]
    for text in tables(cells(Appended(RECORD, COLUMNS, keys=5), *names)).values():
        assert text in page and text in file


def test_the_neighbours_of_the_record_are_those_of_the_law() -> None:
    rows = [r for r in Appended(RECORD, COLUMNS, keys=5) if r["method"] == RIVAL]
    for row in [r for r in rows if r["n"] == "500"][::29]:
        truth = LAWS[row["case"]].draw(500, int(row["seed"])).truth
        assert np.isclose(truth, float(row["truth"]), rtol=1e-5)
