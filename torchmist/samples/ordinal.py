"""Whether the order of integers matters, as of counts and grades, or not, as of class labels.

Legend: ``N`` samples.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["order_matters"]

_BINS = 8  # of each side
_SHUFFLES = 20  # orders to compare with
_SURE = 6.0  # standard deviations above those


def order_matters(x: Tensor, y: Tensor, shuffled: bool = True) -> bool:
    """Whether bins of neighbouring values show more dependence than bins of values at random.

    ``x`` and ``y`` ``[N]``; ``shuffled``: whether ``y`` is shuffled too, or only binned in order.
    A value that both sides hold goes to the same place on both, which keeps copies together.
    """
    values, index = torch.cat([x, y] if shuffled else [x]).double().unique(return_inverse=True)
    codes = index.split([len(x), len(index) - len(x)])
    other = y.double().unique(return_inverse=True)[1]
    generator = torch.Generator().manual_seed(0)
    found = []
    for trial in range(_SHUFFLES + 1):
        place = torch.arange(len(values), device="cpu")
        if trial:
            place = torch.randperm(len(values), generator=generator, device="cpu")
        place = place.to(index.device)
        a = _bins(place[codes[0]])
        b = _bins(place[codes[1]] if shuffled else other)
        share = (a * _BINS + b).bincount(minlength=_BINS**2).view(_BINS, _BINS) / len(x)
        alone = share.sum(1, keepdim=True) * share.sum(0)
        found.append(float(torch.xlogy(share, share / alone.clamp(min=1e-12)).sum()))
    chance = torch.tensor(found[1:], device="cpu", dtype=torch.float32)
    return found[0] > float(chance.mean() + _SURE * chance.std())


def _bins(codes: Tensor) -> Tensor:
    """Eight bins of equal size of codes ``[N]``, equal for equal codes."""
    ordered = codes.sort().values
    middle = torch.searchsorted(ordered, codes) + torch.searchsorted(ordered, codes, right=True)
    return (middle * _BINS // (2 * len(codes))).clamp(max=_BINS - 1)
