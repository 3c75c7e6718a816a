r"""What a term pulls at: the information of two Gaussian processes, dense in all samples.

A network, a critic or the largest of several opinions gives a gradient that is right on the codes
of now and changes with each step; few steps in small batches follow it badly. The mutual
information of two Gaussian processes that read the sides through kernels K and L with noise
:math:`\lambda`,

.. math:: \tfrac12 [\log|1 + K/\lambda| + \log|1 + L/\lambda| - \log|1 + (K + L)/\lambda|]
          - \frac{\mathrm{tr} R_K \, \mathrm{tr} R_L}{2 (N - 1)},
          \qquad R_K = K (K + \lambda)^{-1},

is smooth and moves every sample. With linear kernels it is that of Gaussian variables; with
Gaussian kernels it is the kernel generalised variance (Bach and Jordan 2002), a sum over all kernel
canonical correlations. The last term takes away what independent sides have to first order. What is
left of that grows with the flatness of both spectra, so that codes in which much could hide cost
more than plain ones: right for a gradient, too high for a value.

Columns are divided by their deviations and distances by their mean, both *constants* of the
backward pass: the gradient is that at the resolution of now, and to shrink a code counts as to lose
information, as it does where noise of a fixed size is added to it.

Legend: ``B`` datasets, ``N`` samples, ``d`` columns.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["kernel_information"]

_NOISE = 0.5  # of a process, where the variance of the other part is 1
_TINY = 1e-12


def kernel_information(x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
    """Information of two Gaussian processes on the sides, ``[B]`` nats, differentiable in both.

    Args:
        x: ``[B, N, dx]`` float32; columns that are constant do not count.
        y: the same, ``[B, N, dy]``.
        mask: ``[B, N]`` bool, True for the samples that count.

    Example:
        >>> import torch
        >>> x = torch.randn(1, 200, 1, generator=torch.Generator().manual_seed(0))
        >>> float(kernel_information(x, x.square())) > 0.5
        True
    """
    n = x.shape[1]
    present = torch.ones(x.shape[:2], device=x.device) if mask is None else mask.to(x.dtype)
    count = present.sum(-1)
    own = [_kernel(side, present, count) for side in (x, y)]
    eye = torch.eye(n, device=x.device)
    lower = torch.linalg.cholesky_ex(torch.stack([*own, own[0] + own[1]]) + eye).L
    logs = lower.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    inverse = torch.linalg.solve_triangular(lower[:2], eye.expand_as(lower[:2]), upper=False)
    traces = n - inverse.square().sum((-2, -1))
    by_chance = 0.5 * traces[0] * traces[1] / (count - 1).clamp(min=1)
    out: Tensor = logs[0] + logs[1] - logs[2] - by_chance
    return out


def _kernel(side: Tensor, present: Tensor, count: Tensor) -> Tensor:
    """The centred kernel ``[B, N, N]`` of mean diagonal ``1 / _NOISE``, 0 for what is masked."""
    present, count = present[..., None], count[:, None, None].clamp(min=1)
    side = (side - (side * present).sum(1, keepdim=True).detach() / count) * present
    with torch.no_grad():
        variance = side.square().sum(1, keepdim=True) / count
        moves = variance > _TINY
        scale = torch.where(moves, variance, torch.inf).rsqrt()
        width = 2 * moves.sum(-1, keepdim=True).clamp(min=1) * count / (count - 1).clamp(min=1)
    side = side * scale
    square = side.square().sum(-1)
    distance = (square[..., None] + square[..., None, :] - 2 * side @ side.mT).clamp(min=0)
    kernel = (-distance / width).exp() * present * present.mT
    rows = kernel.sum(-1, keepdim=True) / count
    kernel = (kernel - rows - rows.mT + rows.sum(1, keepdim=True) / count) * present * present.mT
    mean = kernel.detach().diagonal(dim1=-2, dim2=-1).sum(-1)[:, None, None] / count
    out: Tensor = kernel / (_NOISE * torch.where(mean > _TINY, mean, torch.inf))
    return out
