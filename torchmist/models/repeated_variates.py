r"""What variates of columns say once, where later ones repeat what the first have said.

Columns may be functions of few numbers: polynomials, layers of a network, waves, splines. Then
canonical variates :math:`(f_k, g_k)` of both sides, of falling correlation :math:`\rho_k`, are such
functions as well, and what all share were they Gaussian counts the same numbers many times. With
:math:`u_k` the share of :math:`f_k` that no function of those before it predicts, and :math:`v_k`
that of :math:`g_k`,

.. math:: \sum_k u_k v_k I_k, \qquad \sum_k \max(u_k, v_k) I_k, \qquad
          I_k = -\tfrac12 \log(1 - \rho_k^2),

count what is new on both sides, and on either. Functions are ridge regressions on the first 1, 2,
4, 8 and 16 variates, their products and Gaussian kernels, asked of rows that had no part in them:
of variates up to twice as many, and of all others at last. The maps to variates and the shares are
constants of the backward pass. Legend: ``B`` datasets, ``N`` samples, ``d`` columns, ``k``
variates, ``K`` folds, ``m`` rows of a fold, ``p`` features.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from torchmist.checks import visible
from torchmist.copula import standardise
from torchmist.models.folds import Folds
from torchmist.models.local import row_counts
from torchmist.models.pair_scores import pair_order, pair_scores
from torchmist.models.variates import centred_columns, even_places, rows_at
from torchmist.numerics.eigen import whitening
from torchmist.numerics.no_gradient import no_gradient

__all__ = ["REPEATED_COUNT", "Repeated", "repeated_information"]

REPEATED_COUNT = 5
"""Numbers of :class:`Repeated`."""
_WIDEST = 128  # columns of a side, up to which variates are sought
_ROWS = 4  # for each column
_FIRST = (1, 2, 4, 8, 16)  # variates that later ones are predicted from
_CENTRES, _WIDTHS = 64, (2.0, 0.5)  # squared, of kernels, over the number of variates
_EDGE = 3.0  # deviations, to which variates are cut in products
_PENALTY = 0.02  # times the root of the rows
_HIGHEST = 0.9999  # squared correlation


class Repeated(NamedTuple):
    """What all variates beyond chance share were they Gaussian, ``linear``, what is new on
    ``either`` side of it, and on both, ``once``, in nats; how many they are, ``number``, and how
    many of them are ``new`` on both sides: ``[B, 1]`` each, and all 0 where none are sought."""

    linear: Tensor
    either: Tensor
    once: Tensor
    number: Tensor
    new: Tensor


def repeated_information(x: Tensor, y: Tensor, mask: Tensor | None = None) -> Repeated:
    """What variates of ``[B, N, dx]`` and ``[B, N, dy]`` say once; none are sought in more than 128
    columns a side, in a single one, nor in fewer than 4 rows a column.

    ``mask``: ``[B, N]`` bool, True for real samples.
    """
    n, widths = x.shape[1], (x.shape[-1], y.shape[-1])
    if min(widths) < 2 or max(widths) > _WIDEST or n < _ROWS * max(widths):
        return Repeated(
            *torch.zeros(REPEATED_COUNT, len(x), 1, device=x.device, dtype=torch.float32)
        )
    scores = pair_scores(x, y, mask)
    real = row_counts(x, mask)[:, None]
    with no_gradient():
        maps = _canonical(scores[0], scores[1], real)
    f, g = (standardise((s @ m).mT, mask).mT for s, m in zip(scores, maps))
    square = ((f * g).sum(1) / real).square().clamp(max=_HIGHEST)
    each = ((-torch.log1p(-square) - max(widths) / real.float()) / 2).clamp(min=0)
    chance = sum(math.sqrt(d) for d in widths) ** 2
    beyond = (square * real > chance) & (real >= _ROWS * max(widths))
    each = each * beyond
    new = torch.ones(2, *each.shape, device=x.device, dtype=torch.float32)
    if visible((beyond.sum(-1) > 1).any()) is not False:
        with no_gradient():
            order = pair_order(x, y, mask)
            new = torch.stack([_unpredicted(side, order, real, mask) for side in (f, g)])
    both = new.prod(0)
    parts = (each, each * new.amax(0), each * both, beyond.to(both), beyond * both)
    return Repeated(*(part.sum(-1, keepdim=True) for part in parts))


def _canonical(x: Tensor, y: Tensor, real: Tensor) -> list[Tensor]:
    """Maps ``[B, d, k]`` of scores of both sides to canonical variates, the first first."""
    sides, size = [x.double(), y.double()], real[..., None].double()
    white = [whitening(side.mT @ side / size) for side in sides]
    u, _, v = torch.linalg.svd(white[0] @ (sides[0].mT @ sides[1] / size) @ white[1])
    count = min(u.shape[-1], v.shape[-1])
    turned = zip(white, (u, v.mT))
    return [(w @ turn[..., :count]).to(x.dtype) for w, turn in turned]


def _unpredicted(f: Tensor, order: Tensor, real: Tensor, mask: Tensor | None) -> Tensor:
    """Shares ``[B, k]`` of the variates ``[B, N, k]`` that those before them do not predict."""
    folds, count = Folds.of(order), f.shape[-1]
    at, there = even_places(real, min(_CENTRES, max(1, f.shape[1] // 4)), 4)
    centres = order.gather(1, at)
    parts = [torch.ones_like(f[:, 0, :1])]
    for first, following in zip(_FIRST, (*_FIRST[1:], count)):
        if first < count:
            features = _features(f[..., :first], centres, there, mask)
            parts.append(_left(folds.deal(features), folds.deal(f[..., first:following])))
    return torch.cat(parts, -1)


def _features(f: Tensor, centres: Tensor, there: Tensor, mask: Tensor | None) -> Tensor:
    """Variates ``[B, N, k]``, their products, and kernels around ``centres`` ``[B, C]``, of mean
    0: ``[B, N, p]``."""
    one, other = torch.triu_indices(f.shape[-1], f.shape[-1], device=f.device)
    cut = f.clamp(-_EDGE, _EDGE)
    squares = torch.cdist(f, rows_at(f, centres)).square() / f.shape[-1]
    kernels = [2 * (-squares / width).exp() * there[:, None] for width in _WIDTHS]
    features = torch.cat([f, cut[..., one] * cut[..., other], *kernels], -1)
    return centred_columns(features, mask)[0]


def _left(features: Tensor, target: Tensor) -> Tensor:
    """Share ``[B, t]`` of targets ``[B, K, m, t]`` that a ridge regression on ``[B, K, m, p]``,
    fitted on other folds, does not predict: all of it where no regression can be solved."""
    gram, cross = ((features.mT @ side).double() for side in (features, target))
    rows = (target.abs().sum(-1) > 0).sum((1, 2))[:, None, None, None]
    penalty = _PENALTY * rows.to(gram.dtype).sqrt()
    eye = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    others = gram.sum(1, keepdim=True) - gram + penalty * eye
    weight = torch.cholesky_solve(
        cross.sum(1, keepdim=True) - cross, torch.linalg.cholesky_ex(others).L
    )
    left = (target - features @ weight.to(target.dtype)).square().sum((1, 2))
    share = left / target.square().sum((1, 2)).clamp(min=1e-6)
    return share.nan_to_num(1.0).clamp(max=1)
