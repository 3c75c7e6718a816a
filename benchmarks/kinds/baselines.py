"""Estimators that need no training, beside ours: neighbours, plug-in tables, Gaussian plug-in.

Evaluation only. Legend: ``n`` rows, ``d`` columns; ``x``, ``y`` arrays ``[n]`` or ``[n, d]``,
integers ``[n]`` of up to 100 values where they are labels. Estimates are in nats, and nan where an
estimator does not apply.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import digamma

from benchmarks.general_cells import plug_in as covariance_mi
from benchmarks.kinds.truths import table_mi

__all__ = ["BASELINES", "cca", "neighbours", "plug_in"]

Array = NDArray[np.float64]
_TREE = 20  # most columns of both sides that a tree is faster for
_BLOCK = 512  # rows of distances at a time
_CLASSES = 100  # most values of a label
_FAR = 1e6  # between labels, in deviations


def _is_label(side: NDArray[Any]) -> bool:
    """Whether a side is integers of few enough values to be classes; more of them are numbers."""
    return side.ndim == 1 and side.dtype.kind in "iub" and len(np.unique(side)) <= _CLASSES


def _codes(side: NDArray[Any]) -> NDArray[np.int64]:
    return np.asarray(np.unique(side, return_inverse=True)[1], np.int64)


def _columns(side: NDArray[Any]) -> Array:
    """``[n, d]`` in deviations; the code of a label far from every other."""
    if _is_label(side):
        return _FAR * _codes(side)[:, None].astype(float)
    v = side.reshape(len(side), -1).astype(float)
    spread = v.std(0)
    out: Array = (v - v.mean(0)) / np.where(spread > 0, spread, 1)
    return out


def neighbours(x: NDArray[Any], y: NDArray[Any], k: int = 5) -> float:
    """Mesner and Shalizi 2020: any mixture of discrete and continuous, not below 0.

    ``mean psi(k_i) + psi(n) - psi(n_x) - psi(n_y)``, the neighbours on each side counted within the
    distance of the ``k``-th one in both; ``k_i`` is the number of copies where that distance is 0.
    Maximum norm over up to 20 columns; Euclidean distances on each side, by force, beyond.
    """
    a, b = _columns(x), _columns(y)
    if a.shape[1] + b.shape[1] > _TREE:
        near, on_x, on_y = _by_force(x, y, a, b, k)
    else:
        near, on_x, on_y = _by_tree(a, b, k)
    value = digamma(near) + digamma(len(a)) - digamma(on_x) - digamma(on_y)
    return max(0.0, float(np.mean(value)))


def _copies(v: Array) -> NDArray[np.int64]:
    """How many other rows are the same as each, ``[n]``."""
    _, place, count = np.unique(v, axis=0, return_inverse=True, return_counts=True)
    return np.asarray(count[place.ravel()] - 1)


def _by_tree(a: Array, b: Array, k: int) -> tuple[Array, Array, Array]:
    z = np.concatenate([a, b], 1)
    radius = cKDTree(z).query(z, k + 1, p=np.inf)[0][:, -1]
    tied = radius == 0
    within = radius[~tied] * (1 - 1e-10)

    def count(v: Array) -> Array:
        found = _copies(v)
        rows = v[~tied]
        found[~tied] = cKDTree(v).query_ball_point(rows, within, p=np.inf, return_length=True)
        return np.asarray(found.clip(1), float)

    near = np.where(tied, _copies(z), k).astype(float)
    return near, count(a), count(b)


def _distances(raw: NDArray[Any], v: Array, rows: slice) -> Array:
    """Squared Euclidean distances of some rows to all, ``[rows, n]``; 0 or far between labels."""
    if _is_label(raw):
        return np.asarray(np.where(v[rows] == v.T, 0.0, _FAR**2))
    size = (v**2).sum(1)
    found: Array = size[rows, None] + size - 2 * v[rows] @ v.T
    found[found < 1e-10 * size.mean()] = 0  # rounding
    return found


def _by_force(
    x: NDArray[Any], y: NDArray[Any], a: Array, b: Array, k: int
) -> tuple[Array, Array, Array]:
    parts = []
    for start in range(0, len(a), _BLOCK):
        rows = slice(start, min(start + _BLOCK, len(a)))
        p, q = _distances(x, a, rows), _distances(y, b, rows)
        here = np.arange(rows.stop - start)
        p[here, here + start] = q[here, here + start] = 0
        joint = np.maximum(p, q)
        radius = np.partition(joint, k, axis=1)[:, k]
        tied = radius == 0
        within = np.where(tied, 1e-300, radius * (1 - 1e-10))[:, None]
        near = np.where(tied, (joint < within).sum(1) - 1, k)
        parts.append([near, *((d < within).sum(1) - tied for d in (p, q))])
    near, on_x, on_y = np.concatenate(parts, 1)
    return near, on_x.clip(1), on_y.clip(1)


def plug_in(x: NDArray[Any], y: NDArray[Any]) -> float:
    """The table of two labels with Miller and Madow's correction, not below 0.

    nan unless both sides are labels and the table has fewer cells than there are rows.
    """
    if not (_is_label(x) and _is_label(y)):
        return float("nan")
    a, b = _codes(x), _codes(y)
    if (a.max() + 1) * (b.max() + 1) >= len(a):
        return float("nan")
    table = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(table, (a, b), 1)
    used = [int((t > 0).sum()) - 1 for t in (table.sum(1), table.sum(0), table)]
    return max(0.0, table_mi(table) + (used[0] + used[1] - used[2]) / (2 * len(a)))


def cca(x: NDArray[Any], y: NDArray[Any]) -> float:
    """``1/2 (log det S_x + log det S_y - log det S)`` of covariances less its bias, not below 0.

    Labels count as indicators of all classes but one; nan where there are no more rows than
    columns, or where covariances are singular.
    """
    sides = []
    for v in (x, y):
        if _is_label(v):
            v = np.eye(len(np.unique(v)))[_codes(v)][:, 1:]
        sides.append(torch.from_numpy(_columns(v))[None])
    if len(x) <= sum(s.shape[2] for s in sides) + 1:
        return float("nan")
    value = float(covariance_mi(*sides))
    return max(0.0, value) if np.isfinite(value) else float("nan")


BASELINES: dict[str, Callable[[NDArray[Any], NDArray[Any]], float]] = {
    "neighbours": neighbours,
    "plug-in": plug_in,
    "CCA": cca,
}
"""All baselines by the name in their records."""
