"""Partitions of a sample into cells: clusters, slices and shells.

Legend: ``P`` samples, ``d`` columns, ``K`` cells; a partition is ``[P]`` integers from 0.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["clustered", "clusters", "column_scale", "quantile_cells", "sliced"]

_MISPLACED = 0.1  # of the samples, at most
_SMALL = 64  # cells that are joined into clusters
_COMMON = 10.0


def column_scale(x: Tensor) -> Tensor:
    """Factors ``[d]`` that bring the columns of ``[N, d]`` to a like scale.

    Columns of one unit (no deviation above ten times the median one: pixels, embeddings) keep their
    proportions, since the small ones are mostly noise; others become standard. Constant columns
    get 0.
    """
    deviation = x.std(0)
    varies = deviation > 1e-9
    like = deviation.max() <= _COMMON * deviation[varies].median()
    unit = deviation[varies].square().mean().sqrt() if like else deviation
    return torch.where(varies, 1 / unit, 0.0)


def clustered(z: Tensor, generator: torch.Generator) -> Tensor:
    """A random partition of samples ``[P, d]`` into 2 to 16 :func:`clusters`.

    In half of the draws up to a tenth of the samples are in the cell of a random sample, as classes
    are no more than nearly what neighbours tell.
    """
    u, v = torch.rand(2, generator=generator).tolist()
    part = clusters(z, int(2 * 8.5**u), generator)
    misplaced = torch.rand(len(part), generator=generator) < _MISPLACED * max(0.0, 2 * v - 1)
    other = part[torch.randint(len(part), (len(part),), generator=generator)]
    return _compact(torch.where(misplaced, other, part))


def sliced(z: Tensor, generator: torch.Generator) -> Tensor:
    """A random partition of samples ``[P, d]`` into 2 to 8 slices, in half of the draws alike.

    Of ten, five are along a random direction, three along a column and two are shells around a
    sample.
    """
    cells = 2 + int(torch.randint(7, (1,), generator=generator))
    kind, uneven = torch.rand(2, generator=generator).tolist()
    if kind < 0.5:
        score = z @ torch.randn(z.shape[1], generator=generator)
    elif kind < 0.8:
        varies = (z.amax(0) > z.amin(0)).nonzero().squeeze(-1)
        score = z[:, varies[int(torch.randint(len(varies), (1,), generator=generator))]]
    else:
        score = (z - z[int(torch.randint(len(z), (1,), generator=generator))]).norm(dim=-1)
    shares = 1 + 4 * (uneven < 0.5) * torch.rand(cells, generator=generator)
    return quantile_cells(score, shares)


def _compact(part: Tensor) -> Tensor:
    """Cells numbered from 0 without gaps."""
    index: Tensor = part.unique(return_inverse=True)[1]
    return index


def quantile_cells(score: Tensor, shares: Tensor) -> Tensor:
    """Cells along ``score`` ``[P]`` in proportion to ``shares``; two at least, fewer with ties."""
    inner = torch.quantile(score, (shares.cumsum(0)[:-1] / shares.sum()).to(score))
    part = torch.bucketize(score.contiguous(), inner)
    if int(part.amax()) == int(part.amin()):  # most are tied at an end
        part = (score > score.amin()).long()
    return _compact(part)


def clusters(z: Tensor, cells: int, generator: torch.Generator) -> Tensor:
    """Clusters as real classes are: many small cells, those nearest to a random sample each, the
    nearest joined until ``cells`` are left, always the two whose union adds least to the sum of
    squares within (Ward, 1963)."""
    middles = z[torch.randperm(len(z), generator=generator)[: max(cells, min(_SMALL, len(z) // 4))]]
    name = _compact(torch.cdist(z, middles).argmin(-1))
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
