"""Many columns, few of which matter, and what lies beyond the resolution of a sample.

Evaluation only. Legend: ``D`` columns, ``K`` classes.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from benchmarks.kinds.functions import one_period, uniform_mi
from benchmarks.kinds.registry import BEYOND, Sample, kind
from benchmarks.kinds.truths import gaussian_mi, gaussian_pair, labelled_mi

__all__: list[str] = []

Array = NDArray[np.float64]


@cache
def means(k: int, d: int, size: float, seed: int) -> Array:
    """Centres of classes ``[K, D]``, normal with deviation ``size`` in each column."""
    return size * np.random.default_rng(seed).normal(size=(k, d))


@cache
def means_mi(k: int, d: int, size: float, seed: int) -> float:
    """MI of the class and its centre in unit noise."""
    return labelled_mi(means(k, d, size, seed), 1.0, draws=200_000)


@kind("labels among 56 noise columns", "labels", "noise columns")
def among_noise(n: int, rng: np.random.Generator) -> Sample:
    """Ten classes in 8 of 64 columns, the others noise; the Monte Carlo mean over the mixture."""
    centres = means(10, 8, 1.0, 401)
    y = rng.integers(0, 10, n)
    x = rng.normal(size=(n, 64))
    x[:, :8] += centres[y]
    return x, y, means_mi(10, 8, 1.0, 401)


@kind("100 classes in 64 columns", "labels", least=1000)
def hundred(n: int, rng: np.random.Generator) -> Sample:
    """A hundred classes around normal centres in 64 columns; the Monte Carlo mean."""
    y = rng.integers(0, 100, n)
    return means(100, 64, 0.45, 403)[y] + rng.normal(size=(n, 64)), y, means_mi(100, 64, 0.45, 403)


@cache
def loadings(d: int, k: int, size: float, seed: int) -> Array:
    """Coefficients ``[D, K]`` of a linear kind."""
    return size * np.random.default_rng(seed).normal(size=(d, k)) / math.sqrt(d)


def _linear(n: int, rng: np.random.Generator, w: Array) -> Sample:
    x = rng.normal(size=(n, len(w)))
    y = x @ w + rng.normal(size=(n, w.shape[1]))
    return x, y, 0.5 * float(np.linalg.slogdet(np.eye(w.shape[1]) + w.T @ w)[1])


@kind("784 columns, linear", "wide", least=BEYOND)
def linear_784(n: int, rng: np.random.Generator) -> Sample:
    """y = x W + e, 784 independent columns to 10; 1/2 log det(1 + W'W)."""
    return _linear(n, rng, loadings(784, 10, 1.0, 411))


@kind("512 columns, linear", "wide", least=1000)
def linear_512(n: int, rng: np.random.Generator) -> Sample:
    """y = x W + e, 512 independent columns to 2; 1/2 log det(1 + W'W)."""
    return _linear(n, rng, loadings(512, 2, 2.0, 413))


@cache
def narrow(d: int, seed: int) -> Array:
    """A map ``[D, D]``: the first direction has 1/30 of the variance of the others, then turned."""
    turned = np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))[0]
    scale = np.array([math.sqrt(1 / 30)] + [1.0] * (d - 1))
    out: Array = scale[:, None] * turned
    return out


@kind("small informative direction")
def small_direction(n: int, rng: np.random.Generator, rho: float = 0.95) -> Sample:
    """Ten turned columns; the direction of 1/30 of the variance correlates with y by 0.95."""
    z = rng.normal(size=(n, 10))
    y = rho * z[:, 0] + math.sqrt(1 - rho**2) * rng.normal(size=n)
    return z @ narrow(10, 421), y, gaussian_mi(rho)


@kind("independent, 64 + 64 columns", "independent", "wide")
def apart(n: int, rng: np.random.Generator) -> Sample:
    """Independent sides of 64 mixed normal columns; 0."""
    x, y = rng.normal(size=(2, n, 64))
    return x @ means(64, 64, 0.125, 431), y @ means(64, 64, 0.125, 433), 0.0


@kind("sine among 127 noise columns", "noise columns", "wide", least=4000)
def hidden_sine(n: int, rng: np.random.Generator) -> Sample:
    """y = sin(2 pi u) + 0.1 e, u one of 128 uniform columns."""
    x = rng.random((n, 128))
    return x, one_period(x[:, 17]) + 0.1 * rng.normal(size=n), uniform_mi(one_period, 0.1)


@kind("near copy, 6.9 nats", least=BEYOND)
def near_copy(n: int, rng: np.random.Generator, sigma: float = 1e-3) -> Sample:
    """y = x + 0.001 e, both normal; 1/2 log(1 + 10^6)."""
    x = rng.normal(size=n)
    return x, x + sigma * rng.normal(size=n), 0.5 * math.log1p(sigma**-2)


@kind("near copy of 5 mixed columns", least=BEYOND)
def near_copies(n: int, rng: np.random.Generator, sigma: float = 0.02) -> Sample:
    """Five mixed normal columns and a mixed copy with noise of 0.02; 5/2 log(1 + 2500)."""
    a, _ = gaussian_pair((n, 5), 0.0, rng)
    b = a + sigma * rng.normal(size=(n, 5))
    x, y = a @ mixing(441), b @ mixing(443)
    return x, y, 2.5 * math.log1p(sigma**-2)


@cache
def mixing(seed: int) -> Array:
    """A turned ``[5, 5]`` matrix with singular values of 1/2 to 2."""
    left, _, right = np.linalg.svd(np.random.default_rng(seed).normal(size=(5, 5)))
    out: Array = left * np.geomspace(0.5, 2, 5) @ right
    return out
