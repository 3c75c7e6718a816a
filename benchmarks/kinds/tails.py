"""Heavy tails, outliers, mixtures of correlations, time series drawn as independent rows.

Evaluation only.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from scipy import special, stats

from benchmarks.kinds.registry import Sample, kind
from benchmarks.kinds.truths import gaussian_mi, gaussian_pair, table_mi

__all__: list[str] = []


def student_entropy(df: float, d: int) -> float:
    """Entropy of a standard Student distribution of ``d`` columns."""
    half = (df + d) / 2
    log_norm = special.gammaln(df / 2) - special.gammaln(half) + d / 2 * math.log(df * math.pi)
    return float(log_norm + half * (special.psi(half) - special.psi(df / 2)))


@kind("Student pair of 3 + 3 columns")
def student(n: int, rng: np.random.Generator, df: float = 2.0, rho: float = 0.6) -> Sample:
    """Three Gaussian pairs of correlation 0.6 with a scale in common: 2 degrees of freedom."""
    a, b = gaussian_pair((n, 3), rho, rng)
    scale = np.sqrt(df / rng.chisquare(df, (n, 1)))
    extra = 2 * student_entropy(df, 3) - student_entropy(df, 6)
    return a * scale, b * scale, 3 * gaussian_mi(rho) + extra


@kind("Cauchy signal, Cauchy noise")
def cauchy(n: int, rng: np.random.Generator, scale: float = 0.2) -> Sample:
    """y = x + 0.2 e, both Cauchy; log(1.2 / 0.2)."""
    x = rng.standard_cauchy(n)
    return x, x + scale * rng.standard_cauchy(n), math.log((1 + scale) / scale)


@cache
def crossed_mi(rho: float) -> float:
    """MI of half correlation ``rho`` and half ``-rho``, over 1,600 x 1,600 cells."""
    grid = np.linspace(-6, 6, 1601)
    a, b = np.meshgrid(grid, grid)
    spread = math.sqrt(1 - rho**2)
    given = sum(stats.norm.pdf((b - s * a) / spread) for s in (rho, -rho))
    return table_mi(stats.norm.pdf(a) * given)


@kind("cross of two correlations")
def crossed(n: int, rng: np.random.Generator, rho: float = 0.95) -> Sample:
    """Gaussian pairs of correlation 0.95 or -0.95 by a hidden coin; an integral over the plane."""
    a, b = gaussian_pair(n, rho, rng)
    return a, b * rng.choice([-1.0, 1.0], n), crossed_mi(rho)


@cache
def outliers_mi(share: float, rho: float, wide: float) -> float:
    """MI of the mixture of a pair and of wide independent noise, over a grid of the plane."""
    grid = np.linspace(-40, 40, 2401)
    spread = math.sqrt(1 - rho**2)
    a, b = np.meshgrid(grid, grid)
    pair = stats.norm.pdf(a) * stats.norm.pdf((b - rho * a) / spread) / spread
    far = np.outer(*2 * [stats.norm.pdf(grid / wide) / wide])
    return table_mi((1 - share) * pair + share * far)


@kind("outliers, 10 %")
def outliers(n: int, rng: np.random.Generator, rho: float = 0.9, wide: float = 6.0) -> Sample:
    """A Gaussian pair of correlation 0.9, 10 % of the rows independent noise six times as wide."""
    a, b = gaussian_pair(n, rho, rng)
    far = rng.random(n) < 0.1
    c, d = wide * rng.normal(size=(2, n))
    return np.where(far, c, a), np.where(far, d, b), outliers_mi(0.1, rho, wide)


@cache
def volatility_mi(phi: float) -> float:
    """MI of log |r| and log |r'|: the signs tell nothing; sums over grids of both volatilities."""
    v = np.linspace(-5.5, 5.5, 441)
    spread = math.sqrt(1 - phi**2)
    both = stats.norm.pdf(v)[:, None] * stats.norm.pdf((v - phi * v[:, None]) / spread)
    size = np.linspace(-16, 9, 1501)[:, None] - v  # log |e|
    kernel = np.exp(size - 0.5 * np.exp(2 * size))
    return table_mi(kernel @ both @ kernel.T)


@kind("volatility of returns")
def volatility(n: int, rng: np.random.Generator, phi: float = 0.98) -> Sample:
    """Two returns exp(v) e without correlation whose log volatilities correlate by 0.98."""
    v, w = gaussian_pair(n, phi, rng)
    e, f = rng.normal(size=(2, n))
    return np.exp(v) * e, np.exp(w) * f, volatility_mi(phi)


@kind("past and future of a series")
def series(n: int, rng: np.random.Generator, phi: float = 0.85) -> Sample:
    """Five steps of an autoregression and the next three, rows apart; -1/2 log(1 - 0.85^2)."""
    steps = rng.normal(size=(n, 8))
    for t in range(1, 8):
        steps[:, t] = phi * steps[:, t - 1] + math.sqrt(1 - phi**2) * steps[:, t]
    return steps[:, :5], steps[:, 5:], gaussian_mi(phi)
