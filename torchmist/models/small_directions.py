r"""Directions of a side that vary far less than the columns that hold them.

The difference of two near copies, the last principal components of a code: ranks move each column
by about :math:`1/\sqrt N` of its size, which may be more than such a direction has. Along its
principal axes (:func:`torchmist.models.turned_axes.turned`) the same side holds it in a column of
its own, and shares the same information. Legend: ``B`` datasets, ``N`` samples, ``d`` columns.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchmist.copula import standardise
from torchmist.models.local import row_counts
from torchmist.models.turned_axes import has_bits
from torchmist.numerics.magnitudes import balanced

__all__ = ["ROUNDING", "SMALL", "cut_columns", "has_small_directions", "least_variance"]

SMALL = 0.02
"""Variance of a direction in those of the columns, from which it counts as small."""
ROUNDING = 1e-7
"""And below which it is taken for a sum that always holds."""
_FAR = 6.0  # deviations at which columns are cut, so that no few rows decide
_DEVIATION = 1.4826  # of a normal variable, over the median distance from its median
_WIDEST = 64  # columns of a side that are asked
_EACH = 10  # fewest rows for each column


def has_small_directions(side: Tensor, mask: Tensor | None = None) -> Tensor:
    """Which datasets ``[B, N, d]`` have small directions, ``[B]`` bool: none of one column or of
    more than 64, of fewer than ten rows a column, or with columns of two values, as labels have.

    ``mask``: ``[B, N]`` bool, True for real samples.
    """
    if not 2 <= side.shape[-1] <= _WIDEST or side.shape[1] < _EACH * side.shape[-1]:
        return torch.zeros(len(side), dtype=torch.bool, device=side.device)
    with torch.no_grad():
        enough = row_counts(side, mask) >= _EACH * side.shape[-1]
        columns = balanced(side.detach(), 1)[0].double()
        small = least_variance(cut_columns(columns, mask), mask) < SMALL
        return small & enough & ~has_bits(side, mask)


def cut_columns(side: Tensor, mask: Tensor | None = None) -> Tensor:
    """Columns ``[B, N, d]`` of mean 0 and variance 1, without values far from the others; 0 where
    ``mask`` is False."""
    shown = side if mask is None else side.masked_fill(~mask[..., None], torch.nan)
    middle = shown.nanmedian(1, keepdim=True).values
    away = (shown - middle).abs()
    size = _DEVIATION * away.nanmedian(1, keepdim=True).values
    square = (shown - shown.nanmean(1, keepdim=True)).square().nanmean(1, keepdim=True)
    size = torch.where(size > 0, size, square.sqrt())  # half of the values are equal
    cut = (middle + (shown - middle).clamp(-_FAR * size, _FAR * size)).nan_to_num(0.0)
    return standardise(cut.mT, mask).mT


def least_variance(columns: Tensor, mask: Tensor | None = None) -> Tensor:
    """The least variance ``[B]`` of a direction of columns ``[B, N, d]`` of mean 0 and variance 1,
    0 where ``mask`` is False, that is no sum that always holds."""
    count = row_counts(columns, mask)[:, None, None].to(columns)
    values = torch.linalg.eigvalsh(columns.mT @ columns / count)
    least: Tensor = values.masked_fill(values < ROUNDING, torch.inf).amin(-1)
    return least
