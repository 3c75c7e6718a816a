"""Samples with a known answer for tests of independence: pairs, confounded pairs, graphs.

Laws of pairs give ``(x, y)``, independent; those of confounded pairs ``(x, y, z)``, dependent, and
independent given ``z``; linked ones ``(x, y, z)`` with a common cause and a link beyond it. Legend:
``n`` rows; arrays ``[n]`` or ``[n, d]``, integers where they are labels; frames (dicts of columns)
where kinds are mixed. For evaluation only.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["CONFOUNDED", "LEVEL", "LINKED", "PAIRS", "linked", "mixed_graph", "rejections",
           "sample", "weakened"]  # fmt: skip

Array = NDArray[Any]
Rng = np.random.Generator
Law = Callable[[int, Rng], tuple[Any, ...]]

LEVEL = 0.05
"""Of all tests."""
PAIRS: dict[str, Law] = {}
"""Independent pairs by name."""
CONFOUNDED: dict[str, Law] = {}
"""Pairs with a common cause, or with a link between them, by name."""
LINKED: dict[str, Callable[[int, float, Rng], tuple[Any, ...]]] = {}
"""Pairs with a common cause whose link beyond it has a strength, by name."""


def rejections(p_values: Iterable[float]) -> int:
    """How many of them are at most the level."""
    return sum(p <= LEVEL for p in p_values)


def _law(laws: dict[str, Law], name: str) -> Callable[[Law], Law]:
    def register(law: Law) -> Law:
        assert name not in {**PAIRS, **CONFOUNDED}, name
        laws[name] = law
        return law

    return register


def sample(name: str, n: int, seed: int) -> tuple[Any, ...]:
    """A draw of the law of this name; the same for the same arguments."""
    rng = np.random.default_rng([seed, n, zlib.crc32(name.encode())])
    return {**PAIRS, **CONFOUNDED}[name](n, rng)


def linked(name: str, strength: float, n: int, seed: int) -> tuple[Any, ...]:
    """A draw of a linked law; the same for the same arguments."""
    rng = np.random.default_rng([seed, n, round(1000 * strength), zlib.crc32(name.encode())])
    return LINKED[name](n, strength, rng)


def weakened(y: Array, share: float, rng: Rng) -> Array:
    """``y`` with a share of its rows, chosen at random, shuffled among themselves."""
    rows = rng.choice(len(y), round(share * len(y)), replace=False)
    out = y.copy()
    out[rows] = y[rng.permutation(rows)]
    return out


@_law(PAIRS, "normal columns")
def _normal(n: int, g: Rng) -> tuple[Any, ...]:
    return g.normal(size=n), g.normal(size=n)


@_law(PAIRS, "heavy tails, 3 + 2 columns")
def _tails(n: int, g: Rng) -> tuple[Any, ...]:
    return g.standard_cauchy((n, 3)), g.standard_t(2, (n, 1)) * g.lognormal(size=(n, 2))


@_law(PAIRS, "labels, 5 x 3")
def _labels(n: int, g: Rng) -> tuple[Any, ...]:
    return g.choice(5, n, p=(0.5, 0.2, 0.15, 0.1, 0.05)), g.choice(3, n, p=(0.6, 0.3, 0.1))


@_law(PAIRS, "a label and a number")
def _label_number(n: int, g: Rng) -> tuple[Any, ...]:
    return g.choice(4, n, p=(0.4, 0.3, 0.2, 0.1)), g.exponential(size=n)


@_law(PAIRS, "counts and atoms")
def _atoms(n: int, g: Rng) -> tuple[Any, ...]:
    return g.poisson(1.5, n).astype(float), np.maximum(g.normal(size=n), 0)


@_law(PAIRS, "a mixed frame and 16 columns")
def _frames(n: int, g: Rng) -> tuple[Any, ...]:
    frame = {"group": g.integers(0, 3, n), "size": g.lognormal(size=n)}
    return frame, g.normal(size=(n, 3)) @ g.normal(size=(3, 16)) + 0.5 * g.normal(size=(n, 16))


@_law(CONFOUNDED, "a number, linear")
def _linear(n: int, g: Rng) -> tuple[Any, ...]:
    z = g.normal(size=n)
    return z + g.normal(size=n), z + g.normal(size=n), z


@_law(CONFOUNDED, "a number, strong")
def _strong(n: int, g: Rng) -> tuple[Any, ...]:
    z = g.normal(size=n)
    return 3 * z + g.normal(size=n), 2 * z + g.normal(size=n), z


@_law(CONFOUNDED, "a number, nonlinear")
def _nonlinear(n: int, g: Rng) -> tuple[Any, ...]:
    z = g.normal(size=n)
    return np.sin(2 * z) + 0.5 * g.normal(size=n), z**2 / 2 + 0.5 * g.normal(size=n), z


@_law(CONFOUNDED, "a number behind labels")
def _to_labels(n: int, g: Rng) -> tuple[Any, ...]:
    z = g.normal(size=n)
    x = np.digitize(z + 0.7 * g.normal(size=n), (-0.7, 0.4))
    return x, (2 * z + g.logistic(size=n) > 0).astype(int), z


@_law(CONFOUNDED, "a number behind counts")
def _to_counts(n: int, g: Rng) -> tuple[Any, ...]:
    z = g.normal(size=n)
    return g.poisson(np.exp(0.5 * z)).astype(float), np.maximum(z + g.normal(size=n), 0), z


@_law(CONFOUNDED, "a label")
def _by_label(n: int, g: Rng) -> tuple[Any, ...]:
    z = g.choice(4, n, p=(0.4, 0.3, 0.2, 0.1))
    at = np.array([0.0, 1.5, -1.0, 2.5])
    return at[z] + g.normal(size=n), at[::-1][z] + (1 + z) / 2 * g.normal(size=n), z


@_law(CONFOUNDED, "a chain of labels")
def _chain(n: int, g: Rng) -> tuple[Any, ...]:
    x = g.integers(0, 3, n)
    z = np.where(g.random(n) < 0.3, g.integers(0, 3, n), x)
    return x, np.where(g.random(n) < 0.3, g.integers(0, 3, n), z), z


@_law(CONFOUNDED, "a label beside a number")
def _mixture(n: int, g: Rng) -> tuple[Any, ...]:
    group, z = g.integers(0, 3, n), g.normal(size=n)
    slope = np.array([1.0, -1.0, 0.3])
    x = slope[group] * z + group + 0.7 * g.normal(size=n)
    y = np.where(group == 1, np.abs(z), z) + 0.7 * g.normal(size=n)
    return x, y, {"group": group, "z": z}


@_law(CONFOUNDED, "3 numbers, linear")
def _three(n: int, g: Rng) -> tuple[Any, ...]:
    z = g.normal(size=(n, 3))
    return z @ [1, 0.7, 0] + g.normal(size=n), z @ [0.7, 0.5, 0.5] + g.normal(size=n), z


@_law(CONFOUNDED, "3 numbers, nonlinear")
def _three_curves(n: int, g: Rng) -> tuple[Any, ...]:
    z = g.normal(size=(n, 3))
    x = np.sin(1.5 * z[:, 0]) + z[:, 1] ** 2 / 2 + z[:, 2] + 0.5 * g.normal(size=n)
    return x, np.abs(z[:, 0]) + np.cos(2 * z[:, 1]) - z[:, 2] + 0.5 * g.normal(size=n), z


@_law(CONFOUNDED, "2 numbers, nonlinear")
def _two(n: int, g: Rng) -> tuple[Any, ...]:
    z = g.normal(size=(n, 2))
    x = np.sin(1.5 * z[:, 0]) + z[:, 1] + 0.6 * g.normal(size=n)
    return x, np.abs(z[:, 0]) - z[:, 1] + 0.6 * g.normal(size=n), z


def _link(name: str, effect: Callable[[Array, Array, float], Array]) -> None:
    """Two numbers with a common cause ``z``: ``effect(e, z, strength)`` of what else x is made of
    goes into y, beside normal noise."""

    def law(n: int, strength: float, g: Rng) -> tuple[Any, ...]:
        z, e, noise = g.normal(size=(3, n))
        return z + e, z + effect(e, z, strength) + noise, z

    LINKED[name] = law


_link("a line", lambda e, z, a: a * e)
_link("a wave", lambda e, z, a: a * 2**0.5 * np.sin(3 * e))
_link("a line whose sign is that of the cause", lambda e, z, a: a * np.sign(z) * e)


def _linked_spread(n: int, strength: float, g: Rng) -> tuple[Any, ...]:
    z, e, noise = g.normal(size=(3, n))
    return z + e, z + np.exp(strength * e) * noise, z


def _linked_labels(n: int, strength: float, g: Rng) -> tuple[Any, ...]:
    z = g.normal(size=n)
    turned = np.array([1.0, -1.0, 0.0])
    x = (z[:, None] * turned + g.gumbel(size=(n, 3))).argmax(1)
    own = 2 * strength * (x[:, None] == (1, 2, 0))
    return x, (z[:, None] * turned[::-1] + own + g.gumbel(size=(n, 3))).argmax(1), z


def _linked_label_number(n: int, strength: float, g: Rng) -> tuple[Any, ...]:
    z = g.normal(size=n)
    x = np.digitize(z + g.normal(size=n), (-0.6, 0.6))
    level = np.array([1.0, -1.4, 1.0])
    return x, z + strength * level[x] + g.normal(size=n), z


def _linked_two(n: int, strength: float, g: Rng) -> tuple[Any, ...]:
    z = g.normal(size=(n, 2))
    e, noise = g.normal(size=(2, n))
    wave = np.sin(2 * z[:, 0])
    return wave + z[:, 1] + e, z[:, 1] - wave + strength * e + noise, z


LINKED["a spread"] = _linked_spread
LINKED["labels"] = _linked_labels
LINKED["a label and a number"] = _linked_label_number
LINKED["a line, two causes and a wave"] = _linked_two

_NODES, _EDGES, _LABELS = 10, 12, 4


def mixed_graph(n: int, seed: int) -> tuple[Array, Array, list[int]]:
    """Data ``[n, 10]`` of a random graph of 12 edges, its edges ``[10, 10]``, and its labels.

    ``edges[i, j]`` says that ``i`` is a cause of ``j``. Four nodes are labels of three classes
    without an order, drawn by logits that are functions of the parents; the others are numbers,
    sums of functions of the parents (line, square, wave, or a level for each class) and noise. No
    node has more than three parents.
    """
    g = np.random.default_rng([seed, n, 26])
    order = g.permutation(_NODES)
    edges = np.zeros((_NODES, _NODES), dtype=bool)
    while edges.sum() < _EDGES:
        i, j = np.sort(g.choice(_NODES, 2, replace=False))
        if edges[:, order[j]].sum() < 3:
            edges[order[i], order[j]] = True
    labels = sorted(g.choice(_NODES, _LABELS, replace=False).tolist())
    data = np.zeros((n, _NODES))
    for node in order:
        parents = np.flatnonzero(edges[:, node])
        outputs = 3 if node in labels else 1
        value = np.zeros((n, outputs))
        for parent in parents:
            for k in range(outputs):
                value[:, k] += _effect(data[:, parent], parent in labels, g)
        if node in labels:
            scores = 2.0 * value + g.gumbel(size=(n, 3))
            data[:, node] = g.permutation(3)[scores.argmax(1)]
        else:
            noise = g.normal(size=n) * (0.7 if len(parents) else 1.0)
            total = value[:, 0] + noise
            data[:, node] = (total - total.mean()) / total.std()
    return data, edges, labels


def _effect(parent: Array, label: bool, g: Rng) -> Array:
    """A random function of one parent, of deviation 1 or so."""
    if label:
        return np.asarray(g.permutation([-1.2, 0.0, 1.2])[parent.astype(int)])
    sign = g.choice([-1.0, 1.0])
    shape = g.integers(3)
    functions = (lambda v: v, lambda v: (v**2 - 1) / 1.4, lambda v: 1.4 * np.sin(2 * v))
    return np.asarray(sign * functions[shape](parent))
