"""The conditional parts of the benchmark of tests: laws, rivals, triples of graphs, and tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import independence_given, independence_triples
from benchmarks.independence import COLUMNS
from benchmarks.independence_given import (
    GIVEN_TESTS,
    given,
    given_table,
    local_orders,
    neighbours_given,
    partial_correlation,
)
from benchmarks.independence_laws import LINKED, linked
from benchmarks.independence_triples import TRIPLE_TESTS, triples, triples_of, triples_table
from benchmarks.records import Records


def test_every_linked_law_gives_the_same_draw_again_and_another_without_its_link() -> None:
    for name in LINKED:
        first, again, none = (linked(name, a, 40, 3) for a in (0.5, 0.5, 0.0))
        assert all((a == b).all() for a, b in zip(first, again)), name
        assert any((a != b).any() for a, b in zip(first, none)), name


@pytest.mark.parametrize("name", ["a line", "a spread", "a line whose sign is that of the cause"])
def test_links_of_no_strength_leave_independent_noise(name: str) -> None:
    x, y, z = linked(name, 0.0, 20_000, 0)
    left = np.stack([x - z, y - z])
    assert np.abs(np.corrcoef(np.concatenate([left, left**2]))[:2, 1]).min() < 0.03
    assert abs(np.corrcoef(left)[0, 1]) < 0.03


@pytest.mark.parametrize("name", GIVEN_TESTS)
def test_every_conditional_rival_sees_a_line_and_not_its_cause(name: str) -> None:
    rng = np.random.default_rng(0)
    z, e, f = rng.normal(size=(3, 200))
    assert GIVEN_TESTS[name](z + e, z + e + 0.3 * f, z, seed=0) <= 0.02
    found = []
    for seed in range(20):
        z, e, f = np.random.default_rng(seed).normal(size=(3, 200))
        found.append(GIVEN_TESTS[name](z + e, z + f, z, seed=seed) <= 0.05)
    assert sum(found) <= 5  # 1 expected


def test_neighbours_have_the_conditional_information_of_normal_numbers() -> None:
    rng = np.random.default_rng(1)
    z, e, f = rng.normal(size=(3, 1500))
    x, y = z + e, z + e + f
    sides = [independence_given._distances(v) for v in (x, y, z)]
    assert neighbours_given(*sides, k=8) == pytest.approx(0.5 * np.log(2), abs=0.08)


def test_local_orders_stay_among_the_five_nearest() -> None:
    z = np.random.default_rng(0).normal(size=60)
    distances = np.abs(z[:, None] - z)
    orders = local_orders(distances, 4, np.random.default_rng(1))
    near = distances.argsort(1)[:, :5]
    assert all(order[row] in near[row] for order in orders for row in range(60))
    assert min(len(set(order)) for order in orders) > 50 and len({*map(tuple, orders)}) == 4


def test_the_partial_correlation_is_that_of_causal_learn() -> None:
    cit = pytest.importorskip("causallearn.utils.cit")
    x, y, z = linked("a line, two causes and a wave", 0.25, 100, 0)
    want = cit.CIT(np.c_[x, y, z], "fisherz")(0, 1, [2, 3])
    assert partial_correlation(x, y, z, seed=0) == pytest.approx(want)


def test_triples_are_those_of_the_parents() -> None:
    edges = np.zeros((4, 4), dtype=bool)
    edges[0, 2] = edges[1, 2] = edges[2, 3] = True
    found = set(triples_of(edges))
    assert {t for case, t in found if case == "linked"} == {(0, 2, (1,)), (1, 2, (0,)), (2, 3, ())}
    assert {t for case, t in found if case == "separated"} == {
        (0, 3, (2,)), (1, 3, (2,)), (1, 0, ()),
    }  # fmt: skip


def test_records_of_both_parts_go_on_and_make_tables(tmp_path: Path, monkeypatch) -> None:
    pytest.importorskip("causallearn")
    records = Records(tmp_path / "r.csv", COLUMNS, keys=5)
    monkeypatch.setattr(independence_given, "LINKED", {"a line": LINKED["a line"]})
    monkeypatch.setattr(independence_given, "_STRENGTHS", (0.5,))
    given(records, draws=2)
    assert len(records.rows) == len(GIVEN_TESTS)
    monkeypatch.setattr(independence_triples, "TRIPLE_TESTS", ("fisherz",))
    monkeypatch.setattr(independence_triples, "_ROWS", 80)
    triples(records, graphs=1)
    count = len(records.rows)
    given(records, draws=2)
    triples(records, graphs=1)
    assert len(records.rows) == count == len(GIVEN_TESTS) + 2
    assert "| fisherz | 1 | " in triples_table(records)
    made = given_table(records)
    assert "| a line | 0.5 | 2 | " in made and "| **all** | 0.5 | 2 | " in made


def test_the_table_of_triples_holds_graphs_of_all_tests_alone(tmp_path: Path) -> None:
    records = Records(tmp_path / "r.csv", COLUMNS, keys=5)
    for test, seed in [*((test, 100) for test in TRIPLE_TESTS), ("kci", 101)]:
        records.add("triples", "separated", 500, test, seed, 40, 2, 1.0)
        records.add("triples", "linked", 500, test, seed, 12, 9, 1.0)
    assert triples_table(records).count("| 1 | 2 of 40 (5.0 %) | 9 of 12 (75.0 %) |") == 3
