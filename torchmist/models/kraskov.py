r"""What two columns share, by nearest neighbours: the estimator of Kraskov, Stoegbauer and
Grassberger (Phys. Rev. E 69, 066138, 2004),

.. math:: \psi(k) + \psi(n) - \langle \psi(n_x + 1) + \psi(n_y + 1) \rangle.

Where more than ``k`` rows coincide, their number is the ``k`` (Gao and others, NeurIPS 2017). Where
several lie at the distance of the ``k``-th, as of counts, one more than are nearer is the ``k``:
all numbers are then those of one open square. The nearest rows are sought among those next in the
order of either column.
Legend: ``P`` pairs of columns, ``N`` samples.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from torchmist.numerics.sorting import counts_within, lexical_order

__all__ = ["FAR", "kraskov"]

FAR = 1e6
"""Where values of padding are put."""
_NEIGHBOURS = 3
_AT_ONCE = 65_536  # values of a column that a cache holds beside what is made of them
_ROUNDING = 1e-5  # of a radius, at which no row is within it


def kraskov(x: Tensor, y: Tensor, real: Tensor) -> Tensor:
    """Estimates ``[P]`` in nats of pairs of columns ``[P, N]``."""
    count = real.sum(-1, keepdim=True)
    sides = torch.cat([x, y]), torch.cat([y, x])  # in the order of either column, at once
    order = lexical_order(*sides)
    *nearer, radius = torch.minimum(*_nearest(*sides, order).chunk(2, 1))
    within = _within(sides[0], radius.repeat(2, 1)).chunk(2)
    inside = 1 + sum((gap < (1 - _ROUNDING) * radius).long() for gap in nearer)
    joint = torch.where(radius == 0, _coinciding(x, y, order[: len(x)]), inside)
    of = torch.digamma(
        torch.arange(max(x.shape[-1], _NEIGHBOURS) + 1, dtype=x.dtype, device=x.device)
    )
    each = of[joint] + of[count] - of[within[0]] - of[within[1]]
    return (each * real).sum(-1) / count.squeeze(-1)


def _nearest(first: Tensor, second: Tensor, order: Tensor) -> Tensor:
    """Distances ``[3, P, N]`` in the larger of both columns to the three nearest rows, rising, of
    those next in the ``order`` ``[P, N]`` of the first."""
    width = max(1, _AT_ONCE // first.shape[-1]) if first.device.type == "cpu" else len(first)
    sides = (column.gather(-1, order).split(width) for column in (first, second))
    found = torch.cat([_nearest_next(*some) for some in zip(*sides)], 1)
    return torch.empty_like(found).scatter_(-1, order.expand_as(found), found)


def _nearest_next(first: Tensor, second: Tensor) -> Tensor:
    """See :func:`_nearest`; of columns ``[P, N]`` in that order, in it."""
    n = first.shape[-1]
    # samples first, so that those a step apart lie side by side in memory
    a, b = (column.mT.contiguous() for column in (first, second))
    nearest = [torch.full_like(a, FAR) for _ in range(_NEIGHBOURS)]
    for step in range(1, min(n - 1, math.ceil(math.sqrt(_NEIGHBOURS * n))) + 1):
        gap = torch.maximum(a[step:] - a[:-step], (b[step:] - b[:-step]).abs_())
        for part in (slice(None, -step), slice(step, None)):
            _keep_nearest(gap, [known[part] for known in nearest])
    return torch.stack([gap.mT for gap in nearest])


def _keep_nearest(gap: Tensor, known: list[Tensor]) -> None:
    """Put ``gap`` in its place among what is ``known``, in rising order, and drop the largest."""
    for below, own in zip(known[-2::-1], known[:0:-1]):
        try:
            torch.clamp(gap, below, own, out=own)
        except RuntimeError:  # vmap: no tensors to write to
            own.copy_(gap.clamp(below, own))
    known[0].clamp_(max=gap)


def _within(column: Tensor, radius: Tensor) -> Tensor:
    """Rows ``[P, N]`` nearer than the radius in one column, or at it where it is 0, with the row
    itself."""
    radius = (1 - _ROUNDING) * radius
    return counts_within(column, column - radius, column + radius)


def _coinciding(x: Tensor, y: Tensor, order: Tensor) -> Tensor:
    """Rows ``[P, N]`` that coincide with each in both columns, with itself; ``order``: that of
    :func:`~torchmist.numerics.sorting.lexical_order`."""
    a, b = x.gather(-1, order), y.gather(-1, order)
    new = (a[:, 1:] != a[:, :-1]) | (b[:, 1:] != b[:, :-1])
    group = torch.nn.functional.pad(new.long().cumsum(-1), (1, 0))
    size = torch.zeros_like(group).scatter_add_(-1, group, torch.ones_like(group))
    return torch.empty_like(group).scatter_(-1, order, size.gather(-1, group))
