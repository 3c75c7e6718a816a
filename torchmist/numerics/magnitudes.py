r"""Columns of any units as numbers whose squares a float can hold.

Squares of single precision overflow from :math:`2^{64}` on and vanish below :math:`2^{-63}`, and
what tells a constant column from another is a threshold on the deviation. What does not depend on
the units of a column is therefore found after a division by a power of two, which is exact: nothing
changes but for columns whose largest absolute value is below 1 or above :math:`2^{50}`.

A derivative in a column whose spread is no normal number of single precision, below
:math:`2^{-126}`, may be larger than what a float holds. Such columns are made larger before
anything is read from them, and their gradient comes back as large as it may be.

Legend: ``B`` datasets, ``N`` samples, ``d`` columns.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from torchmist.checks import visible

__all__ = ["balanced", "divisors", "raised"]

_NORMAL, _RAISED = -126, -100  # powers of two: least spread of a column, and what is made of less
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


def raised(side: Tensor) -> Tensor:
    """``[B, N, d]`` whose columns of spreads below :math:`2^{-126}` are multiplied by powers of
    two; as it is without such columns, without a gradient, and where values are not at hand.

    The gradient of such a column is exact up to a factor: one that leaves the sum of its absolute
    values finite.

    Example:
        >>> side = torch.tensor([[[1.0, 1e-42], [2.0, 3e-42]]], requires_grad=True)
        >>> raised(side)[0, :, 0].tolist(), bool(raised(side)[0, 0, 1] > 1e-31)
        ([1.0, 2.0], True)
    """
    if not (torch.is_grad_enabled() and side.requires_grad):
        return side
    low, high = torch.aminmax(side.detach(), dim=1, keepdim=True)
    spread = high - low
    tiny = (spread > 0) & (spread < 2.0**_NORMAL)
    if not visible(tiny.any()):
        return side
    power = _RAISED - spread.double().log2().floor()
    by = torch.where(tiny, power, 0.0).exp2().to(side.dtype)
    out: Tensor = _Raised.apply(side, by)  # type: ignore[no-untyped-call]
    return out


class _Raised(torch.autograd.Function):
    """``side`` ``[B, N, d]`` times ``by`` ``[B, 1, d]``, with a gradient that stays finite."""

    @staticmethod
    def forward(ctx: Any, side: Tensor, by: Tensor) -> Tensor:
        ctx.save_for_backward(by)
        return side * by

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (by,) = ctx.saved_tensors
        most = torch.finfo(grad.dtype).max / grad.shape[1]
        allowed = most / grad.abs().amax(1, keepdim=True)
        return grad * torch.where(by > 1, torch.minimum(by, allowed), by), None
