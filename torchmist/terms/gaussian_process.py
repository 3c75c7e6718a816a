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

The gradient is written down, not traced: with :math:`A_K = (K + \lambda)^{-1}` that of the value
in K is :math:`\tfrac12 [A_K - A_{K+L} - A_K^2 \lambda \, \mathrm{tr} R_L / (N - 1)]`, and it needs
the factors that the value has anyway.

Legend: ``B`` datasets, ``N`` samples, ``d`` columns.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from torchmist.copula import first_order
from torchmist.numerics.magnitudes import balanced

__all__ = ["PLAIN", "SHARP", "Kernel", "Pull", "Resolution", "kernel_gradient",
           "kernel_information", "kernel_of", "kernel_pull", "logs_and_inverses",
           "present_samples", "unit_columns", "written"]  # fmt: skip

_TINY = 1e-12


class Resolution(NamedTuple):
    """How finely the processes see: the ``noise`` of one, where the variance of the other part is
    1, and the squared ``width`` of the kernels, over the mean squared distance of the columns."""

    noise: float
    width: float


PLAIN = Resolution(0.5, 1.0)
"""Sees what is broad: few directions, so that chance has little to pull at."""
SHARP = Resolution(0.2, 0.5)
"""Tells more rows apart: codes that are joined do not rest once their broad directions agree."""


def kernel_information(
    x: Tensor, y: Tensor, mask: Tensor | None = None, resolution: Resolution = PLAIN
) -> Tensor:
    """Information of two Gaussian processes on the sides, ``[B]`` nats, differentiable in both.

    A second derivative is an error.

    Args:
        x: ``[B, N, dx]`` float32; columns that are constant do not count.
        y: the same, ``[B, N, dy]``.
        mask: ``[B, N]`` bool, True for the samples that count.
        resolution: of both processes.

    Example:
        >>> import torch
        >>> x = torch.randn(1, 200, 1, generator=torch.Generator().manual_seed(0))
        >>> float(kernel_information(x, x.square())) > 0.5
        True
    """
    return written(x, y, mask, partial(kernel_pull, resolution=resolution))


class Pull(NamedTuple):
    """An information ``[B]`` in nats, and its gradients in both sides, None where not needed."""

    information: Tensor
    in_x: Tensor | None
    in_y: Tensor | None


Puller = Callable[[Tensor, Tensor, Tensor | None, tuple[bool, bool]], Pull]
"""Of detached sides, a mask, and which of both gradients are needed."""


def written(x: Tensor, y: Tensor, mask: Tensor | None, pull: Puller) -> Tensor:
    """The information ``[B]`` of ``pull``, with its gradients in the sides that need one."""
    needed = (x.requires_grad, y.requires_grad)
    made = _Written.apply(x, y, mask, pull, needed)  # type: ignore[no-untyped-call]
    out: Tensor = made[0]
    return out


class _Written(torch.autograd.Function):
    """Value and gradients in one pass: the first derivative alone."""

    @staticmethod
    def forward(
        x: Tensor, y: Tensor, mask: Tensor | None, pull: Puller, needed: tuple[bool, bool]
    ) -> tuple[Tensor, ...]:
        value, *gradients = pull(x, y, mask, needed)
        return value, *(x.new_empty(0) if g is None else g for g in gradients)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(*output[1:], *inputs[:2])
        ctx.needed = inputs[4]

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors  # once: checkpoints unpack a tensor a single time
        found: list[Tensor | None] = []
        for gradient, side, needed in zip(saved[:2], saved[2:], ctx.needed):
            if not needed:
                found.append(None)
                continue
            gradient = grad.detach()[:, None, None] * gradient
            found.append(first_order(gradient, side) if torch.is_grad_enabled() else gradient)
        return (*found, None, None, None)


def kernel_pull(
    x: Tensor, y: Tensor, mask: Tensor | None, needed: tuple[bool, bool],
    resolution: Resolution = PLAIN,
) -> Pull:  # fmt: skip
    """:func:`kernel_information` ``[B]`` of detached sides, and its gradients in those that are
    ``needed``, None in the other."""
    n = x.shape[1]
    present = present_samples(x, mask)
    count = present.sum(-1)
    own = [kernel_of(side, present, count, resolution) for side in (x, y)]
    kernels = torch.stack([own[0].values, own[1].values, own[0].values + own[1].values])
    logs, inverse = logs_and_inverses(kernels)
    traces = n - inverse[:2].diagonal(dim1=-2, dim2=-1).sum(-1)
    free = (count - 1).clamp(min=1)
    gradients: list[Tensor | None] = [None, None]
    for k, (side, other) in enumerate(zip(own, traces.flip(0))):
        if needed[k]:
            share = (other / free)[:, None, None]
            in_kernel = 0.5 * (inverse[k] - inverse[2] - share * (inverse[k] @ inverse[k]))
            gradients[k] = kernel_gradient(side, in_kernel, present, count)
    value = logs[0] + logs[1] - logs[2] - 0.5 * traces[0] * traces[1] / free
    return Pull(value, gradients[0], gradients[1])


def present_samples(x: Tensor, mask: Tensor | None) -> Tensor:
    """1 for each sample of ``x`` ``[B, N, d]`` that counts and 0 for others, ``[B, N]``."""
    return (
        torch.ones(x.shape[:2], device=x.device, dtype=torch.float32)
        if mask is None
        else mask.to(x.dtype)
    )


def logs_and_inverses(kernels: Tensor) -> tuple[Tensor, Tensor]:
    """Halves of the log-determinants and the inverses of 1 plus ``kernels`` ``[..., N, N]``, which
    are changed in place."""
    kernels.diagonal(dim1=-2, dim2=-1).add_(1.0)
    lower = torch.linalg.cholesky_ex(kernels).L
    return lower.diagonal(dim1=-2, dim2=-1).log().sum(-1), torch.cholesky_inverse(lower)


class Kernel(NamedTuple):
    """A centred kernel ``[B, N, N]``, and what its gradient needs of the way there."""

    values: Tensor
    raw: Tensor  # [B, N, N], before it was centred
    side: Tensor  # [B, N, d], of deviation 1
    scale: Tensor  # [B, 1, d], of that division
    width: Tensor  # [B, 1, 1]
    unit: Tensor  # [B, 1, 1], what the centred kernel is divided by


def unit_columns(side: Tensor, present: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """Columns ``[B, N, d]`` of mean 0 and deviation 1 over the samples that are ``present``
    ``[B, N]``, ``count`` ``[B]`` of them, 0 elsewhere, and the scale ``[B, 1, d]`` they took, 0 of
    constant ones."""
    present, count = present[..., None], count[:, None, None].clamp(min=1)
    side, by = balanced(side * present, 1)
    side = (side - (side * present).sum(1, keepdim=True) / count) * present
    variance = side.square().sum(1, keepdim=True) / count
    scale = torch.where(variance > _TINY, variance, torch.inf).rsqrt()
    return side * scale, (scale / by).clamp(max=torch.finfo(side.dtype).max)


def kernel_of(side: Tensor, present: Tensor, count: Tensor, resolution: Resolution) -> Kernel:
    """The centred kernel of mean diagonal 1 over the noise, 0 for what is masked."""
    side, scale = unit_columns(side, present, count)
    present, count = present[..., None], count[:, None, None].clamp(min=1)
    squares = 2 * (scale > 0).sum(-1, keepdim=True).clamp(min=1) * count / (count - 1).clamp(min=1)
    width = resolution.width * squares
    square = side.square().sum(-1)
    distance = (square[..., None] + square[..., None, :] - 2 * side @ side.mT).clamp_(min=0)
    raw = distance.div_(-width).exp_().mul_(present * present.mT)
    values = _centred(raw, present, count)
    mean = values.diagonal(dim1=-2, dim2=-1).sum(-1)[:, None, None] / count
    unit = resolution.noise * torch.where(mean > _TINY, mean, torch.inf)
    return Kernel(values / unit, raw, side, scale, width, unit)


def _centred(matrix: Tensor, present: Tensor, count: Tensor) -> Tensor:
    """Symmetric ``[B, N, N]``, which is 0 for what is masked, without the means of its rows."""
    rows = matrix.sum(-1, keepdim=True) / count
    rows = rows - 0.5 * rows.sum(1, keepdim=True) / count
    return matrix - (rows + rows.mT) * (present * present.mT)


def kernel_gradient(kernel: Kernel, gradient: Tensor, present: Tensor, count: Tensor) -> Tensor:
    """The gradient ``[B, N, d]`` in a side, from the symmetric one in its kernel's values."""
    present, count = present[..., None], count[:, None, None].clamp(min=1)
    gradient = _centred(gradient * (present * present.mT), present, count)
    by_distance = gradient * kernel.raw / (-kernel.width * kernel.unit)
    moved = by_distance.sum(-1, keepdim=True) * kernel.side - by_distance @ kernel.side
    return 4 * moved * kernel.scale * present
