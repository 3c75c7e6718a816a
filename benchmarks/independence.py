"""Tests of independence: level, power, and graphs: ``python -m benchmarks.independence``.

``level``: at 5 %, how many of 400 independent pairs of each kind of columns are rejected, and of
400 confounded ones given their common cause; ``large``: the same of 2,000 rows, which are tested
in blocks, of 70 pairs of each kind and 200 confounded ones. ``power``: how many draws of the kinds
of :mod:`benchmarks.kinds` are found dependent after a share of their rows was shuffled, beside
permutation tests of distance covariance (Székely et al. 2007) and of the nearest neighbours'
estimate (Mesner and Shalizi 2020) on the same draws and with the same rule of stopping; ``given``:
power given a common cause (:mod:`benchmarks.independence_given`). ``graph``: the structural Hamming
distance of the graphs of PC (causal-learn) from the equivalence class of the truth on random graphs
of labels and numbers, beside Fisher's z and KCI; ``triples``: the single tests that such a search
asks (:mod:`benchmarks.independence_triples`).

Columns of the record: ``part``, ``case``, ``n``, ``test``, ``first`` (seed), ``draws`` from it on,
``value`` (rejections, or the distance), ``seconds`` of the processor. It is written as it grows: a
run that was stopped goes on. No constant of the tests was chosen on these draws.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.independence_given import given, given_table
from benchmarks.independence_laws import (
    CONFOUNDED,
    LEVEL,
    PAIRS,
    mixed_graph,
    rejections,
    sample,
    weakened,
)
from benchmarks.independence_triples import triples, triples_table
from benchmarks.kinds import KINDS
from benchmarks.kinds.baselines import neighbours
from benchmarks.pages import has_table, markdown, write_table
from benchmarks.records import Records
from torchmist.independence import conditional_independence_test, independence_test
from torchmist.permutation_tests.permutations import sequential_p_value

__all__ = ["TESTS", "distance_covariance_test", "main", "neighbours_test", "shd", "tables"]

Array = NDArray[Any]
ROOT = Path(__file__).parent.parent
RECORD = ROOT / "benchmarks/results/independence.csv"
TABLES = ROOT / "benchmarks/tables/independence.md"
PAGE = ROOT / "docs/independence.md"
COLUMNS = ("part", "case", "n", "test", "first", "draws", "value", "seconds")
PARTS = ("level", "large", "power", "given", "graph", "triples")
_DRAWS, _BLOCK = 400, 50
_PAIR_ROWS, _CONFOUNDED_ROWS = 100, 200
_MANY_ROWS, _MANY_DRAWS = 2000, 200
_MANY_PAIRS, _MANY_BLOCK = 70, 10  # draws of pairs, which take longer
_POWER_ROWS, _POWER_DRAWS, _POWER_BLOCK = 200, 40, 5
_SHARES = (0.6, 0.8)  # of rows that are shuffled
_PERMUTATIONS, _STOP, _CHUNK = 99, 20, 20  # of all tests of power
_GRAPH_ROWS, _GRAPHS = 500, 10
_GRAPH_TESTS = ("fisherz", "kci", "torchmist")
_CASES = ("class", "skeleton")  # of graphs that are compared


def _own(x: Any, y: Any, seed: int) -> float:
    generator = torch.Generator().manual_seed(seed)
    options: dict[str, Any] = {"model": None, "generator": generator}  # p needs no estimate
    return independence_test(x, y, permutations=_PERMUTATIONS, stop=_STOP, **options).p_value


def _permuted(y: Array, statistic: Callable[[Array], float], seed: int) -> float:
    """The p-value of ``statistic`` of rows in an order ``[n]`` under random orders."""
    rng = np.random.default_rng(seed)

    def draw(count: int) -> Tensor:
        return torch.tensor([statistic(rng.permutation(len(y))) for _ in range(count)])

    own = statistic(np.arange(len(y)))
    return sequential_p_value(own, draw, _PERMUTATIONS, _STOP, _CHUNK)[0]


def _centred_distances(side: Array) -> Array:
    """Doubly centred Euclidean distances ``[n, n]``; columns in deviations, 1 between labels."""
    if side.dtype.kind in "iub" and side.ndim == 1:
        found = (side[:, None] != side).astype(float)
    else:
        v = side.reshape(len(side), -1).astype(float)
        v = (v - v.mean(0)) / np.where(v.std(0) > 0, v.std(0), 1)
        found = np.sqrt(np.maximum(((v[:, None] - v) ** 2).sum(-1), 0))
    centred: Array = found - found.mean(0) - found.mean(1)[:, None] + found.mean()
    return centred


def distance_covariance_test(x: Array, y: Array, seed: int) -> float:
    """p of the permutation test of distance covariance: of the correlation too, whose other terms
    no permutation changes."""
    a, b = _centred_distances(x), _centred_distances(y)
    return _permuted(y, lambda rows: float((a * b[rows][:, rows]).sum()), seed)


def neighbours_test(x: Array, y: Array, seed: int) -> float:
    """p of the permutation test of the nearest neighbours' estimate."""
    return _permuted(y, lambda rows: neighbours(x, y[rows]), seed)


TESTS: dict[str, Callable[[Any, Any, int], float]] = {
    "torchmist": _own,
    "distance covariance": distance_covariance_test,
    "neighbours": neighbours_test,
}
"""Tests of power by name: ``(x, y, seed) -> p``."""


def level(records: Records, draws: int = _DRAWS, names: Sequence[str] = ()) -> None:
    """Rejections of laws that are independent, or independent given the third variable."""
    for name in names or [*PAIRS, *CONFOUNDED]:
        n = _CONFOUNDED_ROWS if name in CONFOUNDED else _PAIR_ROWS
        _level(records, ("level", name, n), draws, _BLOCK)


def large(records: Records, draws: int = _MANY_DRAWS, names: Sequence[str] = ()) -> None:
    """The same of many rows, with fewer draws of pairs."""
    for name in names or [*PAIRS, *CONFOUNDED]:
        few = name in PAIRS
        count, size = (min(draws, _MANY_PAIRS), _MANY_BLOCK) if few else (draws, _BLOCK)
        _level(records, ("large", name, _MANY_ROWS), count, size)


def _level(records: Records, law: tuple[str, str, int], draws: int, size: int) -> None:
    """Rejections of ``draws`` samples of a law (part, name, rows), by ``size`` a row."""
    _, name, n = law
    test: Callable[..., Any] = (
        conditional_independence_test if name in CONFOUNDED else independence_test
    )
    for first in range(0, draws, size):
        key = (*law, "torchmist", first)
        if records.has(*key):
            continue
        begin, found = time.process_time(), []
        for seed in range(first, min(first + size, draws)):
            generator = torch.Generator().manual_seed(seed)
            data = sample(name, n, seed)
            found.append(test(*data, model=None, generator=generator).p_value)
        seconds = time.process_time() - begin
        records.add(*key, len(found), rejections(found), seconds)


def power(records: Records, draws: int = _POWER_DRAWS, names: Sequence[str] = ()) -> None:
    """Rejections of weakened draws of the kinds whose sides share information."""
    chosen = [KINDS[name] for name in names] if names else list(KINDS.values())
    chosen = [k for k in chosen if not k.file and "independent" not in k.tags]
    for first, kind, share in itertools.product(range(0, draws, _POWER_BLOCK), chosen, _SHARES):
        case = f"{kind.name}, {100 * share:.0f} % shuffled"
        missing = [t for t in TESTS if not records.has("power", case, _POWER_ROWS, t, first)]
        pairs = []
        for seed in range(first, min(first + _POWER_BLOCK, draws) if missing else first):
            x, y, _ = kind.draw(_POWER_ROWS, seed)
            pairs.append((x, weakened(y, share, np.random.default_rng(seed)), seed))
        for test in missing:
            begin = time.process_time()
            value = rejections(TESTS[test](*pair) for pair in pairs)
            seconds = time.process_time() - begin
            records.add("power", case, _POWER_ROWS, test, first, len(pairs), value, seconds)


def shd(truth: Array, found: Any) -> tuple[int, int]:
    """Structural Hamming distance of a graph of causal-learn from the class of a truth, and of
    their skeletons.

    Args:
        truth: edges ``[d, d]`` of the acyclic graph, ``truth[i, j]`` for ``i -> j``.
        found: a ``GeneralGraph`` of nodes ``X1 .. Xd``.
    """
    from causallearn.graph.Dag import Dag
    from causallearn.graph.GraphNode import GraphNode
    from causallearn.graph.SHD import SHD
    from causallearn.utils.DAG2CPDAG import dag2cpdag

    nodes = [GraphNode(f"X{k + 1}") for k in range(len(truth))]
    graph = Dag(nodes)
    for i, j in np.argwhere(truth):
        graph.add_directed_edge(nodes[i], nodes[j])
    skeleton = (found.graph != 0) != (truth | truth.T)
    return SHD(dag2cpdag(graph), found).get_shd(), int(np.triu(skeleton, 1).sum())


def graph(records: Records, seeds: int = _GRAPHS, tests: Sequence[str] = _GRAPH_TESTS) -> None:
    """Distances of the graphs of PC on mixed tables."""
    from causallearn.search.ConstraintBased.PC import pc

    import torchmist.causal  # noqa: F401 - its test registers itself

    for seed in range(seeds):
        data, truth, labels = mixed_graph(_GRAPH_ROWS, seed)
        for test in tests:
            if records.has("graph", "skeleton", _GRAPH_ROWS, test, seed):
                continue
            options = {"discrete": labels} if test == "torchmist" else {}
            begin = time.process_time()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = pc(data, LEVEL, test, show_progress=False, **options).G
            seconds = time.process_time() - begin
            for case, value in zip(_CASES, shd(truth, found)):
                records.add("graph", case, _GRAPH_ROWS, test, seed, 1, value, seconds)


def _sums(records: Records, part: str) -> dict[tuple[str, str], tuple[float, float, float]]:
    """Draws, values and seconds of each case and test, summed over the rows of the record."""
    out: dict[tuple[str, str], tuple[float, float, float]] = {}
    for row in records:
        if row["part"] == part:
            old = out.get((row["case"], row["test"]), (0.0, 0.0, 0.0))
            new = (float(row[name]) for name in ("draws", "value", "seconds"))
            out[row["case"], row["test"]] = tuple(a + b for a, b in zip(old, new))  # type: ignore
    return out


def _level_table(records: Records, part: str = "level") -> str:
    rows = []
    groups: dict[str, list[float]] = {}
    for (case, _), (draws, value, _) in _sums(records, part).items():
        kind = "given a common cause" if case in CONFOUNDED else "pairs"
        total = groups.setdefault(kind, [0.0, 0.0])
        total[0], total[1] = total[0] + draws, total[1] + value
        rows.append([kind, case, f"{value:.0f} of {draws:.0f}", f"{100 * value / draws:.1f} %"])
    for kind, (draws, value) in groups.items():
        rows.append(
            [kind, "**all**", f"{value:.0f} of {draws:.0f}", f"{100 * value / draws:.1f} %"]
        )
    return markdown(["", "columns", "rejected at 5 %", "share"], rows)


def _power_table(records: Records) -> str:
    """Means over the kinds of each theme and share of shuffled rows."""
    sums = _sums(records, "power")
    groups: dict[str, dict[str, list[float]]] = {}
    for (case, test), (draws, value, seconds) in sums.items():
        name, share = case.rsplit(", ", 1)
        for group in (KINDS[name].theme, f"**all, {share}**", "**all**"):
            total = groups.setdefault(group, {}).setdefault(test, [0.0, 0.0, 0.0])
            for k, new in enumerate((draws, value, seconds)):
                total[k] += new
    rows = []
    for group in sorted(groups, key=lambda name: (name.count("*"), len(name) < 9, name)):
        by = [groups[group].get(test, [0.0] * 3) for test in TESTS]
        cells = [f"{100 * v / d:.0f} %" if d else "" for d, v, _ in by]
        rows.append([group, f"{by[0][0]:.0f}", *cells])
    if "**all**" in groups:
        by = [groups["**all**"].get(test, [0.0] * 3) for test in TESTS]
        times = [f"{s / d:.2f}" if d else "" for d, _, s in by]
        rows.append(["seconds a test", "", *times])
    return markdown(["kinds", "draws", *TESTS], rows)


def _graph_table(records: Records) -> str:
    """Means over the graphs that PC has searched with every test."""
    found: dict[str, dict[str, list[dict[str, str]]]] = {}
    for row in records:
        if row["part"] == "graph":
            found.setdefault(row["first"], {}).setdefault(row["test"], []).append(row)
    whole = [tests for tests in found.values() if all(t in tests for t in _GRAPH_TESTS)]
    rows = []
    for test in _GRAPH_TESTS if whole else ():
        named = {case: [t for g in whole for t in g[test] if t["case"] == case] for case in _CASES}
        shape, bones = (np.mean([float(r["value"]) for r in named[case]]) for case in _CASES)
        seconds = np.mean([float(row["seconds"]) for row in named["class"]])
        rows.append([test, f"{len(whole)}", f"{shape:.1f}", f"{bones:.1f}", f"{seconds:.3g}"])
    head = ["test in PC", "graphs", "distance of classes", "of skeletons", "seconds a graph"]
    return markdown(head, rows)


def tables(records: Records) -> dict[str, str]:
    """A Markdown table of each part."""
    many = partial(_level_table, part="large")
    makers: tuple[Callable[[Records], str], ...]
    makers = (_level_table, many, _power_table, given_table, _graph_table, triples_table)
    return {part: make(records) for part, make in zip(PARTS, makers)}


def write(records: Records, file: Path, page: Path) -> None:
    """The tables as a file, and between their marks on ``page``."""
    made = tables(records)
    titles = {"level": "Level", "large": "Level of 2,000 rows", "power": "Power",
              "given": "Power given a common cause", "graph": "Graphs of PC",
              "triples": "Single tests of graphs"}  # fmt: skip
    file.write_text("\n".join(f"## {titles[part]}\n\n{made[part]}" for part in PARTS))
    for part in PARTS:
        if page.is_file() and has_table(page, f"independence_{part}"):
            write_table(page, f"independence_{part}", made[part])


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--parts", nargs="*", default=list(PARTS), help="none: tables alone")
    parser.add_argument("--out", type=Path, default=RECORD)
    parser.add_argument("--tables", type=Path, default=TABLES)
    parser.add_argument("--page", type=Path, default=PAGE)
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.parts) - set(PARTS)):
        parser.error(f"expected --parts among {', '.join(PARTS)}, got {unknown}")
    torch.set_num_threads(1)
    records = Records(options.out, COLUMNS, keys=5)
    runs: tuple[Callable[[Records], None], ...] = (level, large, power, given, graph, triples)
    for part, run in zip(PARTS, runs):
        if part not in options.parts:
            continue
        if part in ("graph", "triples") and not importlib.util.find_spec("causallearn"):
            print(f"{part}: left out, needs causal-learn; pip install 'torchmist-mi[causal]'")
            continue
        run(records)
    write(records, options.tables, options.page)


if __name__ == "__main__":
    main()
