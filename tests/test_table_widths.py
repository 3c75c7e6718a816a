"""Tables on which the widths of intervals of counts were chosen, and what is printed of them."""

from __future__ import annotations

import numpy as np
import pytest

from torchmist.discrete.table_posterior import Stretch, stretch_of
from training import table_widths


def test_tables_are_of_all_laws_and_sizes() -> None:
    rng = np.random.default_rng(0)
    laws, sizes = set(), []
    for _ in range(60):
        law, table = table_widths.draw_table(rng)
        assert table.min() >= 0 and table.sum() == pytest.approx(1)
        laws.add(law)
        sizes += table.shape
    assert laws == set(table_widths.LAWS)
    assert min(sizes) < 6 and 60 < max(sizes) <= 150


def test_intervals_are_stretched_by_the_rows_that_are_alone() -> None:
    assert stretch_of(0.0) == (1.1, 1.1)
    few, many = stretch_of(0.02), stretch_of(0.9)
    assert 1.1 < few[0] < few[1] < many[1] < 3.3 and many[0] < many[1]
    assert stretch_of(0.5, Stretch(1.0, 0.0, 0.0)) == (1.0, 1.0)


def test_the_command_says_how_many_truths_lie_outside(capsys, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(table_widths, "RESULT", tmp_path / "widths.csv")
    table_widths.main(["--tables", "8", "--seed", "3", "--write"])
    said = capsys.readouterr().out
    assert "as it is" in said and "stretched" in said and "below" in said
    assert len((tmp_path / "widths.csv").read_text().splitlines()) == 9
