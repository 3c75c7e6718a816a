r"""What products of columns show and no single column does.

Products of two scores of a side, and of three where columns are few, are compared with the scores
of the other side and with its products of two. Were all columns Gaussian, those correlations would
follow from the ones between columns (Isserlis 1918),

.. math:: \mathrm{cov}(x_i x_j, y_k y_l) = r_{ik} r_{jl} + r_{il} r_{jk};

products that go beyond it, and beyond chance, become features of cross-fitted variates
(``torchmist.models.variates``), and what those share says what selected and gated values, bilinear
forms, ratings, parities and hidden signs share. Legend: ``B`` datasets, ``N`` samples, ``d``
columns, ``P`` products, ``T`` targets, ``S`` products that are kept.
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import torch
from torch import Tensor

from torchmist.checks import visible
from torchmist.models.directions import WIDEST
from torchmist.models.local import row_counts
from torchmist.models.pair_scores import pair_order, pair_scores
from torchmist.models.variates import (
    SHARPNESS_COUNT,
    VARIATE_OPINIONS,
    centred_columns,
    even_places,
    rows_at,
    variate_opinions,
    variates,
)
from torchmist.numerics.cache import cached
from torchmist.numerics.no_gradient import no_gradient

__all__ = ["CROSSED_COUNT", "Crossed", "crossed_information"]

_ROWS = 2048  # on which products are sought
_OF_THREE = 16  # columns, up to which products of three are sought
_KEPT = 48
_COMPARED = 600_000  # products times targets, beyond which there are no targets of two
_EDGE = 2.5  # deviations, to which scores are cut while products are sought
_SURE = 5.0  # more than the logarithm of what is compared
CROSSED_COUNT = VARIATE_OPINIONS + SHARPNESS_COUNT + 2
"""Numbers of :class:`Crossed`."""


class Crossed(NamedTuple):
    """``opinions`` ``[B, VARIATE_OPINIONS]`` in nats and ``sharpness`` ``[B, SHARPNESS_COUNT]`` of
    variates that have products, and how many of either side they have, ``kept`` ``[B, 2]``, the
    larger number first; all 0 where there are none."""

    opinions: Tensor
    sharpness: Tensor
    kept: Tensor

    @staticmethod
    def of(numbers: Tensor) -> Crossed:
        """By name, of ``[B, CROSSED_COUNT]``."""
        return Crossed(*numbers.split([VARIATE_OPINIONS, SHARPNESS_COUNT, 2], -1))


def crossed_information(x: Tensor, y: Tensor, mask: Tensor | None = None) -> Crossed:
    """What products of the columns of ``[B, N, dx]`` and ``[B, N, dy]`` show; of more than 64
    columns a side none are sought.

    ``mask``: ``[B, N]`` bool, True for real samples.
    """
    if not 1 < max(x.shape[-1], y.shape[-1]) <= WIDEST:
        return Crossed.of(torch.zeros(len(x), CROSSED_COUNT, device=x.device, dtype=torch.float32))
    n = x.shape[1]
    scores = pair_scores(x, y, mask)
    none = scores[0].new_zeros(len(x), CROSSED_COUNT)
    real = row_counts(x, mask)[:, None]
    with no_gradient():
        at, counts = even_places(real, min(_ROWS, n))
        rows = pair_order(x, y, mask).gather(1, at)
        ends = [rows_at(s, rows).clamp(-_EDGE, _EDGE) for s in scores]
        few = [_centred(s, counts)[0] for s in ends]
        beyond = [_beyond(few[0], few[1], counts), _beyond(few[1], few[0], counts)]
        some = torch.cat(beyond, -1).amax(-1) > 0
    found = visible(some.any())
    if found is None:
        return Crossed.of(torch.cat(_opinions(x, y, mask, scores, beyond), -1) * some[:, None])
    if found:
        rest = None if mask is None else mask[some]
        shown, most = [s[some] for s in scores], [b[some] for b in beyond]
        told = _opinions(x[some], y[some], rest, shown, most)
        none = none.index_put((some,), torch.cat(told, -1))
    return Crossed.of(none)


def _opinions(
    x: Tensor, y: Tensor, mask: Tensor | None, scores: list[Tensor], beyond: list[Tensor]
) -> Crossed:
    """What variates say that have the products which go ``beyond`` ``[B, P]``."""
    added, kept = [], []
    for score, over in zip(scores, beyond):
        top, which = over.topk(min(_KEPT, over.shape[-1]), dim=-1)
        added.append(_products(score, which) * top.sqrt()[:, None])
        kept.append((top > 0).sum(-1, keepdim=True))
    opinions, sharpness = variate_opinions(variates(x, y, mask, added=(added[0], added[1])))
    most = torch.cat(kept, -1).sort(-1, descending=True).values
    return Crossed(opinions, sharpness, most.to(opinions.dtype))


def _places(d: int, like: Tensor) -> Tensor:
    """Columns ``[P, 3]`` of the products of ``d`` columns, the last ``d`` where there are two; of
    one column, one product of nothing."""
    places = [(i, j, d) for i, j in itertools.combinations(range(d), 2)] or [(d, d, d)]
    if d <= _OF_THREE:
        places += itertools.combinations(range(d), 3)
    return torch.tensor(places, device=like.device)


def _products(scores: Tensor, which: Tensor) -> Tensor:
    """The products ``which`` ``[B, S]`` of scores ``[B, N, d]``, ``[B, N, S]``."""
    places = cached(_places, scores.shape[-1], like=scores)[which]
    with_one = torch.nn.functional.pad(scores, (0, 1), value=1.0)
    out = torch.ones_like(with_one[..., :1])
    for part in places.unbind(-1):
        out = out * with_one.gather(2, part[:, None].expand(-1, scores.shape[1], -1))
    return out


def _beyond(x: Tensor, y: Tensor, counts: Tensor) -> Tensor:
    """How far each product of ``x`` ``[B, M, dx]`` goes with the columns or products of ``y``
    beyond chance and what columns share, ``[B, P]``, 0 for most."""
    d, other = x.shape[-1], y.shape[-1]
    if d < 2:
        return x.new_zeros(len(x), 1)
    size = counts.sum(-1)[:, None, None].to(x.dtype)
    places = cached(_places, d, like=x)
    own = torch.nn.functional.pad(x, (0, 1), value=1.0)
    a, b, c = (own[..., p] for p in places.unbind(-1))
    xx, xy = own.mT @ own / size, own.mT @ y / size
    i, j, k = places.unbind(-1)
    product, norm = _centred(a * b * c, counts)
    two = (k == d)[:, None]
    one = xx[:, i, j, None] * xy[:, k] + xx[:, i, k, None] * xy[:, j] + xx[:, j, k, None] * xy[:, i]
    few = len(i) * other * (other + 1) // 2 <= _COMPARED
    count = other + other * (other + 1) // 2 * few
    least = 2 * math.log(len(i) * count) + _SURE
    found = _found(product, y, one.masked_fill(two, 0.0) / norm.mT, size, least)
    if few:
        u, v = torch.triu_indices(other, other, device=x.device)
        target, theirs = _centred(y[..., u] * y[..., v], counts)
        both = xy[:, i][..., u] * xy[:, j][..., v] + xy[:, i][..., v] * xy[:, j][..., u]
        of_two = _found(product, target, both / (norm.mT * theirs), size, least)
        found = torch.maximum(found, of_two * (k == d))
    return (found - least).clamp(min=0)


def _found(product: Tensor, target: Tensor, expected: Tensor, size: Tensor, least: float) -> Tensor:
    """The largest square of each product's ``[B, M, P]`` sum with any target ``[B, M, T]``, and
    less the mean that is ``expected``, over the sum of squares, ``[B, P]``: few rows alone show
    nothing. Where none is above ``least``, more than it is, but not above."""
    sums = product.mT @ target
    beyond = torch.minimum(sums.square(), (sums - expected * size).square())
    most = (beyond / size).amax(-1)
    if visible((most <= least).all()):
        return most
    squares = product.square().mT @ target.square()
    return (beyond / torch.maximum(squares, size)).amax(-1)


def _centred(values: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Values ``[B, M, P]`` of mean 0 and variance 1 over the rows that count, 0 elsewhere, and
    their deviations ``[B, 1, P]``."""
    values, variance = centred_columns(values, counts)
    deviation = variance.clamp(min=1e-6).sqrt()
    return values / deviation, deviation
