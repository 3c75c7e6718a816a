"""Tables on which the widths of intervals of counts were chosen, and what is printed of them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from torchmist.discrete.table_stretch import Stretch
from training import table_laws, table_widths


@pytest.mark.parametrize("law", table_laws.LAWS)
def test_tables_are_of_all_laws_and_sizes(law: str) -> None:
    rng = np.random.default_rng(0)
    sizes = []
    for _ in range(12):
        name, table = table_laws.draw_table(rng, law)
        assert name == law
        assert table.min() >= 0 and table.sum() == pytest.approx(1)
        sizes += table.shape
    assert min(sizes) < 10 and 20 < max(sizes) <= 150


def test_a_law_is_drawn_at_random_where_none_is_asked_for() -> None:
    rng = np.random.default_rng(1)
    assert {table_laws.draw_table(rng)[0] for _ in range(80)} == set(table_laws.LAWS)


def test_each_law_has_its_turn() -> None:
    assert set(table_widths.TURNS) == set(table_laws.LAWS)
    assert table_widths.TURNS.count("dirichlet") * 3 >= len(table_widths.TURNS) - 2


def test_intervals_that_hold_every_truth_of_the_known_law_are_drawn_in() -> None:
    draws = table_widths.draw_tables(44, 5)
    known = draws.tables.assign(law="dirichlet", misfit=0.0, concentration=10.0)
    draws = dataclasses.replace(draws, tables=known)
    narrow = draws.drawn_in(Stretch(narrow=0.1, sparse=0.5))
    beyond = np.arange(len(known)) % 5 == 0  # above intervals that are narrow enough
    known["truth"] = np.where(beyond, narrow[:, -2:].mean(1), narrow[:, 12])
    known["truth"] = known.truth.clip(upper=known.most)
    chosen = table_widths.choose(draws)
    assert dataclasses.replace(chosen, narrow=0.2, sparse=0.7) == Stretch()
    assert draws.held(draws.stretched()).mean() > draws.held(draws.drawn_in(chosen)).mean()


def test_the_command_says_how_many_truths_intervals_hold(capsys, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(table_widths, "RESULT", tmp_path / "widths.csv")
    table_widths.main(["--tables", "12", "--seed", "3", "--write"])
    said = capsys.readouterr().out
    assert "as it is" in said and "stretched" in said and "drawn in" in said
    record = pd.read_csv(tmp_path / "widths.csv")
    assert len(record) == 12 and (record["as_it_is"] <= record["stretched"]).all()


def test_the_record_holds_tables_of_all_laws_and_ranges() -> None:
    record = pd.read_csv(table_widths.RESULT)
    ranges = pd.cut(record.n, table_widths.ROWS, include_lowest=True)
    number = pd.crosstab(record.law, ranges).to_numpy()
    assert number.shape == (9, 5) and number.min() > 20
    known = record[record.law == "dirichlet"].groupby(ranges, observed=True)
    assert known.drawn_in.mean().between(0.85, 0.95).all()
    others = record[record.law != "dirichlet"]
    assert others.stretched.mean() - others.drawn_in.mean() < 0.02
