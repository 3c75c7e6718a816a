"""What mutual information cannot exceed: the entropy of a side that repeats few values.

Labels are such a side, and so are numbers that were rounded, of any scale, or measured in steps.
Legend: ``B`` datasets, ``N`` samples, ``d`` columns of one side, ``Q`` quantiles.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchmist.entropy import entropy_quantiles
from torchmist.kinds import Sorted, SortedPair, joint_codes

__all__ = ["entropy_limit", "repeated_codes"]

_ROWS = 20  # for each distinct row of a side of numbers, on average, whose entropy can be told


def entropy_limit(pair: SortedPair, levels: Tensor) -> Tensor | None:
    """Quantiles ``[B, Q]`` in nats, at ``levels`` ``[Q]``, of the smaller entropy of the sides that
    are labels or repeat few rows; infinite in datasets where neither does, None if all are such."""
    limits = torch.stack([_quantiles(side, levels) for side in pair[:2]]).amin(0)
    return None if bool(limits.isinf().all()) else limits


def _quantiles(side: Sorted, levels: Tensor) -> Tensor:
    """Those of the entropy of one side, ``[B, Q]`` on the CPU, infinite where it cannot be told."""
    codes = [repeated_codes(values) for values in side.values] if side.codes is None else side.codes
    none = torch.full((1, len(levels)), torch.inf)
    found = [none if c is None else entropy_quantiles(c[None], levels).cpu() for c in codes]
    return torch.cat(found)


def repeated_codes(values: Tensor) -> Tensor | None:
    """Codes from 0 ``[N]`` of the rows of ``[N, d]``, None where these are too many."""
    code = torch.zeros_like(values[:, 0])
    for column in values.unbind(-1):
        code = joint_codes(torch.stack([code, column], -1)[None])[0].to(values)
        if (int(code.max()) + 1) * _ROWS > len(code):
            return None
    return code.long()
