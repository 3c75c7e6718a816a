"""Laws whose condition is one number.

Legend: ``u``, ``z``, ``e``, ``f`` standard normal; ``n`` rows.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from scipy import stats

from benchmarks.conditional.registry import Sample, law
from benchmarks.kinds.truths import additive_mi, gaussian_mi, normal_points

Rng = np.random.Generator


def _channel(noise: float) -> float:
    """``I(U; U + noise e)``."""
    return 0.5 * math.log1p(noise**-2)


@law("a line beside the condition", "a number")
def line(n: int, g: Rng) -> Sample:
    """x = z + u, y = z/2 + u + 0.7 e; log(1 + 1/0.49)/2."""
    z, u, e = g.normal(size=(3, n))
    return Sample(z + u, 0.5 * z + u + 0.7 * e, z, _channel(0.7))


@law("the same line, exponentials", "a number")
def exponentials(n: int, g: Rng) -> Sample:
    """The line, all three columns through the exponential; the same truth."""
    x, y, z, truth = line(n, g)
    return Sample(np.exp(x), np.exp(y), np.exp(np.asarray(z)), truth)


@law("a common effect", "a number")
def collider(n: int, g: Rng) -> Sample:
    """x and y independent, z = x + y + 0.5 e; a partial correlation of -0.8."""
    x, y, e = g.normal(size=(3, n))
    return Sample(x, y, x + y + 0.5 * e, gaussian_mi(0.8))


@law("a wave beside the condition", "a number")
def wave(n: int, g: Rng) -> Sample:
    """y = z + sin(2 pi x) + 0.3 e, x uniform on 0 to 1; an integral on a grid."""
    x, z, e = g.uniform(size=n), *g.normal(size=(2, n))
    return Sample(x, z + np.sin(2 * np.pi * x) + 0.3 * e, z, _wave())


@functools.cache
def _wave() -> float:
    points = (np.arange(20_000) + 0.5) / 20_000
    return additive_mi(np.sin(2 * np.pi * points), stats.norm(scale=0.3))


@law("a strength that the condition sets", "a number")
def strength(n: int, g: Rng) -> Sample:
    """y = z x + 0.5 e; the mean of log(1 + 4 z^2)/2."""
    x, z, e = g.normal(size=(3, n))
    truth = float(np.log1p(4 * normal_points(20_000) ** 2).mean()) / 2
    return Sample(x, z * x + 0.5 * e, z, truth)


@law("a common cause, linear", "a number")
def cause(n: int, g: Rng) -> Sample:
    """x = 2 z + e, y = z + 0.5 f; 0."""
    z, e, f = g.normal(size=(3, n))
    return Sample(2 * z + e, z + 0.5 * f, z, 0.0)


@law("a common cause, strong", "a number")
def strong(n: int, g: Rng) -> Sample:
    """x = z + 0.1 e, y = z + 0.1 f; 0, while I(X;Y) is 1.96."""
    z, e, f = g.normal(size=(3, n))
    return Sample(z + 0.1 * e, z + 0.1 * f, z, 0.0)


@law("a common cause, curved", "a number")
def curved(n: int, g: Rng) -> Sample:
    """x = sin 2z + 0.4 e, y = z^2/2 + 0.4 f; 0."""
    z, e, f = g.normal(size=(3, n))
    return Sample(np.sin(2 * z) + 0.4 * e, z**2 / 2 + 0.4 * f, z, 0.0)


@law("a chain", "a number")
def chain(n: int, g: Rng) -> Sample:
    """z = x + 0.5 e, y = z + 0.5 f; 0."""
    x, e, f = g.normal(size=(3, n))
    z = x + 0.5 * e
    return Sample(x, z + 0.5 * f, z, 0.0)


@law("a label against a number", "a number")
def label_number(n: int, g: Rng) -> Sample:
    """x a fair coin, y = z + 2 x + e; the entropy of two normal laws less that of one."""
    x, (z, e) = g.integers(0, 2, n), g.normal(size=(2, n))
    return Sample(x, z + 2 * x + e, z, _two_levels())


@functools.cache
def _two_levels() -> float:
    return additive_mi(np.array([0.0, 2.0]), stats.norm())


@law("labels with a common cause", "a number")
def label_cause(n: int, g: Rng) -> Sample:
    """x a class of three and y a coin, each z and noise of its own, cut; 0."""
    z, e = g.normal(size=(2, n))
    x = np.digitize(z + 0.7 * e, (-0.7, 0.4))
    return Sample(x, (2 * z + g.logistic(size=n) > 0).astype(int), z, 0.0)
