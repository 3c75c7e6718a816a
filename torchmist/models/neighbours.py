r"""Estimates of mutual information by nearest neighbours, from distances.

With the k-th neighbour of a sample at radius :math:`\rho` in both sides, and of :math:`M` others
:math:`n_x` and :math:`n_y` nearer than that in one side,

.. math:: \psi(M + 1) + \psi(k) - \psi(n_x + 1) - \psi(n_y + 1)

is the local estimate of Kraskov et al. (2004). Where columns repeat values, others lie at the
radius itself, in both sides (where it is 0: Mesner and Shalizi 2020) or in one alone, as those of
many columns of zeros and ones do, of which :math:`n_x` would lack most. There all that is within
the radius counts: :math:`\psi(M + 1) + \psi(k') - \psi(n'_x) - \psi(n'_y)`.

Legend: ``B`` datasets, ``Q`` queries, ``M`` references, ``K`` numbers of neighbours.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchmist.checks import visible
from torchmist.sorting import smallest

__all__ = ["COINCIDE", "NEIGHBOURS", "may_tie", "neighbour_estimates"]

NEIGHBOURS = (3, 8)
COINCIDE = 1e-6
"""Of the mean squared distance: below it samples coincide."""

_EDGE = 1e-4  # relative: what differs less lies at the radius
_ALONE = 2  # others that lie at the radius by chance, at most
_ON_CPU, _ELSEWHERE = 200_000, 30_000_000  # distances that are compared at a time


def neighbour_estimates(
    sides: tuple[Tensor, Tensor], others: Tensor, neighbours: tuple[int, ...] = NEIGHBOURS, *,
    ties: bool = True,
) -> Tensor:  # fmt: skip
    """Local estimates ``[B, Q, K]`` in nats with each number of ``neighbours``, without gradient.

    ``sides``: squared distances ``[B, Q, M]`` of both, over about their mean; ``others``: how many
    other references each query has; ``ties``: whether distances may be equal (:func:`may_tie`),
    which costs about as much again. A single row, which has no neighbours, says 0.
    """
    joint = torch.maximum(*sides)
    most = min(max(neighbours), joint.shape[-1] - 1)
    if most < 1:
        return joint.new_zeros(*joint.shape[:-1], len(neighbours))
    radius = smallest(joint, most)
    radius = radius[..., [min(k, most) - 1 for k in neighbours]]
    size = torch.tensor([float(min(k, most)) for k in neighbours], device=joint.device)
    coincide = radius <= COINCIDE
    below = torch.where(coincide, COINCIDE, radius * (1 - _EDGE) - COINCIDE / 2)
    inner = [_within(side, below) for side in sides]
    near = torch.where(coincide, _within(joint, torch.full_like(radius[..., :1], COINCIDE)), size)
    counts = [count + ~coincide for count in inner]
    if ties:
        reach = radius * (1 + _EDGE) + COINCIDE
        outer = [_within(side, reach) for side in sides]
        tied = (torch.maximum(outer[0] - inner[0], outer[1] - inner[1]) > _ALONE) & ~coincide
        near = torch.where(tied, _within(joint, reach), near)
        counts = [torch.where(tied, *both) for both in zip(outer, counts)]
    out = torch.digamma(others + 1) + torch.digamma(near)
    for count in counts:
        out = out - torch.digamma(count.clamp(min=1))
    return out


def may_tie(x: Tensor, y: Tensor) -> bool:
    """Whether rows ``[B, M, d]`` of a dataset repeat values in every column of ``x``, or of ``y``:
    elsewhere no distances are equal."""
    return any(_repeats(side) for side in (x, y))


def _repeats(side: Tensor) -> bool:
    """Whether all columns ``[B, M, d]`` of a dataset repeat values, or that cannot be seen."""
    repeats = torch.ones(len(side), dtype=torch.bool, device=side.device)
    for column in side.detach().unbind(-1):
        repeats = repeats & (column.sort(-1).values.diff(dim=-1) == 0).any(-1)
        some = visible(repeats.any())
        if not some:
            return some is None
    return True


def _within(square: Tensor, reach: Tensor) -> Tensor:
    """How many of squared distances ``[B, Q, M]`` are at most ``reach`` ``[B, Q, K]``, as it."""
    size = square.shape[-1]
    rows = max(1, (_ON_CPU if square.device.type == "cpu" else _ELSEWHERE) // size)
    counts = []
    for some, radii in zip(square.flatten(0, 1).split(rows), reach.flatten(0, 1).split(rows)):
        inside = some.new_empty(*radii.shape, size)  # booleans take three times as long
        counts.append(torch.le(some[:, None], radii[..., None], out=inside).sum(-1))
    return torch.cat(counts).view_as(reach)
