"""Numbers that are functions of many columns at once, as what is regressed on tables is.

Evaluation only. Legend: ``D`` columns, ``G`` points.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from benchmarks.kinds.registry import Sample, kind
from benchmarks.kinds.taught import leaf, scores

__all__: list[str] = []

Array = NDArray[np.float64]
Function = Callable[[Array], Array]
ROWS, POINTS = 1_000_000, 1 << 14


def network(x: Array) -> Array:
    """A network of 24 hidden units, ``[n]``."""
    out: Array = scores(x, 24, 1, 801)[:, 0]
    return out


def rectified(x: Array) -> Array:
    """A network of 12 rectified units, ``[n]``."""
    rng = np.random.default_rng(802)
    first = rng.normal(size=(x.shape[1], 12)) / math.sqrt(x.shape[1])
    out: Array = np.maximum(x @ first + 0.5 * rng.normal(size=12), 0) @ rng.normal(size=12)
    return out


def form(x: Array) -> Array:
    """A quadratic form of both signs, ``[n]``."""
    d = x.shape[1]
    q = np.random.default_rng(803).normal(size=(d, d))
    out: Array = np.einsum("ni,ij,nj->n", x, q + q.T, x)
    return out


def sums(x: Array) -> Array:
    """A sum of a wave of each column, ``[n]``."""
    rng = np.random.default_rng(804)
    phase, weight = rng.uniform(0, 6, x.shape[1]), rng.normal(size=x.shape[1])
    out: Array = np.sin(2 * x + phase) @ weight
    return out


def trees(x: Array) -> Array:
    """A sum of ten trees of three questions each, ``[n]``."""
    values = np.random.default_rng(805).normal(size=(10, 8))
    out: Array = sum(value[leaf(x, 3, 810 + k)] for k, value in enumerate(values))
    return out


@cache
def of_points(function: Function, d: int) -> Array:
    """The function of a million rows of ``d`` normal columns."""
    rng = np.random.default_rng(0)
    return np.concatenate([function(rng.normal(size=(ROWS // 20, d))) for _ in range(20)])


@cache
def spread(function: Function, d: int) -> tuple[float, float]:
    """Its mean and deviation."""
    points = of_points(function, d)
    return float(points.mean()), float(points.std())


@cache
def learned_mi(function: Function, d: int, noise: float) -> float:
    """MI of normal columns and the function of deviation 1 with normal noise: h(y) less that of the
    noise, the density of y from a million points on a grid with the noise of each."""
    middle, size = spread(function, d)
    points = (of_points(function, d) - middle) / size
    low, high = points.min() - 8 * noise, points.max() + 8 * noise
    shares, edges = np.histogram(points, POINTS, (low, high))
    step = edges[1] - edges[0]
    away = step * np.minimum(np.arange(POINTS), POINTS - np.arange(POINTS))
    kernel = np.exp(-((away / noise) ** 2) / 2) / (noise * math.sqrt(2 * math.pi))
    density = np.fft.irfft(np.fft.rfft(shares / ROWS) * np.fft.rfft(kernel), POINTS).clip(1e-300)
    entropy = -float((density * np.log(density)).sum() * step)
    return entropy - 0.5 * math.log(2 * math.pi * math.e * noise**2)


def _noisy(function: Function, n: int, d: int, noise: float, rng: np.random.Generator) -> Sample:
    x = rng.normal(size=(n, d))
    middle, size = spread(function, d)
    y = (function(x) - middle) / size + noise * rng.normal(size=n)
    return x, y, learned_mi(function, d, noise)


@kind("network of 12 columns, noise 0.2", least=4_000)
def of_network(n: int, rng: np.random.Generator) -> Sample:
    """A network of 24 hidden units, of deviation 1, with noise of 0.2; by the density of y."""
    return _noisy(network, n, 12, 0.2, rng)


@kind("rectified network of 8 columns, noise 0.1", least=4_000)
def of_rectified(n: int, rng: np.random.Generator) -> Sample:
    """A network of 12 rectified units, with noise of 0.1; the same."""
    return _noisy(rectified, n, 8, 0.1, rng)


@kind("form of 6 columns, noise 0.1", least=1_000)
def of_form(n: int, rng: np.random.Generator) -> Sample:
    """A quadratic form of both signs, with noise of 0.1; the same."""
    return _noisy(form, n, 6, 0.1, rng)


@kind("sum of 20 waves, noise 0.3", least=1_000)
def of_sums(n: int, rng: np.random.Generator) -> Sample:
    """A sum of a wave of each of twenty columns, with noise of 0.3; the same."""
    return _noisy(sums, n, 20, 0.3, rng)


@kind("sum of 10 trees over 8 columns, noise 0.5", least=4_000)
def of_trees(n: int, rng: np.random.Generator) -> Sample:
    """A sum of ten trees of three questions each, with noise of 0.5; the same."""
    return _noisy(trees, n, 8, 0.5, rng)
