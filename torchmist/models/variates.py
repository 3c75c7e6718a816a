r"""Cross-fitted nonlinear variates: functions of each side that predict each other on unseen rows.

Features of a side are its columns, waves of the columns that stand out, and kernels around some of
the samples. Regularised canonical correlation analysis on three quarters of the sample,

.. math:: (G_x + \lambda I)^{-1/2} C_{xy} (G_y + \lambda I)^{-1/2} = A\, S\, B^T, \qquad
          f = \Phi_x (G_x + \lambda I)^{-1/2} A, \quad g = \Phi_y (G_y + \lambda I)^{-1/2} B,

gives pairs of functions whose values on the last quarter, which had no part in it, say what X and Y
share: by the data processing inequality I(f(X); g(Y)) is at most I(X; Y), and in so few dimensions
neighbours find it. So a function of many columns, or of few among many, is seen. The ridge is that
of two whose functions correlate most on the rows left out.

Nothing depends on the order of samples or columns, nor on which side is which, nor on the direction
of a column. The functions are constants of the backward pass; the gradient goes through the
features. Legend: ``B`` datasets, ``N`` samples, ``d`` columns, ``K`` folds, ``m`` rows of a fold,
``p``, ``q`` features of both sides, ``k`` variates.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from torchmist.checks import visible
from torchmist.models.contrast import contrastive_bound
from torchmist.models.directions import Through, fixed_numbers, orthonormal, see_narrow
from torchmist.models.folds import FOLDS, Folds
from torchmist.models.local import nearest, row_counts, subset
from torchmist.models.neighbours import NEIGHBOURS
from torchmist.models.pair_scores import pair_order, pair_scores
from torchmist.models.waves import rank_waves
from torchmist.numerics.cache import cached
from torchmist.numerics.no_gradient import no_gradient

__all__ = [
    "SHARPNESS_COUNT",
    "SUMS",
    "VARIATE_COUNT",
    "VARIATE_OPINIONS",
    "Variates",
    "centred_columns",
    "even_places",
    "rows_at",
    "spread_places",
    "unit_columns",
    "variate_opinions",
    "variates",
]

VARIATE_COUNT, _WIDE = 16, 48  # of sides of few columns, and of those seen through directions
_RIDGES = (1.0, 0.05)  # over the root of the number of rows
_ITERATIONS, _SPARE = 2, 4
_STANDING, _FEW = 8, 4  # columns that stand out: with waves, and with a fine kernel
_WAVES, _HARMONICS = 64, 20
_SCREENED, _SCREENING, _AGAINST = 2048, 12, 3  # rows, and waves of columns and of the other side
_CENTRES, _JITTER = 96, 1e-3
_VIEWS = (1, 2, 4)  # variates that neighbours are asked of
SUMS = (4, None)  # and those that bounds and Gaussian sums are taken of: four, and all
_LEAST, _HIGHEST = 1e-3, 0.9999  # correlations
VARIATE_OPINIONS = len(_VIEWS) * len(NEIGHBOURS) + 2 * len(SUMS)
"""Estimates of mutual information between variates."""
SHARPNESS_COUNT = len(SUMS)
"""Logs of the temperatures of the bounds."""


class Variates(NamedTuple):
    """Functions ``x`` and ``y`` of both sides on the rows of each fold, ``[B, K, m, k]``, fitted
    without them, with mean 0 there and variance 1 over all folds; which rows are ``present``
    ``[B, K, m]``, and the ``correlations`` ``[B, k]``.

    The functions of two folds are not the same: values of different folds must not be compared, or
    what fold a row belongs to would be taken for information that both sides share.
    """

    x: Tensor
    y: Tensor
    present: Tensor
    correlations: Tensor


def variate_opinions(found: Variates) -> tuple[Tensor, Tensor]:
    """Estimates ``[B, VARIATE_OPINIONS]`` in nats from :func:`variates`, and ``[B,
    SHARPNESS_COUNT]``, the logs of the bounds' temperatures.

    By neighbours of the first variate, the first two and four within each fold, scaled by their
    signal over noise; contrastive bounds of four and of all; and Gaussian sums over four and all.
    Neighbours have the gradient of the Gaussian sum over four.
    """
    rho = found.correlations.clamp(0.0, _HIGHEST)
    sums = [-0.5 * torch.log1p(-rho[:, :k].square()).sum(-1, keepdim=True) for k in SUMS]
    bounds = [
        contrastive_bound(found.x[..., :k], found.y[..., :k], found.present, rho[:, :k])
        for k in SUMS
    ]
    with no_gradient():
        few = slice(0, _VIEWS[-1])
        strength = (rho / (1 - rho.square()).sqrt()).clamp(min=1e-3)[:, None, None, few]
        x, y = ((side[..., few] * strength).flatten(0, 1) for side in (found.x, found.y))
        mask = found.present.flatten(0, 1)
        chosen = subset(torch.cat([x, y], -1).mT, None if visible(mask.all()) else mask)
        near = [chosen.at_queries(side.mT).mT for side in (x, y)]
        each = torch.cat([nearest((near[0][..., :k], near[1][..., :k]), chosen) for k in _VIEWS], 1)
        exact = each.unflatten(0, (-1, FOLDS)).mean(1)
    opinions = [exact + sums[0] - sums[0].detach(), *(b[:, None] for b, _ in bounds), *sums]
    return torch.cat(opinions, -1), torch.stack([sharpness for _, sharpness in bounds], -1)


def variates(
    x: Tensor, y: Tensor, mask: Tensor | None = None, *,
    through: tuple[Through, Through] | None = None,
    added: tuple[Tensor, Tensor] | None = None,
) -> Variates:  # fmt: skip
    """Pairs of functions of samples ``[B, N, dx]`` and ``[B, N, dy]``.

    ``mask``: ``[B, N]`` bool, True for real samples; ``through``: both sides where they have many
    columns (:func:`torchmist.models.directions.see_narrow`); ``added``: more features of either
    side, ``[B, N, p]`` and ``[B, N, q]``.
    """
    n = x.shape[1]
    scores = pair_scores(x, y, mask)
    through = see_narrow(x, y, mask) if through is None else through
    narrow, rows = (x, y), scores
    if through is not None:
        narrow, rows = (through[0].columns, through[1].columns), [side.rows for side in through]
    lines = pair_scores(*narrow, mask)
    real = row_counts(x, mask)[:, None]
    order = pair_order(*narrow, mask)
    folds = Folds.of(order)
    at, counts = even_places(real, min(_CENTRES, max(1, n // 4)), 4)
    centres = order.gather(1, at), counts
    features = []
    for one, other in ((0, 1), (1, 0)):
        standing, strength = _standing(scores[one], lines[other], order, real)
        blocks = [
            lines[one],
            _waves(standing, strength, min(_HARMONICS, _WAVES // standing.shape[-1])),
            _kernels(rows[one], *centres, 1.0, mask),
            _kernels(standing[..., :_FEW] * strength[..., :_FEW], *centres, 0.25, mask),
            *(() if added is None else added[one : one + 1]),
        ]
        features.append(folds.deal(torch.cat([_block(b, mask) for b in blocks], -1)))
    with no_gradient():
        most = VARIATE_COUNT if through is None else _WIDE
        maps = _fitted(features[0], features[1], most)
    every = (
        torch.ones(len(x), n, device=x.device, dtype=torch.float32)
        if mask is None
        else mask.float()
    )
    present = folds.deal(every[..., None])
    left, right = (_standard(f @ w, present) for f, w in zip(features, maps))
    rho = (left * right).sum((1, 2)) / real
    return Variates(left, right, present.squeeze(-1) > 0, rho)


def even_places(total: Tensor, size: int, share: int = 1) -> tuple[Tensor, Tensor]:
    """Places ``[B, size]`` spread evenly over the first ``total`` ``[B, 1]``, and which count: at
    most one of ``share`` samples, and one at least."""
    place = torch.arange(size, device=total.device)
    count = (total // share).clamp(1, size)
    at = ((place + 0.5) * (total.double() / count)).floor().long()
    return at.clamp(max=total - 1), place < count


def spread_places(total: int, most: int, like: Tensor) -> Tensor:
    """Places ``[m]`` of as many of ``total`` rows as there are, at ``most`` so many, spread evenly;
    on the device of ``like``."""
    at, _ = even_places(torch.full((1, 1), total, device=like.device), min(most, total))
    return at[0]


def rows_at(values: Tensor, places: Tensor) -> Tensor:
    """Rows ``[B, M, p]`` at ``places`` ``[B, M]`` of ``[B, N, p]``."""
    out: Tensor = values.gather(1, places[..., None].expand(-1, -1, values.shape[-1]))
    return out


def _standing(score: Tensor, other: Tensor, order: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """The columns of ``score`` ``[B, N, d]`` that stand out, most first, ``[B, N, S]``, and how
    much, ``[B, 1, S]``: what their waves share with those of any column of ``other``, beyond what
    the largest of as many chance correlations would."""
    with no_gradient():
        at, counts = even_places(real, min(_SCREENED, score.shape[1]))
        places, size = order.gather(1, at), counts.sum(-1, keepdim=True)
        d, count = score.shape[-1], max(2, min(_SCREENING, 1024 // score.shape[-1]))
        own = unit_columns(rank_waves(rows_at(score, places), count).flatten(2), counts)
        against = unit_columns(rank_waves(rows_at(other, places), _AGAINST).flatten(2), counts)
        tests = own.shape[-1] * against.shape[-1]
        found = (own.mT @ against).square().amax(-1).unflatten(-1, (d, count)).amax(-1) * size
        top, which = found.topk(min(_STANDING, d), dim=-1)
        strength = ((top - 2 * math.log(tests)).clamp(min=0) + 1).sqrt()
        strength = strength / strength.square().sum(-1, keepdim=True).sqrt()
    return score.gather(2, which[:, None].expand(-1, score.shape[1], -1)), strength[:, None]


def unit_columns(values: Tensor, counts: Tensor | None) -> Tensor:
    """Columns of mean 0 and length 1 over the rows ``[B, M]`` that count, all for None."""
    values, _ = centred_columns(values, counts)
    out: Tensor = values / values.norm(dim=1, keepdim=True).clamp(min=1e-6)
    return out


def _waves(scores: Tensor, strength: Tensor, count: int) -> Tensor:
    """Waves of columns ``[B, N, S]``, ``[B, N, S count]``, the slower and the stronger larger."""
    order = torch.arange(1, count + 1, dtype=scores.dtype, device=scores.device)
    waves = rank_waves(scores, count) * order.rsqrt()
    return (waves * strength[..., None]).flatten(2)


def _kernels(
    rows: Tensor, centres: Tensor, counts: Tensor, width: float, mask: Tensor | None
) -> Tensor:
    """Coordinates ``[B, N, C]`` of the Gaussian kernel around those ``centres`` ``[B, C]`` that
    count, 0 for the others; its squared width is ``width`` times the mean squared distance."""
    with no_gradient():
        middle = rows_at(rows, centres)
        _, variance = centred_columns(rows, mask)
        spread = 2 * width * variance.sum(-1, keepdim=True).clamp(min=1e-9)
        own = (-torch.cdist(middle, middle).square() / spread).exp()
        eye = torch.eye(own.shape[-1], dtype=own.dtype, device=own.device)
        own = torch.where(counts[:, :, None] & counts[:, None], own, eye)
        lower = torch.linalg.cholesky_ex(own + _JITTER * eye).L
        inverse = torch.linalg.solve_triangular(lower, eye.expand_as(lower), upper=False)
    square = rows.square().sum(-1, keepdim=True) + middle.square().sum(-1)[:, None]
    kernel = (-(square - 2 * rows @ middle.mT).clamp(min=0) / spread).exp()
    out: Tensor = (kernel * counts[:, None]) @ inverse.mT
    return out


def centred_columns(values: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Values ``[B, N, p]`` less their mean, 0 for padding, and their variances ``[B, 1, p]``."""
    if mask is None:
        values = values - values.mean(1, keepdim=True)
        return values, values.square().mean(1, keepdim=True)
    real = mask[..., None].to(values.dtype)
    count = real.sum(1, keepdim=True)
    values = (values - (values * real).sum(1, keepdim=True) / count) * real
    return values, values.square().sum(1, keepdim=True) / count


def _block(values: Tensor, mask: Tensor | None) -> Tensor:
    """Values of mean 0 whose variances sum to 1."""
    values, variance = centred_columns(values, mask)
    return values / variance.detach().sum(-1, keepdim=True).sqrt().clamp(min=1e-6)


def _standard(values: Tensor, present: Tensor) -> Tensor:
    """Values ``[B, K, m, k]`` of mean 0 in each fold and variance 1 over all, 0 for padding."""
    mean = (values * present).sum(2, keepdim=True) / present.sum(2, keepdim=True).clamp(min=1)
    values = (values - mean) * present
    variance = values.square().sum((1, 2), keepdim=True) / present.sum((1, 2), keepdim=True)
    return values / variance.clamp(min=1e-12).sqrt()


def _fitted(x: Tensor, y: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Maps ``[B, K, p, k]`` and ``[B, K, q, k]`` of features ``[B, K, m, p]``, ``[B, K, m, q]`` to
    the first ``most`` variates of each fold, fitted on the other folds, with the ridge whose
    variates correlate most on their own."""
    own = [a.mT @ b for a, b in ((x, x), (y, y), (x, y))]
    count = (x.abs().sum(-1) + y.abs().sum(-1) > 0).sum(-1)
    rest = (count.sum(1, keepdim=True) - count).clamp(min=1)[..., None, None].float()
    others = [(g.sum(1, keepdim=True) - g) / rest for g in own]
    fixed = cached(fixed_numbers, x.shape[1] * x.shape[2], most + _SPARE, like=x)
    fixed = fixed.unflatten(0, (-1, FOLDS)).transpose(0, 1)
    starts = [(side.mT @ fixed).sum(1, keepdim=True) for side in (x, y)]
    tried = [_canonical(others, starts, r * rest.rsqrt(), most) for r in _RIDGES]
    shared = torch.stack([_shared(maps, own) for maps in tried])
    best = shared.argmax(0)
    rows = torch.arange(len(x), device=x.device)
    left, right = (torch.stack(side)[best, rows] for side in zip(*tried))
    return left, right


def _canonical(
    others: list[Tensor], starts: list[Tensor], ridge: Tensor, most: int
) -> tuple[Tensor, Tensor]:
    """The ``most`` leading regularised canonical directions of each fold's other rows."""
    xx, yy, xy = others
    low_x, low_y = (_factor(gram, ridge) for gram in (xx, yy))

    def across(v: Tensor) -> Tensor:  # the whitened cross-covariance, which is never formed
        return _solved(low_x, xy @ _solved(low_y.mT, v, upper=True))

    def back(u: Tensor) -> Tensor:
        return _solved(low_y, xy.mT @ _solved(low_x.mT, u, upper=True))

    left = _basis(across(_solved(low_y, starts[1])))
    right = _basis(back(_solved(low_x, starts[0])))
    for _ in range(_ITERATIONS):
        left, right = _basis(across(back(left))), _basis(back(across(right)))
    u, values, v = torch.linalg.svd((left.mT @ across(right)).nan_to_num())
    seen = (values > _LEAST)[..., None, :most]  # beyond the rank there is only rounding
    left, right = left @ u[..., :most] * seen, right @ v.mT[..., :most] * seen
    return _solved(low_x.mT, left, upper=True), _solved(low_y.mT, right, upper=True)


def _basis(u: Tensor) -> Tensor:
    """An orthonormal basis of columns, which single precision would lose where all are alike."""
    return orthonormal(u.double()).to(u.dtype)


def _factor(gram: Tensor, ridge: Tensor) -> Tensor:
    """Cholesky factor of a covariance and a multiple of the identity."""
    eye = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    lower: Tensor = torch.linalg.cholesky_ex(gram + ridge * eye).L
    return lower


def _solved(triangle: Tensor, rows: Tensor, upper: bool = False) -> Tensor:
    """``rows`` over a triangular matrix, one for each fold."""
    rows = rows.expand(*triangle.shape[:-1], -1)
    out: Tensor = torch.linalg.solve_triangular(triangle, rows, upper=upper)
    return out


def _shared(maps: tuple[Tensor, Tensor], own: list[Tensor]) -> Tensor:
    """What the variates share on the rows that had no part in them, were they Gaussian, ``[B]``."""

    def moment(a: Tensor, gram: Tensor, b: Tensor) -> Tensor:
        return (a * (gram @ b)).sum((1, 2))

    (x, y), (xx, yy, xy) = maps, own
    scale = (moment(x, xx, x) * moment(y, yy, y)).clamp(min=1e-12).sqrt()
    rho = (moment(x, xy, y) / scale).clamp(0, _HIGHEST)
    return -torch.log1p(-rho.square()).sum(-1)
