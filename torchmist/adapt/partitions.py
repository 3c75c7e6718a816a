"""Partitions of a sample into cells: clusters, slices and shells.

Legend: ``P`` samples, ``d`` columns, ``K`` cells; a partition is ``[P]`` integers from 0.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["clustered", "clusters", "column_scale", "k_means", "nearest", "quantile_cells",
           "sliced", "walk_coordinates"]  # fmt: skip

_MISPLACED = 0.1  # of the samples, at most
_SMALL = 64  # clusters that are joined into larger ones
_LLOYD = 10
_NEIGHBOURS, _BLOCK = 5, 1024
_REACH, _COORDINATES, _STEPS = 8, 48, 16  # neighbours, kept eigenvectors, steps of the walk
_COMMON = 10.0


def column_scale(x: Tensor) -> Tensor:
    """Factors ``[d]`` that bring the columns of ``[N, d]`` to a like scale.

    Columns of one unit (no deviation above ten times the median one: pixels, embeddings) keep their
    proportions, since the small ones are mostly noise; others become standard. Constant columns
    get 0.
    """
    deviation = x.std(0)
    varies = deviation > 1e-9
    if not bool(varies.any()):
        return torch.zeros_like(deviation)
    if deviation.max() <= _COMMON * deviation[varies].median():
        common = deviation[varies].square().mean().sqrt()
        return torch.where(varies, 1 / common, 0.0)
    return torch.where(varies, 1 / deviation.clamp(min=1e-9), 0.0)


def clustered(z: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """``count`` partitions of samples ``[P, d]`` into 2 to 16 :func:`clusters`.

    Every second one is of :func:`walk_coordinates`, which come closest to classes of real data. In
    half of the draws up to a tenth of the samples are in the cell of a random sample, as classes
    are no more than nearly what neighbours tell.
    """
    places, out = (z, walk_coordinates(z)), []
    for index in range(count):
        u, v = torch.rand(2, generator=generator).tolist()
        part = clusters(places[index % 2], int(2 * 8.5**u), generator)
        moved = torch.rand(len(part), generator=generator) < _MISPLACED * max(0.0, 2 * v - 1)
        other = part[torch.randint(len(part), (len(part),), generator=generator)]
        out.append(_compact(torch.where(moved, other, part)))
    return tuple(out)


def walk_coordinates(z: Tensor) -> Tensor:
    r"""Samples ``[P, d]`` as places ``[P, r]`` in which those are close that a walk joins quickly.

    The walk goes along neighbours: its kernel is :math:`\exp(-(|z_i - z_j|^2 / (s_i s_j))^4)` with
    :math:`s` the distance to the eighth neighbour (Zelnik-Manor and Perona, 2004). Its leading
    eigenvectors times their eigenvalues to the power of the steps (Coifman and Lafon, 2006), with
    rows of norm 1 (Ng, Jordan and Weiss, 2002).
    """
    square = torch.cdist(z, z).square()
    reach = square.kthvalue(min(_REACH + 1, len(z)), dim=-1).values.sqrt()
    reach = reach.clamp(min=1e-3 * float(reach.median()) + 1e-9)
    kernel = (-((square / (reach[:, None] * reach)).clamp(max=1e3) ** 4)).exp().double()
    root = kernel.sum(-1).rsqrt()
    value, vector = torch.linalg.eigh(root[:, None] * kernel * root)
    places = vector[:, -_COORDINATES:] * value[-_COORDINATES:].clamp(min=0) ** _STEPS
    out: Tensor = places / places.norm(dim=-1, keepdim=True).clamp(min=1e-30)
    return out.float()


def sliced(z: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """``count`` partitions of samples ``[P, d]`` into 2 to 8 slices, of equal size in half of them.

    Of ten, five are along a random direction, three along a column and two are shells around a
    sample.
    """
    varies = (z.amax(0) > z.amin(0)).nonzero().squeeze(-1)
    out = []
    for index in range(count):
        cells = 2 + int(torch.randint(7, (1,), generator=generator))
        kind = index % 10
        if kind < 5:
            score = z @ torch.randn(z.shape[1], generator=generator)
        elif kind < 8:
            score = z[:, varies[int(torch.randint(len(varies), (1,), generator=generator))]]
        else:
            score = (z - z[int(torch.randint(len(z), (1,), generator=generator))]).norm(dim=-1)
        out.append(quantile_cells(score, _shares(cells, generator)))
    return tuple(out)


def _shares(cells: int, generator: torch.Generator) -> Tensor:
    """Shares of ``cells`` cells, all alike in half of the draws."""
    weight = torch.ones(cells, dtype=torch.float64)
    if float(torch.rand(1, generator=generator)) < 0.5:
        weight += 4 * torch.rand(cells, generator=generator, dtype=torch.float64)
    return weight / weight.sum()


def nearest(z: Tensor) -> Tensor:
    """Numbers ``[P, 6]`` of each sample ``[P, d]`` and its five nearest neighbours."""
    few = min(_NEIGHBOURS + 1, len(z))
    blocks = []
    for start in range(0, len(z), _BLOCK):
        gap = torch.cdist(z[start : start + _BLOCK], z)
        gap.diagonal(start).fill_(-1.0)  # first, among its copies
        blocks.append(gap.topk(few, largest=False).indices)
    return torch.cat(blocks)


def _compact(part: Tensor) -> Tensor:
    """Cells numbered from 0 without gaps."""
    index: Tensor = part.unique(return_inverse=True)[1]
    return index


def quantile_cells(score: Tensor, shares: Tensor) -> Tensor:
    """Cells along ``score`` ``[P]`` with these ``shares``; two at least, fewer when it has ties."""
    inner = torch.quantile(score, shares.cumsum(0)[:-1].to(score).clamp(max=1.0))
    part = torch.bucketize(score.contiguous(), inner)
    if int(part.amax()) == int(part.amin()):  # most are tied at an end
        part = (score > score.amin()).long()
    return _compact(part)


def k_means(z: Tensor, cells: int, generator: torch.Generator) -> Tensor:
    """Clusters of ``z`` ``[P, d]`` by Lloyd's iterations from random samples; at most ``cells``."""
    centres = z[torch.randperm(len(z), generator=generator)[:cells]]
    for _ in range(_LLOYD):
        member = torch.nn.functional.one_hot(torch.cdist(z, centres).argmin(-1), len(centres))
        count = member.sum(0)[:, None]
        centres = torch.where(count > 0, member.T.to(z) @ z / count.clamp(min=1), centres)
    return _compact(torch.cdist(z, centres).argmin(-1))


def clusters(z: Tensor, cells: int, generator: torch.Generator) -> Tensor:
    """Clusters as real classes are: many k-means clusters, the nearest joined until ``cells`` are
    left, always the two whose union adds least to the sum of squares within (Ward, 1963)."""
    name = k_means(z, max(cells, min(_SMALL, len(z) // 4)), generator)
    member = torch.nn.functional.one_hot(name).double()
    count = member.sum(0)
    centres = member.T @ z.double() / count[:, None]
    small, name = name, torch.arange(len(count))
    while len(alive := name.unique()) > cells:
        n, c = count[alive], centres[alive]
        cost = torch.cdist(c, c).square() * n[:, None] * n / (n[:, None] + n)
        first, second = divmod(int(cost.fill_diagonal_(torch.inf).argmin()), len(alive))
        a, b = int(alive[first]), int(alive[second])
        centres[a] = (centres[a] * count[a] + centres[b] * count[b]) / (count[a] + count[b])
        count[a] += count[b]
        name = torch.where(name == b, a, name)
    return _compact(name[small])
