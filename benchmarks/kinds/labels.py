"""Labels, grades and bits: sums over tables, or over a grid of the one number that matters.

Evaluation only. Legend: ``h`` entropy of a coin, all in nats.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from scipy import stats

from benchmarks.kinds.registry import Sample, kind
from benchmarks.kinds.truths import (
    binary_entropy,
    channel_mi,
    density_mi,
    gaussian_mi,
    gaussian_pair,
    normal_points,
    symmetric_channel,
    symmetric_channel_mi,
)

__all__: list[str] = []

LIKERT = (-1.2, -0.4, 0.4, 1.2)
GRADES = (-1.0, 0.0, 0.7, 1.6)
RARE, SHIFT = 0.02, 2.5


@kind("labels copied half the time, 20 classes", "labels")
def copied(n: int, rng: np.random.Generator, k: int = 20, keep: float = 0.5) -> Sample:
    """One of 20 labels, copied with probability 1/2, else drawn anew; a sum over the table."""
    x, fresh = rng.integers(0, k, (2, n))
    truth = channel_mi(np.full(k, 1 / k), keep * np.eye(k) + (1 - keep) / k)
    return x, np.where(rng.random(n) < keep, x, fresh), truth


@kind("labels independent, 9 classes", "independent", "labels")
def independent(n: int, rng: np.random.Generator) -> Sample:
    """Two independent labels of 9 classes whose shares fall by 0.7; 0."""
    p = 0.7 ** np.arange(9)
    x, y = rng.choice(9, (2, n), p=p / p.sum())
    return x, y, 0.0


@cache
def graded_mi(rho: float, cuts: tuple[float, ...], both: bool) -> float:
    """MI of a Gaussian pair of which one side or both are known by their grade."""
    edges = np.array([-np.inf, *cuts, np.inf])
    u = normal_points(200_000)
    spread = math.sqrt(1 - rho**2)
    below = np.stack([stats.norm.cdf((e - rho * u) / spread) for e in edges], 1)
    grade = np.diff(below, axis=1)
    if not both:
        return density_mi(grade, np.full(len(u), 1 / len(u)))
    cell = np.digitize(u, cuts)
    rows = np.array([grade[cell == c].mean(0) for c in range(len(cuts) + 1)])
    return channel_mi(np.bincount(cell) / len(u), rows)


@kind("labels Likert 5 x 5", "labels")
def likert(n: int, rng: np.random.Generator, rho: float = 0.9) -> Sample:
    """Two answers on five grades, from a Gaussian pair of correlation 0.9; a sum over the table."""
    a, b = gaussian_pair(n, rho, rng)
    return np.digitize(a, LIKERT), np.digitize(b, LIKERT), graded_mi(rho, LIKERT, True)


@kind("ordinal against continuous", "labels")
def ordinal(n: int, rng: np.random.Generator, rho: float = 0.85) -> Sample:
    """A number and a grade of five that its noisy copy falls into; a sum over grades on a grid."""
    a, b = gaussian_pair(n, rho, rng)
    return a, np.digitize(b, GRADES), graded_mi(rho, GRADES, False)


@kind("integers that are numbers")
def integers(n: int, rng: np.random.Generator, rho: float = 0.9) -> Sample:
    """A Gaussian pair of correlation 0.9, one side in integer thousandths: numbers, no labels."""
    a, b = gaussian_pair(n, rho, rng)
    return np.rint(1000 * a).astype(np.int64), b, gaussian_mi(rho)


@kind("parity of 3 bits", "labels")
def parity(n: int, rng: np.random.Generator) -> Sample:
    """Three columns of 0 and 1 and the parity of their sum; log 2, and 0 without any of them."""
    x = rng.integers(0, 2, (n, 3))
    return x.astype(float), x.sum(1) % 2, math.log(2)


@kind("modular sum of 2 digits", "labels")
def modular(n: int, rng: np.random.Generator, k: int = 7, error: float = 0.1) -> Sample:
    """Two digits of base 7 and their sum modulo 7, wrong in 10 %; the symmetric channel."""
    x = rng.integers(0, k, (n, 2))
    y = symmetric_channel(x.sum(1) % k, k, error, rng)
    return x.astype(float), y, symmetric_channel_mi(k, error)


@kind("XOR of signs", "labels")
def signs(n: int, rng: np.random.Generator, error: float = 0.1) -> Sample:
    """Two normal columns and whether their signs agree, wrong in 10 %; log 2 - h(0.1)."""
    x = rng.normal(size=(n, 2))
    agree = (x[:, 0] > 0) == (x[:, 1] > 0)
    y = symmetric_channel(agree.astype(np.int64), 2, error, rng)
    return x, y, math.log(2) - binary_entropy(error)


@cache
def rare_mi() -> float:
    """MI of the label and the column along which the two classes differ."""
    grid = np.linspace(-10, 12, 44_001)
    density = np.stack([stats.norm.pdf(grid), stats.norm.pdf(grid - SHIFT)])
    return density_mi(density, [1 - RARE, RARE], grid[1] - grid[0])


@kind("rare positives, 2 %", "labels")
def rare(n: int, rng: np.random.Generator) -> Sample:
    """Six normal columns, moved by 2.5 along a direction in 2 % positives; an integral along it."""
    y = (rng.random(n) < RARE).astype(np.int64)
    x = rng.normal(size=(n, 6)) + SHIFT / math.sqrt(6) * y[:, None]
    return x, y, rare_mi()


@kind("nested codes, 60 x 12 levels", "labels")
def nested(n: int, rng: np.random.Generator, error: float = 0.15) -> Sample:
    """A code of 60 districts and of their 12 counties, wrong in 15 %; the symmetric channel."""
    x = rng.integers(0, 60, n)
    return x, symmetric_channel(x // 5, 12, error, rng), symmetric_channel_mi(12, error)
