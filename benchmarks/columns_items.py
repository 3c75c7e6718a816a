"""Cases of ``benchmarks.columns`` in which few columns of a row stand out, now these, now those.

Items on both sides are tied by a table and seen in noise of a known law; how columns are bent, or
brought to shares of a whole, takes nothing away. Legend: ``n`` rows, ``d`` columns, ``k`` items.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, logsumexp, softmax

__all__ = ["Items", "bump", "markers", "outputs"]

Array = NDArray[Any]
_ROWS = 100_000  # of means over rows


class Items(NamedTuple):
    """What items look like in X ``[k, dx]`` and in Y ``[l, dy]``, in noise of deviation 1, and
    their joint ``table`` ``[k, l]``."""

    x: Array
    y: Array
    table: Array

    def rows(self, n: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """Normal columns of ``n`` rows of both sides."""
        one, other = np.divmod(
            rng.choice(self.table.size, n, p=self.table.ravel()), self.table.shape[1]
        )
        return tuple(
            means[item] + rng.normal(size=(n, means.shape[1]))
            for means, item in ((self.x, one), (self.y, other))
        )

    def ratios(self, n: int, rng: np.random.Generator) -> Array:
        """Log density ratios of ``n`` rows: their mean is the information in nats."""
        sides = self.rows(n, rng)
        a, b = (
            side @ means.T - (means**2).sum(1) / 2 for side, means in zip(sides, (self.x, self.y))
        )
        logs = np.log(np.maximum(self.table, 1e-300))
        both = logsumexp(a[:, :, None] + b[:, None] + logs, axis=(1, 2))
        alone = [
            logsumexp(log + np.log(prior), axis=1)
            for log, prior in ((a, self.table.sum(1)), (b, self.table.sum(0)))
        ]
        out: Array = both - alone[0] - alone[1]
        return out

    def truth(self) -> float:
        """Information in nats, by a mean over many rows."""
        rng = np.random.default_rng(0)
        return float(np.mean([self.ratios(5000, rng).mean() for _ in range(_ROWS // 5000)]))


def _wrong(k: int, rate: float) -> Array:
    """A label of ``k`` classes and another one instead in so many rows."""
    table: Array = np.full((k, k), rate / (k - 1))
    np.fill_diagonal(table, 1 - rate)
    return table / k


@lru_cache
def _outputs() -> tuple[Items, float]:
    items = Items(7 * np.eye(12), 5 * np.eye(12), _wrong(12, 0.15))
    return items, items.truth()


def outputs(n: int, rng: np.random.Generator) -> tuple[Array, Array, float]:
    """Chances of twelve classes by two classifiers, one of them as logarithms, which mean another
    class in 15 % of the rows."""
    items, truth = _outputs()
    x, y = items.rows(n, rng)
    return softmax(x, axis=1), log_softmax(y, axis=1), truth


@lru_cache
def _markers() -> tuple[Items, float]:
    types = np.eye(9)
    items = Items(3 * np.repeat(types, 4, 1), 4 * np.repeat(types, 2, 1), _wrong(9, 0.1))
    return items, items.truth()


def markers(n: int, rng: np.random.Generator) -> tuple[Array, Array, float]:
    """Reads of 36 genes, four of which mark each of nine types of cells, and of 18 proteins, of
    another type in 10 %."""
    items, truth = _markers()
    x, y = items.rows(n, rng)
    return np.exp(x / 2), np.exp(y / 2), truth


@lru_cache
def _bump() -> tuple[Items, float]:
    place, sensor = np.arange(60) / 3, np.arange(20)
    apart = np.abs(place[:, None] - sensor)
    shown = 8 * np.exp(-(np.minimum(apart, 20 - apart) ** 2) / 2 / 0.8**2)
    steps = np.abs(np.arange(60)[:, None] - np.arange(60))
    near: Array = (np.minimum(steps, 60 - steps) <= 4).astype(float)
    items = Items(shown, shown, near / near.sum())
    return items, items.truth()


def bump(n: int, rng: np.random.Generator) -> tuple[Array, Array, float]:
    """A bump on a ring of 20 sensors at one of 60 places, and again after up to four steps."""
    items, truth = _bump()
    return *items.rows(n, rng), truth
