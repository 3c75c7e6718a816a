r"""What a term that joins two codes pulls at: pairs against the same rows in other pairs.

Where both sides are codes of a host that is to make them agree, the information of two Gaussian
processes (:mod:`torchmist.terms.gaussian_process`) has two ways up that join nothing: larger codes,
as its scales are constants, and codes of flat spectra, which share much by chance. What is pulled
at is then

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

Kernels and legend as in :mod:`torchmist.terms.gaussian_process`.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from torchmist.terms.gaussian_process import (
    Pull,
    Resolution,
    kernel_gradient,
    kernel_of,
    logs_and_inverses,
    present_samples,
    unit_columns,
    written,
)

__all__ = ["PAIRED", "paired_information", "paired_pull"]

PAIRED = Resolution(1.0, 0.5)
"""Distances as in ``SHARP``, with noise that leaves few of the directions that chance makes."""
_THIRDS = (1, 2)
_SHRUNK = 0.02  # share of the unit matrix in a covariance
_WIDEST = 256  # columns of both sides together, of which it is asked

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
    return written(x, y, mask, partial(paired_pull, resolution=resolution))


def paired_pull(
    x: Tensor, y: Tensor, mask: Tensor | None, needed: tuple[bool, bool] = (True, True),
    resolution: Resolution = PAIRED,
) -> Pull:  # fmt: skip
    """:func:`paired_information` ``[B]`` of detached sides, and its gradients in those that are
    ``needed``, None in the other."""
    present = present_samples(x, mask)
    there, back = ([_moved(present, sign * k) for k in _THIRDS] for sign in (1, -1))
    value, in_x, in_y = _by_kernels(x, y, present, (there, back), resolution)
    if x.shape[-1] + y.shape[-1] <= _WIDEST:
        parts = zip((value, in_x, in_y), _by_columns(x, y, present, (there, back)))
        value, in_x, in_y = (a + b for a, b in parts)
    return Pull(value, in_x if needed[0] else None, in_y if needed[1] else None)


def _by_columns(x: Tensor, y: Tensor, present: Tensor, moves: Moves) -> Triple:
    """What Gaussian columns of shrunk covariances share beyond moved rows."""
    there, back = moves
    count = present.sum(-1)
    (a, scale_a), (b, scale_b) = (unit_columns(side, present, count) for side in (x, y))
    others = [b, *(_rows(b, rows) for rows in there)]
    both = torch.cat([a.expand(3, *a.shape), torch.stack(others)], -1)
    share = (1 - _SHRUNK) / count[:, None, None].clamp(min=1)
    covariance = share * (both.mT @ both) + _SHRUNK * torch.eye(
        both.shape[-1], device=x.device, dtype=torch.float32
    )
    lower = torch.linalg.cholesky_ex(covariance).L
    logs = lower.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    each = share * (both @ torch.cholesky_inverse(lower))  # of half a log-determinant
    of_x, of_y = each.split([x.shape[-1], y.shape[-1]], -1)
    returned = torch.stack([_rows(part, rows) for part, rows in zip(of_y[1:], back)])
    in_x = _through_unit(a, scale_a, of_x[1:].mean(0) - of_x[0], present)
    in_y = _through_unit(b, scale_b, returned.mean(0) - of_y[0], present)
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


def _through_unit(unit: Tensor, scale: Tensor, grad: Tensor, present: Tensor) -> Tensor:
    """The gradient in columns as they were, from that in
    :func:`~torchmist.terms.gaussian_process.unit_columns`."""
    here = present[..., None]
    count = here.sum(1, keepdim=True).clamp(min=1)
    mean = (grad * here).sum(1, keepdim=True) / count
    along = (grad * unit).sum(1, keepdim=True) / count
    return (grad - mean - unit * along) * scale * here


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
