"""What mutual information cannot exceed: the entropy of a side that repeats few values.

Labels are such a side, and so are numbers that were rounded, of any scale, or measured in steps.
Legend: ``B`` datasets, ``N`` samples, ``d`` columns of one side, ``Q`` quantiles.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchmist.samples.column_kinds import Sorted, SortedPair, joint_codes
from torchmist.samples.label_entropy import entropy_quantiles

__all__ = ["entropy_limit", "repeated_entropy"]

_ROWS = 20  # for each distinct row of a side of numbers, on average, whose entropy can be told


def entropy_limit(pair: SortedPair, levels: Tensor) -> Tensor | None:
    """Quantiles ``[B, Q]`` in nats, at ``levels`` ``[Q]``, of the smaller entropy of the sides that
    are labels or repeat few rows; infinite in datasets where neither does, None if all are such."""
    limits = torch.stack([_quantiles(side, levels) for side in pair[:2]]).amin(0)
    return None if bool(limits.isinf().all()) else limits


def _quantiles(side: Sorted, levels: Tensor) -> Tensor:
    """Those of the entropy of one side, ``[B, Q]`` on the CPU, infinite where it cannot be told."""
    if side.codes is not None:
        return entropy_quantiles(side.codes, levels).cpu()
    return torch.stack([repeated_entropy(values, levels) for values in side.values])


def repeated_entropy(values: Tensor, levels: Tensor) -> Tensor:
    """Quantiles ``[Q]`` in nats on the CPU, at ``levels`` ``[Q]``, of the entropy of the rows of
    ``[N, d]``, infinite unless each stands for twenty on average."""
    code = torch.zeros_like(values[:, 0])
    for column in values.unbind(-1):
        code = joint_codes(torch.stack([code, column], -1)[None])[0].to(values)
        if (int(code.max()) + 1) * _ROWS > len(code):
            return torch.full((len(levels),), torch.inf, device="cpu", dtype=torch.float32)
    return entropy_quantiles(code.long()[None], levels)[0].cpu()
