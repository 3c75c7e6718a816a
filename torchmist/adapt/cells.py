r"""Datasets of known MI made of real samples: dependence through cells of each side.

Each side is a pool of samples that is cut into cells. A pair of cells :math:`(a, b)` is drawn from
a table :math:`P` whose margins are the frequencies of the cells, then a sample of each cell,
independently. All that X tells of Y is its cell, so

.. math:: I(X;Y) = \sum_{a,b} P(a,b) \log \frac{P(a,b)}{P(a) P(b)}

exactly, while each side keeps the distribution of the data. Large datasets would repeat the samples
of a pool, so these are moved towards neighbours of their cell (:func:`jittered`).
Legend: ``P`` samples in a pool, ``d`` columns, ``K`` cells, ``B`` datasets, ``N`` samples of a
dataset.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from torchmist.adapt.partitions import column_scale
from torchmist.synthetic import Batch
from torchmist.synthetic.random_tables import random_table, table_mi

__all__ = ["CellMeta", "Pool", "jittered"]

_NEIGHBOURS = 5
_INDEPENDENT = 0.15  # share of datasets whose sides are independent


@dataclass(frozen=True, eq=False)
class Pool:
    """Samples ``[P, d]`` of one side, and partitions of them, each ``[P]`` integers from 0."""

    samples: Tensor
    partitions: tuple[Tensor, ...]

    @cached_property
    def near(self) -> Tensor:
        """Each sample and its five nearest neighbours in scaled columns, ``[P, 6]``."""
        z = self.samples * column_scale(self.samples)
        gaps = torch.cdist(z, z).fill_diagonal_(-1.0)  # first, among its copies
        return gaps.topk(min(_NEIGHBOURS + 1, len(z)), largest=False).indices

    @cached_property
    def continuous(self) -> Tensor:
        """Columns without many ties, ``[d]``."""
        distinct = self.samples.sort(0).values.diff(dim=0) != 0
        return distinct.double().mean(0) > 0.9

    @classmethod
    def of_labels(cls, one_hot: Tensor) -> Pool:
        """Labels as one-hot columns ``[P, d]``, or one column for two; the cells are classes."""
        return cls(one_hot, (one_hot.unique(dim=0, return_inverse=True)[1],))


class CellMeta:
    """Datasets from the pools ``x`` and ``y`` of both sides: see the module."""

    def __init__(self, x: Pool, y: Pool) -> None:
        self.x, self.y = x, y

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
        family = torch.zeros(batch_size, dtype=torch.int64)
        return Batch(x, y, mi.float(), family, torch.zeros(batch_size))

    def _dataset(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        pools = self.x, self.y
        chosen = [int(torch.randint(len(v.partitions), (1,), generator=generator)) for v in pools]
        parts = [pool.partitions[k] for pool, k in zip(pools, chosen)]
        p, q = (torch.bincount(part).double() / len(part) for part in parts)
        table = random_table(p, q, generator)
        if float(torch.rand(1, generator=generator)) < _INDEPENDENT:
            table = p[:, None] * q
        flat = torch.multinomial(table.flatten(), n, replacement=True, generator=generator)
        sides = []
        for pool, part, cell in zip(pools, parts, (flat // len(q), flat % len(q))):
            rows = _members(part, cell, generator)
            more = n > len(part)
            sides.append(jittered(pool, part, rows, generator) if more else pool.samples[rows])
        return sides[0], sides[1], table_mi(table)


def jittered(pool: Pool, part: Tensor, rows: Tensor, generator: torch.Generator) -> Tensor:
    r"""Samples ``[N, d]`` near those of ``rows`` ``[N]`` in a pool, each of the same cell.

    :math:`z_i + u s (z_j - z_i)` with :math:`j` a random one of the five nearest neighbours of
    :math:`i`, or :math:`i` where that is of another cell (``part`` ``[P]``), :math:`u` uniform, and
    :math:`s` uniform and the same for all. Convex cells are never left, and segments of different
    cells almost surely do not cross from three continuous columns on: a sample tells its cell, and
    labels stay exact. Columns with many ties, as grids have, stay as they are; of fewer than three
    others all do.
    """
    z = pool.samples[rows]
    if int(pool.continuous.sum()) < 3:
        return z
    near = pool.near[rows]
    near = torch.where(part[near] == part[rows, None], near, rows[:, None])
    pick = torch.randint(1, near.shape[1], (len(rows), 1), generator=generator)
    other = pool.samples[near.gather(1, pick).squeeze(1)]
    share = torch.rand(1, generator=generator) * torch.rand(len(rows), 1, generator=generator)
    return z + share * pool.continuous * (other - z)


def _members(part: Tensor, cell: Tensor, generator: torch.Generator) -> Tensor:
    """A sample of each wanted ``cell`` ``[N]``: indices into the pool.

    Each cell is gone through in a random order, again when it is used up, so that a large pool
    gives no sample twice. The label is exact if one comes twice: the other side depends on its cell
    alone.
    """
    out = torch.empty_like(cell)
    for k in cell.unique().tolist():
        wanted, members = ((v == k).nonzero().squeeze(-1) for v in (cell, part))
        order = torch.randperm(len(members), generator=generator)
        out[wanted] = members[order.repeat(math.ceil(len(wanted) / len(members)))[: len(wanted)]]
    return out
