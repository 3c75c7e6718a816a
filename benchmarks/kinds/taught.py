"""Labels that are functions of many columns at once, as classes of real data are.

Evaluation only. Legend: ``D`` columns, ``H`` hidden units, ``L`` classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from benchmarks.kinds.registry import Sample, kind
from benchmarks.kinds.truths import binary_entropy, channel_mi, entropy, symmetric_channel

__all__: list[str] = []

Array = NDArray[np.float64]
Labels = NDArray[np.int64]
POINTS = 400_000


@cache
def weights(d: int, hidden: int, classes: int, seed: int) -> tuple[Array, Array, Array]:
    """Of a network: ``[D, H]``, offsets ``[H]`` and ``[H, L]``."""
    rng = np.random.default_rng(seed)
    first = 2 * rng.normal(size=(d, hidden)) / math.sqrt(d)
    return first, rng.normal(size=hidden), rng.normal(size=(hidden, classes))


def scores(x: Array, hidden: int, classes: int, seed: int) -> Array:
    """What a network says of the classes, ``[n, L]``."""
    first, offsets, last = weights(x.shape[1], hidden, classes, seed)
    out: Array = np.tanh(x @ first + offsets) @ last
    return out


def network(x: Array) -> Labels:
    """The class of three for which a network of 20 hidden units says most."""
    out: Labels = scores(x, 20, 3, 701).argmax(1)
    return out


@cache
def form() -> Array:
    """A symmetric form ``[D, D]`` of trace 0."""
    q = np.random.default_rng(702).normal(size=(8, 8))
    out: Array = q + q.T - 2 * np.eye(8) * q.trace() / 8
    return out


def above(x: Array) -> Labels:
    """Whether the form is above 0."""
    out: Labels = (np.einsum("ni,ij,nj->n", x, form(), x) > 0).astype(np.int64)
    return out


@cache
def prototypes() -> Array:
    """Twelve prototypes, three of each class in turn, ``[12, D]``."""
    return np.random.default_rng(703).normal(size=(12, 10))


def closest(x: Array) -> Labels:
    """The class of the nearest prototype."""
    away = (prototypes() ** 2).sum(1) - 2 * x @ prototypes().T
    out: Labels = away.argmin(1) % 4
    return out


def votes(x: Array) -> Array:
    """How likely a network says yes, ``[n]``."""
    said = scores(x, 16, 1, 704)[:, 0]
    out: Array = 1 / (1 + np.exp(-1.5 * (said - said_of()[0]) / said_of()[1]))
    return out


@cache
def questions(depth: int, columns: int, seed: int) -> tuple[Labels, Array]:
    """Of a tree, numbered from 1 along its levels: the column that each node asks about, and the
    value beyond which the answer is yes."""
    rng = np.random.default_rng(seed)
    return rng.integers(columns, size=2**depth), 0.5 * rng.normal(size=2**depth)


def leaf(x: Array, depth: int, seed: int) -> Labels:
    """The leaf from 0 that a tree of questions leads to, ``[n]``."""
    column, value = questions(depth, x.shape[1], seed)
    node = np.ones(len(x), np.int64)
    for _ in range(depth):
        yes = np.take_along_axis(x, column[node][:, None], 1)[:, 0] > value[node]
        node = 2 * node + yes
    out: Labels = node - 2**depth
    return out


def decided(x: Array) -> Labels:
    """Yes or no, as the leaf of a tree of five levels says."""
    says = np.random.default_rng(706).permutation(32) % 2
    out: Labels = says[leaf(x, 5, 705)]
    return out


@cache
def said_of() -> tuple[float, float]:
    """Mean and deviation of what that network says."""
    said = scores(np.random.default_rng(1).normal(size=(POINTS, 6)), 16, 1, 704)
    return float(said.mean()), float(said.std())


@cache
def taught_mi(teacher: Callable[[Array], Labels], d: int, k: int, wrong: float) -> float:
    """MI of normal columns and one of ``k`` classes, ``wrong`` in so many rows: a symmetric channel
    from the shares of the classes among 400,000 points."""
    x = np.random.default_rng(0).normal(size=(POINTS, d))
    rows = np.full((k, k), wrong / (k - 1)) + (1 - wrong - wrong / (k - 1)) * np.eye(k)
    return channel_mi(np.bincount(teacher(x), minlength=k) / POINTS, rows)


@cache
def votes_mi() -> float:
    """MI of normal columns and a vote: H(Y) less the mean entropy, over 400,000 points."""
    chance = votes(np.random.default_rng(0).normal(size=(POINTS, 6)))
    left = entropy(np.stack([chance, 1 - chance])) / POINTS
    return binary_entropy(float(chance.mean())) - left


@kind("classes of a network of 12 columns", "labels")
def classes(n: int, rng: np.random.Generator) -> Sample:
    """For which of three a network of 20 hidden units says most, without noise; the entropy."""
    x = rng.normal(size=(n, 12))
    return x, network(x), taught_mi(network, 12, 3, 0.0)


@kind("sign of a form of 8 columns", "labels")
def sign(n: int, rng: np.random.Generator) -> Sample:
    """Whether a quadratic form is above 0, wrong in 5 %; the entropy less that of the noise."""
    x = rng.normal(size=(n, 8))
    return x, symmetric_channel(above(x), 2, 0.05, rng), taught_mi(above, 8, 2, 0.05)


@kind("nearest of 12 prototypes in 10 columns", "labels")
def nearest(n: int, rng: np.random.Generator) -> Sample:
    """Of four classes that of the nearest prototype, wrong in 10 %; the same."""
    x = rng.normal(size=(n, 10))
    return x, symmetric_channel(closest(x), 4, 0.1, rng), taught_mi(closest, 10, 4, 0.1)


@kind("votes of a network of 6 columns", "labels")
def vote(n: int, rng: np.random.Generator) -> Sample:
    """Yes or no, as likely as a network of 16 hidden units says; a mean over points."""
    x = rng.normal(size=(n, 6))
    return x, (rng.random(n) < votes(x)).astype(np.int64), votes_mi()


@kind("tree of 5 levels over 12 columns", "labels", least=1_000)
def tree(n: int, rng: np.random.Generator) -> Sample:
    """What one of 32 leaves says, yes or no, wrong in 5 %; the same as of forms."""
    x = rng.normal(size=(n, 12))
    return x, symmetric_channel(decided(x), 2, 0.05, rng), taught_mi(decided, 12, 2, 0.05)
