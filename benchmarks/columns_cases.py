"""The cases of ``benchmarks.columns``: what people bring, with known mutual information.

Legend: ``n`` rows, ``d`` columns. All in nats.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.integrate import trapezoid
from scipy.special import logsumexp

from benchmarks import columns_items, discrete
from benchmarks.kinds import KINDS
from benchmarks.kinds.truths import additive_mi, gaussian_mi, gaussian_pair, normal_points

__all__ = ["CASES", "Draw"]

_LEVELS = np.array([1.2, -1.8, 0.4, 2.6, -0.6])  # of five classes, out of order
_ROWS = 200_000  # of means over rows


class Draw(NamedTuple):
    """Two sides, what is ``given`` (None for nothing), and the truth in nats."""

    x: Any
    y: Any
    given: Any
    truth: float


Make = Callable[[int, np.random.Generator], Draw]


def _plain(make: Callable[..., tuple[Any, Any, float]]) -> Make:
    """What makes two sides and their truth, as a case."""

    def draw(n: int, rng: np.random.Generator) -> Draw:
        x, y, truth = make(n, rng)
        return Draw(x, y, None, truth)

    return draw


def _kind(name: str) -> Make:
    """One of ``benchmarks.kinds``."""
    return _plain(KINDS[name].make)


def integers(n: int, rng: np.random.Generator, rho: float = 0.9) -> Draw:
    """A Gaussian pair, both sides rounded to thousandths and brought as integers."""
    a, b = (np.rint(1000 * side).astype(np.int64) for side in gaussian_pair(n, rho, rng))
    return Draw(a, b, None, gaussian_mi(rho))


def categories(n: int, rng: np.random.Generator) -> Draw:
    """Labels of 10,000 categories, of which 30 % are copied."""
    x, y, truth = discrete.copied(n, rng, 10_000, 0.3)
    return Draw(x, y, None, truth)


def levels(n: int, rng: np.random.Generator, noise: float = 1.0) -> Draw:
    """A code of five classes, as floats, beside a normal column; y is the level of the class and
    the column, with noise."""
    code, z = rng.integers(0, 5, n), rng.normal(size=n)
    y = _LEVELS[code] + z + noise * rng.normal(size=n)
    clean = _LEVELS[:, None] + normal_points(100_000)
    truth = additive_mi(clean, stats.norm(scale=noise))
    return Draw(np.stack([code.astype(float), z], -1), y, None, truth)


def signs(n: int, rng: np.random.Generator, noise: float = 0.7) -> Draw:
    """The same columns; the class says whether y follows the column or its negative."""
    code, z = rng.integers(0, 5, n), rng.normal(size=n)
    y = np.where(np.isin(code, (1, 2)), -z, z) + noise * rng.normal(size=n)
    truth = 0.5 * math.log1p(noise**-2)
    return Draw(np.stack([code.astype(float), z], -1), y, None, truth)


def conditional(n: int, rng: np.random.Generator, noise: float = 0.75) -> Draw:
    """x and y given a class, which turns the sign of x, and a number, which moves y."""
    code, z, x = rng.integers(0, 3, n), rng.normal(size=n), rng.normal(size=n)
    y = np.where(code == 1, -x, x) + z + noise * rng.normal(size=n)
    return Draw(x, y, {"class": code, "number": z}, 0.5 * math.log1p(noise**-2))


def parity(n: int, rng: np.random.Generator) -> Draw:
    """The parity of three of thirteen bits, all as floats."""
    bits = rng.integers(0, 2, (n, 13))
    return Draw(bits.astype(float), (bits[:, :3].sum(1) % 2).astype(float), None, math.log(2))


def bilinear(n: int, rng: np.random.Generator, d: int = 8, noise: float = 0.3) -> Draw:
    """x holds a and b of eight normal columns each, y their scaled product with noise: given a it
    is normal, so that its density is a mean over lengths of a."""
    a, b = rng.normal(size=(n, d)), rng.normal(size=(n, d))
    y = (a * b).sum(1) / math.sqrt(d) + noise * rng.normal(size=n)
    lengths = stats.chi2(d).ppf((np.arange(2000) + 0.5) / 2000)
    grid = np.linspace(0.0, 14.0, 4001)
    density = stats.norm.pdf(grid, scale=np.sqrt(lengths / d + noise**2)[:, None]).mean(0)
    entropy = 2 * trapezoid(-density * np.log(density), grid)
    return Draw(np.hstack([a, b]), y, None, entropy - float(stats.norm(scale=noise).entropy()))


def chosen(n: int, rng: np.random.Generator, noise: float = 0.4) -> Draw:
    """y is that of four normal columns which a class names, with noise; the class is one-hot."""
    code, x = rng.integers(0, 4, n), rng.normal(size=(n, 4))
    y = x[np.arange(n), code] + noise * rng.normal(size=n)
    return Draw(np.hstack([np.eye(4)[code], x]), y, None, 0.5 * math.log1p(noise**-2))


def channels(n: int, rng: np.random.Generator, width: float = 0.1) -> Draw:
    """Six uniform numbers, each in uniform noise of a tenth of its range."""
    x = rng.random((n, 6))
    return Draw(x, x + width * rng.random((n, 6)), None, 6 * (width / 2 - math.log(width)))


def _turned(x: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    """Columns after a random rotation."""
    turned: NDArray[Any] = x @ stats.ortho_group(x.shape[1], seed=rng).rvs()
    return turned


def sensors(n: int, rng: np.random.Generator) -> Draw:
    """Six Laplace sources, each with a delay that is uniform, both sides rotated."""
    x = rng.laplace(size=(n, 6))
    y = x + rng.random((n, 6))
    truth = 6 * additive_mi(stats.laplace.ppf((np.arange(100_000) + 0.5) / 1e5), stats.uniform)
    return Draw(_turned(x, rng), _turned(y, rng), None, truth)


def waves(n: int, rng: np.random.Generator, noise: float = 0.2) -> Draw:
    """Five uniform phases and the wave of each, with noise, both sides rotated."""
    x = rng.random((n, 5))
    y = np.sin(2 * np.pi * x) + noise * rng.normal(size=(n, 5))
    phases = (np.arange(100_000) + 0.5) / 1e5
    truth = 5 * additive_mi(np.sin(2 * np.pi * phases), stats.norm(scale=noise))
    return Draw(_turned(x, rng), _turned(y, rng), None, truth)


@lru_cache
def _mean(name: str) -> float:
    """Information as a mean of log ratios of densities over many rows of their own."""
    rng = np.random.default_rng(0)
    return float(np.mean(_RATIOS[name](_ROWS, rng)))


def _hidden_rows(n: int, rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any]]:
    x = rng.normal(size=(n, 3))
    return x, x[np.arange(n), rng.integers(0, 3, n)] + 0.15 * rng.normal(size=n)


def _hidden_ratios(n: int, rng: np.random.Generator) -> NDArray[Any]:
    x, y = _hidden_rows(n, rng)
    given = stats.norm.pdf(y[:, None], x, 0.15).mean(1)
    out: NDArray[Any] = np.log(given) - stats.norm.logpdf(y, scale=math.hypot(1, 0.15))
    return out


def hidden(n: int, rng: np.random.Generator) -> Draw:
    """y is one of three normal columns, which nothing tells, with noise."""
    return Draw(*_hidden_rows(n, rng), None, _mean("hidden"))


def _caption_rows(n: int, rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any]]:
    x, other = rng.normal(size=(n, 8)), rng.normal(size=(n, 8))
    wrong = rng.random((n, 1)) < 0.3
    return x, np.where(wrong, other, 0.8 * x + 0.6 * other)


def _caption_ratios(n: int, rng: np.random.Generator) -> NDArray[Any]:
    x, y = _caption_rows(n, rng)
    pair = stats.norm.logpdf(y, 0.8 * x, 0.6).sum(1) - stats.norm.logpdf(y).sum(1)
    out: NDArray[Any] = np.logaddexp(math.log(0.3), math.log(0.7) + pair)
    return out


def captions(n: int, rng: np.random.Generator) -> Draw:
    """Eight Gaussian pairs of correlation 0.8, of which three rows in ten are of strangers."""
    return Draw(*_caption_rows(n, rng), None, _mean("captions"))


_SLOPES = np.random.default_rng(5).normal(size=(3, 2, 4)) / 2  # of three groups


def _group_rows(n: int, rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any]]:
    x, group = rng.normal(size=(n, 4)), rng.integers(0, 3, n)
    return x, np.einsum("nij,nj->ni", _SLOPES[group], x) + 0.2 * rng.normal(size=(n, 2))


def _group_ratios(n: int, rng: np.random.Generator) -> NDArray[Any]:
    x, y = _group_rows(n, rng)
    given, alone = [], []
    for slopes in _SLOPES:
        given.append(stats.norm.logpdf(y, x @ slopes.T, 0.2).sum(1))
        spread = slopes @ slopes.T + 0.04 * np.eye(2)
        alone.append(stats.multivariate_normal(cov=spread).logpdf(y))
    out: NDArray[Any] = logsumexp(given, axis=0) - logsumexp(alone, axis=0)
    return out


def groups(n: int, rng: np.random.Generator) -> Draw:
    """Two numbers that follow four columns with slopes of their own in each of three groups."""
    return Draw(*_group_rows(n, rng), None, _mean("groups"))


_CENTRES = np.random.default_rng(6).normal(size=(100, 30)) * 0.8


def _class_rows(n: int, rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any]]:
    label = rng.integers(0, 100, n)
    return _CENTRES[label] + rng.normal(size=(n, 30)), label


def _class_ratios(n: int, rng: np.random.Generator) -> NDArray[Any]:
    x, label = _class_rows(n // 10, rng)
    logs = x @ _CENTRES.T - (_CENTRES**2).sum(1) / 2
    out: NDArray[Any] = math.log(100) + logs[np.arange(len(x)), label] - logsumexp(logs, axis=1)
    return out


def classes(n: int, rng: np.random.Generator) -> Draw:
    """A hundred clusters in 30 columns, and the name of each."""
    x, label = _class_rows(n, rng)
    return Draw(x, label, None, _mean("classes"))


_RATIOS: dict[str, Callable[[int, np.random.Generator], NDArray[Any]]] = {
    "hidden": _hidden_ratios, "captions": _caption_ratios, "groups": _group_ratios,
    "classes": _class_ratios,
}  # fmt: skip


def largest(n: int, rng: np.random.Generator) -> Draw:
    """Which of 30 normal columns is the largest."""
    x = rng.normal(size=(n, 30))
    return Draw(x, x.argmax(1), None, math.log(30))


def _numbers(n: int, rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any], float]:
    """Four Gaussian pairs of correlation 0.9."""
    u, e = rng.normal(size=(n, 4)), rng.normal(size=(n, 4))
    return u, 0.9 * u + math.sqrt(0.19) * e, 4 * gaussian_mi(0.9)


def products(n: int, rng: np.random.Generator) -> Draw:
    """Four numbers on each side, with all products of two of them."""
    u, v, truth = _numbers(n, rng)
    one, other = np.triu_indices(4)
    x, y = (np.hstack([side, side[:, one] * side[:, other]]) for side in (u, v))
    return Draw(x, y, None, truth)


def layers(n: int, rng: np.random.Generator) -> Draw:
    """The same numbers, each side as a random layer of 64 rectified units."""
    u, v, truth = _numbers(n, rng)
    x, y = (
        np.maximum(side @ rng.normal(size=(4, 64)) / 2 + 0.5 * rng.normal(size=64), 0)
        for side in (u, v)
    )
    return Draw(x, y, None, truth)


CASES: dict[str, tuple[Make, int]] = {
    "labels copied half the time, 20 classes": (_kind("labels copied half the time, 20 classes"),
                                                2000),
    "labels Likert 5 x 5": (_kind("labels Likert 5 x 5"), 2000),
    "counts": (_kind("counts"), 2000),
    "numbers rounded to integers, both sides": (integers, 2000),
    "the same, 20,000 rows": (integers, 20_000),
    "10,000 categories on both sides": (categories, 100_000),
    "parity of 3 bits": (_kind("parity of 3 bits"), 2000),
    "a code as floats beside a number: levels": (levels, 2000),
    "a code as floats beside a number: signs": (signs, 2000),
    "zero-inflated": (_kind("zero-inflated"), 2000),
    "near copy, 6.9 nats": (_kind("near copy, 6.9 nats"), 2000),
    "given a class and a number": (conditional, 2000),
    "parity of 3 of 13 bits": (parity, 2000),
    "bilinear form of 8 + 8 columns": (bilinear, 2000),
    "one of four columns, which a class names": (chosen, 2000),
    "six numbers, each in uniform noise": (channels, 2000),
    "six sources with uniform delays, rotated": (sensors, 2000),
    "five waves of phases, rotated": (waves, 2000),
    "one of three columns, by a hidden class": (hidden, 2000),
    "eight columns, three captions in ten wrong": (captions, 2000),
    "three groups with slopes of their own": (groups, 2000),
    "100 classes in 30 columns, as labels": (classes, 2000),
    "which of 30 columns is the largest": (largest, 2000),
    "products of four numbers on both sides": (products, 2000),
    "64 rectified units of four numbers": (layers, 2000),
    "chances of twelve classes by two classifiers": (_plain(columns_items.outputs), 2000),
    "genes and proteins that mark nine types of cells": (_plain(columns_items.markers), 2000),
    "a bump on a ring of 20 sensors, and again later": (_plain(columns_items.bump), 2000),
}  # fmt: skip
"""Draws of each case, and their rows."""
