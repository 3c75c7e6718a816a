"""Partitions of a sample into cells: clusters of several kinds, slices and shells.

Legend: ``P`` samples, ``d`` columns, ``K`` cells; a partition is ``[P]`` integers from 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = [
    "MISPLACED",
    "centroids",
    "clustered",
    "clusters",
    "k_means",
    "misplaced",
    "nearest",
    "purity",
    "quantile_cells",
    "sliced",
    "ward",
]

MISPLACED = 0.1  # of the samples, at most
_SMALL = 64  # clusters that are joined into larger ones
_LLOYD = 10
_TRIES = 2
_NEIGHBOURS, _BLOCK = 5, 1024


def clustered(
    z: Tensor, count: int, generator: torch.Generator, places: Tensor | None = None
) -> tuple[Tensor, ...]:
    """``count`` partitions of samples ``[P, d]`` into 2 to 16 clusters.

    Of ten, nine are :func:`clusters` of ``places`` (of the samples if there are none), the purer
    of two, which come closest to classes of real data: neighbours are nearly always of one class.
    The other is of k-means clusters. In every second one up to a tenth of the samples are
    :func:`misplaced`.

    Args:
        z: the samples.
        count: of partitions.
        generator: of all draws.
        places: ``[P, r]`` :class:`~torchmist.adapt.diffusion.DiffusionMap` coordinates.
    """
    places = z if places is None else places
    near = nearest(z)
    out = []
    for index in range(count):
        cells = 2 + int(torch.randint(15, (1,), generator=generator))
        if index % 10 == 9:
            part = k_means(z, cells, generator)
        else:
            tries = [clusters(places, cells, generator) for _ in range(_TRIES)]
            part = max(tries, key=lambda part: purity(part, near))
        share = MISPLACED * float(torch.rand(1, generator=generator))
        out.append(misplaced(part, share, generator) if index % 2 else part)
    return tuple(out)


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


def misplaced(part: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """``part`` ``[P]`` in which a ``share`` of the samples are in the cell of a random sample.

    Classes of real data are no more than nearly what neighbours tell.
    """
    moved = torch.rand(len(part), generator=generator) < share
    other = part[torch.randint(len(part), (len(part),), generator=generator)]
    return _compact(torch.where(moved, other, part))


def purity(part: Tensor, near: Tensor) -> float:
    """Share of neighbours, numbers ``[P, 6]`` as of :func:`nearest`, in the cell of the sample."""
    return float((part[near] == part[:, None])[:, 1:].double().mean())


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
        nearest = torch.cdist(z, centres).argmin(-1)
        member = torch.nn.functional.one_hot(nearest, len(centres)).to(z.dtype)
        count = member.sum(0)[:, None]
        centres = torch.where(count > 0, member.T @ z / count.clamp(min=1), centres)
    return _compact(torch.cdist(z, centres).argmin(-1))


def clusters(z: Tensor, cells: int, generator: torch.Generator) -> Tensor:
    """Clusters as real classes are: many k-means clusters, joined by :func:`ward`."""
    small = k_means(z, max(cells, min(_SMALL, len(z) // 4)), generator)
    centres, count = centroids(z, small)
    return _compact(ward(centres, count, (cells,))[0][small])


def centroids(z: Tensor, part: Tensor) -> tuple[Tensor, Tensor]:
    """Means ``[K, d]`` and sizes ``[K]`` of the cells of ``z`` ``[P, d]``, float64."""
    member = torch.nn.functional.one_hot(part).double()
    count = member.sum(0)
    return member.T @ z.double() / count[:, None], count


def ward(centres: Tensor, count: Tensor, cells: Sequence[int]) -> list[Tensor]:
    """Clusters ``[K, d]`` of ``count`` ``[K]`` samples, joined until each of ``cells`` remain.

    Ward (1963): always the two whose union adds least to the sum of squares within. ``cells`` are
    decreasing; for each the new cell ``[K]`` of every cluster, numbered from 0.
    """
    centres, count, out = centres.clone(), count.clone(), []
    name = torch.arange(len(count))
    for wanted in cells:
        while len(alive := name.unique()) > wanted:
            n, c = count[alive], centres[alive]
            cost = torch.cdist(c, c).square() * n[:, None] * n / (n[:, None] + n)
            first, second = divmod(int(cost.fill_diagonal_(torch.inf).argmin()), len(alive))
            a, b = int(alive[first]), int(alive[second])
            centres[a] = (centres[a] * count[a] + centres[b] * count[b]) / (count[a] + count[b])
            count[a] += count[b]
            name = torch.where(name == b, a, name)
        out.append(_compact(name))
    return out
