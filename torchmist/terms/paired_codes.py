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

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from torchmist.terms.gaussian_process import (
    Columns,
    Present,
    Pull,
    Resolution,
    kernel_gradients,
    kernels_of,
    logs_and_inverses,
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
    present = Present.of(x, mask)
    columns = unit_columns(x, y, present)
    moves = [_Move.of(present, thirds) for thirds in _THIRDS]
    value, in_x, in_y = _by_kernels(columns, present, moves, resolution)
    if x.shape[-1] + y.shape[-1] <= _WIDEST:
        parts = zip((value, in_x, in_y), _by_columns(columns, present, moves))
        value, in_x, in_y = (a + b for a, b in parts)
    return Pull(value, in_x if needed[0] else None, in_y if needed[1] else None)


class _Move(NamedTuple):
    """Rows that move on in a circle by a share of the number of those present: by ``step`` of them,
    or, where what is masked stays, to the places of ``there`` and ``back`` ``[B, N]``."""

    step: int
    there: Tensor | None = None
    back: Tensor | None = None

    @classmethod
    def of(cls, present: Present, thirds: int) -> _Move:
        """The move by so many ``thirds``."""
        rows, count = present
        if rows is None or not isinstance(count, Tensor):
            return cls(max(1, int(count) * thirds // 3))
        here, count = rows[..., 0], count[..., 0].long()
        step = (count * thirds).div(3, rounding_mode="floor").clamp(min=1)
        order = here.sort(dim=-1, descending=True, stable=True).indices
        rank = here.cumsum(-1).long() - 1
        places = torch.arange(here.shape[1], device=here.device)
        there, back = (
            torch.where(here > 0, order.gather(1, (rank + way) % count), places)
            for way in (step, -step)
        )
        return cls(0, there, back)

    def rows(self, values: Tensor, *, back: bool = False) -> Tensor:
        """Rows of ``[B, N, d]`` moved there, or ``back``."""
        places = self.back if back else self.there
        if places is None:
            return values.roll(self.step if back else -self.step, 1)
        return values.gather(1, places[..., None].expand_as(values))

    def pairs(self, matrix: Tensor, *, back: bool = False) -> Tensor:
        """Rows and columns of ``[B, N, N]`` likewise."""
        places = self.back if back else self.there
        if places is None:
            step = self.step if back else -self.step
            return matrix.roll((step, step), (1, 2))
        across = places[:, None].expand_as(matrix)
        return matrix.gather(1, across.mT).gather(2, across)


def _by_columns(columns: Columns, present: Present, moves: Sequence[_Move]) -> Triple:
    """What Gaussian columns of shrunk covariances share beyond moved rows."""
    (a, b), (scale_a, scale_b) = columns
    others = torch.stack([b, *(move.rows(b) for move in moves)])
    both = torch.cat([a.expand(len(others), *a.shape), others], -1)
    share = (1 - _SHRUNK) / present.number
    covariance = share * (both.mT @ both)
    covariance.diagonal(dim1=-2, dim2=-1).add_(_SHRUNK)
    lower = torch.linalg.cholesky_ex(covariance).L
    logs = lower.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    each = share * (both @ torch.cholesky_inverse(lower))  # of half a log-determinant
    of_x, of_y = each.split([a.shape[-1], b.shape[-1]], -1)
    returned = sum(move.rows(part, back=True) for move, part in zip(moves, of_y[1:]))
    in_x = _through_unit(a, scale_a, of_x[1:].mean(0) - of_x[0], present)
    in_y = _through_unit(b, scale_b, returned / len(moves) - of_y[0], present)
    return logs[1:].mean(0) - logs[0], in_x, in_y


def _by_kernels(
    columns: Columns, present: Present, moves: Sequence[_Move], resolution: Resolution
) -> Triple:
    """What the processes share beyond moved rows."""
    kernels = kernels_of(columns, present, resolution)
    a, b = kernels.values
    logs, inverse = logs_and_inverses(torch.stack([a + b, *(a + move.pairs(b) for move in moves)]))
    returned = sum(move.pairs(part, back=True) for move, part in zip(moves, inverse[1:]))
    halves = [total / len(moves) - inverse[0] for total in (inverse[1:].sum(0), returned)]
    gradients = []
    for side, gradient in zip(columns.sides, kernel_gradients(kernels, columns, halves, present)):
        assert gradient is not None
        growth = (gradient * side).sum(1, keepdim=True) / present.number
        gradients.append(gradient - side * growth)
    return logs[1:].mean(0) - logs[0], gradients[0], gradients[1]


def _through_unit(unit: Tensor, scale: Tensor, grad: Tensor, present: Present) -> Tensor:
    """The gradient in columns as they were, from that in their
    :func:`~torchmist.terms.gaussian_process.unit_columns`."""
    mean = present.shown(grad).sum(1, keepdim=True) / present.number
    along = (grad * unit).sum(1, keepdim=True) / present.number
    return present.shown((grad - mean - unit * along) * scale)
