"""Normal scores of both sides and an order of their rows, made once for all that reads them.

Legend: ``B`` datasets, ``N`` samples, ``d`` columns of one side.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchmist.copula import Ranks, rank_transform, standardise
from torchmist.models.local import row_counts, sample_order
from torchmist.numerics.sharing import shared

__all__ = ["pair_order", "pair_scores", "side_ranks", "side_scores"]


def side_ranks(side: Tensor, mask: Tensor | None) -> Ranks:
    """:func:`~torchmist.copula.rank_transform` of ``[B, N, d]``."""
    return shared(rank_transform, side, mask)


def side_scores(side: Tensor, mask: Tensor | None) -> Tensor:
    """:func:`~torchmist.copula.normal_scores` of ``[B, N, d]``."""
    return shared(_scores, side, mask)


def pair_scores(x: Tensor, y: Tensor, mask: Tensor | None) -> list[Tensor]:
    """Normal scores of both sides, ``[B, N, dx]`` and ``[B, N, dy]``."""
    return [side_scores(side, mask) for side in (x, y)]


def pair_order(x: Tensor, y: Tensor, mask: Tensor | None) -> Tensor:
    """:func:`~torchmist.models.local.sample_order` of the scores of both sides, ``[B, N]``."""
    return shared(_order, x, y, mask)


def _scores(side: Tensor, mask: Tensor | None) -> Tensor:
    return standardise(side_ranks(side, mask).scores, mask).transpose(-1, -2)


def _order(x: Tensor, y: Tensor, mask: Tensor | None) -> Tensor:
    scores = torch.cat(pair_scores(x, y, mask), -1)
    return sample_order(scores.mT, mask, row_counts(x, mask)[:, None, None])
