"""Mutual information in nats from tables, grids, convolutions and mixtures with known components.

Legend: ``A``, ``B`` cells of two sides; ``U`` values of a condition, ``Y`` of an outcome; ``M``
components, ``K`` classes, ``D`` columns, ``S`` draws.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import signal, special, stats

__all__ = [
    "additive_mi", "binary_entropy", "channel_mi", "density_mi", "entropy", "gaussian_mi",
    "gaussian_pair", "kernel_log", "labelled_mi", "normal_points", "shared_mi", "symmetric_channel",
    "symmetric_channel_mi", "table_mi",
]  # fmt: skip

Array = NDArray[np.float64]


def entropy(p: ArrayLike) -> float:
    """``H = -sum p log p`` of probabilities of any shape."""
    return float(special.entr(np.asarray(p, float)).sum())


def binary_entropy(p: float) -> float:
    """``H`` of a coin that falls on one side with probability ``p``."""
    return entropy([p, 1 - p])


def table_mi(joint: ArrayLike) -> float:
    """``H(A) + H(B) - H(A, B)`` of joint probabilities ``[A, B]``, which are normalised first."""
    p = np.asarray(joint, float)
    p = p / p.sum()
    return entropy(p.sum(0)) + entropy(p.sum(1)) - entropy(p)


def channel_mi(p: ArrayLike, rows: ArrayLike) -> float:
    """MI of a class with distribution ``p`` ``[A]`` and its outcome, ``rows`` ``[A, B]``."""
    return table_mi(np.asarray(p, float)[:, None] * np.asarray(rows, float))


def symmetric_channel_mi(k: int, error: float) -> float:
    """``log K - h(e) - e log(K - 1)``: one of ``k`` equal classes is another with ``error``."""
    return math.log(k) - binary_entropy(error) - error * math.log(k - 1)


def symmetric_channel(
    label: NDArray[np.int64], k: int, error: float, rng: np.random.Generator
) -> NDArray[np.int64]:
    """``label`` ``[n]``, replaced with probability ``error`` by one of the ``k - 1`` others."""
    other = (label + rng.integers(1, k, len(label))) % k
    return np.where(rng.random(len(label)) < error, other, label)


def gaussian_mi(*rho: float) -> float:
    """``-1/2 sum log(1 - rho^2)`` of canonical correlations."""
    return -0.5 * sum(math.log1p(-(r**2)) for r in rho)


def gaussian_pair(
    shape: int | tuple[int, ...], rho: float, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Standard normal arrays of ``shape`` that correlate entry by entry."""
    a = rng.normal(size=shape)
    return a, rho * a + math.sqrt(1 - rho**2) * rng.normal(size=shape)


def additive_mi(values: ArrayLike, noise: Any, steps: int = 200) -> float:
    """``I(U; f(U) + e) = h(f(U) + e) - h(e)``, the density of the sum as a convolution on a grid.

    Args:
        values: ``f`` at equally likely points of ``U``.
        noise: a distribution of scipy.
        steps: of the grid to one standard deviation of the noise.
    """
    v = np.asarray(values, float).ravel()
    step = noise.std() / steps
    half = 14 * steps
    cells = math.ceil((v.max() - v.min()) / step) + 1
    low = v.min() - step / 2
    weight = np.histogram(v, cells, (low, low + cells * step))[0] / len(v)
    kernel = np.diff(noise.cdf((np.arange(-half, half + 2) - 0.5) * step))
    density = signal.fftconvolve(weight, kernel).clip(0) / step
    return entropy(density) * float(step) - float(noise.entropy())


def density_mi(density: ArrayLike, weights: ArrayLike, step: ArrayLike = 1.0) -> float:
    """``sum_u w_u sum_y p(y|u) log(p(y|u) / p(y)) dy`` of densities ``[U, Y]`` on a grid of y.

    Args:
        density: of the outcome under each condition; probabilities where ``step`` is 1.
        weights: probabilities of the conditions ``[U]``.
        step: the widths of the cells of y, one or ``[Y]``.
    """
    p = np.asarray(density, float)
    w = np.asarray(weights, float) / np.sum(weights)
    mean = (w @ p)[None]
    relative = np.where(mean > 0, special.rel_entr(p, mean), 0.0)  # underflow has no weight
    return float(w @ (relative * np.asarray(step)).sum(1))


def kernel_log(z: Array, centres: Array, scale: float) -> Array:
    """``-|z - c|^2 / (2 scale^2)`` for ``z`` ``[S, D]`` and ``centres`` ``[M, D]``: ``[S, M]``."""
    cross = z @ centres.T - 0.5 * (centres**2).sum(1)
    return np.asarray((cross - 0.5 * (z**2).sum(1, keepdims=True)) / scale**2)


def _log_mean(logs: Array) -> Array:
    top = logs.max(1, keepdims=True)
    out: Array = top[:, 0] + np.log(np.exp(logs - top).mean(1))
    return out


def labelled_mi(
    centres: Array, scale: float, classes: Sequence[int] | None = None, draws: int = 60_000
) -> float:
    """``E log p(x|c) / p(x)`` for ``x = centre_I + scale e`` and ``c = classes[I]``, ``I`` uniform.

    Args:
        centres: ``[M, D]``.
        scale: of the noise in each column.
        classes: of the components ``[M]``; their own index where there is none.
        draws: of Monte Carlo; the error is about ``0.7 / sqrt(draws)`` nats.
    """
    rng = np.random.default_rng(20)
    label = np.arange(len(centres)) if classes is None else np.asarray(classes)
    total = 0.0
    for _ in range(max(1, draws // 4000)):
        item = rng.integers(len(centres), size=4000)
        z = centres[item] + scale * rng.normal(size=(4000, centres.shape[1]))
        logs = kernel_log(z, centres, scale)
        same = label[item][:, None] == label
        inside = np.where(same, logs, -np.inf)
        top = inside.max(1, keepdims=True)
        within = top[:, 0] + np.log(np.exp(inside - top).sum(1) / same.sum(1))
        total += float((within - _log_mean(logs)).sum())
    return total / (4000 * max(1, draws // 4000))


def shared_mi(f: Array, a: float, g: Array, b: float, draws: int = 20_000) -> float:
    """``E log p(x,y) / p(x)p(y)``: ``x = f_I + a e``, ``y = g_I + b e'``, ``I`` uniform on ``M``.

    Args:
        f, g: the components' centres ``[M, D]`` on both sides.
        a, b: the scales of the noise in each column.
        draws: of Monte Carlo; the error is about ``1 / sqrt(draws)`` nats.
    """
    rng = np.random.default_rng(21)
    total = 0.0
    for _ in range(max(1, draws // 2000)):
        item = rng.integers(len(f), size=2000)
        p, q = (
            kernel_log(c[item] + s * rng.normal(size=(2000, c.shape[1])), c, s)
            for c, s in ((f, a), (g, b))
        )
        total += float((_log_mean(p + q) - _log_mean(p) - _log_mean(q)).sum())
    return total / (2000 * max(1, draws // 2000))


def normal_points(count: int) -> Array:
    """``count`` equally likely points of the standard normal: the middles of equal shares."""
    out: Array = stats.norm.ppf((np.arange(count) + 0.5) / count)
    return out
