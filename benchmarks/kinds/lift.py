"""A random network from few columns into many that is injective by construction.

Evaluation only. Legend: ``K`` latent columns, ``W`` units, ``D`` columns; ``W >= K``, ``D >= W``.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["Lift", "lift"]

Array = NDArray[np.float64]
_FLOOR = 0.5  # least singular value of a layer, as a share of its mean


class Lift:
    """``u -> tanh(tanh(g u W1 + b1) g W2 + b2) W3``: full-rank layers between increasing maps.

    Each layer is a matrix of full row rank, hence injective on rows, and ``tanh`` increases, so
    that no two latents share an image and mutual information is kept.

    Args:
        k: latent columns ``K``.
        d: columns ``D``, at least ``width``.
        seed: of the weights.
        gain: of the first two layers; more bends more.
        width: units ``W`` of both hidden layers.
    """

    def __init__(self, k: int, d: int, seed: int, gain: float = 1.4, width: int = 64) -> None:
        if not k <= width <= d:
            raise ValueError(f"expected k <= width <= d, got {k}, {width}, {d}; widen the layers")
        rng = np.random.default_rng(seed)
        self.layers = [
            gain * _full_rank(k, width, rng) / math.sqrt(k) * math.sqrt(width / 2),
            gain * _full_rank(width, width, rng),
            _full_rank(width, d, rng),
        ]
        self.shifts = [0.4 * rng.normal(size=width) for _ in range(2)]

    def __call__(self, u: Array) -> Array:
        """``u`` ``[n, K]`` to ``[n, D]``."""
        for layer, shift in zip(self.layers, self.shifts):
            u = np.tanh(u @ layer + shift)
        return u @ self.layers[-1]


def _full_rank(k: int, d: int, rng: np.random.Generator) -> Array:
    """A ``[k, d]`` Gaussian matrix of spectral size about 1, its singular values kept off 0."""
    left, values, right = np.linalg.svd(rng.normal(size=(k, d)), full_matrices=False)
    values = values / values.mean()
    out: Array = left * values.clip(_FLOOR) @ right
    return out


@cache
def lift(k: int, d: int, seed: int) -> Lift:
    """The network of a seed, made once."""
    return Lift(k, d, seed)
