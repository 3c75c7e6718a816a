"""Curves and surfaces in more columns than they have dimensions: injective maps keep the truth.

Evaluation only.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.kinds.lift import lift
from benchmarks.kinds.registry import Sample, kind
from benchmarks.kinds.truths import additive_mi, gaussian_mi, gaussian_pair

__all__: list[str] = []

Array = NDArray[np.float64]
TURNS = (1.5 * math.pi, 4.5 * math.pi)


def on_circle(angle: Array) -> Array:
    """Cosines and sines of angles ``[n, k]``: ``[n, 2 k]``."""
    return np.concatenate([np.cos(angle), np.sin(angle)], 1)


def angle_mi(kappa: float) -> float:
    """``log 2 pi - h(e)`` of a uniform angle and its copy with von Mises noise."""
    return math.log(2 * math.pi) - float(stats.vonmises(kappa).entropy())


@kind("angles on circles", "manifold")
def angles(n: int, rng: np.random.Generator, kappa: float = 50.0) -> Sample:
    """An angle and its noisy copy, each as cosine and sine; log 2 pi - h of the noise."""
    a = rng.uniform(-math.pi, math.pi, (n, 1))
    return on_circle(a), on_circle(a + rng.vonmises(0, kappa, (n, 1))), angle_mi(kappa)


@cache
def torus_frame(seed: int) -> Array:
    """Four orthonormal directions in 32 columns, ``[4, 32]``."""
    made = np.linalg.qr(np.random.default_rng(seed).normal(size=(32, 4)))[0].T
    return np.ascontiguousarray(made)


@kind("torus in 32 columns", "manifold")
def torus(n: int, rng: np.random.Generator) -> Sample:
    """Two angles and noisy copies, each pair as a flat torus turned into 32 columns; their sum."""
    a = rng.uniform(-math.pi, math.pi, (n, 2))
    kappa = (20.0, 4.0)
    b = a + np.stack([rng.vonmises(0, k, n) for k in kappa], 1)
    x, y = on_circle(a) @ torus_frame(31), on_circle(b) @ torus_frame(32)
    return x, y, sum(map(angle_mi, kappa))


@kind("directions on a sphere", "manifold")
def sphere(n: int, rng: np.random.Generator, kappa: float = 20.0) -> Sample:
    """A unit vector of 3 columns and a von Mises-Fisher copy; log 4 pi - h of the copy."""
    x = rng.normal(size=(n, 3))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    least = math.exp(-2 * kappa)
    cosine = 1 + np.log(least + (1 - least) * rng.random(n)) / kappa
    side = np.cross(x, rng.normal(size=(n, 3)))
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    y = cosine[:, None] * x + np.sqrt(1 - cosine**2)[:, None] * side
    log_norm = math.log(kappa / (4 * math.pi * math.sinh(kappa)))
    h = -log_norm - kappa / math.tanh(kappa) + 1
    return x, y, math.log(4 * math.pi) - h


@cache
def spiral_mi(sigma: float) -> float:
    """MI of the spiral kind."""
    t = TURNS[0] + (TURNS[1] - TURNS[0]) * (np.arange(400_000) + 0.5) / 400_000
    return additive_mi(t, stats.norm(scale=sigma))


@kind("spiral and its length", "manifold")
def spiral(n: int, rng: np.random.Generator, sigma: float = 0.5) -> Sample:
    """A point on a plane spiral and its angle of 1.5 to 4.5 pi with noise of 0.5."""
    t = rng.uniform(*TURNS, n)
    x = t[:, None] * np.stack([np.cos(t), np.sin(t)], 1)
    return x, t + sigma * rng.normal(size=n), spiral_mi(sigma)


def rolled(a: Array, b: Array) -> Array:
    """A Swiss roll, ``[n, 3]``, from two normal columns: along it and across it."""
    t = TURNS[0] + (TURNS[1] - TURNS[0]) * stats.norm.cdf(a)
    return np.stack([t * np.cos(t), 6 * b, t * np.sin(t)], 1)


@kind("Swiss rolls on both sides", "manifold")
def rolls(n: int, rng: np.random.Generator) -> Sample:
    """Two Gaussian pairs, of correlations 0.95 along and 0.6 across a Swiss roll on each side."""
    a, b = gaussian_pair(n, 0.95, rng)
    c, d = gaussian_pair(n, 0.6, rng)
    return rolled(a, c), rolled(b, d), gaussian_mi(0.95, 0.6)


def _lifted(n: int, rng: np.random.Generator, k: int, d: int, rho: float, seed: int) -> Sample:
    u, v = gaussian_pair((n, k), rho, rng)
    return lift(k, d, seed)(u), lift(k, d, seed + 1)(v), k * gaussian_mi(rho)


@kind("1 latent in 64 columns", "manifold")
def one_latent(n: int, rng: np.random.Generator) -> Sample:
    """A Gaussian pair of correlation 0.95, each side through a random injective network."""
    return _lifted(n, rng, 1, 64, 0.95, 101)


@kind("3 latents in 64 columns", "manifold")
def three_latents(n: int, rng: np.random.Generator) -> Sample:
    """Three Gaussian pairs of correlation 0.9, each side through a random injective network."""
    return _lifted(n, rng, 3, 64, 0.9, 103)


@kind("2 latents in 256 columns", "manifold", "wide")
def two_latents(n: int, rng: np.random.Generator) -> Sample:
    """Two Gaussian pairs of correlation 0.9, each side through a random injective network."""
    return _lifted(n, rng, 2, 256, 0.9, 105)
