"""Laws of tables of two labels, as users have them, on which intervals of counts are chosen.

Legend: ``R``, ``C`` classes; ``K`` hidden topics or blocks.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from torchmist.synthetic.random_tables import random_table

__all__ = ["LAWS", "draw_table"]

Array = NDArray[np.float64]
_GRID = 600  # cells a side of the normal law


def draw_table(rng: np.random.Generator, law: str | None = None) -> tuple[str, Array]:
    """The name of a law, a random one by default, and a table ``[R, C]`` of it.

    Of 2 to 150 classes a side, uniform in the logarithm.
    """
    name = law if law is not None else list(LAWS)[rng.integers(len(LAWS))]
    r, c = (int(_between(rng, 2, 151)) for _ in "rc")
    table = np.nan_to_num(LAWS[name](rng, r, c)).clip(min=0)
    return name, table / table.sum()


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    """A number that is uniform in the logarithm."""
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def _shares(rng: np.random.Generator, classes: int) -> Array:
    """Shares of classes, from equal to those of Zipf's law and beyond."""
    odds = 1 / np.arange(1, classes + 1) ** rng.uniform(0, 1.5)
    shares: Array = odds / odds.sum()
    return shares


def _normal(rng: np.random.Generator, r: int, c: int) -> Array:
    """A Gaussian pair, cut at random places or into equal shares."""
    rho, axis = rng.uniform(0.2, 0.99), np.linspace(-4, 4, _GRID)
    square = axis[:, None] ** 2 - 2 * rho * np.outer(axis, axis) + axis**2
    density = np.exp(-square / (2 * (1 - rho**2)))
    table, mass = np.zeros((r, c)), np.exp(-(axis**2) / 2).cumsum()
    sides = []
    for k in (r, c):
        equal = np.interp(np.arange(1, k) / k, mass / mass[-1], axis)
        sides.append(
            np.searchsorted(equal if rng.random() < 0.5 else np.sort(rng.normal(size=k - 1)), axis)
        )
    np.add.at(table, (sides[0][:, None], sides[1]), density)
    return table


def _dirichlet(rng: np.random.Generator, r: int, c: int) -> Array:
    """Cells of a symmetric Dirichlet law."""
    return rng.gamma(_between(rng, 0.02, 10), size=(r, c))


def _copies(rng: np.random.Generator, r: int, c: int) -> Array:
    """Copies of labels of unequal shares, some of them drawn anew."""
    shares, lost = _shares(rng, r), rng.uniform(0.02, 0.95)
    table: Array = (1 - lost) * np.diag(shares) + lost * np.outer(shares, shares)
    return table


def _topics(rng: np.random.Generator, r: int, c: int) -> Array:
    """Both sides independent given one of a few topics."""
    count = rng.integers(2, 12)
    sides = [rng.dirichlet(np.full(k, rng.uniform(0.05, 1)), count) for k in (r, c)]
    table: Array = (sides[0] * rng.dirichlet(np.ones(count))[:, None]).T @ sides[1]
    return table


def _random(rng: np.random.Generator, r: int, c: int) -> Array:
    """Tables of the suites of laws (``torchmist.synthetic.random_tables``)."""
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    p, q = (torch.from_numpy(rng.dirichlet(np.full(k, rng.choice([0.3, 1, 10])))) for k in (r, c))
    table: Array = random_table(p, q, generator).numpy()
    return table


def _functions(rng: np.random.Generator, r: int, c: int) -> Array:
    """A class of one side is a function of the other's, with noise of its own."""
    shares, lost = _shares(rng, r), rng.uniform(0, 0.6)
    table = lost * np.outer(shares, rng.dirichlet(np.full(c, rng.choice([0.3, 3.0]))))
    table[np.arange(r), rng.integers(c, size=r)] += (1 - lost) * shares
    return table


def _confusion(rng: np.random.Generator, r: int, c: int) -> Array:
    """Classes and what a classifier says: each class has its accuracy and its own confusions."""
    shares, (right, off) = _shares(rng, r), rng.uniform(0.5, 8, 2)
    accuracy = rng.beta(right, off, size=(r, 1))
    wrong = rng.gamma(_between(rng, 0.05, 3), size=(r, r)) + 1e-9
    np.fill_diagonal(wrong, 0)
    wrong /= wrong.sum(1, keepdims=True)
    table: Array = shares[:, None] * (accuracy * np.eye(r) + (1 - accuracy) * wrong)
    return table


def _blocks(rng: np.random.Generator, r: int, c: int) -> Array:
    """Classes of both sides belong to groups, of which alike ones go together."""
    count, kept = rng.integers(2, 9), rng.uniform(0.05, 1)
    groups = [rng.integers(count, size=k) for k in (r, c)]
    odds = 1 - kept + kept * count * (groups[0][:, None] == groups[1])
    table: Array = odds * np.outer(_shares(rng, r), _shares(rng, c))
    return table


def _profiles(rng: np.random.Generator, r: int, c: int) -> Array:
    """Each row has a profile of its own around shares that all have in common."""
    common = _shares(rng, c) * c
    profiles = rng.gamma(_between(rng, 0.1, 30) * common, size=(r, c)) + 1e-12
    table: Array = _shares(rng, r)[:, None] * profiles / profiles.sum(1, keepdims=True)
    return table


LAWS: dict[str, Callable[[np.random.Generator, int, int], Array]] = {
    "normal": _normal, "dirichlet": _dirichlet, "copies": _copies, "topics": _topics,
    "random": _random, "functions": _functions, "confusion": _confusion, "blocks": _blocks,
    "profiles": _profiles,
}  # fmt: skip
