r"""What a term that joins two codes pulls at: pairs against the same rows in other pairs.

Where both sides are codes of a host that is to make them agree, the information of two Gaussian
processes (:mod:`torchmist.pull`) has two ways up that join nothing: larger codes, as its scales
are constants, and codes of flat spectra, which share much by chance. What is pulled at is then

.. math:: \tfrac12 [\tfrac12 \sum_{k=1}^{2} \log|1 + (K + L_k)/\lambda|
          - \log|1 + (K + L)/\lambda|],

with :math:`L_k` the kernel of the other side with its rows moved by :math:`k` thirds of their
number. It is the information of the pairs less that of rows that have nothing to do with each
other, whose entropies of single sides cancel. The deviations of columns are differentiated, so
that the size of a code is of no account but for the noise in it.

Kernels tell rows apart and hardly care in how many directions. So the same difference of
log-determinants of the covariance of all columns of both sides is added, which asks every
direction of one code for a partner in the other; not of more than 256 columns, whose covariance a
batch does not tell.

Kernels and legend as in :mod:`torchmist.pull`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchmist.copula import standardise
from torchmist.pull import (
    Resolution,
    WrittenGradient,
    kernel_gradient,
    kernel_of,
    logs_and_inverses,
    present_samples,
)

__all__ = ["PAIRED", "paired_information"]

PAIRED = Resolution(1.0, 0.5)
"""Distances as in ``SHARP``, with noise that leaves few of the directions that chance makes."""
_THIRDS = (1, 2)
_SHRUNK = 0.02  # share of the unit matrix in a covariance
_WIDEST = 256  # columns of both sides together, of which it is asked


def paired_information(
    x: Tensor, y: Tensor, mask: Tensor | None = None, resolution: Resolution = PAIRED
) -> Tensor:
    """Information of two Gaussian processes beyond that of moved rows, ``[B]`` nats, and that of
    Gaussian columns likewise.

    Differentiable in both sides, once; a second derivative is an error. Near 0, on either side of
    it, for sides that are independent.

    Args:
        x: ``[B, N, dx]`` float32; columns that are constant do not count.
        y: the same, ``[B, N, dy]``.
        mask: ``[B, N]`` bool, True for the samples that count.
        resolution: of both processes.

    Example:
        >>> import torch
        >>> x = torch.randn(1, 200, 1, generator=torch.Generator().manual_seed(0))
        >>> float(paired_information(x, x.square())) > 0.2
        True
    """
    out: Tensor = _Paired.apply(x, y, mask, resolution)  # type: ignore[no-untyped-call]
    return out if x.shape[-1] + y.shape[-1] > _WIDEST else out + _linear(x, y, mask)


def _linear(x: Tensor, y: Tensor, mask: Tensor | None) -> Tensor:
    """Information of Gaussian columns, of shrunk covariances, beyond that of moved rows, ``[B]``
    nats."""
    a, b = (standardise(side.mT, mask).mT for side in (x, y))
    present = present_samples(x, mask)
    count = present.sum(-1)[:, None, None].clamp(min=1)
    others = [b.gather(1, _moved(present, k)[..., None].expand_as(b)) for k in _THIRDS]
    both = torch.cat([a.expand(3, *a.shape), torch.stack([b, *others])], -1)
    covariance = (1 - _SHRUNK) * both.mT @ both / count
    covariance = covariance + _SHRUNK * torch.eye(both.shape[-1], device=x.device)
    lower = torch.linalg.cholesky_ex(covariance).L
    logs = lower.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    out: Tensor = logs[1:].mean(0) - logs[0]
    return out


class _Paired(WrittenGradient):
    """The value, and its gradient in the sides that need one, in one pass."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, y: Tensor, mask: Tensor | None, resolution: Resolution
    ) -> Tensor:
        present = present_samples(x, mask)
        count = present.sum(-1)
        own = [kernel_of(side, present, count, resolution) for side in (x, y)]
        there = [_moved(present, k) for k in _THIRDS]
        back = [_moved(present, -k) for k in _THIRDS]
        moved = [own[0].values + _permuted(own[1].values, rows) for rows in there]
        kernels = torch.stack([own[0].values + own[1].values, *moved])
        logs, inverse = logs_and_inverses(kernels)
        returned = torch.stack([_permuted(m, rows) for m, rows in zip(inverse[1:], back)])
        of_moved = (inverse[1:].mean(0), returned.mean(0))
        gradients: list[Tensor | None] = [None, None]
        for k, (side, mean) in enumerate(zip(own, of_moved)):
            if ctx.needs_input_grad[k]:
                in_kernel = 0.5 * (mean - inverse[0])
                gradient = kernel_gradient(side, in_kernel, present, count)
                growth = (gradient * side.side).sum(1, keepdim=True)
                gradients[k] = gradient - side.side * growth / count[:, None, None].clamp(min=1)
        ctx.save_for_backward(*gradients, x, y)
        out: Tensor = logs[1:].mean(0) - logs[0]
        return out


def _moved(present: Tensor, thirds: int) -> Tensor:
    """``[B, N]``: the row that comes to each place when those present move on in a circle by so
    many thirds of their number; what is masked stays."""
    count = present.sum(-1, keepdim=True).long().clamp(min=1)
    step = (count * abs(thirds)).div(3, rounding_mode="floor").clamp(min=1)
    order = present.sort(dim=-1, descending=True, stable=True).indices
    rank = present.cumsum(-1).long() - 1
    rows = order.gather(1, (rank + (step if thirds > 0 else -step)) % count)
    places = torch.arange(present.shape[1], device=present.device)
    return torch.where(present > 0, rows, places)


def _permuted(matrix: Tensor, rows: Tensor) -> Tensor:
    """Rows and columns of ``[B, N, N]`` in the order ``rows`` ``[B, N]``."""
    across = rows[:, None].expand_as(matrix)
    return matrix.gather(1, across.mT).gather(2, across)
