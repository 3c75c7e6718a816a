r"""What columns share in pairs: each with the one of the other side that it goes with.

Columns are compared by slow waves of their ranks; a pair are two columns each of which goes best
with the other, beyond chance. In each pair neighbours (``torchmist.models.kraskov``) read normal
scores. In one column a side neighbours see noise of any shape and any strength, where those of many
columns see the first few nats; noisy channels side by side share the sum over the pairs. Pairs that
show the same, as columns of a side that go with each other tell, count less.
Legend: ``B`` datasets, ``N`` samples, ``d`` columns, ``P`` pairs of one dataset or many.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from torchmist.checks import visible
from torchmist.copula import standardise
from torchmist.models.directions import WIDEST
from torchmist.models.kraskov import FAR, kraskov
from torchmist.models.local import row_counts, sample_order
from torchmist.models.pair_scores import side_ranks
from torchmist.models.variates import even_places, rows_at, unit_columns
from torchmist.numerics.no_gradient import no_gradient

__all__ = ["Matched", "chance_square", "matched_information", "neighbour_information"]

_WAVES = 4
_MOST_ROWS = 4096
_HIGHEST = 0.9999  # squared correlation
_SAME = 0.1  # of the squared length of a wave: what is less is taken for none
_SURE = 2.0  # more than the logarithm of the pairs among which chance would find the best


class Matched(NamedTuple):
    """``near`` ``[B, 1]``: the sum over the pairs by neighbours, ``linear``: were their scores
    Gaussian, both in nats, and ``pairs``, their number; each counts as far as it shows what the
    others do not."""

    near: Tensor
    linear: Tensor
    pairs: Tensor


def matched_information(x: Tensor, y: Tensor, mask: Tensor | None = None) -> Matched:
    """Sums over the pairs of columns of ``[B, N, dx]`` and ``[B, N, dy]``; of more than 64 columns
    a side none are sought, nor of one on each, which all neighbours see as it is.

    ``mask``: ``[B, N]`` bool, True for real samples. The sum by neighbours has the gradient of the
    Gaussian one.
    """
    if not 1 < max(x.shape[-1], y.shape[-1]) <= WIDEST:
        none = torch.zeros(len(x), 1, device=x.device, dtype=torch.float32)
        return Matched(none, none, none)
    if x.shape[-1] > y.shape[-1]:
        x, y = y, x
    ranks = [side_ranks(side, mask) for side in (x, y)]
    scores = [standardise(rank.scores, mask).mT for rank in ranks]
    n = row_counts(x, mask)
    with no_gradient():
        waves = [_waves(rank.codes.mT, n, mask) for rank in ranks]
        partner, good = _partners(waves[0], waves[1], n)
        good = good & _sure(waves, [_tied(rank.codes.mT, n, mask) for rank in ranks], partner, n)
    other = scores[1].gather(2, partner[:, None].expand(-1, x.shape[1], -1))
    correlation = (scores[0] * other).sum(1) / n[:, None]
    square = correlation.square().clamp(max=_HIGHEST)
    with no_gradient():
        own = _own(waves[0], waves[1], partner, good, n)
        near = neighbour_information(scores[0], other, own, n, mask).sum(-1, keepdim=True)
    linear = ((-torch.log1p(-square) - 1 / n[:, None].float()) / 2 * own).sum(-1, keepdim=True)
    return Matched(near + linear - linear.detach(), linear, own.sum(-1, keepdim=True))


def _own(x: Tensor, y: Tensor, partner: Tensor, good: Tensor, n: Tensor) -> Tensor:
    """What of each pair ``[B, d]`` is its own: 1 over the number of pairs that show the same, which
    counts by how their columns go with its columns, on the side where they do less; 0 of no pair.

    Of columns that are independent on either side, pairs share at most the whole.
    """
    same, d = [], partner.shape[1]
    for side in (x, y):
        found = (side.mT @ side).square().unflatten(-1, (-1, _WAVES)).amax(-1)
        same.append(found.unflatten(1, (-1, _WAVES)).amax(2))
    other = same[1].gather(1, partner[..., None].expand(-1, -1, same[1].shape[-1]))
    other = other.gather(2, partner[:, None].expand(-1, d, -1))
    chance = (2 * (2 * math.log(_WAVES * d) + _SURE) / n.float()).clamp(max=0.9)[:, None, None]
    share = ((torch.minimum(same[0], other) - chance) / (1 - chance)).clamp(min=0)
    share = share * good[:, None] * good[..., None]
    eye = torch.eye(d, dtype=torch.bool, device=x.device)
    return good / share.masked_fill(eye, 1.0).sum(-1)


def _waves(codes: Tensor, n: Tensor, mask: Tensor | None) -> Tensor:
    """Waves ``[B, N, d w]`` over ranks of ``n`` rows, by their codes ``[B, N, d]``, of mean 0 and
    length 1, 0 for padding."""
    order = torch.arange(1, _WAVES + 1, device=codes.device, dtype=torch.float32)
    place = ((codes + 1) / (2 * n[:, None, None])).float()
    return unit_columns(torch.cos(math.pi * order * place[..., None]).flatten(2), mask)


def _tied(codes: Tensor, n: Tensor, mask: Tensor | None) -> Tensor:
    """Which columns of rank codes ``[B, N, d]`` of ``n`` rows hold a value more than once,
    ``[B, d]``: the squares of distinct codes, twice their ranks, have the largest sum."""
    squares = codes.long().square()
    if mask is not None:
        squares = squares * mask[..., None]
    n = n[:, None].long()
    return squares.sum(1) < 2 * (n - 1) * n * (2 * n - 1) // 3


def _apart(waves: Tensor, tied: Tensor) -> Tensor:
    """Waves ``[B, N, d w]`` whose columns are ``tied`` ``[B, d]`` turned to uncorrelated ones of
    length 1: those of few values all say the same, and chance would count as often as there are
    waves. Directions in which the waves of a column hardly differ are 0."""
    if visible(tied.any()) is False:
        return waves
    each = waves.unflatten(-1, (-1, _WAVES)).transpose(1, 2)
    values, vectors = torch.linalg.eigh(each.mT @ each)
    scale = torch.where(values > _SAME, values.clamp(min=_SAME).rsqrt(), 0.0)
    turned = (each @ vectors * scale[..., None, :]).transpose(1, 2).flatten(2)
    return torch.where(tied.repeat_interleave(_WAVES, -1)[:, None], turned, waves)


def _partners(x: Tensor, y: Tensor, n: Tensor) -> tuple[Tensor, Tensor]:
    """The column of ``y`` that each of ``x`` goes best with, ``[B, dx]``, and whether it goes best
    with that one too and beyond chance."""
    found = _squares(x, y, n)
    best, partner = found.max(-1)
    return partner, (best >= found.amax(1).gather(1, partner)) & (best > _chance(found))


def _sure(waves: list[Tensor], tied: list[Tensor], partner: Tensor, n: Tensor) -> Tensor:
    """Whether columns go with their partners beyond chance where ties are accounted for,
    ``[B, dx]``."""
    if visible(tied[0].any() | tied[1].any()) is False:
        return torch.ones_like(partner, dtype=torch.bool)
    x, y = (_apart(wave, ties) for wave, ties in zip(waves, tied))
    found = _squares(x, y, n)
    return found.gather(2, partner[..., None])[..., 0] > _chance(found)


def _squares(x: Tensor, y: Tensor, n: Tensor) -> Tensor:
    """Sums ``[B, dx, dy]`` of squared correlations of the waves of two columns, times the rows."""
    found: Tensor = (x.mT @ y).square().unflatten(-1, (-1, _WAVES)).sum(-1)
    found = found.unflatten(1, (-1, _WAVES)).sum(2)
    return found * n[:, None, None]


def _chance(found: Tensor) -> float:
    """What the best of as many sums hardly exceeds by chance."""
    return chance_square(_WAVES**2, math.log(found.shape[1] * found.shape[2]) + _SURE)


def chance_square(freedom: int, high: float) -> float:
    """What a chi-squared variable exceeds with a probability of at most ``exp(-high)`` (Laurent and
    Massart, Ann. Statist. 28, 1302, 2000, lemma 1)."""
    return freedom + 2 * math.sqrt(freedom * high) + 2 * high


def neighbour_information(
    x: Tensor, y: Tensor, own: Tensor, n: Tensor, mask: Tensor | None
) -> Tensor:
    """What neighbours say of each pair of columns of ``[B, N, d]`` and ``[B, N, d]``, in nats and
    times ``own`` ``[B, d]``, of which ``n`` ``[B]`` rows are real: ``[B, d]``."""
    good = own > 0
    some = visible(good.any())
    if some is False:
        return torch.zeros_like(own)
    if x.shape[1] > _MOST_ROWS:
        order = sample_order(torch.cat([x, y], -1).mT, mask, float(x.shape[1]))
        at, mask = even_places(n[:, None].long(), _MOST_ROWS)
        rows = order.gather(1, at)
        x, y = rows_at(x, rows), rows_at(y, rows)
    real = torch.ones_like(x[..., 0], dtype=torch.bool) if mask is None else mask
    sides = [side.masked_fill(~real[..., None], FAR).mT for side in (x, y)]
    real = real[:, None].expand(sides[0].shape)
    if some is None:
        each = kraskov(*(v.flatten(0, 1) for v in (*sides, real))).view(good.shape)
        return each * own
    out = torch.zeros_like(own)
    out[good] = kraskov(*(v[good] for v in (*sides, real)))
    return out * own
