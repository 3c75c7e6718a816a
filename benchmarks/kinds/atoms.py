"""Values that repeat beside values that do not: zeros, corners, counts, censoring, rounding.

Evaluation only. Legend: ``P`` probabilities of atoms, ``p`` densities.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from benchmarks.kinds.registry import Sample, kind
from benchmarks.kinds.truths import (
    binary_entropy,
    channel_mi,
    density_mi,
    entropy,
    gaussian_mi,
    gaussian_pair,
    normal_points,
    symmetric_channel,
    symmetric_channel_mi,
    table_mi,
)

__all__: list[str] = []

Array = NDArray[np.float64]
SLOPES = np.array([-2.0, -0.5, 0.5, 2.0])
FRAME_RHO = np.array([0.3, 0.9, -0.8])
HAZARD, CENSORED = 1.2, 0.5
TICK = 10.0


@kind("zero-inflated", "atoms")
def zero_inflated(n: int, rng: np.random.Generator, share: float = 0.7) -> Sample:
    """Both sides 0 in 70 % of the rows, else a lognormal pair of correlation 0.8; h + 0.3 I."""
    a, b = gaussian_pair(n, 0.8, rng)
    zero = rng.random(n) < share
    truth = binary_entropy(share) + (1 - share) * gaussian_mi(0.8)
    return np.where(zero, 0.0, np.exp(a)), np.where(zero, 0.0, np.exp(b)), truth


@kind("half atoms", "atoms")
def half_atoms(n: int, rng: np.random.Generator) -> Sample:
    """Half of the rows on four corners, half a Gaussian pair; log 2 + the halves' means."""
    a, b = gaussian_pair(n, 0.9, rng)
    c = rng.integers(0, 2, n)
    d = symmetric_channel(c, 2, 0.1, rng)
    corner = rng.random(n) < 0.5
    truth = math.log(2) + 0.5 * symmetric_channel_mi(2, 0.1) + 0.5 * gaussian_mi(0.9)
    return np.where(corner, 2.0 * c - 1, a), np.where(corner, 2.0 * d - 1, b), truth


@cache
def counts_mi(own: float, common: float, zero: float = 0.0) -> float:
    """MI of two Poisson counts with a common part, both 0 in a share of the rows instead, over
    50 x 50 cells."""
    m = np.arange(50)
    moved = stats.poisson.pmf(m[:, None] - m, own)
    joint = (1 - zero) * (moved * stats.poisson.pmf(m, common) @ moved.T)
    joint[0, 0] += zero
    return table_mi(joint)


@kind("counts", "atoms", "labels")
def counts(n: int, rng: np.random.Generator) -> Sample:
    """Two Poisson counts of mean 2.5 with a common part of mean 1.5, as integers; a table."""
    common = rng.poisson(1.5, n)
    x, y = rng.poisson(1.0, (2, n)) + common
    return x, y, counts_mi(1.0, 1.5)


@kind("counts of which many are 0", "atoms", "labels")
def zero_counts(n: int, rng: np.random.Generator, share: float = 0.4) -> Sample:
    """Two Poisson counts of mean 5 with a common part of mean 3, both 0 in 40 %; a table."""
    zero = rng.random(n) < share
    common = rng.poisson(3.0, n)
    x, y = np.where(zero, 0, rng.poisson(2.0, (2, n)) + common)
    return x, y, counts_mi(2.0, 3.0, share)


@kind("rounded on both sides", "atoms")
def rounded(n: int, rng: np.random.Generator) -> Sample:
    """A Gaussian pair of correlation 0.85, each rounded to sevenths; a table of 100 x 100 cells."""
    a, b = gaussian_pair(n, 0.85, rng)
    return np.round(7 * a) / 7, np.round(7 * b) / 7, rounded_mi(0.85)


@cache
def rounded_mi(rho: float) -> float:
    """MI of two columns rounded to sevenths: cells by 16 points across each value of x."""
    nodes, weights = special.roots_legendre(16)
    edges = (np.arange(-50, 51) - 0.5) / 7
    x = (edges[:-1, None] + edges[1:, None]) / 2 + nodes / 14
    inside = np.diff(stats.norm.cdf((edges - rho * x[..., None]) / math.sqrt(1 - rho**2)))
    return table_mi(np.einsum("ap,apb->ab", weights * stats.norm.pdf(x), inside))


@cache
def survival_mi() -> float:
    """``H(T, d) - H(T, d | x)`` over a grid of log times; the rates are exp(1.2 x) and 0.5."""
    rate = np.exp(HAZARD * normal_points(1000))[:, None]
    grid = np.linspace(-16, 5, 2101)
    time = np.exp(grid)
    alive = np.exp(-(rate + CENSORED) * time) * time
    both = np.concatenate([rate * alive, CENSORED * alive], 1)
    return density_mi(both, np.full(1000, 1e-3), grid[1] - grid[0])


@kind("censored survival times", "atoms")
def survival(n: int, rng: np.random.Generator) -> Sample:
    """A risk against (time, event): hazard exp(1.2 x), censoring of rate 0.5; an integral."""
    x = rng.normal(size=n)
    event, lost = rng.exponential(np.exp(-HAZARD * x)), rng.exponential(1 / CENSORED, n)
    y = np.stack([np.minimum(event, lost), (event <= lost).astype(float)], 1)
    return x, y, survival_mi()


@cache
def relu_mi(rho: float) -> float:
    """MI of max(p, 0) and max(q, 0) of a Gaussian pair: a table of 0 and 1,600 fine cells."""
    edges = np.concatenate([[-np.inf], np.linspace(0, 6, 1601)])
    middle = (edges[1:-1] + edges[2:]) / 2
    spread = math.sqrt(1 - rho**2)
    above = np.diff(stats.norm.cdf((edges - rho * middle[:, None]) / spread), axis=1)
    inner = above * np.diff(stats.norm.cdf(edges[1:]))[:, None]
    orthant = 0.25 + math.asin(rho) / (2 * math.pi)
    joint = np.concatenate([np.concatenate([[orthant], inner[:, 0]])[None], inner])
    joint[1:, 1:] = (inner[:, 1:] + inner[:, 1:].T) / 2
    return table_mi(joint)


@kind("ReLU activations", "atoms")
def relu(n: int, rng: np.random.Generator, rho: float = 0.9, d: int = 4) -> Sample:
    """Four Gaussian pairs of correlation 0.9, each column cut off below 0; four fine tables."""
    a, b = gaussian_pair((n, d), rho, rng)
    return a.clip(0), b.clip(0), d * relu_mi(rho)


@cache
def price_mi(rho: float) -> float:
    """MI of a normal column and the tick that a lognormal price is rounded to."""
    x = normal_points(20_000)
    edges = np.log((np.arange(1, 120) - 0.5) * TICK)
    ready = (edges - 3.5) / 0.7
    below = stats.norm.cdf((ready - rho * x[:, None]) / math.sqrt(1 - rho**2))
    cells = np.diff(np.concatenate([np.zeros((len(x), 1)), below, np.ones((len(x), 1))], 1))
    return density_mi(cells, np.full(len(x), 1 / len(x)))


@kind("rounded prices", "atoms")
def prices(n: int, rng: np.random.Generator, rho: float = 0.9) -> Sample:
    """A number and a lognormal price of about 33, rounded to tens; a sum over ticks on a grid."""
    a, b = gaussian_pair(n, rho, rng)
    return a, TICK * np.rint(np.exp(3.5 + 0.7 * b) / TICK), price_mi(rho)


@cache
def slopes_mi(sigma: float) -> float:
    """h(Y) of a scale mixture of normals, less h(sigma e)."""
    grid = np.linspace(-16, 16, 64_001)
    spread = np.sqrt(SLOPES**2 + sigma**2)[:, None]
    density = stats.norm.pdf(grid / spread) / spread
    h = entropy(density.mean(0)) * (grid[1] - grid[0])
    return float(h - 0.5 * math.log(2 * math.pi * math.e * sigma**2))


@kind("one-hot times number", "atoms")
def one_hot(n: int, rng: np.random.Generator, sigma: float = 0.3) -> Sample:
    """A one-hot group of four beside a number z; y = slope_group z + 0.3 e; h(Y) - h(e)."""
    group, z = rng.integers(0, 4, n), rng.normal(size=n)
    x = np.concatenate([np.eye(4)[group], z[:, None]], 1)
    return x, SLOPES[group] * z + sigma * rng.normal(size=n), slopes_mi(sigma)


@kind("mixed frame", "atoms")
def frame(n: int, rng: np.random.Generator, error: float = 0.2) -> Sample:
    """A number and a code of 3 on each side; the code says how the numbers correlate; a sum."""
    g = rng.integers(0, 3, n)
    h = symmetric_channel(g, 3, error, rng)
    a, noise = rng.normal(size=(2, n))
    b = FRAME_RHO[g] * a + np.sqrt(1 - FRAME_RHO[g] ** 2) * noise
    truth = symmetric_channel_mi(3, error) + gaussian_mi(*FRAME_RHO) / 3
    return np.stack([a, g], 1), np.stack([h, b], 1), truth


@cache
def bar_images() -> tuple[Array, Array]:
    """Images of 4 x 4 pixels with bars, ``[M, 16]``, and their probabilities ``[M]``."""
    bits = (np.arange(256)[:, None] >> np.arange(8)) & 1
    weight = np.prod(np.where(bits == 1, 0.25, 0.75), 1)
    pixels = (bits[:, :4, None] | bits[:, None, 4:]).reshape(256, 16)
    images, place = np.unique(pixels, axis=0, return_inverse=True)
    return images.astype(float), np.bincount(place.ravel(), weight).astype(float)


@cache
def bars_mi(flip: float) -> float:
    """H(Y) over all 65,536 images, less 16 entropies of a flip."""
    images, weight = bar_images()
    every = ((np.arange(65_536)[:, None] >> np.arange(16)) & 1).astype(float)
    apart = images.sum(1)[:, None] + every.sum(1) - 2 * images @ every.T
    likelihood = special.softmax([math.log(1 - flip), math.log(flip)])
    p = weight @ (likelihood[0] ** (16 - apart) * likelihood[1] ** apart)
    return entropy(p) - 16 * binary_entropy(flip)


@kind("binary images of bars", "atoms")
def bars(n: int, rng: np.random.Generator, flip: float = 0.1) -> Sample:
    """4 x 4 pixels with random bars, and a copy with 10 % flipped; a sum over all images."""
    images, weight = bar_images()
    x = images[rng.choice(len(images), n, p=weight)]
    return x, np.abs(x - (rng.random(x.shape) < flip)), bars_mi(flip)


@kind("questionnaire of 12 answers", "atoms", "labels")
def answers(n: int, rng: np.random.Generator) -> Sample:
    """Twelve answers of yes or no against the class of 8 that they hang on; a sum over words."""
    rates = answer_rates()
    y = rng.integers(0, 8, n)
    return (rng.random((n, 12)) < rates[y]).astype(float), y, answers_mi()


@cache
def answer_rates() -> Array:
    """How often each class says yes to each question, ``[8, 12]``."""
    return np.random.default_rng(41).beta(0.5, 0.5, (8, 12)).clip(0.02, 0.98)


@cache
def answers_mi() -> float:
    """MI of the class and all 4,096 words of answers."""
    words = (np.arange(4096)[:, None] >> np.arange(12)) & 1
    rates = answer_rates()
    logs = np.log(rates) @ words.T + np.log1p(-rates) @ (1 - words.T)
    return channel_mi(np.full(8, 1 / 8), np.exp(logs))
