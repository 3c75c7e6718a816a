"""Weights that average columns by side, and summaries of tokens and pairs free of order and side.

Legend: ``B`` datasets, ``D = dx + dy`` columns, ``H`` width of tokens, ``R`` channels of pairs of
an X and a Y column. The functions with ``like`` follow from sizes alone, for
:func:`torchmist.numerics.cache.cached`.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from torchmist.models.statistics import roles
from torchmist.numerics.cache import cached

__all__ = ["column_summaries", "prefer_first", "side_bars", "side_indicators", "side_weights"]


def side_bars(dx: int, dy: int, like: Tensor) -> Tensor:
    """Return logits that bar pairs of two sides, and of one side, from a softmax:
    ``[2, 1, 1, D, D]`` of 0 and minus infinity."""
    same, other, _ = roles(dx, dy, like)
    bars = torch.stack([other, same]).unsqueeze(1)
    return torch.where(bars > 0, -math.inf, 0.0).to(like.dtype)


def prefer_first(count: int, like: Tensor) -> Tensor:
    """Return ``[1, count]`` logits of which the first is 2 and the others are 0."""
    return F.pad(torch.full((1, 1), 2.0, dtype=like.dtype, device=like.device), (0, count - 1))


def side_indicators(dx: int, dy: int, like: Tensor) -> Tensor:
    """Return ``[D, 2, 1]``: 1 where a column is of X, and where it is of Y."""
    same = roles(dx, dy, like)[0, 0]
    return same[:, [0, -1], None]


def side_weights(dx: int, dy: int, like: Tensor) -> Tensor:
    """Return the weights of the means over X, over Y and over all columns, ``[D, 3]``."""
    sides = side_indicators(dx, dy, like)[..., 0]
    weight = torch.cat([sides, torch.ones_like(sides[:, :1])], -1)
    return weight / weight.sum(0)


def _sum_of_means(dx: int, dy: int, like: Tensor) -> Tensor:
    """Return the weights ``[1, D]`` that average each side and add both means."""
    return side_weights(dx, dy, like)[None, :, :2].sum(-1)


def _pair_totals(dx: int, dy: int, like: Tensor) -> Tensor:
    """Return the weights ``[4, 3]`` of four summaries of the sum over all pairs, and of the sums
    over the best pair of each column of X and of Y."""
    rows = [[1 / (dx * dy), 0, 0], [0, 1 / dx, 1 / dy], [0, 1 / 8, 1 / 8], [1 / (dx + dy), 0, 0]]
    return torch.tensor(rows, dtype=like.dtype, device=like.device)


def column_summaries(tokens: Tensor, readout: Tensor, dx: int) -> list[Tensor]:
    """Summarise tokens ``[B, D, H]`` of columns and channels ``[R, B, dx, dy]`` of pairs.

    Returns:
        Means, maxima and sums of the tokens, ``[B, H]`` each, and ``[B, 4 R]`` of the pairs, none
        of which depends on the order of columns or the swap of the sides.
    """
    dy = tokens.shape[1] - dx
    peaked = 4 * readout
    best_x = (peaked.softmax(-1) * readout).sum((-2, -1))
    best_y = (peaked.softmax(-2) * readout).sum((-2, -1))
    pairs = torch.stack([readout.sum((-2, -1)), best_x, best_y]).flatten(1)
    pairs = cached(_pair_totals, dx, dy, like=pairs) @ pairs
    return [
        (cached(_sum_of_means, dx, dy, like=tokens) @ tokens).squeeze(1),
        tokens[:, :dx].amax(1) + tokens[:, dx:].amax(1),
        tokens.sum(1) / 8,
        pairs.view(4 * len(readout), -1).mT,
    ]
