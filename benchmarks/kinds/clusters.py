"""Clusters far apart on both sides: the truth is that of the classes behind them.

Evaluation only. Legend: ``K`` clusters, ``D`` columns.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from benchmarks.kinds.registry import Sample, kind
from benchmarks.kinds.truths import channel_mi, symmetric_channel, symmetric_channel_mi

__all__: list[str] = []

Array = NDArray[np.float64]


@cache
def centres(k: int, d: int, apart: float, seed: int) -> Array:
    """``[K, D]`` normal points at a mean distance of about ``apart``."""
    return apart / math.sqrt(2 * d) * np.random.default_rng(seed).normal(size=(k, d))


@cache
def spreads(d: int, seed: int) -> Array:
    """Standard deviations of the columns ``[D]`` inside of a cluster, 0.2 to 2."""
    return np.asarray(np.exp(0.5 * np.random.default_rng(seed).normal(size=d)).clip(0.2, 2.0))


def around(label: NDArray[np.int64], means: Array, seed: int, rng: np.random.Generator) -> Array:
    """Rows around the ``means`` ``[K, D]`` of their labels ``[n]``."""
    noise = rng.normal(size=(len(label), means.shape[1]))
    out: Array = means[label] + noise * spreads(means.shape[1], seed)
    return out


def _pair(
    n: int, rng: np.random.Generator, k: int, d: int, apart: float, error: float, seed: int
) -> Sample:
    a = rng.integers(0, k, n)
    b = symmetric_channel(a, k, error, rng)
    x = around(a, centres(k, d, apart, seed), seed, rng)
    y = around(b, centres(k, d, apart, seed + 1), seed + 1, rng)
    return x, y, symmetric_channel_mi(k, error)


@kind("clusters 32 x 32")
def clusters(n: int, rng: np.random.Generator) -> Sample:
    """Eight clusters in 32 columns on both sides, one wrong in 20 %; the symmetric channel."""
    return _pair(n, rng, 8, 32, 20.0, 0.2, 201)


@kind("4 + 4 clusters in 256 columns", "wide")
def wide_clusters(n: int, rng: np.random.Generator) -> Sample:
    """Four clusters in 256 columns on both sides, wrong in 10 %; the symmetric channel."""
    return _pair(n, rng, 4, 256, 24.0, 0.1, 203)


def tree_channel(group: float, leaf: float) -> Array:
    """``[16, 16]``: the group of four is kept with ``group``, the leaf inside of it by ``leaf``."""
    same = np.kron(np.eye(4), np.full((4, 4), (1 - leaf) / 3)) + (leaf - (1 - leaf) / 3) * np.eye(
        16
    )
    other = np.kron(1 - np.eye(4), np.full((4, 4), 1 / 12))
    out: Array = group * same + (1 - group) * other
    return out


@cache
def tree(seed: int, d: int = 24) -> Array:
    """Centres of 4 groups of 4 leaves, ``[16, D]``."""
    groups, leaves = centres(4, d, 40.0, seed), centres(16, d, 16.0, seed + 1)
    return np.repeat(groups, 4, 0) + leaves


@kind("hierarchical clusters on both sides")
def hierarchy(n: int, rng: np.random.Generator) -> Sample:
    """Four groups of four leaves in 24 columns; the group stays in 90 %, its leaf in 70 %."""
    rows = tree_channel(0.9, 0.7)
    a = rng.integers(0, 16, n)
    b = (rng.random((n, 1)) > rows.cumsum(1)[a]).sum(1).clip(max=15)
    x, y = around(a, tree(211), 211, rng), around(b, tree(213), 213, rng)
    return x, y, channel_mi(np.full(16, 1 / 16), rows)
