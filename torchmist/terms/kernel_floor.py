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

import torch
from torch import Tensor

from torchmist.copula import normal_scores

__all__ = ["column_floor", "kernel_floor"]

_SMOOTH, _TIED, _FAR, _LEAST = 0.05, 1e-6, 1e6, -40.0
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
    n = x.shape[1]
    out = torch.eye(n, dtype=torch.bool, device=x.device)[None]
    count = torch.full((1, 1), float(n - 1), device=x.device, dtype=torch.float32)
    if mask is not None:
        out = out | ~mask[:, None]
        count = mask.sum(-1, keepdim=True).float() - 1
    means = []
    for a, b in zip(_kernels(x, out, count), _kernels(y, out, count)):
        joint = (a * b).sum(-1)
        expected = a.sum(-1) * b.sum(-1) / count
        ratio = ((joint + _SMOOTH) / (expected + _SMOOTH)).log()
        if mask is None:
            means.append(ratio.mean(-1))
        else:
            means.append((ratio * mask).sum(-1) / mask.sum(-1))
    return torch.stack(means).amax(0)


def column_floor(x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
    """:func:`kernel_floor` of the normal scores of columns ``[B, N, d]`` in any units."""
    return kernel_floor(normal_scores(x, mask), normal_scores(y, mask), mask)


def _kernels(u: Tensor, out: Tensor, count: Tensor) -> list[Tensor]:
    """Kernels ``[B, N, N]`` at each scale, 0 where ``out`` is True."""
    square = u.square().sum(-1)
    mean = square.detach().sum(-1, keepdim=True) / (count + 1)
    u = u * (2 * mean[..., None]).clamp(min=1e-9).rsqrt()
    square = u.square().sum(-1)
    distance = square[..., None] + square[..., None, :] - 2 * u @ u.mT
    distance = distance.clamp(min=0).masked_fill(out, _FAR)
    with torch.no_grad():
        near = distance.topk(min(_NEAR, u.shape[1] - 1), largest=False).values
        first = near[..., :1]
        fine = near[..., [min(3, near.shape[-1] - 1)]] - first + _TIED
        middle = torch.maximum(near[..., -1:] - first + _TIED, fine)
        broad = torch.maximum((1 - first) / 2 + _TIED, middle)
        widths = (fine, middle, (middle * broad).sqrt(), broad)
    shifted = (distance - first).clamp(min=0)
    return [(-shifted / width).clamp(min=_LEAST).exp() for width in widths]
