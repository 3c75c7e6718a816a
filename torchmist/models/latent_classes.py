r"""What both sides share where many classes overlap on either.

Identities, words, products or species of which both sides show a noisy view in dozens of columns:
no few directions tell the classes, neighbours of a row are of any class, and what is linear is half
of it. Mixtures with a table of the classes (``class_mixtures``) are fitted to three quarters of the
rows and asked of the last quarter, in turn, and the number of classes is that which knows those
rows best. They say

.. math:: E \log \frac{q(x, y)}{q(x)\, q(y)},

too little of the rows left out and too much of those that they were fitted to, by about as much;
how much better they know the partner of a row than other rows left out is a bound (InfoNCE).
Whether there are classes at all is asked of a quarter first: whether a mixture knows it better than
normal sides do. Mixtures are constants of the backward pass; the gradient goes through the scores.
Legend: ``B`` datasets, ``N`` samples, ``F`` folds, ``n``, ``m`` rows within and without a fold's
mixture, ``d`` columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from torchmist.models.class_mixtures import ClassMixture, fitted_classes, log_densities
from torchmist.models.folds import FOLDS
from torchmist.models.ordered_rows import datasets_in_order
from torchmist.numerics.no_gradient import no_gradient

__all__ = ["CLASSES_COUNT", "CONTRASTED", "LatentClasses", "class_information", "sought"]

CLASSES_COUNT = 5
"""Numbers of :class:`LatentClasses`."""
CONTRASTED = 200
"""Rows of each fold that are told apart, at most: the bound is at most the logarithm of it."""
_NARROWEST, _WIDEST = 4, 64  # columns of a side
_ROWS, _FEWEST, _MOST_ROWS = 8, 128, 2048  # for each column of the wider side, at least, at most
_NUMBERS = (6, 9, 14, 20, 28, 40, 56)  # of classes
_TRIED, _ASKED = 3, 4  # places of the numbers that are tried first, and asked whether there are any
_OF_EACH = 8  # rows of a class, at least
_FEW_STARTS, _FEW_STEPS = 1, 4  # while numbers are sought, and of the first question
_RIDGE, _OVER_ROOT = 1e-3, 0.05  # variance added, and over the root of the rows
_SHARE = 0.5  # of what is known, that a first mixture must say
_TIES = (0.0, 0.5, 1.0)  # shares of what both sides seem to have in common linearly
_TEMPERATURES = (1.0, 0.7, 0.5)


class LatentClasses(NamedTuple):
    """What mixtures say of rows left out, ``nats``, and of those that they were fitted to, ``own``,
    the ``bound`` by their ratios, in nats; how much better rows left out are known than by normal
    sides, ``gain``, in nats a row, and the ``number`` of classes: ``[B, 1]`` each, and all 0 where
    none are found."""

    nats: Tensor
    own: Tensor
    bound: Tensor
    gain: Tensor
    number: Tensor


class _Halves(NamedTuple):
    """Whitened rows of both sides that mixtures are fitted to, ``[F, n, d]``, and that are left
    out, ``[F, m, d]``, and views of the first by which both sides group them, ``[F, n, p]``."""

    x: Tensor
    y: Tensor
    x_out: Tensor
    y_out: Tensor
    views: tuple[Tensor, ...]

    def detached(self) -> _Halves:
        """The same, without a gradient."""
        x, y, x_out, y_out = (part.detach() for part in self[:4])
        return _Halves(x, y, x_out, y_out, self.views)

    def first(self) -> _Halves:
        """Those of the first fold."""
        x, y, x_out, y_out = (part[:1] for part in self[:4])
        return _Halves(x, y, x_out, y_out, tuple(view[:1] for view in self.views))


def sought(rows: int, columns: tuple[int, int]) -> bool:
    """Whether classes are sought in so many rows and columns of both sides."""
    few, many = min(columns), max(columns)
    return few >= _NARROWEST and many <= _WIDEST and rows >= max(_FEWEST, _ROWS * many)


def class_information(
    x: Tensor, y: Tensor, mask: Tensor | None = None, *,
    known: Callable[[], Tensor] | None = None,
) -> LatentClasses:  # fmt: skip
    """What ``[B, N, dx]`` and ``[B, N, dy]`` share by many classes; none are sought of a side of
    fewer than 4 or more than 64 columns, in fewer than 128 rows or 8 for each column, nor while a
    graph is traced.

    ``mask``: ``[B, N]`` bool, True for real samples; ``known``: finds nats ``[B]`` beside which
    what a first mixture says must not be little, or none are sought.
    """
    columns = (x.shape[-1], y.shape[-1])
    out = torch.zeros(len(x), CLASSES_COUNT, device=x.device, dtype=torch.float32)
    if not sought(x.shape[1], columns):
        return _parts(out)
    here = partial(sought, columns=columns)
    for place, rows in datasets_in_order(x, y, mask, _MOST_ROWS, here):
        least = None if known is None else partial(_at_least, known, place)
        found = _by_folds(rows, x.shape[-1], least)
        out = out.index_put((torch.tensor([place], device=x.device),), found[None])
    return _parts(out)


def _parts(out: Tensor) -> LatentClasses:
    return LatentClasses(*out.split(1, -1))


def _at_least(known: Callable[[], Tensor], place: int) -> float:
    """Nats that a first mixture of a dataset must say."""
    return _SHARE * float(known()[place])


def _by_folds(z: Tensor, dx: int, least: Callable[[], float] | None) -> Tensor:
    """The numbers of :class:`LatentClasses` from scores ``[N, D]``, of which the first ``dx`` are
    of X; ``least``: see :func:`_number`."""
    n = len(z) // FOLDS
    dealt = z[: n * FOLDS].unflatten(0, (n, FOLDS)).transpose(0, 1)
    others = [[f for f in range(FOLDS) if f != k] for k in range(FOLDS)]
    within = torch.stack([dealt[some].flatten(0, 1) for some in others])
    rows = _whitened(within, dealt, dx)
    with no_gradient():
        fixed = rows.detached()
        usual = _normal(fixed)
        number = _number(fixed.first(), usual[0], least)
        if number == 0:
            return z.new_zeros(CLASSES_COUNT)
        mixture = fitted_classes(fixed.x, fixed.y, fixed.views, number)
        known = mixture.log_density(fixed.x_out, fixed.y_out).mean()
    nats = mixture.log_ratio(rows.x_out, rows.y_out).mean()
    own = mixture.log_ratio(rows.x, rows.y).mean()
    bound = _contrast(rows.x_out, rows.y_out, mixture)
    return torch.stack([nats, own, bound, known - usual.mean(), nats.new_tensor(float(number))])


def _whitened(within: Tensor, out: Tensor, dx: int) -> _Halves:
    """Scores within ``[F, n, D]`` and ``out`` ``[F, m, D]`` of a fold's mixture, whitened by what
    the first ones are."""
    sides = [[part[..., some] for part in (within, out)] for some in (slice(dx), slice(dx, None))]
    white = []
    for rows, rest in sides:
        with no_gradient():
            n = rows.shape[1]
            eye = torch.eye(rows.shape[-1], dtype=rows.dtype, device=rows.device)
            gram = rows.mT @ rows / n + _OVER_ROOT * n**-0.5 * eye
            lower = torch.linalg.cholesky_ex(gram).L
            inverse = torch.linalg.solve_triangular(lower, eye.expand_as(lower), upper=False)
        white.append([part @ inverse.mT for part in (rows, rest)])
    (x, x_out), (y, y_out) = white
    with no_gradient():
        u, size, v = torch.linalg.svd(x.mT @ y / x.shape[1], full_matrices=False)
        canonical = (x @ u + y @ v.mT) * size.sqrt()[:, None]
        views = (canonical.detach(), within.detach())
    return _Halves(x, y, x_out, y_out, views)


def _normal(rows: _Halves) -> Tensor:
    """Mean log densities ``[F]`` of the rows left out as normal ones, with the best share of what
    both sides seem to have in common."""
    n, dx = rows.x.shape[1:]
    z = torch.cat([rows.x, rows.y], -1)
    out = torch.cat([rows.x_out, rows.y_out], -1)
    gram = z.mT @ z / n
    own = torch.arange(gram.shape[-1], device=z.device) < dx
    eye = torch.eye(gram.shape[-1], dtype=z.dtype, device=z.device)
    found = []
    for share in _TIES:
        each = torch.where(own[:, None] == own, gram, share * gram) + _RIDGE * eye
        lower = torch.linalg.cholesky_ex(each).L
        found.append(log_densities(out, torch.zeros_like(z[:, :1]), lower).mean((1, 2)))
    return torch.stack(found).amax(0)


def _number(rows: _Halves, usual: Tensor, least: Callable[[], float] | None) -> int:
    """The number of classes of the mixture that knows the rows left out best, of the first fold
    alone: more are tried while they know more, then fewer. 0 where a mixture that is found fast
    does not know them better than in the ``usual`` way, in nats a row, or says less than the
    ``least`` nats that are asked for."""
    numbers = [k for k in _NUMBERS if k * _OF_EACH <= rows.x.shape[1]]

    def fitted(place: int, **less: int) -> tuple[ClassMixture, float]:
        mixture = fitted_classes(
            rows.x, rows.y, rows.views, numbers[place], starts=_FEW_STARTS, **less
        )
        return mixture, float(mixture.log_density(rows.x_out, rows.y_out).mean())

    def known(place: int) -> float:
        return fitted(place)[1]

    first, well = fitted(min(_ASKED, len(numbers) - 1), steps=_FEW_STEPS)
    if well <= usual:
        return 0
    if least is not None:
        said = [first.log_ratio(*pair).mean() for pair in (rows[:2], rows[2:4])]
        if float(said[0] + said[1]) / 2 < least():
            return 0
    start = best = min(_TRIED, len(numbers) - 1)
    most = known(start)
    for step in (1, -1):
        while 0 <= best + step < len(numbers) and (other := known(best + step)) > most:
            best, most = best + step, other
        if best != start:
            break
    return numbers[best]


def _contrast(x: Tensor, y: Tensor, mixture: ClassMixture) -> Tensor:
    """The InfoNCE bound in nats of rows ``[F, m, d]``, the mean of both directions and all folds,
    at the best temperature."""
    m = x.shape[1]
    shown = torch.arange(min(m, CONTRASTED), device=x.device) * m // min(m, CONTRASTED)
    score = mixture.log_ratios(x[:, shown], y[:, shown])
    found = []
    for temperature in _TEMPERATURES:
        each = temperature * score
        own = each.diagonal(dim1=1, dim2=2)
        found.append((own - (each.logsumexp(1) + each.logsumexp(2)) / 2).mean())
    return torch.stack(found).amax() + math.log(len(shown))
