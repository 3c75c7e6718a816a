r"""Mixtures of classes on both sides, with a table of which class comes with which.

A class k of X and a class l of Y come together in a share :math:`P_{kl}` of the rows,

.. math:: q(x, y) = \sum_{kl} P_{kl}\, N(x; \mu_k, S)\, N(y; \nu_l, T),

and all classes of a side spread alike, so that dozens of them can be told where they overlap and
rows of each are few. They are fitted by expectation maximisation from rows that k-means groups by
both sides at once, which tell classes better than either does: by all columns, and by canonical
variates. Means are shrunk, and classes soft at first, or each row would hold the class that it was
put in. Legend: ``F`` parts of the rows, each with a mixture of its own, ``S`` starts, ``n`` rows,
``d`` columns of one side, ``k``, ``l`` classes of X and of Y.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from torchmist.models.directions import fixed_numbers
from torchmist.numerics.cache import cached
from torchmist.numerics.shares import LEAST_DENSITY

__all__ = ["ClassMixture", "fitted_classes", "log_densities"]

_STARTS = 2  # of each view of the rows, at most
_STARTING, _OF_EACH = 512, 24  # rows that starts are found among, and of each class, at least
_ROUNDS, _FIRST_STEPS, _STEPS = 6, 8, 20  # of k-means, of all starts, and of the best
_SOFT = 0.5  # power of the densities at first
_TABLE = 0.2  # share of the first table that is that of independent sides
_BEFORE = 5.0  # rows at the middle that the mean of each class has beside its own
_UNSEEN = 0.3  # rows of each class that are taken to come with any class of the other side
_RIDGE, _LEAST = 1e-3, 1e-30  # variance added, and the least of a density over its highest


class ClassMixture(NamedTuple):
    """The ``table`` ``[..., k, l]`` of shares, means of the classes of both sides, ``x_means``
    ``[..., k, d]`` and ``y_means``, and lower triangular factors of their covariances, ``x_factor``
    ``[..., d, d]`` and ``y_factor``."""

    table: Tensor
    x_means: Tensor
    y_means: Tensor
    x_factor: Tensor
    y_factor: Tensor

    def densities(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Densities of rows ``[..., n, d]`` in the classes of both sides, ``[..., n, k]`` and
        ``[..., n, l]``, over the highest of each row, and the sum of the logs of these."""
        of_x = log_densities(x, self.x_means, self.x_factor)
        of_y = log_densities(y, self.y_means, self.y_factor)
        highest = [side.detach().amax(-1, keepdim=True) for side in (of_x, of_y)]
        a, b = (side - high for side, high in zip((of_x, of_y), highest))
        a, b = (F.threshold(side, math.log(LEAST_DENSITY), -math.inf).exp() for side in (a, b))
        return a, b, (highest[0] + highest[1]).squeeze(-1)

    def log_density(self, x: Tensor, y: Tensor) -> Tensor:
        """At rows ``[..., n, d]`` of both sides, ``[..., n]``."""
        a, b, highest = self.densities(x, y)
        return _log(((a @ self.table) * b).sum(-1)) + highest

    def log_ratio(self, x: Tensor, y: Tensor) -> Tensor:
        """Log of the density of rows ``[..., n, d]`` over the product of its margins, in nats,
        ``[..., n]``."""
        a, b, _ = self.densities(x, y)
        alone = self._alone(a, b)
        return _log(((a @ self.table) * b).sum(-1)) - alone[0] - alone[1]

    def log_ratios(self, x: Tensor, y: Tensor) -> Tensor:
        """The same of the X of one row with the Y of another, ``[..., n, n]``."""
        a, b, _ = self.densities(x, y)
        of_x, of_y = self._alone(a, b)
        return _log((a @ self.table) @ b.mT) - of_x[..., :, None] - of_y[..., None, :]

    def _alone(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """Logs of the margins of densities over their highest ones, ``[..., n]`` each."""
        of_x, of_y = self.table.sum(-1), self.table.sum(-2)
        return _log((a * of_x[..., None, :]).sum(-1)), _log((b * of_y[..., None, :]).sum(-1))


def log_densities(rows: Tensor, means: Tensor, factor: Tensor) -> Tensor:
    """Normal log densities ``[..., n, k]`` of ``rows`` ``[..., n, d]`` around ``means``
    ``[..., k, d]``, with a covariance of lower triangular ``factor`` ``[..., d, d]``."""
    eye = torch.eye(factor.shape[-1], dtype=factor.dtype, device=factor.device)
    inverse = torch.linalg.solve_triangular(factor, eye.expand_as(factor), upper=False)
    a, b = rows @ inverse.mT, means @ inverse.mT
    away = a.square().sum(-1)[..., :, None] + b.square().sum(-1)[..., None, :] - 2 * a @ b.mT
    size = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    size = size + factor.shape[-1] / 2 * math.log(2 * math.pi)
    out: Tensor = -away / 2 - size[..., None, None]
    return out


def fitted_classes(
    x: Tensor, y: Tensor, views: tuple[Tensor, ...], count: int, *, starts: int = _STARTS,
    steps: int = _STEPS,
) -> ClassMixture:  # fmt: skip
    """Mixtures of ``count`` classes of each side, fitted to rows ``[F, n, d]``: the best of so many
    ``starts`` from each of the ``views`` ``[F, n, p]`` of both sides, after so many ``steps``."""
    n = x.shape[1]
    few = min(n, max(_STARTING, _OF_EACH * count))
    some = torch.arange(few, device=x.device) * n // few
    left, right = x[:, None, some], y[:, None, some]
    groups = torch.cat([_grouped(view[:, some], count, starts) for view in views], 1)
    grams = tuple(side.mT @ side for side in (left, right))
    mixture = _first(left, right, groups, grams)
    for step in range(_FIRST_STEPS):
        power = _SOFT + (1 - _SOFT) * min(1.0, 2 * step / _FIRST_STEPS)
        mixture = _stepped(left, right, mixture, grams, power)
    best = mixture.log_density(left, right).mean(-1).argmax(-1)
    at = torch.arange(len(x), device=x.device), best
    mixture = ClassMixture(*(part[at] for part in mixture))
    grams = tuple(side.mT @ side for side in (x, y))
    for _ in range(steps):
        mixture = _stepped(x, y, mixture, grams, 1.0)
    return mixture


def _grouped(rows: Tensor, count: int, starts: int) -> Tensor:
    """Groups of ``rows`` ``[F, n, p]`` by k-means from several starts, ``[F, S, n, k]`` of 0 and
    1: a centre is likely to be far from those before it (Arthur and Vassilvitskii 2007)."""
    chance = cached(fixed_numbers, starts, count, like=rows) + 0.5  # [S, k]
    n, square = rows.shape[1], rows.square().sum(-1)[:, None]

    def squares(middle: Tensor) -> Tensor:  # [F, S, k, n]
        away = square[..., None, :] - 2 * middle @ rows[:, None].mT
        return (away + middle.square().sum(-1, keepdim=True)).clamp(min=0)

    centres = rows[:, (chance[:, :1] * n).long().clamp(max=n - 1)]
    near = squares(centres).squeeze(2)
    for k in range(1, count):
        ends = near.double().cumsum(-1)
        sought = ends[..., -1:] * chance[:, k : k + 1]
        place = torch.searchsorted(ends, sought).clamp(max=n - 1)
        new = rows[:, None].expand(-1, starts, -1, -1).gather(
            2, place[..., None].expand(-1, -1, -1, rows.shape[-1])
        )  # fmt: skip
        centres = torch.cat([centres, new], 2)
        near = torch.minimum(near, squares(new).squeeze(2))
    for _ in range(_ROUNDS):
        own = F.one_hot(squares(centres).argmin(2), count).to(rows.dtype)
        centres = own.mT @ rows[:, None] / (own.sum(2)[..., None] + _UNSEEN)
    return own


def _first(x: Tensor, y: Tensor, groups: Tensor, grams: tuple[Tensor, ...]) -> ClassMixture:
    """The mixture of rows ``[F, 1, n, d]`` of which each belongs to the same of ``groups``
    ``[F, S, n, k]`` on both sides; ``grams``: see :func:`_moments`."""
    size = groups.sum(-2) + _UNSEEN
    share = size / size.sum(-1, keepdim=True)
    table = _TABLE * share[..., :, None] * share[..., None, :]
    table = table + (1 - _TABLE) * share.diag_embed()
    (left, s), (right, t) = (_moments(side, groups, g) for side, g in zip((x, y), grams))
    return ClassMixture(table, left, right, s, t)


def _stepped(
    x: Tensor, y: Tensor, mixture: ClassMixture, grams: tuple[Tensor, ...], power: float
) -> ClassMixture:
    """A mixture after a step of expectation maximisation on rows ``[..., n, d]``, with a ``power``
    of all densities; ``grams``: see :func:`_moments`."""
    a, b, _ = mixture.densities(x, y)
    if power < 1:
        a, b = (F.threshold(side.pow(power), LEAST_DENSITY, 0.0) for side in (a, b))
    across = a @ mixture.table
    whole = (across * b).sum(-1, keepdim=True).clamp(min=_LEAST)
    of_x, of_y = a * (b @ mixture.table.mT) / whole, b * across / whole
    table = mixture.table * ((a / whole).mT @ b)
    table = table / table.sum((-2, -1), keepdim=True)
    apart = table.sum(-1, keepdim=True) * table.sum(-2, keepdim=True)
    table = table + _UNSEEN * table.shape[-1] / x.shape[-2] * apart
    table = (table / table.sum((-2, -1), keepdim=True)).clamp(min=LEAST_DENSITY)
    (left, s), (right, t) = _moments(x, of_x, grams[0]), _moments(y, of_y, grams[1])
    return ClassMixture(table, left, right, s, t)


def _moments(rows: Tensor, share: Tensor, gram: Tensor) -> tuple[Tensor, Tensor]:
    """Means ``[..., k, d]`` of the classes to which ``rows`` ``[..., n, d]`` belong by ``share``
    ``[..., n, k]``, and the lower triangular factor of the covariance within them; ``gram``
    ``[..., d, d]``: products of the columns of all rows."""
    n, d = rows.shape[-2:]
    size, sums = share.sum(-2)[..., None], share.mT @ rows
    means = sums / (size + _BEFORE)
    across = means.mT @ sums
    within = gram - across - across.mT + (means * size).mT @ means
    even = within.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None]
    eye = torch.eye(d, dtype=rows.dtype, device=rows.device)
    alike = min(1.0, d / n)
    within = ((1 - alike) * within + alike * even * eye) / n + _RIDGE * eye
    return means, torch.linalg.cholesky_ex(within).L


def _log(values: Tensor) -> Tensor:
    return values.clamp(min=_LEAST).log()
