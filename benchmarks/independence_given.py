r"""Power of tests of conditional independence: the part ``given`` of ``benchmarks.independence``.

Samples of 200 rows of the linked laws (:data:`benchmarks.independence_laws.LINKED`) in two
strengths, given their common cause, and without a link, which shows the level of every test on the
same laws. Beside this test stand the nearest neighbours' estimate of conditional information
(Frenzel and Pompe 2007, with the ties of Mesner and Shalizi 2020)

.. math:: I = \frac{1}{n} \sum_i \psi(k_i) - \psi(n_{i,xz}) - \psi(n_{i,yz}) + \psi(n_{i,z})

under permutations of x among the five rows that are nearest in z (Runge 2018), once with a fifth of
the rows as neighbours, as in tigramite's CMIknn, and once with five; and Fisher's z of the partial
correlation, which takes the codes of labels for numbers. No constant was chosen on these draws.

Legend: ``n`` rows, ``q`` columns.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import digamma, ndtr
from torch import Tensor

from benchmarks.independence_laws import LINKED, linked, rejections
from benchmarks.pages import markdown
from benchmarks.records import Records
from torchmist.independence import conditional_independence_test
from torchmist.permutation_tests.permutations import sequential_p_value

__all__ = [
    "GIVEN_TESTS",
    "given",
    "given_table",
    "local_orders",
    "neighbours_given",
    "partial_correlation",
]

Array = NDArray[Any]
_ROWS, _DRAWS, _BLOCK = 200, 60, 20
_STRENGTHS = (0.0, 0.25, 0.5)
_PERMUTATIONS, _STOP, _CHUNK = 99, 20, 20
_NEAREST = 5  # rows among which one is exchanged
_SHARE, _FEW = 0.2, 5  # neighbours of the estimates


def _own(x: Array, y: Array, z: Array, seed: int) -> float:
    options: dict[str, Any] = {"permutations": _PERMUTATIONS, "stop": _STOP, "model": None}
    generator = torch.Generator().manual_seed(seed)
    return conditional_independence_test(x, y, z, generator=generator, **options).p_value


def _distances(side: Array) -> Array:
    """Distances ``[n, n]`` of ranks in the maximum norm; 1 between different labels."""
    if side.dtype.kind in "iub":
        return np.asarray(side[:, None] != side, dtype=float)
    ranks = side.reshape(len(side), -1).argsort(0).argsort(0) / len(side)
    found: Array = np.abs(ranks[:, None] - ranks).max(-1)
    return found


def neighbours_given(x: Array, y: Array, z: Array, k: int) -> float:
    """I(X;Y|Z) in nats from the ``k`` nearest neighbours, of distances ``[n, n]`` of each."""
    xz, yz = np.maximum(x, z), np.maximum(y, z)
    joint = np.maximum(xz, y)
    reach = np.partition(joint, k, axis=1)[:, [k]]
    among = [digamma((d <= reach).sum(1) - 1) for d in (joint, xz, yz, z)]
    return float((among[0] - among[1] - among[2] + among[3]).mean())


def local_orders(z: Array, count: int, rng: np.random.Generator) -> Array:
    """``count`` orders ``[count, n]`` that exchange rows among the five nearest of distances ``z``.

    Rows take a neighbour that is not taken yet, in random order, and where all are taken one of
    them again (Runge 2018).
    """
    near = np.argsort(z, axis=1, kind="stable")[:, :_NEAREST]
    out = np.empty((count, len(z)), dtype=int)
    for order in out:
        lists = rng.permuted(near, axis=1).tolist()
        taken: set[int] = set()
        for row in rng.permutation(len(z)).tolist():
            free = [k for k in lists[row] if k not in taken]
            order[row] = free[0] if free else lists[row][-1]
            taken.add(int(order[row]))
    return out


def _neighbours_test(k: int) -> Callable[[Array, Array, Array, int], float]:
    def test(x: Array, y: Array, z: Array, seed: int) -> float:
        rng = np.random.default_rng(seed)
        dx, dy, dz = map(_distances, (x, y, z))

        def draw(count: int) -> Tensor:
            orders = local_orders(dz, count, rng)
            return torch.tensor([neighbours_given(dx[o][:, o], dy, dz, k) for o in orders])

        own = neighbours_given(dx, dy, dz, k)
        return sequential_p_value(own, draw, _PERMUTATIONS, _STOP, _CHUNK)[0]

    return test


def partial_correlation(x: Array, y: Array, z: Array, seed: int) -> float:
    """The p-value of Fisher's z of the correlation of x and y ``[n]`` given z; ``seed``: unused."""
    del seed
    n = len(x)
    columns = np.c_[np.ones(n), z.reshape(n, -1)]
    left = [v - columns @ np.linalg.lstsq(columns, v, rcond=None)[0] for v in (x, y)]
    r = np.corrcoef(*left)[0, 1]
    score = np.sqrt(n - columns.shape[1] - 2) * np.arctanh(r)
    return float(2 * ndtr(-abs(score)))


GIVEN_TESTS: dict[str, Callable[..., float]] = {
    "torchmist": _own,
    "neighbours, a fifth": _neighbours_test(round(_SHARE * _ROWS)),
    "neighbours, 5": _neighbours_test(_FEW),
    "partial correlation": partial_correlation,
}
"""Conditional tests by name: ``(x, y, z, seed=) -> p``."""


def given(records: Records, draws: int = _DRAWS) -> None:
    """Rejections of the linked laws in all strengths, by all tests on the same draws."""
    for name, strength in itertools.product(LINKED, _STRENGTHS):
        case = f"{name}, strength {strength:g}"
        for first, test in itertools.product(range(0, draws, _BLOCK), GIVEN_TESTS):
            if records.has("given", case, _ROWS, test, first):
                continue
            seeds = range(first, min(first + _BLOCK, draws))
            begin = time.process_time()
            found = [GIVEN_TESTS[test](*linked(name, strength, _ROWS, k), seed=k) for k in seeds]
            seconds = time.process_time() - begin
            counts = len(found), rejections(found), seconds
            records.add("given", case, _ROWS, test, first, *counts)


def given_table(records: Records) -> str:
    """Shares that every test rejects, of each law and strength and in all of a strength."""
    cases: dict[tuple[str, str], dict[str, list[float]]] = {}
    times = {test: [0.0, 0.0] for test in GIVEN_TESTS}
    for row in records:
        if row["part"] != "given":
            continue
        law, strength = row["case"].rsplit(", strength ", 1)
        draws, value, seconds = (float(row[name]) for name in ("draws", "value", "seconds"))
        for group in (law, "**all**"):
            total = cases.setdefault((group, strength), {}).setdefault(row["test"], [0.0, 0.0])
            total[0], total[1] = total[0] + draws, total[1] + value
        spent = times[row["test"]]
        spent[0], spent[1] = spent[0] + draws, spent[1] + seconds
    rows = []
    for law, strength in sorted(cases, key=lambda case: (float(case[1]), case[0] == "**all**")):
        found = [cases[law, strength].get(test, [0.0, 0.0]) for test in GIVEN_TESTS]
        cells = [f"{100 * v / d:.0f} %" if d else "" for d, v in found]
        rows.append([law, "none" if strength == "0" else strength, f"{found[0][0]:.0f}", *cells])
    if rows:
        spent_each = (f"{s / d:.2g}" if d else "" for d, s in times.values())
        rows.append(["seconds a test", "", "", *spent_each])
    return markdown(["link", "strength", "draws", *GIVEN_TESTS], rows)
