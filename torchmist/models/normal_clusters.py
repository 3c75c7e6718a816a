r"""Clusters of rows: mixtures of normal laws of one covariance, in which nearly every row surely is
of one.

They are fitted by expectation maximisation from groups of k-means, and the Bayesian information
criterion tells their number (Schwarz, Annals of Statistics 6, 461, 1978): larger numbers are tried
while they tell the rows better, then one fewer, and one more, where each cluster in turn is cut. A
glance at mixtures of two and three after few steps tells most rows that lie in none. Legend: ``n``
rows, ``d`` columns, ``S`` starts, ``k`` clusters.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from torchmist.models.directions import fixed_numbers
from torchmist.models.variates import spread_places
from torchmist.numerics.cache import cached
from torchmist.numerics.shares import normal_softmax

__all__ = ["normal_clusters"]

_GLANCED, _FITTED = 256, 1024  # rows at most, to which mixtures are fitted, at first and then,
_PER_COLUMN = 16  # and for each column at first
_NUMBERS = (2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 17, 20, 24, 28)  # of clusters
_PATIENCE = 2  # numbers in turn that are no better, after which no more are tried
_OF_EACH, _LEAST = 12, 6  # rows of a cluster on average, and at least
_STARTS, _MANY_STARTS, _TRIED, _ROUNDS, _STEPS, _FEW_STEPS = 3, 12, 6, 6, 25, 6
_BEFORE, _RIDGE = 0.5, 1e-5  # rows at the middle of each cluster, and variance added
_SURE = 0.97  # mean chance of the cluster that a row is most likely of
_NEARLY = 0.92  # the same after few steps, without which no more are made
_MOST = 0.9  # share of the rows in one cluster


class _Mixture(NamedTuple):
    """Log shares ``[..., k]``, ``means`` ``[..., k, d]`` and the lower triangular ``factor``
    ``[..., d, d]`` of the covariance."""

    logs: Tensor
    means: Tensor
    factor: Tensor

    def log_densities(self, rows: Tensor) -> Tensor:
        """Of ``rows`` ``[n, d]`` in each cluster, with its share, ``[..., n, k]``."""
        eye = torch.eye(rows.shape[-1], dtype=rows.dtype, device=rows.device)
        inverse = torch.linalg.solve_triangular(self.factor, eye, upper=False)
        away = torch.cdist(rows @ inverse.mT, self.means @ inverse.mT).square()
        size = self.factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        size = size + rows.shape[-1] / 2 * math.log(2 * math.pi)
        return self.logs[..., None, :] - away / 2 - size[..., None, None]


def normal_clusters(rows: Tensor) -> Tensor | None:
    """The clusters ``[n]`` of ``rows`` ``[n, d]``, None where these are not clearly in some."""
    few = max(_GLANCED, _PER_COLUMN * rows.shape[-1])
    if not _may_be_apart(rows[spread_places(len(rows), few, rows)]):
        return None
    mixture = _mixture(rows[spread_places(len(rows), _FITTED, rows)])
    if mixture is None:
        return None
    surest, cluster = mixture.log_densities(rows).softmax(-1).max(-1)
    size = cluster.bincount()
    if float(surest.mean()) < _SURE or float(size.amax()) > _MOST * len(rows):
        return None
    out: Tensor = torch.unique(cluster, return_inverse=True)[1]
    return out


def _may_be_apart(rows: Tensor) -> bool:
    """Whether rows ``[n, d]`` may lie in clusters, by mixtures of two and three after few steps."""
    distances = torch.cdist(rows, rows).square()
    found = (_fitted(rows, distances, number, _STARTS, _FEW_STEPS) for number in _NUMBERS[:2])
    return any(float(share.amax(-1).mean()) > _NEARLY for share, _ in found)


def _mixture(rows: Tensor) -> _Mixture | None:
    """The mixture of rows ``[n, d]`` that tells them best for its size, without clusters of few
    rows; None where none tells them better than a single normal law, or the most clusters do, as of
    all that is continuous."""
    distances = torch.cdist(rows, rows).square()
    alone = torch.ones(1, len(rows), 1, dtype=rows.dtype, device=rows.device)
    best, most, worse = alone, _told(alone, rows), 0
    for tried in _NUMBERS:
        if tried * _OF_EACH > len(rows) or worse == _PATIENCE:
            break
        share, told = _fitted(rows, distances, tried, _STARTS, _STEPS)
        worse = 0 if told > most else worse + 1
        if told > most:
            best, most = share, told
    for ask in (_one_fewer, _twice_as_many, _one_more):
        while 1 < best.shape[-1] < _NUMBERS[-1]:
            share, told = ask(rows, distances, best)
            if told <= most:
                break
            best, most = share, told
    if not 1 < best.shape[-1] < _NUMBERS[-1]:
        return None
    kept = _maximised(rows, best[..., best[0].sum(0) > _LEAST])
    return _Mixture(*(part[0] for part in kept))


def _fitted(
    rows: Tensor, distances: Tensor, number: int, starts: int, steps: int
) -> tuple[Tensor, float]:
    """By what share ``[1, n, k]`` rows ``[n, d]`` belong to a ``number`` of clusters by the best of
    several ``starts``, after so many ``steps`` of expectation maximisation, and how well that tells
    them."""
    return _best(rows, _started(rows, distances, number, starts), steps)


def _one_fewer(rows: Tensor, distances: Tensor, share: Tensor) -> tuple[Tensor, float]:
    """The same with one cluster fewer than in a ``share`` ``[1, n, k]``."""
    return _fitted(rows, distances, share.shape[-1] - 1, _STARTS, _STEPS)


def _twice_as_many(rows: Tensor, _: Tensor, share: Tensor) -> tuple[Tensor, float]:
    """The same with twice as many, where the places in all clusters lie in two: corners of a cube
    are more likely found one edge after the other."""
    places = rows - share[0] @ _middles(rows, share[0])
    both = _fitted(places, torch.cdist(places, places).square(), 2, _MANY_STARTS, _STEPS)[0]
    return _best(rows, torch.einsum("snk,snh->snkh", share, both).flatten(2), _STEPS)


def _one_more(rows: Tensor, _: Tensor, share: Tensor) -> tuple[Tensor, float]:
    """The same with one more, where each cluster in turn is cut across its longest direction."""
    means = _middles(rows, share[0])
    away = rows - means[:, None]
    weighted = away * share[0].mT[..., None]
    longest = torch.linalg.eigh(weighted.mT @ away).eigenvectors[..., -1:]
    above = (away @ longest > 0).to(rows.dtype) * share[0].mT[..., None]
    cut = torch.eye(len(means), dtype=rows.dtype, device=rows.device)[:, None]
    first = _best(rows, torch.cat([share - cut * above, above], -1), _FEW_STEPS)[0]
    return _best(rows, first, _STEPS)


def _middles(rows: Tensor, share: Tensor) -> Tensor:
    """Means ``[k, d]`` of ``rows`` ``[n, d]`` that belong to clusters by ``share`` ``[n, k]``."""
    return share.mT @ rows / (share.sum(0)[:, None] + _BEFORE)


def _best(rows: Tensor, share: Tensor, steps: int) -> tuple[Tensor, float]:
    """The best share ``[1, n, k]`` after so many ``steps`` from each ``share`` ``[S, n, k]``, and
    how well that tells ``rows`` ``[n, d]``: not at all where they are not surely of one cluster."""
    for _ in range(steps):
        share = normal_softmax(_maximised(rows, share).log_densities(rows), -1)
    told = [_told(each[None], rows) for each in share]
    start = max(range(len(told)), key=told.__getitem__)
    sure = float(share[start].amax(-1).mean()) >= _SURE
    return share[[start]], told[start] if sure else -math.inf


def _told(share: Tensor, rows: Tensor) -> float:
    """Mean log density of ``rows`` ``[n, d]`` that belong to clusters by ``share`` ``[1, n, k]``,
    in nats a row, less what chance adds."""
    n, d = rows.shape
    known = _maximised(rows, share).log_densities(rows).logsumexp(-1).mean()
    return float(known) - (share.shape[-1] - 1) * (d + 1) * math.log(n) / (2 * n)


def _started(rows: Tensor, distances: Tensor, count: int, starts: int) -> Tensor:
    """Groups of ``rows`` ``[n, d]`` by k-means from so many ``starts``, ``[S, n, k]`` of 0 and 1:
    a centre is likely to be far from those before it, the best of several (Arthur and
    Vassilvitskii 2007); ``distances`` ``[n, n]``: squared, between rows."""
    n = len(rows)
    chance = cached(fixed_numbers, starts * _TRIED, count, like=rows) + 0.5
    chance = chance.unflatten(0, (starts, _TRIED)).double()
    place = (chance[:, :1, 0] * n).long().clamp(max=n - 1)
    near = distances[place[:, 0]]
    for k in range(1, count):
        ends = near.double().cumsum(-1)
        tried = torch.searchsorted(ends, ends[:, -1:] * chance[..., k]).clamp(max=n - 1)
        nearer = torch.minimum(near[:, None], distances[tried])
        chosen = nearer.sum(-1).argmin(-1, keepdim=True)
        near = nearer.gather(1, chosen[..., None].expand(-1, -1, n))[:, 0]
        place = torch.cat([place, tried.gather(1, chosen)], 1)
    centres = rows[place]
    for _ in range(_ROUNDS):
        own = F.one_hot(torch.cdist(rows, centres).argmin(-1), count).to(rows.dtype)
        size = own.sum(1)[..., None]
        centres = torch.where(size > 0, own.mT @ rows / size.clamp(min=1), centres)
    return own


def _maximised(rows: Tensor, share: Tensor) -> _Mixture:
    """The mixture of ``rows`` ``[n, d]`` that belong to clusters by ``share`` ``[S, n, k]``."""
    n, d = rows.shape
    size, sums = share.sum(1)[..., None], share.mT @ rows
    means = sums / (size + _BEFORE)
    across = means.mT @ sums
    within = (rows.mT @ rows - across - across.mT + (means * size).mT @ means) / n
    even = within.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None]
    eye = torch.eye(d, dtype=rows.dtype, device=rows.device)
    alike = min(1.0, d / n)
    within = (1 - alike) * within + (alike * even + _RIDGE) * eye
    weight = size[..., 0] + _BEFORE
    logs = (weight / weight.sum(-1, keepdim=True)).log()
    return _Mixture(logs, means, torch.linalg.cholesky_ex(within).L)
