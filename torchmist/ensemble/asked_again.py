"""The same datasets asked again in other columns, along few directions, or by what trees predict.

What is asked of instead can only share less than the sides themselves do, so that an answer is
raised where these share more. Legend: ``B`` datasets, ``N`` samples, ``Q`` quantiles.
"""

from __future__ import annotations

from itertools import chain

import torch
from torch import Tensor

from torchmist.ensemble.correction import enough, with_row
from torchmist.ensemble.within_clusters import Answer
from torchmist.models.boosted_trees import predicted_by_trees
from torchmist.models.fast_waves import with_phases
from torchmist.models.row_orders import by_row_order
from torchmist.models.spread_ties import with_ties_spread
from torchmist.models.sufficient_directions import along_sufficient_directions

__all__ = ["asked_along_directions", "asked_in_other_columns", "asked_of_trees"]

_MOST, _MORE, _MARGIN = 0.9, 1.02, 0.01  # of an answer, and nats, that directions must share
_FURTHER = 0.05  # of an answer that trees must tell beyond it


def asked_in_other_columns(
    quantiles: Tensor, x: Tensor, y: Tensor, mask: Tensor | None, answer: Answer
) -> Tensor:
    """``quantiles`` ``[B, Q]``, or those of the same sides with the ties of rounded columns
    spread where these are more, raised to those with the phases of fast waves along their
    columns, or by the order within their rows, where all but the least of these are more."""
    for place, sides in with_ties_spread(x, y, mask):
        found = answer(*sides, None)[0]
        if bool(found.mean() > quantiles[place].mean()):
            quantiles = with_row(quantiles, place, found)
    for place, sides in chain(with_phases(x, y, mask), by_row_order(x, y, mask)):
        own, found = quantiles[place], answer(*sides, None)[0]
        if bool((found.mean() > enough(own.mean())) & (found[1] > own.mean())):
            quantiles = with_row(quantiles, place, torch.maximum(own, found))
    return quantiles


def asked_along_directions(
    quantiles: Tensor, levels: Tensor, x: Tensor, y: Tensor, mask: Tensor | None, answer: Answer
) -> Tensor:
    """``quantiles`` ``[B, Q]``, raised to those of the same sides along few directions where
    these share more, halfway between directions that a row had no part in and directions of all
    rows: the lowest are those of the first then, the middle those of the second, and the
    highest as far beyond."""
    for place, found in along_sufficient_directions(x, y, mask):
        own, apart = quantiles[place], answer(*found.apart, None)[0]
        if not bool(apart.mean() > _MOST * own.mean()):
            continue
        whole = apart
        if found.whole is not None:
            whole = answer(*found.whole, None)[0].maximum(apart)
        if not bool(apart.mean() + whole.mean() > 2 * (_MORE * own.mean() + _MARGIN)):
            continue
        share = 2 * levels.to(apart)
        raised = torch.maximum(own, apart + share * (whole - apart))
        quantiles = with_row(quantiles, place, raised)
    return quantiles


def asked_of_trees(
    quantiles: Tensor, levels: Tensor, x: Tensor, y: Tensor, mask: Tensor | None, answer: Answer
) -> Tensor:
    """``quantiles`` ``[B, Q]``, raised where boosted trees tell more: the lowest to what trees
    of other rows tell, the middle by as much above that as half of these rows lack, and the
    highest by twice as much. The gradient stays that of ``quantiles``."""
    for place, found in predicted_by_trees(x, y, quantiles.detach().mean(-1), mask):
        own = quantiles[place]
        with torch.no_grad():
            told = answer(*found.whole, None)[0]
            if not bool(told.mean() > _MOST * own.mean()):
                continue
            lacking = (told - answer(*found.half, None)[0]).mean().clamp(min=0)
            more = told + 2 * levels.to(told) * lacking - own
        if bool(more.mean() > _FURTHER * own.mean() + 2 * _MARGIN):
            quantiles = with_row(quantiles, place, own + more.clamp(min=0))
    return quantiles
