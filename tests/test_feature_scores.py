"""The benchmark of scores of features: its truths, draws and table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.feature_scores import (
    _nodes,
    _normal_masses,
    draw_table,
    features,
    fill_page,
    law_mi,
    main,
    table,
)


@pytest.mark.parametrize("spread", [0.3, 1.0, 4.0])
def test_the_integral_of_a_gaussian_pair_is_its_closed_form(spread: float) -> None:
    y, w = _nodes("numbers")
    masses = _normal_masses(y, np.full(len(y), spread))
    assert law_mi(masses, w) == pytest.approx(0.5 * np.log1p(spread**-2), rel=0.02)


@pytest.mark.parametrize("target", ["numbers", "classes"])
def test_labels_have_the_information_of_their_counts(target: str) -> None:
    laws = [law for law in features(target, 12, 0.0, 3) if law.discrete]
    x, y = draw_table(target, laws, 200_000, 0)
    bands = y if target == "classes" else np.searchsorted(np.linspace(-2.5, 2.5, 60), y)
    for law, column in zip(laws, x.T):
        counts = np.zeros((bands.max() + 1, int(column.max()) + 1))
        np.add.at(counts, (bands, column.astype(int)), 1)
        assert law_mi(counts / counts.sum(1, keepdims=True).clip(1), counts.sum(1) / len(y)) == (
            pytest.approx(law.mi, abs=0.02)
        )


def test_the_table_is_that_of_the_record(tmp_path: Path, capsys) -> None:
    record, page = tmp_path / "r.csv", tmp_path / "p.md"
    page.write_text(
        "a\n<!-- begin table feature_scores -->\n<!-- end table feature_scores -->\nb\n"
    )
    assert main(["--only", "classes 12x60", "--out", str(record), "--seeds", "1"]) == 2
    row = {"suite": "classes 12x60", "method": "m", "seed": 0, "seconds": 2.0, "error": 0.01}
    row |= dict.fromkeys(("gaussian", "wave", "discrete", "mixed", "noise"), 0.5) | {"top20": 0.9}
    assert "| classes 12x60 | m | 2 | 2 | 0.0100 |" in table([row, row])
    record.write_text(",".join(row) + "\n" + ",".join(map(str, row.values())) + "\n")
    fill_page(record, page)
    assert "| 90 % |" in page.read_text() and page.read_text().endswith("-->\nb\n")
    assert capsys.readouterr().err.startswith("expected --only")
