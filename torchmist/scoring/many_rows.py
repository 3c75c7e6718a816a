r"""Mutual information of single columns of many rows, from counts and nearest neighbours.

The weights for single columns learned from up to 16,384 rows, and their error hardly falls with
more of them. There the sample itself tells more, at little cost:

- **counts** of the ranks on nested grids, whose entropies :math:`\hat H = \log N - \frac1N \sum_i
  n_i G(n_i)` are nearly without bias (Grassberger 2003). Halving the width of the bins moves what
  they give by :math:`\Delta`, and bins of no width are taken to move it by :math:`\Delta/3` more
  (Richardson; the error of bins goes with the square of their width). Of numbers beside numbers
  they stand where :math:`\Delta < 0.5/\sqrt N`, the noise of the neighbours;
- **neighbours** elsewhere: :math:`\hat I = \psi(k) + \psi(N) - \langle \psi(n_x) + \psi(n_y)
  \rangle` of the normal scores of the ranks (Kraskov, Stögbauer and Grassberger 2004, equation 8),
  where :math:`n_x` and :math:`n_y` count rows, the row itself too, that are nearer on one side than
  the ``k``-th neighbour is in both.

Equal numbers get ranks in a random order, which leaves the information as it is. Needs scipy, which
comes with scikit-learn.

Legend: ``F`` columns, ``N`` rows, ``G`` bins, ``L`` classes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torchmist.scores import Columns

__all__ = ["MANY", "counted", "counted_beside_labels", "near_ones", "random_ranks", "refined"]

Array = NDArray[Any]
MANY = 16_384
"""Rows beyond which counts and neighbours take the place of the weights."""
_GRID = 64
_LINE, _FINEST = 32, 512  # bins beside labels: the coarsest and the finest
_FULL = 8  # rows of a cell beside labels, on average, at least
_NOISE = 0.5  # of the neighbours' estimate, in 1 / sqrt(N)
_NEIGHBOURS = 3
_WITHIN = 1 - 1e-7  # share of the distance of a neighbour that leaves it out, also if rounded
_TOO_NEAR = 4.0  # nats from which the weights stand, with what the sample cannot resolve
_SEED = 0  # of the order of ties


def refined(x: Columns, y: Columns, found: Array) -> Array:
    """I of each column of ``x`` with the column ``y`` in nats, ``[F]``, of more than 16,384 rows.

    Labels beside labels whose cells hold fewer than 8 rows on average, constant columns and pairs
    of more than 4 nats keep what the weights gave.

    Args:
        x, y: tables of ``N`` rows, ``y`` of one column.
        found: what the weights gave, ``[F]``.
    """
    out = np.array(found, dtype=np.float64)
    target = y.values[:, 0].cpu().numpy()
    if len(target) <= MANY or target.min() == target.max():
        return out
    labels = y.taken[0] == "labels"
    ranks = None if labels else random_ranks(target)
    for k, kind in enumerate(x.taken):
        column = x.values[:, k].cpu().numpy()
        if found[k] > _TOO_NEAR or column.min() == column.max():
            continue
        if labels and kind == "labels":
            value = _labels(column, target, found[k])
            value = min(value, y.entropy(0), x.entropy(k))
        elif labels:
            value = min(counted_beside_labels(target, random_ranks(column)), y.entropy(0))
        elif kind == "labels":
            assert ranks is not None
            value = min(counted_beside_labels(column, ranks), x.entropy(k))
        else:
            assert ranks is not None
            value = _numbers(random_ranks(column), ranks)
        out[k] = max(0.0, value)
    return out


def _numbers(x: Array, y: Array) -> float:
    """I of two columns of numbers from their ranks ``[N]``."""
    counts, step = counted(x, y)
    return counts if step < _NOISE / len(x) ** 0.5 else near_ones(x, y)


def _labels(x: Array, y: Array, otherwise: float) -> float:
    """I of two columns of labels from their codes ``[N]``, unless they have too many classes."""
    shape = int(x.max()) + 1, int(y.max()) + 1
    if len(x) < _FULL * shape[0] * shape[1]:
        return otherwise
    cells = x.astype(np.int64) * shape[1] + y.astype(np.int64)
    return _information(np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape))


def random_ranks(values: Array) -> Array:
    """Ranks ``[N]`` from 0, those of equal values in a random order (that of one seed)."""
    order = np.random.default_rng(_SEED).permutation(len(values))
    ranks = np.empty(len(values), dtype=np.int64)
    ranks[order[values[order].argsort(kind="stable")]] = np.arange(len(values))
    return ranks


def counted(x: Array, y: Array) -> tuple[float, float]:
    """I in nats of ranks ``[N]`` from counts, for bins of no width, and what the last halving of
    the width added."""
    n = len(x)
    cells = x * _GRID // n * _GRID + y * _GRID // n
    table = np.bincount(cells, minlength=_GRID**2).reshape(_GRID, _GRID)
    coarse = table.reshape(_GRID // 2, 2, _GRID // 2, 2).sum((1, 3))
    fine = _information(table)
    step = fine - _information(coarse)
    return fine + step / 3, step


def counted_beside_labels(codes: Array, ranks: Array) -> float:
    """I in nats of labels ``[N]`` and a number of these ranks ``[N]``, for bins of no width.

    Bins are halved while that adds more than noise and their cells stay full enough.
    """
    n, classes = len(ranks), int(codes.max()) + 1
    finest = _LINE
    while 2 * finest <= _FINEST and n >= _FULL * 2 * finest * classes:
        finest *= 2
    cells = codes.astype(np.int64) * finest + ranks * finest // n
    table = np.bincount(cells, minlength=classes * finest).reshape(classes, finest)
    levels = [table]
    while levels[-1].shape[1] > _LINE // 2:
        levels.append(levels[-1].reshape(classes, -1, 2).sum(2))
    before, value = _information(levels.pop()), 0.0
    for level in reversed(levels):
        value = _information(level)
        step, before = value - before, value
        if step < _NOISE / 2 / n**0.5:
            break
    return value + step / 3


def _information(table: Array) -> float:
    """I in nats of a table of counts ``[L, G]``, from entropies without bias."""
    n = int(table.sum())
    weight = _grassberger(n)
    within, x, y = (weight[c].sum() for c in (table, table.sum(1), table.sum(0)))
    return float(np.log(n) + (within - x - y) / n)


@lru_cache(maxsize=2)
def _grassberger(n: int) -> Array:
    """``i G(i)``, ``G(i) = psi(i) + (-1)^i (psi((i+1)/2) - psi(i/2)) / 2``, of counts to ``n``."""
    from scipy.special import digamma

    i = np.arange(1, n + 1, dtype=float)
    sign = 1 - 2 * (i % 2)
    made = i * (digamma(i) + sign * (digamma((i + 1) / 2) - digamma(i / 2)) / 2)
    return np.concatenate([[0.0], made])


@lru_cache(maxsize=2)
def _digammas(n: int) -> Array:
    """``psi(i)`` for ``i`` of ``0 .. n``; 0 at 0, which no row counts."""
    from scipy.special import digamma

    return np.concatenate([[0.0], digamma(np.arange(1, n + 1, dtype=float))])


def near_ones(x: Array, y: Array, neighbours: int = _NEIGHBOURS) -> float:
    """I in nats of ranks ``[N]`` without ties from the nearest neighbours of their normal scores.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x, e = rng.normal(size=(2, 4000))
        >>> abs(near_ones(random_ranks(x), random_ranks(x + e)) - 0.5 * np.log(2)) < 0.05
        True
    """
    from scipy.spatial import cKDTree
    from scipy.special import ndtri

    n = len(x)
    grid = ndtri((np.arange(n) + 0.5) / n)
    order = np.lexsort((y * 256 // n, x * 256 // n))  # near rows near in memory
    sides = grid[x[order]], grid[y[order]]
    rows = np.stack(sides, -1)
    tree = cKDTree(rows, leafsize=12, compact_nodes=False)
    reach = tree.query(rows, [neighbours + 1], p=np.inf)[0][:, 0] * _WITHIN
    psi = _digammas(n)
    value = float(psi[neighbours] + psi[n])
    for side in sides:
        above = np.searchsorted(grid, side + reach, "right")
        value -= float(psi[above - np.searchsorted(grid, side - reach, "left")].mean())
    return value
