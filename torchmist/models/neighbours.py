r"""Nearest-neighbour statistics of how X and Y go together.

Legend: ``B`` datasets, ``N`` samples, ``r``, ``s`` columns of both sides.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["JOINT", "LIFTS", "NUMBERS", "neighbour_statistics"]

JOINT = (3, 5, 10)
LIFTS = (1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32)
NUMBERS = len(JOINT) + 1 + len(LIFTS)
_OWN = 5
_TIED = 1e-11  # of the mean squared distance
_BLOCK = 128


@torch.no_grad()
def neighbour_statistics(x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
    r"""Nine numbers ``[B, 9]`` of samples ``[B, N, r]`` and ``[B, N, s]``, without gradients.

    1. Estimates of MI in nats by Kraskov et al. (2004, eq. 8) with 3, 5 and 10 neighbours, with
       Euclidean distances on each side. Where a side is one-hot labels, far apart, that is the
       estimate of Ross (2014); where samples coincide on both sides, that of Gao et al. (2017).
    2. How near each other in Y the five nearest in X are, and the reverse: with :math:`p` the share
       of all samples that are nearer, and half of those as near, :math:`-E[\log p] - 1`, which is
       0 in independence.
    3. ``log(P(p < f) / f + 0.01)`` for ``f`` in ``LIFTS``.

    Datasets need 11 samples at least; of fewer the numbers are 0. ``mask`` ``[B, N]``: True for
    real samples.
    """
    rows = []
    for index, (a, b) in enumerate(zip(x, y)):
        if mask is not None:
            a, b = a[mask[index]], b[mask[index]]
        rows.append(_of_one(a, b) if len(a) > max(JOINT) else x.new_zeros(NUMBERS))
    return torch.stack(rows)


def _of_one(x: Tensor, y: Tensor) -> Tensor:
    """The numbers ``[9]`` of one dataset."""
    sides = _squares(x), _squares(y)
    joint = torch.maximum(*sides)
    radius = joint.topk(max(JOINT), largest=False).values
    coincide = (joint == 0).sum(1, dtype=torch.int32)
    n = x.new_tensor([len(x)])
    said = []
    for k in JOINT:
        tied = radius[:, k - 1] == 0
        near = torch.where(tied, coincide, k).to(x.dtype)
        inside = sum(torch.digamma(_nearer(s, radius[:, k - 1]) + (~tied)) for s in sides)
        said.append((torch.digamma(n) + torch.digamma(near) - inside).mean()[None])
    share = torch.cat([_shares(*sides), _shares(*sides[::-1])])
    said.append(-share.log().mean()[None] - 1)
    said += [((share < f).to(x.dtype).mean()[None] / f + 0.01).log() for f in LIFTS]
    return torch.cat(said)


def _squares(x: Tensor) -> Tensor:
    """Squared distances ``[N, N]`` of samples ``[N, r]``, infinite to themselves, 0 where they are
    as good as that.

    Differences far below the deviation need float64, in blocks that fit a cache.
    """
    z = x.double()
    z = z - z.mean(0)
    norm = z.square().sum(-1)
    tied = 2 * _TIED * norm.mean()
    square = x.new_empty(len(x), len(x))
    for rows, own, total in zip(square.split(_BLOCK), z.split(_BLOCK), norm.split(_BLOCK)):
        exact = torch.addmm(total[:, None] + norm, own, z.mT, alpha=-2)
        rows.copy_(exact.masked_fill_(exact <= tied, 0.0))
    return square.fill_diagonal_(math.inf)


def _nearer(square: Tensor, radius: Tensor) -> Tensor:
    """How many of ``square`` ``[N, N]`` are less than ``radius`` ``[N]``, in each row; those that
    are 0 where it is 0."""
    radius = radius.clamp(min=torch.finfo(radius.dtype).tiny)
    return (square < radius[:, None]).sum(1, dtype=torch.int32)  # int64 takes six times as long


def _shares(own: Tensor, other: Tensor) -> Tensor:
    """Of the five nearest by ``own`` ``[N, N]``, the share of samples nearer by ``other``, each."""
    distance = other.gather(1, own.topk(_OWN, largest=False).indices)
    nearer = torch.stack([_nearer(other, column) for column in distance.unbind(1)], 1)
    return torch.where(distance == 0, nearer / 2, nearer + 0.5) / (len(own) - 1)
