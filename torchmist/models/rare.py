"""Columns that differ from one value in a few rows alone, and the same sides in other pairs.

Of independent sides with many such columns some differ in the same rows by chance, which looks like
what both share, and nothing tells it from that but the same estimate of the same sides in which the
rows of one are dealt anew. Legend: ``B`` datasets, ``N`` samples, ``d`` columns.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchmist.copula import normal_scores
from torchmist.models.local import row_counts, sample_order

__all__ = ["mostly_rare", "repaired"]

_FEW = 8  # rows in which a column differs from its usual value, from which it is no rare one
_FEWEST, _SHARE = 4, 0.75  # rare columns of a side, and their share of those that vary
_STEPS = (0.6180339887498949, 0.41421356237309515)  # golden and silver: far from all fractions


def mostly_rare(x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
    """Which datasets ``[B, N, dx]`` and ``[B, N, dy]`` have rare columns for the most part on both
    sides, ``[B]`` bool; ``mask``: ``[B, N]`` bool, True for real samples."""
    if min(x.shape[-1], y.shape[-1]) < _FEWEST:
        return torch.zeros(len(x), dtype=torch.bool, device=x.device)
    return _mostly(x.detach(), mask) & _mostly(y.detach(), mask)


def _mostly(side: Tensor, mask: Tensor | None) -> Tensor:
    """Of which datasets ``[B, N, d]`` most columns that vary are rare, ``[B]``."""
    shown = side if mask is None else side.masked_fill(~mask[..., None], torch.nan)
    usual = shown.nanmedian(dim=1, keepdim=True).values
    real = ~shown.isnan()
    away = ((shown != usual) & real).sum(1)
    few = (away < _FEW) & (2 * away < real.sum(1))
    rare, varies = ((away > 0) & few).sum(-1), (away > 0).sum(-1)
    return (rare >= _FEWEST) & (rare >= _SHARE * varies)


def repaired(x: Tensor, y: Tensor, mask: Tensor | None = None) -> list[Tensor]:
    """``y`` ``[B, N, dy]`` in other pairs with ``x``, twice; padding stays where it is.

    Rows change partners two by two, so that the pairs are those of a swap of the sides as well; no
    order of columns changes them, and of rows only that of rows whose scores have equal sums.
    """
    scores = torch.cat([normal_scores(side.detach(), mask) for side in (x, y)], -1).mT
    real = row_counts(x, mask)[:, None]
    order = sample_order(scores, mask, real[..., None])
    place = torch.arange(x.shape[1], device=x.device)
    out = []
    for step in _STEPS:
        key = ((place + 0.5).double() * step).frac().where(place < real, torch.inf)
        dealt = order.gather(1, key.argsort(dim=-1, stable=True))
        other = torch.where(place < real, real - 1 - place, place)
        rows = torch.empty_like(order).scatter_(1, dealt, dealt.gather(1, other))
        out.append(y.gather(1, rows[..., None].expand_as(y)))
    return out
