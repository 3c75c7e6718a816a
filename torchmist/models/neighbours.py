r"""Estimates of mutual information by nearest neighbours, from distances.

With the k-th neighbour of a sample at radius :math:`\rho` in both sides, and of :math:`M` others
:math:`n_x` and :math:`n_y` nearer than that in one side,

.. math:: \psi(M + 1) + \psi(k) - \psi(n_x + 1) - \psi(n_y + 1)

is the local estimate of Kraskov et al. (2004). Where the radius is 0, all that coincide are the
neighbours (Mesner and Shalizi 2020). Where columns repeat values, as many columns of zeros and ones
do, c others may lie at the radius in one side, of which :math:`n_x` would lack all. Told apart by
any small noise, the k-th neighbour would be one of them in no order: it is the t-th of the b that
lie there in both sides, :math:`t = k` less those that are nearer, so that on average
:math:`t (c + 1) / (b + 1)` of the c come before it or are it, which stand for the 1 above.

Legend: ``B`` datasets, ``Q`` queries, ``M`` references, ``K`` numbers of neighbours.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchmist.checks import visible
from torchmist.numerics.sorting import smallest

__all__ = ["COINCIDE", "FAR", "NEIGHBOURS", "may_tie", "neighbour_estimates"]

NEIGHBOURS = (3, 8)
COINCIDE = 1e-6
"""Of the mean squared distance: below it samples coincide."""
FAR = 1e6
"""Squared distance to what does not count."""

_EDGE = 1e-4  # relative: what differs less lies at the radius
_ALONE = 2  # others that lie at the radius by chance, at most
_EACH = 4  # rows for each value of a column of few
_ON_CPU, _ELSEWHERE = 200_000, 30_000_000  # distances that are compared at a time


def neighbour_estimates(
    sides: tuple[Tensor, Tensor], others: Tensor, ties: Tensor | None,
    neighbours: tuple[int, ...] = NEIGHBOURS,
) -> Tensor:  # fmt: skip
    """Local estimates ``[B, Q, K]`` in nats with each number of ``neighbours``, without gradient.

    ``sides``: squared distances ``[B, Q, M]`` of both, over about their mean; ``others``: how many
    other references each query has; ``ties`` ``[B]``: of which datasets distances may be equal
    (:func:`may_tie`), which costs about as much again, None for none. A single row, which has no
    neighbours, says 0.
    """
    joint = torch.maximum(*sides)
    most = min(max(neighbours), joint.shape[-1] - 1)
    if most < 1:
        return joint.new_zeros(*joint.shape[:-1], len(neighbours))
    radius = smallest(joint, most)
    radius = radius[..., [min(k, most) - 1 for k in neighbours]]
    size = torch.tensor(
        [float(min(k, most)) for k in neighbours], device=joint.device, dtype=torch.float32
    )
    coincide = radius <= COINCIDE
    below = torch.where(coincide, COINCIDE, radius * (1 - _EDGE) - COINCIDE / 2)
    inner = [_within(side, below) for side in sides]
    near = torch.where(coincide, _within(joint, torch.full_like(radius[..., :1], COINCIDE)), size)
    counts = [count + ~coincide for count in inner]
    if ties is not None:
        reach = radius * (1 + _EDGE) + COINCIDE
        at = [_within(side, reach) - count for side, count in zip(sides, inner)]
        tied = (torch.maximum(*at) > _ALONE) & ~coincide & (radius < FAR / 2)
        tied = tied & ties[:, None, None]
        nearer = _within(joint, below)
        share = (size - nearer) / (_within(joint, reach) - nearer + 1).clamp(min=2)
        counts = [
            torch.where(tied & (some > 0), count + share * (some + 1), usual)
            for some, count, usual in zip(at, inner, counts)
        ]
    out = torch.digamma(others + 1) + torch.digamma(near)
    for count in counts:
        out = out - torch.digamma(count.clamp(min=1))
    return out


def may_tie(x: Tensor, y: Tensor) -> Tensor | None:
    """In which datasets every column of ``x``, or of ``y``, holds few values in rows ``[B, M, d]``,
    each for four rows or more, ``[B]`` bool; None if there is none. Elsewhere hardly any distances
    are equal, but those to rows that were drawn again."""
    few = _few_values(x) | _few_values(y)
    return few if visible(few.any()) is not False else None


def _few_values(side: Tensor) -> Tensor:
    """In which datasets ``[B, M, d]`` all columns hold few values, ``[B]`` bool."""
    few = torch.ones(len(side), dtype=torch.bool, device=side.device)
    for column in side.detach().unbind(-1):
        distinct = 1 + (column.sort(-1).values.diff(dim=-1) != 0).sum(-1)
        few = few & (distinct * _EACH <= column.shape[-1])
        if visible(few.any()) is False:
            break
    return few


def _within(square: Tensor, reach: Tensor) -> Tensor:
    """How many of squared distances ``[B, Q, M]`` are at most ``reach`` ``[B, Q, K]``, as it."""
    size = square.shape[-1]
    rows = max(1, (_ON_CPU if square.device.type == "cpu" else _ELSEWHERE) // size)
    counts = []
    for some, radii in zip(square.flatten(0, 1).split(rows), reach.flatten(0, 1).split(rows)):
        inside = some.new_empty(*radii.shape, size)  # booleans take three times as long
        counts.append(torch.le(some[:, None], radii[..., None], out=inside).sum(-1))
    return torch.cat(counts).view_as(reach)
