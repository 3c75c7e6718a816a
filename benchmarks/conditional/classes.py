"""Laws whose condition is a class, or a class and a number.

Legend: ``u``, ``z``, ``e``, ``f`` standard normal; ``c`` the class; ``n`` rows, ``K`` classes.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from benchmarks.conditional.registry import Sample, law
from benchmarks.kinds.truths import channel_mi, gaussian_mi, labelled_mi, normal_points, table_mi

__all__ = ["coin"]

Rng = np.random.Generator
Array = NDArray[np.float64]
_UNEVEN = (0.4, 0.3, 0.2, 0.1)
_RHO = (0.95, 0.6, 0.0)
_RATES = (0.3, 3.0)
_ANGLES = 2 * np.pi * np.arange(3) / 3
_CENTRES = 1.5 * np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], 1)


@law("a sign that turns with the class", "a class")
def signs(n: int, g: Rng) -> Sample:
    """y = x or -x by a fair coin, plus 0.5 e; log(5)/2, while I(X;Y) is 0.39."""
    c, (x, e) = g.integers(0, 2, n), g.normal(size=(2, n))
    return Sample(x, np.where(c, x, -x) + 0.5 * e, c, 0.5 * math.log(5))


@law("a strength for each class", "a class")
def strengths(n: int, g: Rng) -> Sample:
    """Correlations 0.95, 0.6 and 0 in classes of 30, 30 and 40 %; their weighted mean."""
    share = (0.3, 0.3, 0.4)
    c, (x, e) = g.choice(3, n, p=share), g.normal(size=(2, n))
    rho = np.array(_RHO)[c]
    truth = sum(p * gaussian_mi(r) for p, r in zip(share, _RHO))
    return Sample(x, rho * x + np.sqrt(1 - rho**2) * e, c, truth)


@law("levels of a common class", "a class")
def levels(n: int, g: Rng) -> Sample:
    """Levels and spreads of both sides by one of four uneven classes; 0."""
    c, (e, f) = g.choice(4, n, p=_UNEVEN), g.normal(size=(2, n))
    at = np.array([0.0, 1.5, -1.0, 2.5])
    return Sample(at[c] + e, at[::-1][c] + (1 + c) / 2 * f, c, 0.0)


@law("labels moved by the class", "a class")
def moved(n: int, g: Rng) -> Sample:
    """Four classes, y = x + c modulo 4 half of the time, else any; the channel of a row."""
    x, c, other = g.integers(0, 4, (3, n))
    y = np.where(g.random(n) < 0.5, (x + c) % 4, other)
    return Sample(x, y, c, channel_mi(np.full(4, 0.25), 0.5 * np.eye(4) + 0.125))


@law("a chain of labels", "a class")
def chain(n: int, g: Rng) -> Sample:
    """c is x but in 20 % of the rows, y is c but in 20 %, of three classes; 0."""
    x = g.integers(0, 3, n)
    c = np.where(g.random(n) < 0.3, g.integers(0, 3, n), x)
    return Sample(x, np.where(g.random(n) < 0.3, g.integers(0, 3, n), c), c, 0.0)


@law("counts with a common part", "a class")
def counts(n: int, g: Rng) -> Sample:
    """Poisson counts of mean 2 plus a common one of mean 0.3 or 3 by a fair coin; a table each."""
    c = g.integers(0, 2, n)
    common = g.poisson(np.array(_RATES)[c])
    x, y = (g.poisson(2.0, n) + common for _ in range(2))
    return Sample(x, y, c, sum(_common_part(rate) for rate in _RATES) / 2)


@functools.cache
def _common_part(rate: float) -> float:
    own, both = (stats.poisson(mean).pmf(np.arange(40)) for mean in (2.0, rate))
    p = np.zeros((80, 80))
    for k, weight in enumerate(both):
        p[k : k + 40, k : k + 40] += weight * np.outer(own, own)
    return table_mi(p)


@law("clusters renamed by the class", "a class")
def clusters(n: int, g: Rng) -> Sample:
    """Three clusters in two columns, the label turned by one of three classes; Monte Carlo."""
    y, c = g.integers(0, 3, (2, n))
    x = _CENTRES[(y + c) % 3] + 0.7 * g.normal(size=(n, 2))
    return Sample(x, y, c, _cluster_mi())


@functools.cache
def _cluster_mi() -> float:
    return labelled_mi(_CENTRES, 0.7, draws=200_000)


@law("a sign that turns, beside a number", "a class and a number")
def signs_beside(n: int, g: Rng) -> Sample:
    """y = x or -x by a fair coin, plus z and 0.5 e; log(5)/2."""
    c, (x, z, e) = g.integers(0, 2, n), g.normal(size=(3, n))
    return Sample(x, np.where(c, x, -x) + z + 0.5 * e, {"c": c, "z": z}, 0.5 * math.log(5))


@law("slopes of a common number by class", "a class and a number")
def slopes(n: int, g: Rng) -> Sample:
    """x = s_c z + c + 0.7 e, y = z or |z| by class, plus 0.7 f; three classes; 0."""
    c, (z, e, f) = g.integers(0, 3, n), g.normal(size=(3, n))
    x = np.array([1.0, -1.0, 0.3])[c] * z + c + 0.7 * e
    return Sample(x, np.where(c == 1, np.abs(z), z) + 0.7 * f, {"c": c, "z": z}, 0.0)


@law("a coin whose odds turn", "a class and a number")
def odds(n: int, g: Rng) -> Sample:
    """y a coin of logit 3 x + z or -3 x + z by class; two integrals on a grid."""
    c, (x, z) = g.integers(0, 2, n), g.normal(size=(2, n))
    p = special.expit(np.where(c, 3 * x, -3 * x) + z)
    return Sample(x, (g.random(n) < p).astype(int), {"c": c, "z": z}, _odds())


def coin(p: Array) -> Array:
    """The entropy of each coin."""
    return np.asarray(special.entr(p) + special.entr(1 - p))


@functools.cache
def _odds() -> float:
    points = normal_points(1000)
    p = special.expit(3 * points[:, None] + points)  # rows x, columns z
    return float((coin(p.mean(0)) - coin(p).mean(0)).mean())
