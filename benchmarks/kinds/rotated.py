"""What goes with a few directions of columns that a rotation mixes.

Evaluation only. Legend: ``D`` columns, ``K`` latents.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.kinds.functions import product_mi
from benchmarks.kinds.registry import Sample, kind
from benchmarks.kinds.truths import (
    additive_mi,
    binary_entropy,
    normal_points,
    symmetric_channel,
    symmetric_channel_mi,
)

__all__: list[str] = []

Array = NDArray[np.float64]
LATENTS, MANY, BLUR, WRONG = 6, 150, 0.3, 0.1


@cache
def turn(d: int, seed: int) -> Array:
    """A rotation ``[D, D]``; rows of independent normal columns stay so."""
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))[0]


def _signs(n: int, rng: np.random.Generator, d: int, seed: int) -> tuple[Array, NDArray[np.int64]]:
    """Normal columns ``[n, D]`` and the signs of their first two directions, 0 or 1, ``[n, 2]``."""
    x = rng.normal(size=(n, d))
    return x, (x @ turn(d, seed)[:, :2] > 0).astype(np.int64)


@kind("sign of a direction of 8 columns", "labels")
def sign(n: int, rng: np.random.Generator) -> Sample:
    """On which side of a plane eight normal columns lie, wrong in 10 %; log 2 - h(0.1)."""
    x, side = _signs(n, rng, 8, 601)
    return x, symmetric_channel(side[:, 0], 2, WRONG, rng), symmetric_channel_mi(2, WRONG)


@kind("quadrants of 12 columns", "labels")
def quadrants(n: int, rng: np.random.Generator) -> Sample:
    """In which of four quarters that two planes cut; wrong in 10 %; the symmetric channel."""
    x, side = _signs(n, rng, 12, 602)
    label = 2 * side[:, 0] + side[:, 1]
    return x, symmetric_channel(label, 4, WRONG, rng), symmetric_channel_mi(4, WRONG)


@kind("XOR of directions of 6 columns", "labels")
def exclusive_or(n: int, rng: np.random.Generator) -> Sample:
    """Whether the sides of two planes agree, wrong in 10 %; log 2 - h(0.1)."""
    x, side = _signs(n, rng, 6, 603)
    label = (side[:, 0] == side[:, 1]).astype(np.int64)
    return x, symmetric_channel(label, 2, WRONG, rng), symmetric_channel_mi(2, WRONG)


@cache
def wave_mi() -> float:
    """MI of a wave along a normal direction and its noisy value."""
    return additive_mi(np.sin(2.5 * normal_points(20_000)), stats.norm(0, 0.3))


@kind("wave along a direction of 8 columns")
def wave(n: int, rng: np.random.Generator) -> Sample:
    """y = sin(2.5 u) + 0.3 e, u one direction of eight normal columns."""
    x = rng.normal(size=(n, 8))
    return x, np.sin(2.5 * x @ turn(8, 604)[:, 0]) + 0.3 * rng.normal(size=n), wave_mi()


@kind("product of directions of 10 columns")
def product(n: int, rng: np.random.Generator) -> Sample:
    """y = u v + 0.3 e, u and v two directions of ten normal columns."""
    x = rng.normal(size=(n, 10))
    u = x @ turn(10, 605)[:, :2]
    return x, u.prod(1) + 0.3 * rng.normal(size=n), product_mi()


@cache
def loadings() -> Array:
    """How 150 columns show six latents, ``[K, D]``."""
    return np.random.default_rng(606).normal(size=(LATENTS, MANY)) / math.sqrt(LATENTS)


@cache
def told() -> tuple[Array, float]:
    """Columns' weights ``[D]`` of the mean of the first latent given all, and its variance."""
    shown = loadings() / BLUR**2
    posterior = np.linalg.inv(np.eye(LATENTS) + shown @ loadings().T)
    return (posterior @ shown)[0], float(1 - posterior[0, 0])


@cache
def sign_mi() -> float:
    """MI of the wrong-at-times sign of a latent and its mean given the columns."""
    variance = told()[1]
    points = normal_points(20_000) * math.sqrt(variance / (1 - variance))
    right = WRONG + (1 - 2 * WRONG) * stats.norm.cdf(points)
    return math.log(2) - float(np.mean([binary_entropy(p) for p in right]))


@kind("sign of a latent of 150 columns", "labels", "wide")
def latent_sign(n: int, rng: np.random.Generator) -> Sample:
    """The sign of one of six latents, wrong in 10 %, that 150 noisy columns show; an integral."""
    z = rng.normal(size=(n, LATENTS))
    x = z @ loadings() + BLUR * rng.normal(size=(n, MANY))
    return x, symmetric_channel((z[:, 0] > 0).astype(np.int64), 2, WRONG, rng), sign_mi()
