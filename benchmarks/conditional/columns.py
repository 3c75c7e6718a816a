"""Laws whose condition is several numbers, and laws of vectors.

Legend: ``u``, ``v``, ``z``, ``e``, ``f`` standard normal; ``n`` rows.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

from benchmarks.conditional.classes import coin
from benchmarks.conditional.registry import Sample, law
from benchmarks.kinds.truths import normal_points

Rng = np.random.Generator
Array = NDArray[np.float64]


@functools.cache
def _maps(*shapes: tuple[int, int]) -> list[Array]:
    """Fixed matrices of columns of length about 1."""
    g = np.random.default_rng(17)
    return [g.normal(size=shape) / math.sqrt(shape[0]) for shape in shapes]


@law("one of five columns acts", "several columns")
def one_of_five(n: int, g: Rng) -> Sample:
    """x = z_1 + u, y = z_1 + u + 0.7 e, four more columns of noise; log(1 + 1/0.49)/2."""
    z, (u, e) = g.normal(size=(n, 5)), g.normal(size=(2, n))
    return Sample(z[:, 0] + u, z[:, 0] + u + 0.7 * e, z, 0.5 * math.log1p(1 / 0.49))


@law("three common causes", "several columns")
def three(n: int, g: Rng) -> Sample:
    """x = z_1 + 0.7 z_2 + e, y = 0.7 z_1 + 0.5 z_2 + 0.5 z_3 + f; 0."""
    z, (e, f) = g.normal(size=(n, 3)), g.normal(size=(2, n))
    return Sample(z @ [1, 0.7, 0] + e, z @ [0.7, 0.5, 0.5] + f, z, 0.0)


@law("a common product", "several columns")
def product(n: int, g: Rng) -> Sample:
    """x = z_1 z_2 + 0.5 e, y = z_1 z_2 + 0.5 f; 0."""
    z, (e, f) = g.normal(size=(n, 2)), g.normal(size=(2, n))
    both = z[:, 0] * z[:, 1]
    return Sample(both + 0.5 * e, both + 0.5 * f, z, 0.0)


@law("labels beside two numbers", "several columns")
def labels(n: int, g: Rng) -> Sample:
    """x a fair coin, y a coin of logit 5 x - 2.5 + z_1 - z_2; an integral on a grid."""
    x, z = g.integers(0, 2, n), g.normal(size=(n, 2))
    p = special.expit(5 * x - 2.5 + z[:, 0] - z[:, 1])
    return Sample(x, (g.random(n) < p).astype(int), z, _labels())


@functools.cache
def _labels() -> float:
    at = math.sqrt(2) * normal_points(20_000)
    p = special.expit(np.array([-2.5, 2.5])[:, None] + at)
    return float((coin(p.mean(0)) - coin(p).mean(0)).mean())


@law("vectors beside two numbers", "several columns")
def vectors(n: int, g: Rng) -> Sample:
    """x = z A + u, y = z B + u W + 0.8 e, of three columns; log det(1 + W'W/0.64)/2."""
    a, b, w = _maps((2, 3), (2, 3), (3, 3))
    z, u, e = g.normal(size=(n, 2)), *g.normal(size=(2, n, 3))
    truth = 0.5 * float(np.linalg.slogdet(np.eye(3) + w.T @ w / 0.64)[1])
    return Sample(z @ a + u, z @ b + u @ w + 0.8 * e, z, truth)


@law("vectors with four common causes", "several columns")
def wide(n: int, g: Rng) -> Sample:
    """x = z A + 0.7 u, y = z B + 0.7 v, of eight columns; 0."""
    a, b = _maps((4, 8), (4, 8))
    z, u, v = g.normal(size=(n, 4)), *g.normal(size=(2, n, 8))
    return Sample(z @ a + 0.7 * u, z @ b + 0.7 * v, z, 0.0)
