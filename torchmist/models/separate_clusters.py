r"""Rows that lie in clusters, and where in its cluster each of them lies.

Cells of several types, speakers, products: columns that hold clusters far apart hide what both
sides share within these, for all that is near is of one cluster, and all that is linear is of their
middles. A side is parted into the cluster C of a row and its place R there, columns in deviations
of the cluster. If the places are as they are in any cluster,

.. math:: I(X;Y) \ge I(C_X; C_Y) + I(R_X; R_Y),

and else this holds less :math:`I(C; R)` of either side; a side without clusters stands for both of
its parts. Clusters whose covariances tell them apart are none.

Clusters are constants of the backward pass; the gradient goes through the places. Legend: ``B``
datasets, ``N`` samples, ``M`` of them, ``d`` columns, ``k`` clusters.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from torchmist.models.column_frames import WIDEST, datasets_apart, frames_in_order
from torchmist.models.normal_clusters import normal_clusters
from torchmist.numerics.no_gradient import no_gradient

__all__ = ["Parted", "parted_by_clusters"]

_FEWEST, _ROWS = 128, 8  # rows: at least, and for each column
_INNER = (0.01, 0.99)  # quantiles, from which columns reach as far as between them
_EVEN = 6.0  # rows whose deviations are those of all clusters
_FLAT = 1e-3  # least deviation within a cluster, in that of all rows
_CONSTANT, _RIDGE = 1e-6, 1e-5  # deviation of columns of a single value, and variance added
_UNLIKE = 0.15  # nats that covariances may tell of clusters


class Parted(NamedTuple):
    """A side of a dataset: its ``columns`` ``[1, M, d]``, the ``cluster`` of each row, ``[M]``, and
    its ``place`` within that, ``[1, M, d]``; where there are no clusters, None and the columns."""

    columns: Tensor
    cluster: Tensor | None
    place: Tensor


def parted_by_clusters(
    x: Tensor, y: Tensor, mask: Tensor | None = None
) -> Iterator[tuple[int, tuple[Parted, Parted]]]:
    """Places of the datasets ``[B, N, dx]`` and ``[B, N, dy]`` whose rows lie in clusters on a
    side, with both sides in parts.

    Clusters are sought in at least 128 rows and 8 for each column, of more than 64 columns in their
    leading principal components; none while a graph is traced, nor beside columns of two values, as
    labels have.

    ``mask``: ``[B, N]`` bool, True for real samples.
    """
    columns = max(x.shape[-1], y.shape[-1])
    for place, sides in datasets_apart(x, y, mask, lambda rows: _sought(rows, columns)):
        if not any(map(_has_bits, sides)):
            one, other = (_parted(_even(frames.plain)) for frames in frames_in_order(*sides))
            if one.cluster is not None or other.cluster is not None:
                yield place, (one, other)


def _sought(rows: int, columns: int) -> bool:
    """Whether clusters are sought in so many rows and columns of the wider side."""
    return columns > 1 and rows >= max(_FEWEST, _ROWS * min(columns, WIDEST))


def _has_bits(side: Tensor) -> bool:
    """Whether a column of ``[1, N, d]`` holds two values."""
    low, high = side.amin(1, keepdim=True), side.amax(1, keepdim=True)
    two = ((side == low) | (side == high)).all(1, keepdim=True) & (low < high)
    return bool(two.any())


def _even(side: Tensor) -> Tensor:
    """Columns ``[M, d]`` of variance 1, without values far from nearly all others."""
    with no_gradient():
        low, high = side.detach().quantile(side.new_tensor(_INNER), 0)
        room = high - low
    side = side.clamp(low - room, high + room)
    with no_gradient():
        middle, size = side.mean(0), side.std(0).clamp(min=_CONSTANT)
    return (side - middle) / size


def _parted(side: Tensor) -> Parted:
    """A side ``[M, d]`` in parts."""
    with no_gradient():
        rows = side.detach()
        cluster = normal_clusters(rows)
    if cluster is None:
        return Parted(side[None], None, side[None])
    with no_gradient():
        one = F.one_hot(cluster).to(rows.dtype)
        means = one.mT @ rows / one.sum(0)[:, None]
        spreads = _spreads(rows - means[cluster], one)
        told = [_unlike((rows - means[cluster]) / each[cluster], one) for each in spreads]
        spread = spreads[told[1] < told[0]]
        if bool((spread < _FLAT * rows.std(0)).any()) or min(told) > _UNLIKE:
            return Parted(side[None], None, side[None])
        spread = spread.clamp(min=_CONSTANT)
    return Parted(side[None], cluster, ((side - means[cluster]) / spread[cluster])[None])


def _spreads(away: Tensor, one: Tensor) -> tuple[Tensor, Tensor]:
    """Deviations ``[k, d]`` of rows ``[M, d]`` in clusters, one-hot ``[M, k]``, from the middles of
    these: those of all rows for each of them, then its own."""
    square, size = away.square(), one.sum(0)[:, None]
    common = square.mean(0)
    own = (one.mT @ square + _EVEN * common) / (size + _EVEN)
    return common.expand_as(own).sqrt(), own.sqrt()


def _unlike(place: Tensor, one: Tensor) -> float:
    """What places ``[M, d]`` of mean 0 in each cluster, one-hot ``[M, k]``, would tell of it were
    they normal, in nats: how the covariances of clusters differ, which chance adds little to."""
    d, size = place.shape[-1], one.sum(0)
    enough = size > d + 2
    if not bool(enough.any()):
        return 0.0
    scatter = torch.einsum("nk,ni,nj->kij", one, place, place)[enough]
    weight = size[enough] / size[enough].sum()
    each = _log_volume(scatter, size[enough] - 1)
    whole = _log_volume(scatter.sum(0), size[enough].sum() - len(scatter))
    return float(whole - (weight * each).sum()) / 2


def _log_volume(scatter: Tensor, freedom: Tensor) -> Tensor:
    """The log determinant ``[...]`` of the covariance of normal rows, of which a ``scatter``
    ``[..., d, d]`` of so many degrees of ``freedom`` ``[...]`` came, without its bias."""
    d = scatter.shape[-1]
    eye = torch.eye(d, dtype=scatter.dtype, device=scatter.device)
    found: Tensor = torch.linalg.slogdet(
        scatter + _RIDGE * freedom[..., None, None] * eye
    ).logabsdet
    places = torch.arange(d, dtype=scatter.dtype, device=scatter.device)
    usual = torch.digamma((freedom[..., None] - places) / 2).sum(-1) + d * math.log(2)
    return found - usual
