"""The benchmark of columns as people bring them: its record, its page, and a tiny run."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import columns
from benchmarks.records import Records
from torchmist.weights import ALIASES, save_weights

RECORDS = Records(columns.RESULTS, columns.COLUMNS, keys=3)


def test_every_case_is_recorded_within_a_tenth_or_its_interval() -> None:
    for case, (_, n) in columns.CASES.items():
        row = RECORDS.row(case, n, ALIASES["mist"])
        assert row["held"] == row["draws"], case
    assert columns.table(RECORDS, ALIASES["mist"]) in columns.PAGE.read_text()


@pytest.mark.parametrize("case", columns.CASES)
def test_a_draw_is_the_same_again(case: str) -> None:
    make, _ = columns.CASES[case]
    first, again = (make(100, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first.x, again.x)
    np.testing.assert_array_equal(first.y, again.y)
    assert len(first.x) == len(first.y) == 100 and 0 < first.truth == again.truth


def test_the_truth_of_levels_is_that_of_a_mixture() -> None:
    draw = columns.levels(40_000, np.random.default_rng(0))
    noise, centres = 1.0, columns._LEVELS
    spread = np.sqrt(1 + noise**2)  # of y about the level of its class
    density = np.exp(-0.5 * ((draw.y[:, None] - centres) / spread) ** 2).mean(1)
    entropy = -np.log(density / (spread * np.sqrt(2 * np.pi))).mean()
    assert draw.truth == pytest.approx(entropy - 0.5 * np.log(2 * np.pi * np.e), abs=0.01)


def test_a_tiny_run_writes_a_record_and_a_table(small, tmp_path) -> None:
    save_weights(small, tmp_path / "tiny.safetensors")
    page = tmp_path / "page.md"
    page.write_text("<!-- begin table columns -->\n<!-- end table columns -->")
    case = "labels Likert 5 x 5"
    columns.main(
        ["--model", str(tmp_path / "tiny.safetensors"), "--draws", "2", "--only", case,
         "--out", str(tmp_path / "columns.csv"), "--page", str(page)]
    )  # fmt: skip
    assert f"| {case} | 2,000 | 0.607 |" in page.read_text()
