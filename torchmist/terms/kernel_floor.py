r"""The kernel floor: dependence at the scale of a kernel costs something, whatever else is seen.

.. math:: \max_s \frac1N \sum_i \log \frac{\sum_{j \ne i} K^s_{ij} L^s_{ij} + c}
                              {\sum_{j \ne i} K^s_{ij} \sum_{j \ne i} L^s_{ij} / (N - 1) + c}

with Gaussian kernels K of one side and L of the other at four scales, from the distance of four
neighbours to that of the whole sample (:mod:`torchmist.models.local`). Leaving out the sample
itself keeps it near 0 for independent sides, and smoothing a density loses information, so that it
is a cautious number in nats.

Legend: ``B`` datasets, ``N`` samples, ``d`` columns, ``S`` scales.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from torchmist.copula import normal_scores
from torchmist.numerics.no_gradient import no_gradient
from torchmist.numerics.sorting import smallest

__all__ = ["column_floor", "kernel_floor"]

_BITS = math.log2(math.e)  # powers of 2 take a quarter of the time of those of e
_SMOOTH, _TIED, _FAR, _LEAST = 0.05, 1e-6, 1e6, -40.0 * _BITS
_NEAR = 10


def kernel_floor(x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
    """The largest kernel estimate over the scales, ``[B]`` nats, differentiable in both sides.

    Args:
        x: scores ``[B, N, dx]`` of mean 0, 0 where ``mask`` is False; distances are Euclidean.
        y: the same, ``[B, N, dy]``.
        mask: ``[B, N]`` bool, True for the samples that count.

    Example:
        >>> import torch
        >>> x = torch.randn(1, 200, 1, generator=torch.Generator().manual_seed(0))
        >>> float(kernel_floor(x, x.square())) > 0.5
        True
    """
    count: Tensor | int = x.shape[1] if mask is None else mask.sum(-1, keepdim=True)
    squares = torch.stack([_squares(side, mask, count) for side in (x, y)])
    with no_gradient():
        first, rates = _widths(squares)
    shifted = (squares - first).clamp_(min=0)
    sums, joint = [], []
    for rate in rates.split(1, -1):
        kernels = (shifted * rate).clamp_(min=_LEAST).exp2_()
        sums.append(kernels.sum(-1))
        joint.append((kernels[0] * kernels[1]).sum(-1))
    of_x, of_y = torch.stack(sums, 1)
    ratio = ((torch.stack(joint) + _SMOOTH) / (of_x * of_y / (count - 1) + _SMOOTH)).log()
    ratio = ratio if mask is None else ratio * mask
    out: Tensor = (ratio.sum(-1, keepdim=True) / count).squeeze(-1).amax(0)
    return out


def column_floor(x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
    """:func:`kernel_floor` of the normal scores of columns ``[B, N, d]`` in any units."""
    scores = normal_scores(torch.cat([x, y], -1), mask)
    of_x, of_y = scores.split([x.shape[-1], y.shape[-1]], -1)
    return kernel_floor(of_x, of_y, mask)


def _squares(u: Tensor, mask: Tensor | None, count: Tensor | int) -> Tensor:
    """Squared distances ``[B, N, N]`` over about their mean, far from a sample to itself and to
    those that ``mask`` leaves out."""
    mean = u.detach().square().sum((1, 2))[:, None] / count
    u = u * (2 * mean[..., None]).clamp(min=1e-9).rsqrt()
    square = u.square().sum(-1, keepdim=True)
    distance = torch.baddbmm(square + square.mT, u, u.mT, alpha=-2).clamp_(min=0)
    distance.diagonal(dim1=-2, dim2=-1).fill_(_FAR)
    return distance if mask is None else distance.masked_fill(~mask[:, None], _FAR)


def _widths(squares: Tensor) -> tuple[Tensor, Tensor]:
    """What is subtracted from distances ``[2, B, N, N]``, ``[2, B, N, 1]``, and the exponents of 2
    for a unit of what is left at each scale, ``[2, B, N, S]``."""
    near = smallest(squares, min(_NEAR, squares.shape[-1] - 1))
    first = near[..., :1]
    fine = near[..., [min(3, near.shape[-1] - 1)]] - first + _TIED
    middle = torch.maximum(near[..., -1:] - first + _TIED, fine)
    broad = torch.maximum((1 - first) / 2 + _TIED, middle)
    widths = torch.cat([fine, middle, (middle * broad).sqrt(), broad], -1)
    return first, -_BITS / widths
