r"""Columns of any units as numbers whose squares a float can hold.

Squares of single precision overflow from :math:`2^{64}` on and vanish below :math:`2^{-63}`, and
what tells a constant column from another is a threshold on the deviation. What does not depend on
the units of a column is therefore found after a division by a power of two, which is exact: nothing
changes but for columns whose largest absolute value is below 1 or above :math:`2^{50}`.

Legend: ``N`` samples.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["balanced", "divisors"]

_LARGE = 2.0**50  # of which a million squares have a sum in single precision


def divisors(largest: Tensor) -> Tensor:
    """What columns of these ``largest`` absolute values are divided by: powers of two, 1 of those
    from 1 to :math:`2^{50}`.

    Example:
        >>> divisors(torch.tensor([0.0, 0.3, 1.0, 1e9, 3e38])).log2().tolist()
        [-126.0, -2.0, 0.0, 0.0, 127.0]
    """
    ends = torch.finfo(largest.dtype)
    low, high = (int(math.frexp(end)[1]) - 1 for end in (ends.tiny, ends.max))
    power = largest.log2().floor().clamp(low, high).exp2()
    return torch.where((largest >= 1) & (largest <= _LARGE), 1.0, power).to(largest.dtype)


def balanced(columns: Tensor, dim: int = -1) -> tuple[Tensor, Tensor]:
    """Columns, samples along ``dim``, over their :func:`divisors`, and these.

    The divisors are constants of the backward pass.
    """
    by = divisors(columns.detach().abs().amax(dim, keepdim=True))
    return columns / by, by
