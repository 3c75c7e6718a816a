"""The single tests that a search for a graph asks: the part ``triples`` of the same benchmark.

In random graphs of labels and numbers (:func:`benchmarks.independence_laws.mixed_graph`, other ones
than those of the part ``graph``) every node is independent, given its parents, of each node that it
does not lead to; these are the *separated* triples. Each parent is dependent on it given the other
parents, the *linked* ones; there effects may cancel, so that not all can be found. A search keeps a
false edge where every test of a pair rejects, and loses an edge where one does not.

Legend: ``d`` nodes.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.independence_laws import mixed_graph, rejections
from benchmarks.pages import markdown
from benchmarks.records import Records

__all__ = ["TRIPLE_TESTS", "triples", "triples_of", "triples_table"]

Triple = tuple[int, int, tuple[int, ...]]
TRIPLE_TESTS = ("fisherz", "kci", "torchmist")
_ROWS = 500
_FIRST, _GRAPHS = 100, 20
_CASES = ("separated", "linked")


def triples_of(edges: NDArray[np.bool_]) -> Iterator[tuple[str, Triple]]:
    """``(case, (i, j, given))`` of the edges ``[d, d]`` of an acyclic graph.

    Separated pairs without a parent of ``j`` are asked without a condition, and once.
    """
    d = len(edges)
    leads = np.linalg.matrix_power(np.eye(d, dtype=int) + edges, d) > 0
    for j in range(d):
        parents = set(np.flatnonzero(edges[:, j]).tolist())
        for i in range(d):
            if i in parents:
                yield "linked", (i, j, tuple(sorted(parents - {i})))
            elif not leads[j, i]:
                twice = not parents and not edges[:, i].any() and i < j
                if not twice:
                    yield "separated", (i, j, tuple(sorted(parents)))


def triples(records: Records, graphs: int = _GRAPHS) -> None:
    """Rejections of the triples of every graph, by all tests."""
    from causallearn.utils.cit import CIT

    import torchmist.causal  # noqa: F401 - its test registers itself

    for seed in range(_FIRST, _FIRST + graphs):
        data, edges, labels = mixed_graph(_ROWS, seed)
        for name in TRIPLE_TESTS:
            if records.has("triples", _CASES[-1], _ROWS, name, seed):
                continue
            options: dict[str, Any] = {"discrete": labels} if name == "torchmist" else {}
            begin, found = time.process_time(), dict[str, list[float]]()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                test = CIT(data, name, **options)
                for case, (i, j, given) in triples_of(edges):
                    found.setdefault(case, []).append(float(test(i, j, list(given))))
            seconds = time.process_time() - begin
            for case in _CASES:
                value = rejections(found[case])
                records.add("triples", case, _ROWS, name, seed, len(found[case]), value, seconds)


def triples_table(records: Records) -> str:
    """Shares that every test rejects, over the graphs that all of them were asked of."""
    found: dict[str, dict[tuple[str, str], tuple[float, float]]] = {}
    for row in records:
        if row["part"] == "triples":
            counts = float(row["draws"]), float(row["value"])
            found.setdefault(row["first"], {})[row["test"], row["case"]] = counts
    whole = [f for f in found.values() if len(f) == len(TRIPLE_TESTS) * len(_CASES)]
    rows = []
    for test in TRIPLE_TESTS if whole else ():
        cells = []
        for case in _CASES:
            draws, value = np.sum([f[test, case] for f in whole], axis=0)
            cells.append(f"{value:.0f} of {draws:.0f} ({100 * value / draws:.1f} %)")
        rows.append([test, f"{len(whole)}", *cells])
    return markdown(["test", "graphs", "separated: rejected", "linked: rejected"], rows)
