r"""The nearest neighbours' estimate of conditional mutual information, by force.

.. math:: \frac1n \sum_i \psi(k_i) - \psi(n_{xz,i}) - \psi(n_{yz,i}) + \psi(n_{z,i})

Rows without copies: Frenzel and Pompe 2007, with ``k_i = k`` and the numbers of rows nearer than
the k-th neighbour of all three, themselves among them. Rows of which more than ``k`` are the same:
Mesner and Shalizi 2020, with the numbers of copies. Legend: ``n`` rows, ``d`` columns.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.special import digamma

from benchmarks.conditional.registry import Side, columns_of

__all__ = ["conditional_neighbours"]

Array = NDArray[np.float64]
_FAR = 1e6  # between labels, in deviations
_BLOCK = 500  # rows of distances at a time


def _scaled(side: Side) -> Array:
    """``[n, d]``: numbers in deviations, codes of labels far from each other."""
    out = []
    for column in columns_of(side):
        if column.dtype.kind in "iub":
            out.append(_FAR * np.unique(column, return_inverse=True)[1].astype(float))
        else:
            out.append((column - column.mean()) / max(float(column.std()), 1e-12))
    return np.stack(out, 1)


def conditional_neighbours(x: NDArray[Any], y: NDArray[Any], given: Side, k: int = 5) -> float:
    """I(X;Y|given) in nats, not below 0; Euclidean distances on each side, their maximum of all."""
    sides = [_scaled(side) for side in (x, y, given)]
    total, n = 0.0, len(x)
    for start in range(0, n, _BLOCK):
        on_x, on_y, on_z = (cdist(v[start : start + _BLOCK], v) for v in sides)
        with_x, with_y = np.maximum(on_x, on_z), np.maximum(on_y, on_z)
        joint = np.maximum(with_x, with_y)
        radius = np.partition(joint, k, axis=1)[:, k]  # a row is the nearest of itself
        tied = radius == 0
        near = np.where(tied, (joint == 0).sum(1) - 1, k)
        within = np.where(tied, np.nextafter(0, 1), radius)[:, None]
        on = ((d < within).sum(1) - tied for d in (with_x, with_y, on_z))
        found = [digamma(count) for count in (near, *on)]
        total += float((found[0] - found[1] - found[2] + found[3]).sum())
    return max(0.0, total / n)
