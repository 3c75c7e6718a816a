r"""Datasets of known MI made of real samples: dependence through cells of each side.

Each side is a pool of samples that is cut into cells. A pair of cells :math:`(a, b)` is drawn from
a table :math:`P` whose margins are the frequencies of the cells, then a sample of each cell,
independently. All that X tells of Y is its cell, so

.. math:: I(X;Y) = \sum_{a,b} P(a,b) \log \frac{P(a,b)}{P(a) P(b)}

exactly, while each side keeps the distribution of the data. Legend: ``P`` samples in a pool, ``K``
cells, ``B`` datasets, ``N`` samples of a dataset.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from torchmist.synthetic import Batch

__all__ = ["CellMeta", "Pool", "table_mi"]

_SINKHORN = 200


@dataclass(frozen=True)
class Pool:
    """Samples ``[P, d]`` of one side, and partitions of them, each ``[P]`` integers from 0."""

    samples: Tensor
    partitions: tuple[Tensor, ...]

    @classmethod
    def of(cls, samples: Tensor, *, count: int, seed: int, space: Tensor | None = None) -> Pool:
        """A pool with ``count`` partitions of 2 to 16 cells.

        The cells are cut in ``space`` ``[P, e]``, the samples themselves if there is none.

        Half are k-means clusters of standardised columns, the others quantiles of a random
        projection, products of two halves, or shells of the distance from a random sample.
        """
        generator = torch.Generator().manual_seed(seed)
        space = samples if space is None else space
        z = (space - space.mean(0)) / space.std(0).clamp(min=1e-6)
        parts = []
        for index in range(count):
            cells = 2 + int(torch.randint(15, (1,), generator=generator))
            if index % 2 == 0:
                parts.append(_k_means(z, cells, generator))
                continue
            direction = torch.randn(2, z.shape[1], generator=generator)
            score = z @ direction[0] if index % 4 == 1 else (z - z[index % len(z)]).norm(dim=-1)
            part = _quantile_cells(score, cells)
            if index % 8 == 1:
                halves = [_quantile_cells(z @ v, 2) for v in direction]
                part = 2 * halves[0] + halves[1]
            parts.append(part)
        return cls(samples, tuple(_compact(p) for p in parts))

    @classmethod
    def of_labels(cls, one_hot: Tensor) -> Pool:
        """Labels as one-hot columns ``[P, d]``, or one column for two; the cells are classes."""
        return cls(one_hot, (one_hot.unique(dim=0, return_inverse=True)[1],))


def _compact(part: Tensor) -> Tensor:
    """Cells numbered from 0 without gaps."""
    index: Tensor = part.unique(return_inverse=True)[1]
    return index


def _quantile_cells(score: Tensor, cells: int) -> Tensor:
    """``cells`` cells of equal frequency along ``score`` ``[P]``."""
    inner = torch.quantile(score, torch.arange(1, cells, dtype=score.dtype) / cells)
    return torch.bucketize(score.contiguous(), inner)


def _k_means(z: Tensor, cells: int, generator: torch.Generator) -> Tensor:
    """Clusters of ``z`` ``[P, d]`` by Lloyd's iterations from random samples, ``[P]``."""
    centres = z[torch.randperm(len(z), generator=generator)[:cells]]
    for _ in range(10):
        nearest = torch.cdist(z, centres).argmin(-1)
        member = torch.nn.functional.one_hot(nearest, len(centres)).to(z.dtype)
        count = member.sum(0)[:, None]
        centres = torch.where(count > 0, member.T @ z / count.clamp(min=1), centres)
    return torch.cdist(z, centres).argmin(-1)


def table_mi(table: Tensor) -> Tensor:
    """MI of joint tables ``[..., Kx, Ky]`` in nats."""
    product = table.sum(-1, keepdim=True) * table.sum(-2, keepdim=True)
    terms = torch.xlogy(table, table) - torch.xlogy(table, product)
    return terms.sum((-1, -2)).clamp(min=0)


def _table(p: Tensor, q: Tensor, generator: torch.Generator) -> Tensor:
    """A random joint table ``[Kx, Ky]`` with margins ``p`` and ``q``, from weak to strong."""
    u = torch.rand(2, generator=generator, dtype=torch.float64).tolist()
    strength = 12 ** (2 * u[0] - 1)
    if u[1] < 0.5:  # a channel that keeps the cell, or its image, with noise
        image = torch.randperm(len(q), generator=generator)[torch.arange(len(p)) % len(q)]
        logit = strength * torch.nn.functional.one_hot(image, len(q)).double()
    else:
        logit = strength * torch.randn(len(p), len(q), generator=generator, dtype=torch.float64) / 2
    table: Tensor = logit.exp()
    for _ in range(_SINKHORN):
        table = table * (p / table.sum(1))[:, None]
        table = table * (q / table.sum(0))
    return table / table.sum()


class CellMeta:
    """Datasets from two pools: see the module.

    Args:
        x, y: the pools of both sides.
        independent: share of datasets whose sides are independent.
    """

    families = ("cells",)

    def __init__(self, x: Pool, y: Pool, *, independent: float = 0.05) -> None:
        self.x, self.y, self.independent = x, y, independent

    def sample(
        self, batch_size: int, n: int, dx: int, dy: int, *, generator: torch.Generator
    ) -> Batch:
        """``batch_size`` datasets of ``n`` samples with their exact MI in nats.

        Raises:
            ValueError: for other ``dx`` or ``dy`` than the columns of the pools.
        """
        widths = self.x.samples.shape[1], self.y.samples.shape[1]
        if (dx, dy) != widths:
            raise ValueError(f"expected dx, dy = {widths}, the columns of the pools, got {dx, dy}")
        made = [self._dataset(n, generator) for _ in range(batch_size)]
        x, y, mi = (torch.stack(parts) for parts in zip(*made))
        return Batch(x, y, mi.float(), torch.zeros(batch_size, dtype=torch.int64))

    def _dataset(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        parts = [
            pool.partitions[int(torch.randint(len(pool.partitions), (1,), generator=generator))]
            for pool in (self.x, self.y)
        ]
        p, q = (torch.bincount(part).double() / len(part) for part in parts)
        table = _table(p, q, generator)
        if float(torch.rand(1, generator=generator)) < self.independent:
            table = p[:, None] * q
        flat = torch.multinomial(table.flatten(), n, replacement=True, generator=generator)
        cells = flat // len(q), flat % len(q)
        x, y = (
            pool.samples[_members(part, cell, generator)]
            for pool, part, cell in zip((self.x, self.y), parts, cells)
        )
        return x, y, table_mi(table)


def _members(part: Tensor, cell: Tensor, generator: torch.Generator) -> Tensor:
    """A sample of each wanted ``cell`` ``[N]``: indices into the pool.

    Each cell is gone through in a random order, anew when it is used up, so that a pool that is
    large enough gives no sample twice.
    """
    out = torch.empty_like(cell)
    for k in cell.unique().tolist():
        wanted = (cell == k).nonzero().squeeze(-1)
        members = (part == k).nonzero().squeeze(-1)
        rounds = math.ceil(len(wanted) / len(members))
        order = [torch.randperm(len(members), generator=generator) for _ in range(rounds)]
        out[wanted] = members[torch.cat(order)[: len(wanted)]]
    return out
