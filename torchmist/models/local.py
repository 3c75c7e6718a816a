r"""Local statistics: which samples are near which, on each side and on both.

For every sample :math:`i` and side, a kernel at four scales

.. math:: K^s_{ij} = \exp(-(d_{ij}^2 - r_{i1}^2) / \tau_{is})

of the squared distances to reference samples, with bandwidths between that of four neighbours and
that of the whole sample (detached), gives the local log ratios

.. math:: L^{st}_i = \log\frac{\sum_j K^{s,x}_{ij} K^{t,y}_{ij} + c}
                              {\sum_j K^{s,x}_{ij} \sum_j K^{t,y}_{ij} / M + c},

whose means are kernel estimates of mutual information without the sample's own term, and the
distance in Y of the neighbours in X (and the reverse). Beside them stand the nearest-neighbour
estimates of Kraskov et al. (2004) and Mesner and Shalizi (2020), exact in the forward pass, with
the gradient of the kernel estimate at the finest scale.

All that is returned is free of the order of samples and columns, of signs, of rotations within a
side, and of the swap of the sides. Legend: ``B`` datasets, ``N`` samples, ``Q`` queries of them,
``M`` references, ``k`` columns of a view of a side, ``S`` scales, ``F`` features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from torchmist.models.kernel_table import kernel_table
from torchmist.models.neighbours import COINCIDE, FAR, NEIGHBOURS, may_tie, neighbour_estimates
from torchmist.models.statistics import Features
from torchmist.numerics.cache import cached
from torchmist.numerics.no_gradient import no_gradient
from torchmist.numerics.shares import normal_softmax
from torchmist.numerics.sorting import smallest

__all__ = ["LOCAL", "OPINIONS", "SCALES", "Local", "Subset", "local_statistics",
           "nearest", "row_counts", "sample_order", "subset", "whitened"]  # fmt: skip

SCALES = 4
"""Scales of the kernels."""
OPINIONS = SCALES + len(NEIGHBOURS)
"""Estimates of mutual information of one view: kernels at equal scales, then neighbours."""
LOCAL = SCALES * SCALES + 2 * SCALES + 4
"""Features of one view for each sample."""

_REFERENCES, _QUERIES = 1024, 2048
_NEAR = 10
_SMOOTH = 0.05  # c: added to counts of neighbours, expected and seen
_RIDGE = 0.03
_MIRRORED, _SWAPPED = 1e-8, 5e-7  # by which keys of samples differ that rounding alone parts


class Subset(NamedTuple):
    """Samples that are queried and referred to, the same at any order of samples and columns.

    ``queries`` ``[B, Q]``: their places among the ``N`` samples, None where all are;
    ``references`` ``[B, M]``: their places among the queries, None where all are; ``own``
    ``[B or 1, Q, M]``: True where no pair is to be looked at, since both are one sample or the
    reference is padding; ``others`` ``[B or 1, 1, 1]``: how many other references each query has;
    ``present`` ``[B, Q, 1]`` and ``present_references`` ``[B, M, 1]``: 1 for real samples, None
    where all are.
    """

    queries: Tensor | None
    references: Tensor | None
    own: Tensor
    others: Tensor
    present: Tensor | None
    present_references: Tensor | None

    def at_queries(self, value: Tensor) -> Tensor:
        """The queries' places of ``[..., B, C, N]``: ``[..., B, C, Q]``."""
        if self.queries is None:
            return value
        index = self.queries.unsqueeze(-2).expand(*value.shape[:-1], -1)
        return value.gather(-1, index)

    def at_references(self, value: Tensor) -> Tensor:
        """The references' rows of the queries' ``[B, Q, k]``: ``[B, M, k]``."""
        if self.references is None:
            return value
        return value.gather(1, self.references[..., None].expand(len(value), -1, value.shape[-1]))

    def of_features(self, features: Features) -> Features:
        """The queries' basis values."""
        if self.queries is None:
            return features
        return Features(*map(self.at_queries, features))

    def hide_own(self, squares: Tensor) -> Tensor:
        """Squared distances ``[B, Q, M]`` whose pairs that are not to be looked at became far."""
        if self.present_references is not None:
            return squares.masked_fill_(self.own, FAR)
        size = squares.shape[-1]  # of each reference one pair alone: itself
        itself = self.references
        if itself is None:
            itself = torch.arange(size, device=squares.device)
        return squares.scatter_(1, itself.expand(len(squares), size)[:, None], FAR)

    def mean(self, value: Tensor) -> Tensor:
        """Mean over the real queries of ``[B, Q, F]``."""
        if self.present is None:
            return value.mean(1)
        return (value * self.present).sum(1) / self.present.sum(1)


class Local(NamedTuple):
    """Of ``V`` views: ``features`` ``[B, Q, V F]``, ``opinions`` ``[B, V O]`` in nats, and, of the
    first and the last view, the shares ``[B, Q, M]`` of the references in the kernels of ten
    neighbours of both sides."""

    features: Tensor
    opinions: Tensor
    weights: tuple[tuple[Tensor, ...], ...]


def subset(scores: Tensor, mask: Tensor | None = None) -> Subset:
    """Choose queries and references of scores ``[B, D, N]``; ``mask`` ``[B, N]`` of real samples.

    Up to 1,024 samples all are both, up to 2,048 all are queries. Of more, they are spread evenly
    over the order of the sum of the absolute scores, which no permutation changes.
    """
    batch, _, n = scores.shape
    device = scores.device
    if n <= _REFERENCES:
        own = torch.eye(n, dtype=torch.bool, device=device)[None]
        if mask is None:
            count = torch.full((1, 1, 1), float(n - 1), dtype=scores.dtype, device=device)
            return Subset(None, None, own, count, None, None)
        count = (mask.sum(-1)[:, None, None] - 1).to(scores.dtype)
        real = mask[..., None].to(scores.dtype)
        return Subset(None, None, own | ~mask[:, None], count, real, real)
    order = sample_order(scores, mask, n)
    total = torch.full((batch, 1), n, device=device) if mask is None else mask.sum(-1, keepdim=True)
    queries: Tensor | None = None
    if n <= _QUERIES:
        references = order.gather(1, _even_places(total, _REFERENCES))
        asked = n
    else:
        queries = order.gather(1, _even_places(total, _QUERIES))
        references = torch.arange(0, _QUERIES, _QUERIES // _REFERENCES, device=device)[None]
        asked = _QUERIES
    own = torch.arange(asked, device=device)[:, None] == references[:, None]
    masks: list[Tensor | None] = [None, None]
    if mask is not None:
        asked_mask = mask if queries is None else mask.gather(1, queries)
        referred = asked_mask.gather(1, references.expand(batch, -1))
        own = own | ~referred[:, None]
        masks = [v[..., None].to(scores.dtype) for v in (asked_mask, referred)]
    count = torch.full((1, 1, 1), float(_REFERENCES - 1), dtype=scores.dtype, device=device)
    return Subset(queries, references, own, count, *masks)


def row_counts(x: Tensor, mask: Tensor | None) -> Tensor:
    """How many rows of each dataset ``[B, N, d]`` are real, ``[B]``."""
    if mask is None:
        return torch.full(x.shape[:1], x.shape[1], device=x.device)
    return mask.sum(-1)


def sample_order(scores: Tensor, mask: Tensor | None, count: Tensor | float) -> Tensor:
    """Places ``[B, N]`` of the samples of scores ``[B, D, N]`` in an order that no permutation
    changes, padding last: by the sum of the absolute scores.

    ``count``: by which products over the samples are divided, ``[B, 1, 1]`` or one for all.
    """
    z = scores.detach().double()
    z = z if mask is None else z * mask[:, None]
    key = z.abs().sum(1)
    # samples at the mirrored place of a column, or of one class, would tie: a product parts them
    key = key + 1e-2 * ((z @ z.mT / count @ z) * z).sum(1)
    odd = ((z @ key[..., None] / count) * z).sum(1)
    if mask is not None:
        key = key.masked_fill(~mask, torch.inf)
    order: Tensor = key.argsort(dim=-1, stable=True)
    # samples mirrored as a whole tie but for rounding, and of two columns those whose values are
    # swapped: what is odd parts them
    close = _SWAPPED if z.shape[1] == 2 else _MIRRORED
    parted = key.gather(-1, order).diff(dim=-1) > close
    rank = F.pad(parted.cumsum(-1), (1, 0)) + 0.5 * odd.gather(-1, order).sigmoid()
    return order.gather(-1, rank.argsort(dim=-1, stable=True))


def _even_places(total: Tensor, size: int) -> Tensor:
    """``size`` places spread evenly over the first ``total`` ``[B, 1]``, ``[B, size]``."""
    place = (torch.arange(size, device=total.device) + 0.5) * (total.double() / size)
    return place.floor().long()


def whitened(z: Tensor, samples: Tensor) -> Tensor:
    """Scores ``[B, d, N]`` of one side in a frame that makes its columns uncorrelated.

    The inverse Cholesky factor of the correlations with a ridge. Distances do not depend on which
    root is taken, so neither on the order of the columns. ``samples`` ``[..., 1, 1]``.
    """
    size = z.shape[1]
    correlation = z @ z.mT / samples
    eye = torch.eye(size, dtype=z.dtype, device=z.device)
    lower = torch.linalg.cholesky_ex((correlation + _RIDGE * eye) / (1 + _RIDGE)).L
    out: Tensor = torch.linalg.solve_triangular(lower, z, upper=False)
    return out


def _squares(u: Tensor, chosen: Subset) -> tuple[Tensor, Tensor]:
    """Squared distances ``[B, Q, M]`` of rows ``[B, Q, k]`` over about their mean, far where no
    pair counts, and each query's mean ``[B, Q, 1]``, detached."""
    square = u.detach().square().sum(-1, keepdim=True)
    if chosen.present is not None:
        square = square * chosen.present
    a = u * (2 * chosen.mean(square)).clamp(min=1e-9).rsqrt().unsqueeze(1)
    b = chosen.at_references(a)
    length = b.square().sum(-1, keepdim=True)
    own = a.square().sum(-1, keepdim=True)
    left = torch.cat([-2 * a, own, torch.ones_like(own)], -1)
    right = torch.cat([b, torch.ones_like(length), length], -1)
    distances = chosen.hide_own(torch.bmm(left, right.mT))
    with no_gradient():
        counts = right if chosen.present_references is None else right * chosen.present_references
        mean = left @ counts.sum(1)[..., None] / chosen.others
    return distances, mean


def _rates(near: Tensor, mean: Tensor) -> Tensor:
    """Reciprocal widths ``[B, Q, S]`` of the kernels: of four neighbours, ten, between, broad.

    ``near`` ``[B, Q, 10]``: squared distances of the nearest references; ``mean`` ``[B, Q, 1]``.
    """
    first = near[..., :1]
    fine = near[..., [min(3, near.shape[-1] - 1)]] - first + COINCIDE
    middle = torch.maximum(near[..., -1:] - first + COINCIDE, fine)
    broad = torch.maximum((mean - first) / 2 + COINCIDE, middle)
    return torch.cat([fine, middle, (middle * broad).sqrt(), broad], -1).reciprocal()


def nearest(rows: tuple[Tensor, Tensor], chosen: Subset) -> Tensor:
    """Estimates ``[B, 2]`` in nats by nearest neighbours alone, without gradient, of rows
    ``[B, Q, kx]`` and ``[B, Q, ky]``."""
    dx, dy = (_squares(side, chosen)[0] for side in rows)
    return chosen.mean(neighbour_estimates((dx, dy), chosen.others, may_tie(*rows)))


def local_statistics(views: Sequence[tuple[Tensor, Tensor]], chosen: Subset) -> Local:
    """Statistics of views, each of rows ``[B, Q, kx]`` and ``[B, Q, ky]`` whose distances count."""
    count = len(views)
    pairs = [(_squares(ux, chosen), _squares(uy, chosen)) for ux, uy in views]
    dx, dy = (torch.cat([pair[side][0] for pair in pairs]) for side in (0, 1))
    mean_x, mean_y = (torch.cat([pair[side][1] for pair in pairs]) for side in (0, 1))
    others = _repeated(chosen.others, count)
    with no_gradient():
        most = min(_NEAR, dx.shape[-1] - 1)
        near = [smallest(d, most).clamp(0.0, 4.0) for d in (dx, dy)]
        ties = may_tie(*views[0])  # those of the scores, whose columns others mix
        ties = None if ties is None else ties.repeat(count)
        neighbours = neighbour_estimates((dx, dy), others, ties)
        dims = [_growth(v, mean) for v, mean in zip(near, (mean_x, mean_y))]
        first = near[0][..., :1], near[1][..., :1]
        rate = _rates(near[0], mean_x), _rates(near[1], mean_y)
    table = kernel_table(dx, dy, first, rate)
    joint = table[..., :SCALES, :SCALES]
    by_x, by_y = table[..., :SCALES, SCALES], table[..., SCALES, :SCALES]
    expected = by_x.unsqueeze(-1) * by_y.unsqueeze(-2) / others.unsqueeze(-1)
    ratio = ((joint + _SMOOTH) / (expected + _SMOOTH)).log()
    far_y = _regressed(table[..., :SCALES, SCALES + 1], by_x, mean_y)
    far_x = _regressed(table[..., SCALES + 1, :SCALES], by_y, mean_x)
    upper, strict = (cached(_triangle, SCALES, offset, like=ratio).long() for offset in (0, 1))
    symmetric = ((ratio + ratio.mT) / 2).flatten(-2).index_select(-1, upper)
    skew = (ratio - ratio.mT).abs().flatten(-2).index_select(-1, strict)
    features = torch.cat(
        [symmetric, skew, (far_x + far_y) / 2, (far_x - far_y).abs(), dims[0] + dims[1],
         (dims[0] - dims[1]).abs()], -1,
    ) / 2  # fmt: skip
    features = torch.cat(features.chunk(count), -1)
    if chosen.present is not None:
        features = features * chosen.present
    opinions = torch.cat([ratio.diagonal(dim1=-2, dim2=-1), neighbours], -1)
    means = torch.stack([chosen.mean(part) for part in opinions.chunk(count)], 1)
    kernels, exact = means.split([SCALES, len(NEIGHBOURS)], -1)
    exact = exact + kernels[..., :1] - kernels[..., :1].detach()
    opinions = torch.cat([kernels, exact], -1).flatten(1)
    size = len(dx) // count
    weights = []
    for view in sorted({0, count - 1}):
        part = slice(view * size, (view + 1) * size)
        weights.append(tuple(
            _weights(d[part], f[part], r[part]) for d, f, r in zip((dx, dy), first, rate)
        ))  # fmt: skip
    return Local(features, opinions, tuple(weights))


def _repeated(value: Tensor, count: int) -> Tensor:
    """``[1, ...]`` as it is, ``[B, ...]`` once for every view."""
    return value if len(value) == 1 else value.repeat(count, 1, 1)


def _triangle(size: int, offset: int, like: Tensor) -> Tensor:
    """Places of the upper triangle of a flat matrix, ``[T]``."""
    row, column = torch.triu_indices(int(size), int(size), int(offset), device=like.device)
    out: Tensor = row * int(size) + column
    return out


def _weights(square: Tensor, first: Tensor, rate: Tensor) -> Tensor:
    """Shares ``[B, Q, M]`` of the references in the kernel of ten neighbours."""
    return normal_softmax((first - square).mul_(rate[..., 1:2]), -1)


def _growth(near: Tensor, mean: Tensor) -> Tensor:
    """How fast the radii grow, ``[B, Q, 2]``: small in many intrinsic dimensions."""
    last = near[..., -1:].clamp(min=COINCIDE)
    fourth = near[..., [min(3, near.shape[-1] - 1)]].clamp(min=COINCIDE)
    return torch.cat([(last / fourth).log(), (mean.clamp(min=COINCIDE) / last).log() / 2], -1)


def _regressed(total: Tensor, weight: Tensor, mean: Tensor) -> Tensor:
    """Log of the mean squared distance of one side's neighbours on the other, over that of all."""
    near = total / weight.clamp(min=1e-6)
    return ((near + 1e-4) / (mean + 1e-4)).log() / 3
