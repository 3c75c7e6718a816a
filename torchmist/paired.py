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

from typing import Any, NamedTuple

import torch
from torch import Tensor

from torchmist.pull import (
    Pull,
    Resolution,
    WrittenGradient,
    kernel_gradient,
    kernel_of,
    logs_and_inverses,
    present_samples,
)

__all__ = ["PAIRED", "paired_information", "paired_pull"]

PAIRED = Resolution(1.0, 0.5)
"""Distances as in ``SHARP``, with noise that leaves few of the directions that chance makes."""
_THIRDS = (1, 2)
_SHRUNK = 0.02  # share of the unit matrix in a covariance
_WIDEST = 256  # columns of both sides together, of which it is asked
_TINY = 1e-12

Triple = tuple[Tensor, Tensor, Tensor]
Moves = tuple[list[Tensor], list[Tensor]]


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
    return out


class _Paired(WrittenGradient):
    """The value, and its gradient in the sides that need one, in one pass."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, y: Tensor, mask: Tensor | None, resolution: Resolution
    ) -> Tensor:
        needed = (ctx.needs_input_grad[0], ctx.needs_input_grad[1])
        out, *gradients = paired_pull(x, y, mask, needed, resolution)
        ctx.save_for_backward(*gradients, x, y)
        return out


def paired_pull(
    x: Tensor, y: Tensor, mask: Tensor | None, needed: tuple[bool, bool] = (True, True),
    resolution: Resolution = PAIRED,
) -> Pull:  # fmt: skip
    """:func:`paired_information` ``[B]`` of detached sides, and its gradients in those that are
    ``needed``, None in the other."""
    present = present_samples(x, mask)
    there, back = ([_moved(present, sign * k) for k in _THIRDS] for sign in (1, -1))
    near = _by_kernels(x, y, present, (there, back), resolution)
    pulls = [near]
    if x.shape[-1] + y.shape[-1] <= _WIDEST:
        pulls.append(_by_columns(x, y, present, (there, back)))
    value, in_x, in_y = (sum(parts[1:], parts[0]) for parts in zip(*pulls))
    return Pull(value, in_x if needed[0] else None, in_y if needed[1] else None)


def _by_columns(x: Tensor, y: Tensor, present: Tensor, moves: Moves) -> Triple:
    """What Gaussian columns of shrunk covariances share beyond moved rows."""
    there, back = moves
    count = present.sum(-1)[:, None, None].clamp(min=1)
    a, b = (_standard(side, present, count) for side in (x, y))
    others = [b.values, *(_rows(b.values, rows) for rows in there)]
    both = torch.cat([a.values.expand(3, *a.values.shape), torch.stack(others)], -1)
    share = (1 - _SHRUNK) / count
    covariance = share * (both.mT @ both) + _SHRUNK * torch.eye(both.shape[-1], device=x.device)
    lower = torch.linalg.cholesky_ex(covariance).L
    logs = lower.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    each = share * (both @ torch.cholesky_inverse(lower))  # of half a log-determinant
    of_x, of_y = each.split([x.shape[-1], y.shape[-1]], -1)
    returned = torch.stack([_rows(part, rows) for part, rows in zip(of_y[1:], back)])
    in_x = a.gradient(of_x[1:].mean(0) - of_x[0], present, count)
    in_y = b.gradient(returned.mean(0) - of_y[0], present, count)
    return logs[1:].mean(0) - logs[0], in_x, in_y


def _by_kernels(
    x: Tensor, y: Tensor, present: Tensor, moves: Moves, resolution: Resolution
) -> Triple:
    """What the processes share beyond moved rows."""
    there, back = moves
    count = present.sum(-1)
    own = [kernel_of(side, present, count, resolution) for side in (x, y)]
    moved = [own[0].values + _permuted(own[1].values, rows) for rows in there]
    kernels = torch.stack([own[0].values + own[1].values, *moved])
    logs, inverse = logs_and_inverses(kernels)
    returned = torch.stack([_permuted(m, rows) for m, rows in zip(inverse[1:], back)])
    gradients = []
    for side, mean in zip(own, (inverse[1:].mean(0), returned.mean(0))):
        gradient = kernel_gradient(side, 0.5 * (mean - inverse[0]), present, count)
        growth = (gradient * side.side).sum(1, keepdim=True)
        gradients.append(gradient - side.side * growth / count[:, None, None].clamp(min=1))
    return logs[1:].mean(0) - logs[0], gradients[0], gradients[1]


class _Standard(NamedTuple):
    """Columns ``[B, N, d]`` of mean 0 and variance 1, and the ``scale`` ``[B, 1, d]`` they took."""

    values: Tensor
    scale: Tensor

    def gradient(self, grad: Tensor, present: Tensor, count: Tensor) -> Tensor:
        """The gradient in the columns as they were, from that in the values."""
        mean = (grad * present[..., None]).sum(1, keepdim=True) / count
        along = (grad * self.values).sum(1, keepdim=True) / count
        return (grad - mean - self.values * along) * self.scale * present[..., None]


def _standard(side: Tensor, present: Tensor, count: Tensor) -> _Standard:
    here = present[..., None]
    side = (side - (side * here).sum(1, keepdim=True) / count) * here
    variance = side.square().sum(1, keepdim=True) / count
    scale = torch.where(variance > _TINY, variance, torch.inf).rsqrt()
    return _Standard(side * scale, scale)


def _rows(values: Tensor, rows: Tensor) -> Tensor:
    """Rows of ``[B, N, d]`` in the order ``rows`` ``[B, N]``."""
    return values.gather(1, rows[..., None].expand_as(values))


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
