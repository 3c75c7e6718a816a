"""One side a function of the other with noise: ``h(Y) - h(Y|X)``, convolutions on a grid.

Evaluation only. Legend: ``u`` uniform, ``x`` standard normal, ``e`` the noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.kinds.registry import Sample, kind
from benchmarks.kinds.truths import additive_mi, density_mi, normal_points

__all__: list[str] = []

Array = NDArray[np.float64]
_POINTS = (np.arange(400_000) + 0.5) / 400_000


def one_period(u: Array) -> Array:
    """One period of a sine."""
    return np.asarray(np.sin(2 * np.pi * u))


def waved(u: Array) -> Array:
    """Two periods of a sine."""
    return one_period(2 * u)


def sawn(u: Array) -> Array:
    """Five teeth of a saw."""
    return np.asarray((5 * u) % 1)


def chirped(u: Array) -> Array:
    """A wave of one to nine periods to the unit."""
    return one_period(u + 4 * u**2)


def stepped(u: Array) -> Array:
    """Four steps, not in order."""
    return np.asarray([1.0, 3.0, 0.0, 2.0], float)[(4 * u).astype(np.int64)]


@cache
def uniform_mi(f: Callable[[Array], Array], sigma: float) -> float:
    """MI of ``u`` and ``f(u) + sigma e``."""
    return additive_mi(f(_POINTS), stats.norm(scale=sigma))


def _of_uniform(
    n: int, rng: np.random.Generator, f: Callable[[Array], Array], sigma: float
) -> Sample:
    u = rng.random(n)
    return u, f(u) + sigma * rng.normal(size=n), uniform_mi(f, sigma)


@kind("sine, 2 periods")
def sine(n: int, rng: np.random.Generator) -> Sample:
    """y = sin(4 pi u) + 0.1 e."""
    return _of_uniform(n, rng, waved, 0.1)


@kind("saw, 5 teeth")
def saw(n: int, rng: np.random.Generator) -> Sample:
    """y = (5 u mod 1) + 0.1 e."""
    return _of_uniform(n, rng, sawn, 0.1)


@kind("chirp")
def chirp(n: int, rng: np.random.Generator) -> Sample:
    """y = sin(2 pi (u + 4 u^2)) + 0.2 e: a wave that becomes nine times as fast."""
    return _of_uniform(n, rng, chirped, 0.2)


@kind("steps out of order")
def steps(n: int, rng: np.random.Generator) -> Sample:
    """y = 1, 3, 0, 2 on the quarters of u, + 0.4 e."""
    return _of_uniform(n, rng, stepped, 0.4)


@cache
def cubic_mi() -> float:
    """MI of the cubic kind."""
    return additive_mi((2 * _POINTS - 1) ** 3, stats.norm(scale=0.1))


@kind("cubic")
def cubic(n: int, rng: np.random.Generator) -> Sample:
    """y = v^3 + 0.1 e, v uniform between -1 and 1."""
    v = rng.uniform(-1, 1, n)
    return v, v**3 + 0.1 * rng.normal(size=n), cubic_mi()


@cache
def growth_mi() -> float:
    """MI of the growth kind."""
    return additive_mi(np.exp(normal_points(400_000)), stats.norm(scale=0.1), 100)


@kind("exponential growth")
def growth(n: int, rng: np.random.Generator) -> Sample:
    """y = exp(x) + 0.1 e: the noise drowns the small values and not the large ones."""
    x = rng.normal(size=n)
    return x, np.exp(x) + 0.1 * rng.normal(size=n), growth_mi()


@cache
def product_mi() -> float:
    """MI of the product kind."""
    q = normal_points(1500)
    return additive_mi(np.outer(q, q), stats.norm(scale=0.3))


@kind("product of 2 columns")
def product(n: int, rng: np.random.Generator) -> Sample:
    """y = x1 x2 + 0.3 e: neither column alone is correlated with y."""
    x = rng.normal(size=(n, 2))
    return x, x[:, 0] * x[:, 1] + 0.3 * rng.normal(size=n), product_mi()


@cache
def waves_mi() -> float:
    """MI of the kind of two waves."""
    u = (np.arange(2000) + 0.5) / 2000
    return additive_mi(
        np.add.outer(np.sin(4 * np.pi * u), np.sin(6 * np.pi * u)), stats.norm(scale=0.2)
    )


@kind("sum of waves of 2 columns")
def waves(n: int, rng: np.random.Generator) -> Sample:
    """y = sin(4 pi u1) + sin(6 pi u2) + 0.2 e."""
    u = rng.random((n, 2))
    y = np.sin(4 * np.pi * u[:, 0]) + np.sin(6 * np.pi * u[:, 1]) + 0.2 * rng.normal(size=n)
    return u, y, waves_mi()


@cache
def largest_mi() -> float:
    """MI of the kind of the largest column."""
    return additive_mi(stats.norm.ppf(_POINTS**0.25), stats.norm(scale=0.2))


@kind("largest of 4 columns")
def largest(n: int, rng: np.random.Generator) -> Sample:
    """y = max(x1, ..., x4) + 0.2 e."""
    x = rng.normal(size=(n, 4))
    return x, x.max(1) + 0.2 * rng.normal(size=n), largest_mi()


@cache
def radius_mi() -> float:
    """MI of the radius kind."""
    return additive_mi(stats.chi(5).ppf(_POINTS), stats.norm(scale=0.15))


@kind("radius of 5 columns")
def radius(n: int, rng: np.random.Generator) -> Sample:
    """y = |x| + 0.15 e, x of five normal columns: no direction of x is correlated with y."""
    x = rng.normal(size=(n, 5))
    return x, np.linalg.norm(x, axis=1) + 0.15 * rng.normal(size=n), radius_mi()


@cache
def branches_mi(sigma: float = 0.1) -> float:
    """MI of the kind of two branches."""
    u = (np.arange(1000) + 0.5) / 1000
    grid = np.linspace(-1.8, 1.8, 1801)
    density = sum(stats.norm.pdf(grid, s * u[:, None], sigma) for s in (1, -1)) / 2
    return density_mi(density, np.full(1000, 1e-3), grid[1] - grid[0])


@kind("two branches")
def branches(n: int, rng: np.random.Generator) -> Sample:
    """y = u + 0.1 e or -u + 0.1 e, by a hidden coin; an integral over y given u."""
    u = rng.random(n)
    return u, rng.choice([-1.0, 1.0], n) * u + 0.1 * rng.normal(size=n), branches_mi()


@cache
def noise_scale_mi() -> float:
    """MI of the kind of growing noise, over log |y|: the sign of y tells nothing."""
    grid = np.linspace(-14, 6, 2001)
    relative = grid - 1.2 * normal_points(1000)[:, None]  # log |e|
    density = math.sqrt(2 / math.pi) * np.exp(relative - 0.5 * np.exp(2 * relative))
    return density_mi(density, np.full(1000, 1e-3), grid[1] - grid[0])


@kind("scale of the noise")
def noise_scale(n: int, rng: np.random.Generator) -> Sample:
    """y = exp(1.2 x) e: x says how far y is from 0 and not where; an integral over log |y|."""
    x = rng.normal(size=n)
    return x, np.exp(1.2 * x) * rng.normal(size=n), noise_scale_mi()


@kind("checkerboard 4 x 4")
def checkerboard(n: int, rng: np.random.Generator) -> Sample:
    """Uniform on the black squares of a board of 4 x 4; log 2."""
    row = rng.integers(0, 4, n)
    column = 2 * rng.integers(0, 2, n) + row % 2
    return row + rng.random(n), column + rng.random(n), math.log(2)


@kind("uniform noise")
def uniform_noise(n: int, rng: np.random.Generator, width: float = 0.1) -> Sample:
    """y = u + 0.1 e, e uniform between -1 and 1; 0.1 - log 0.2."""
    u = rng.random(n)
    return u, u + width * rng.uniform(-1, 1, n), width - math.log(2 * width)


@cache
def laplace_mi() -> float:
    """MI of the Laplace kind."""
    return additive_mi(normal_points(400_000), stats.laplace(scale=0.2))


@kind("Laplace noise")
def laplace_noise(n: int, rng: np.random.Generator) -> Sample:
    """y = x + 0.2 e, e of the Laplace distribution."""
    x = rng.normal(size=n)
    return x, x + rng.laplace(scale=0.2, size=n), laplace_mi()
