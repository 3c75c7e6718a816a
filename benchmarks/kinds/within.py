"""Clusters far apart, on one side or both, with something linear within them.

Evaluation only. Legend: ``K`` clusters, ``D`` columns.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from benchmarks.kinds.registry import Sample, kind
from benchmarks.kinds.truths import symmetric_channel, symmetric_channel_mi

__all__: list[str] = []

Array = NDArray[np.float64]


@cache
def middles(k: int, d: int, seed: int) -> Array:
    """Middles ``[K, D]`` of clusters of deviation 1, no two nearer than 8 to each other."""
    rng = np.random.default_rng(seed)
    while True:
        found: Array = 12 / math.sqrt(2 * d) * rng.normal(size=(k, d))
        away = np.linalg.norm(found[:, None] - found, axis=-1) + 100 * np.eye(k)
        if away.min() > 8:
            return found


@cache
def turn(d: int, seed: int) -> Array:
    """An orthogonal matrix ``[D, D]``."""
    out: Array = np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))[0]
    return out


def places(
    n: int, d: int, common: int, rho: float, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Two normal sides ``[n, D]``, of which so many directions correlate by ``rho``."""
    x, y = rng.normal(size=(2, n, d))
    y[:, :common] = rho * x[:, :common] + math.sqrt(1 - rho**2) * y[:, :common]
    return x @ turn(d, 901), y @ turn(d, 902)


def linear_mi(common: int, rho: float) -> float:
    """MI of these."""
    return -common / 2 * math.log(1 - rho**2)


@kind("5 x 7 independent clusters, linear within")
def independent(n: int, rng: np.random.Generator) -> Sample:
    """Five and seven clusters that have nothing in common; four of eight directions within them
    correlate by 0.8; that of these."""
    x, y = places(n, 8, 4, 0.8, rng)
    a, b = rng.integers(0, 5, n), rng.integers(0, 7, n)
    return x + middles(5, 8, 903)[a], y + middles(7, 8, 904)[b], linear_mi(4, 0.8)


@kind("10 x 10 clusters, linear within")
def paired(n: int, rng: np.random.Generator) -> Sample:
    """Ten clusters on both sides, one wrong in 20 %; three of eight directions within correlate by
    0.9; both summed."""
    x, y = places(n, 8, 3, 0.9, rng)
    a = rng.integers(0, 10, n)
    b = symmetric_channel(a, 10, 0.2, rng)
    truth = symmetric_channel_mi(10, 0.2) + linear_mi(3, 0.9)
    return x + middles(10, 8, 905)[a], y + middles(10, 8, 906)[b], truth


@kind("6 clusters on one side, linear within")
def one_side(n: int, rng: np.random.Generator) -> Sample:
    """Six clusters in twelve columns; two directions within correlate by 0.9 with the other side,
    which has none; that of these."""
    x, y = places(n, 12, 2, 0.9, rng)
    return x + middles(6, 12, 907)[rng.integers(0, 6, n)], y, linear_mi(2, 0.9)
