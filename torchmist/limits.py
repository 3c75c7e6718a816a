"""What mutual information cannot exceed: the entropy of a side that repeats few values.

Labels are such a side, and so are numbers that were rounded, of any scale, or measured in steps.
Legend: ``B`` datasets, ``N`` samples, ``d`` columns of one side, ``Q`` quantiles.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchmist.entropy import entropy_quantiles
from torchmist.kinds import Sorted, SortedPair

__all__ = ["entropy_limit"]

_ROWS = 20  # for each distinct row of a side of numbers, on average, whose entropy can be told


def entropy_limit(pair: SortedPair, levels: Tensor) -> Tensor | None:
    """Quantiles ``[B, Q]`` in nats, at ``levels`` ``[Q]``, of the smaller entropy of the sides that
    are labels or repeat few rows; None where neither does."""
    codes = [_codes(side) for side in pair[:2]]
    limits = [entropy_quantiles(code, levels) for code in codes if code is not None]
    return torch.stack(limits).amin(0) if limits else None


def _codes(side: Sorted) -> Tensor | None:
    """Codes from 0 ``[B, N]`` of the rows of a side, None where these are too many."""
    if side.codes is not None:
        return side.codes
    code = torch.zeros_like(side.values[..., 0], dtype=torch.int64)
    for column in side.values.unbind(-1):
        index = column.unique(return_inverse=True)[1]
        code = (code * (int(index.max()) + 1) + index).unique(return_inverse=True)[1]
        if (int(code.max()) + 1) * _ROWS > code.shape[1]:
            return None
    return code
