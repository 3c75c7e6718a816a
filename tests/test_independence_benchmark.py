"""The benchmark of tests of independence: its laws, rivals, distances, record and tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import independence
from benchmarks.independence import COLUMNS, TESTS, level, power, shd, tables, write
from benchmarks.independence_laws import CONFOUNDED, PAIRS, mixed_graph, sample, weakened
from benchmarks.records import Records


def test_every_law_gives_the_same_draw_again() -> None:
    for name in [*PAIRS, *CONFOUNDED]:
        first, again = sample(name, 40, 3), sample(name, 40, 3)
        assert len(first) == (3 if name in CONFOUNDED else 2)
        for a, b in zip(first, again):
            columns = zip(a.values(), b.values()) if isinstance(a, dict) else [(a, b)]
            assert all(len(p) == 40 and (p == q).all() for p, q in columns), name


@pytest.mark.parametrize("name", ["a number, linear", "3 numbers, linear"])
def test_confounded_numbers_are_uncorrelated_given_their_cause(name: str) -> None:
    x, y, z = sample(name, 20_000, 0)
    z = z.reshape(len(z), -1)
    left = [v - z @ np.linalg.lstsq(z, v, rcond=None)[0] for v in (x, y)]
    assert np.corrcoef(x, y)[0, 1] > 0.3
    assert abs(np.corrcoef(*left)[0, 1]) < 0.03


def test_a_chain_of_labels_is_independent_within_its_middle() -> None:
    x, y, z = sample("a chain of labels", 30_000, 0)
    for k in range(3):
        table = np.zeros((3, 3))
        np.add.at(table, (x[z == k], y[z == k]), 1 / (z == k).sum())
        assert np.allclose(table, table.sum(1)[:, None] * table.sum(0), atol=0.02)


def test_weakening_keeps_the_values_and_most_rows() -> None:
    y = np.arange(200)
    found = weakened(y, 0.5, np.random.default_rng(0))
    assert sorted(found) == y.tolist()
    assert 100 <= (found == y).sum() <= 110


def test_graphs_have_twelve_edges_without_a_cycle() -> None:
    for seed in range(5):
        data, edges, labels = mixed_graph(60, seed)
        assert edges.sum() == 12 and edges.sum(0).max() <= 3
        assert not np.linalg.matrix_power(edges.astype(int), 10).any()
        assert len(labels) == 4 and set(np.unique(data[:, labels])) <= {0.0, 1.0, 2.0}
        numbers = np.delete(data, labels, axis=1)
        assert np.allclose(numbers.std(0), 1) and np.isfinite(numbers).all()


@pytest.mark.parametrize("name", TESTS)
def test_every_rival_sees_a_line_and_keeps_its_level(name: str) -> None:
    rng = np.random.default_rng(0)
    x, e = rng.normal(size=(2, 60))
    assert TESTS[name](x, x + 0.5 * e, 0) == 0.01
    draws = [rng.normal(size=(2, 25)) for _ in range(40)]
    rejected = sum(TESTS[name](*pair, seed) <= 0.05 for seed, pair in enumerate(draws))
    assert rejected <= 7  # 2 expected


def test_distances_are_centred_and_those_of_labels_are_one() -> None:
    labels = np.array([0, 1, 1, 2])
    found = independence._centred_distances(labels)
    plain = (labels[:, None] != labels).astype(float)
    centre = np.eye(4) - 1 / 4
    assert np.allclose(found, centre @ plain @ centre)


def test_the_distance_of_graphs_counts_what_is_missing_and_what_is_turned() -> None:
    graph_class = pytest.importorskip("causallearn.graph.GeneralGraph").GeneralGraph
    from causallearn.graph.Edge import Edge
    from causallearn.graph.Endpoint import Endpoint
    from causallearn.graph.GraphNode import GraphNode

    truth = np.zeros((4, 4), dtype=bool)
    truth[0, 2] = truth[1, 2] = truth[2, 3] = True  # a collider: all edges have directions
    nodes = [GraphNode(f"X{k + 1}") for k in range(4)]
    found = graph_class(nodes)
    for i, j in ((0, 2), (2, 1)):  # one is right, one is turned, one is missing
        found.add_edge(Edge(nodes[i], nodes[j], Endpoint.TAIL, Endpoint.ARROW))
    assert shd(truth, found) == (2, 1)


def test_a_run_that_was_stopped_goes_on(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "r.csv"
    monkeypatch.setattr(independence, "_BLOCK", 3)
    monkeypatch.setattr(independence, "_POWER_ROWS", 60)
    names = ["labels, 5 x 3", "a label"]
    level(Records(path, COLUMNS, keys=5), draws=3, names=names)
    first = path.read_text()
    level(Records(path, COLUMNS, keys=5), draws=6, names=names)
    assert path.read_text().startswith(first) and len(path.read_text().splitlines()) == 5
    records = Records(path, COLUMNS, keys=5)
    power(records, draws=1, names=["cubic", "labels independent, 9 classes"])
    cases = {row["case"] for row in records if row["part"] == "power"}
    assert cases == {f"cubic, {share} % shuffled" for share in (60, 80)}
    count = len(records.rows)
    power(records, draws=1, names=["cubic"])
    assert len(records.rows) == count


def test_tables_have_the_shares_and_means_of_the_record(tmp_path: Path) -> None:
    records = Records(tmp_path / "r.csv", COLUMNS, keys=5)
    for first, value in ((0, 3), (50, 2)):
        records.add("level", "a label", 200, "torchmist", first, 50, value, 1.0)
    for test, value in zip(TESTS, (8, 6, 4)):
        records.add("power", "cubic, 60 % shuffled", 200, test, 0, 10, value, 2.0)
    runs = [(test, seed) for test in ("fisherz", "kci", "torchmist") for seed in (0, 1)]
    for test, seed in [*runs, ("kci", 2)]:  # the last graph is not compared
        records.add("graph", "class", 500, test, seed, 1, 4 + seed, 30.0)
        records.add("graph", "skeleton", 500, test, seed, 1, 2 + seed, 30.0)
    made = tables(records)
    assert "| given a common cause | a label | 5 of 100 | 5.0 % |" in made["level"]
    assert "| functions | 10 | 80 % | 60 % | 40 % |" in made["power"]
    assert "| seconds a test |  | 0.20 | 0.20 | 0.20 |" in made["power"]
    assert "| kci | 2 | 4.5 | 2.5 | 30 |" in made["graph"]
    page = tmp_path / "page.md"
    page.write_text(
        "a\n<!-- begin table independence_graph -->\n<!-- end table independence_graph -->\n"
    )
    write(records, tmp_path / "t.md", page)
    assert "| kci | 2 |" in page.read_text() and "## Level" in (tmp_path / "t.md").read_text()


def test_tables_of_the_page_are_those_of_the_record() -> None:
    record = independence.RECORD
    page, file = independence.PAGE.read_text(), independence.TABLES.read_text()
    for part, text in tables(Records(record, COLUMNS, keys=5)).items():
        assert text in page and text in file, part
