"""Codes of networks with noise: mixtures with known components, so that densities are sums.

Evaluation only. An index ``I`` is uniform on ``M`` items; ``x = f(s_I) + a e`` and
``y = g(s_I) + b e'`` or a label of the item, with networks ``f``, ``g``: the truth is the Monte
Carlo mean of ``log p(x,y) / p(x)p(y)``.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from benchmarks.kinds.registry import Sample, kind
from benchmarks.kinds.truths import labelled_mi, shared_mi

__all__: list[str] = []

Array = NDArray[np.float64]


@cache
def items(count: int, k: int, seed: int) -> Array:
    """Latents ``[M, K]`` of the items, standard normal."""
    return np.random.default_rng(seed).normal(size=(count, k))


def network(s: Array, d: int, seed: int, rectified: bool = False) -> Array:
    """Three random layers from ``[M, K]`` to ``[M, D]``, columns of unit variance."""
    rng = np.random.default_rng(seed)
    for width in (48, 48, d):
        w = rng.normal(size=(s.shape[1], width)) * 1.5 / math.sqrt(s.shape[1])
        s = s @ w + 0.3 * rng.normal(size=width)
        if width < d or rectified:
            s = np.maximum(s, 0) if rectified else np.tanh(s)
    out: Array = (s - s.mean(0)) / (s.std(0) + 1e-9)
    return out


@cache
def pair(name: str) -> tuple[Array, float, Array, float]:
    """Centres and scales of noise on both sides of a kind."""
    if name == "latents":
        s = items(1500, 2, 301)
        return network(s, 32, 302), 0.7, network(s, 24, 303), 0.7
    s = items(60, 6, 311)
    return network(s, 48, 312, rectified=True), 0.7, network(s, 24, 313), 0.6


@cache
def pair_mi(name: str) -> float:
    """MI of a kind, by Monte Carlo with an error of about 0.008 nats."""
    return shared_mi(*pair(name))


def _pair(n: int, rng: np.random.Generator, name: str) -> Sample:
    f, a, g, b = pair(name)
    item = rng.integers(len(f), size=n)
    x = f[item] + a * rng.normal(size=(n, f.shape[1]))
    y = g[item] + b * rng.normal(size=(n, g.shape[1]))
    return x, y, pair_mi(name)


@kind("codes of two networks", "manifold")
def codes(n: int, rng: np.random.Generator) -> Sample:
    """1,500 items of two latents, through networks to 32 and 24 columns with noise of 0.7."""
    return _pair(n, rng, "latents")


@kind("codes of 60 items", least=1000)
def many_items(n: int, rng: np.random.Generator) -> Sample:
    """60 items of six latents, through networks to 48 and 24 columns with noise of 0.7 and 0.6."""
    return _pair(n, rng, "items")


@cache
def labelled() -> tuple[Array, float, NDArray[np.int64]]:
    """Centres, the scale of noise, and a label of 5 for each item, by an angle of its latents."""
    s = items(1000, 3, 321)
    angle = np.arctan2(s[:, 0], s[:, 1]) / (2 * math.pi) + 0.5
    return network(s, 32, 322), 1.0, (5 * angle).astype(np.int64).clip(0, 4)


@cache
def labelled_truth() -> float:
    """MI of the kind of labelled codes."""
    f, a, label = labelled()
    return labelled_mi(f, a, tuple(label), draws=40_000)


@kind("codes against a label", "labels")
def codes_and_label(n: int, rng: np.random.Generator) -> Sample:
    """1,000 items of three latents, through a network to 32 columns with noise; 5 classes."""
    f, a, label = labelled()
    item = rng.integers(len(f), size=n)
    return f[item] + a * rng.normal(size=(n, f.shape[1])), label[item], labelled_truth()
