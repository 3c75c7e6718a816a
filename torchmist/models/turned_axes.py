r"""What a sample shows in turned axes, where the columns of a side exclude each other.

Noisy codes of classes with a column for each, outputs of a softmax, markers of cell types, bumps
that move along a row of sensors: in each row few columns stand out, now these, now those. Columns
in pairs then tell the same thing many times over, and ranks blow up the noise of all columns that
do not stand out. Along the principal axes of its standardised columns the same sample is a cloud
of clusters like any other, and its mutual information is the same.

Whether columns exclude each other is told by ranks: how many columns of a row are among their
highest shares (or lowest), and how much less that varies from row to row than the number of
independent columns would. Legend: ``B`` datasets, ``N`` samples, ``d`` columns.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchmist.copula import standardise
from torchmist.models.lengths import same_in_all_rows
from torchmist.models.pair_scores import side_ranks

__all__ = ["EXCLUDE", "FEWEST_COLUMNS", "FEWEST_ROWS", "MOST_COLUMNS", "exclusion", "has_bits",
           "turned"]  # fmt: skip

EXCLUDE = 0.4
""":func:`exclusion` from which columns exclude each other."""
FEWEST_COLUMNS, MOST_COLUMNS, FEWEST_ROWS = 3, 64, 64
"""Columns of a side, and rows, of which it is told."""
_LARGEST = 0.4  # share of the rows in which a column stands out
_DEVIATIONS, _FAR = (1e-5, 1e15), 1e3  # of columns that float32 holds, and means over them
_EMPTY = 1e-9  # variance of an axis that is rounding alone, over that of the largest
_TINY, _UNEVEN = 1e-30, 1e-3  # the least of a share, and of a whole, by which it may vary
_TOLD = 0.5  # of the variance of independent columns, which ties may leave less of


def exclusion(side: Tensor, mask: Tensor | None = None) -> Tensor:
    """How much less the number of columns of a row that stand out varies than that of independent
    ones, ``[B]``: 1 where it is the same in each row, 0 where it varies as much or more.

    Columns of two values do not count: they are those of labels and bits, which others read.
    Unchanged by increasing and decreasing maps of single columns, and by their order.

    Args:
        side: ``[B, N, d]``; 0 where fewer than three columns count.
        mask: ``[B, N]`` bool, True for real samples.
    """
    columns = side.shape[-1]
    least = torch.ones(len(side), device=side.device, dtype=torch.float32)
    if columns < FEWEST_COLUMNS:
        return 1 - least
    with torch.no_grad():
        scores = side_ranks(side, mask).scores.mT
        present = (
            torch.ones(side.shape[:2], device=side.device, dtype=torch.float32)
            if mask is None
            else mask.float()
        )
        count = present.sum(-1).clamp(min=2)
        numbers = ~_bits(scores, mask)
        asked = numbers.sum(-1)
        share = 1 / columns
        while share <= _LARGEST:
            edge = torch.special.ndtri(
                torch.tensor(1 - share, device="cpu", dtype=torch.float32)
            )  # no float, which breaks graphs
            for out in (scores > edge, scores < -edge):
                out = out * present[..., None] * numbers[:, None]
                shown = out.sum(1) / count[:, None]
                apart = (shown * (1 - shown)).sum(-1)
                number = out.sum(-1)
                mean = number.sum(-1, keepdim=True) / count[:, None]
                variance = ((number - mean).square() * present).sum(-1) / (count - 1)
                told = apart > _TOLD * asked * share * (1 - share)
                least = torch.where(told, torch.minimum(least, variance / apart), least)
            share *= 2
        return (1 - least) * (asked >= FEWEST_COLUMNS)


def _bits(scores: Tensor, mask: Tensor | None) -> Tensor:
    """Columns of ``[B, N, d]`` that take at most two values, ``[B, d]`` bool."""
    away = scores if mask is None else scores.masked_fill(~mask[..., None], torch.nan)
    low, high = (away.nan_to_num(sign * torch.inf) for sign in (1, -1))
    low, high = low.amin(1, keepdim=True), high.amax(1, keepdim=True)
    either = (scores == low) | (scores == high)
    if mask is not None:
        either = either | ~mask[..., None]
    return either.all(1)


def has_bits(side: Tensor, mask: Tensor | None = None) -> Tensor:
    """Which datasets ``[B, N, d]`` have a column of at most two values, ``[B]`` bool; ``mask``:
    ``[B, N]`` bool, True for real samples."""
    return _bits(side, mask).any(-1)


def turned(side: Tensor, mask: Tensor | None = None) -> Tensor:
    """Standardised columns of ``side`` ``[B, N, d]`` along their principal axes, which are
    constants of the backward pass; 0 where ``mask`` ``[B, N]`` is False. Units and offsets of
    columns are of no account. Shares of a whole are told by their logarithms."""
    side = torch.where(_shares(side, mask)[:, None, None], side.clamp(min=_TINY).log(), side)
    columns = standardise(_held(side, mask).float().mT, mask)
    with torch.no_grad():
        exact = columns.detach().double()
        sizes, axes = torch.linalg.eigh(exact @ exact.mT)
        axes = (axes * (sizes > _EMPTY * sizes[:, -1:])[:, None]).to(columns)
    out: Tensor = columns.mT @ axes
    return out


def _shares(side: Tensor, mask: Tensor | None) -> Tensor:
    """Which datasets ``[B, N, d]`` hold positive numbers of the same sum in each row, ``[B]``: what
    sets rows of a softmax apart is in the smallest of them as well."""
    with torch.no_grad():
        positive = (side > 0).all(-1)
        positive = positive if mask is None else positive | ~mask
        return positive.all(-1) & same_in_all_rows(side.detach().double().sum(-1), mask, _UNEVEN)


def _held(side: Tensor, mask: Tensor | None) -> Tensor:
    """``side`` ``[B, N, d]``, in which columns that float32 holds badly, tiny or huge ones and
    those far from 0 beside their deviation, have mean 0 and deviation 1."""
    with torch.no_grad():
        exact = side.detach().double()
        present = torch.ones_like(exact[..., :1]) if mask is None else mask[..., None].double()
        count = present.sum(1, keepdim=True).clamp(min=1)
        middle = (exact * present).sum(1, keepdim=True) / count
        variance = ((exact - middle).square() * present).sum(1, keepdim=True) / count
        deviation = variance.sqrt()
        low, high = _DEVIATIONS
        held = (deviation > low) & (deviation < high) & (middle.abs() < _FAR * deviation)
        held = held | (deviation == 0)
        unit, middle = torch.where(held, 1.0, deviation), torch.where(held, 0.0, middle)
    return torch.where(held, side, (side.double() - middle) / unit)
