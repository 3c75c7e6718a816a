"""Tables of counts of two columns: the plug-in estimate, entropies, and densities left out.

Legend: ``B`` pairs, ``N`` samples, ``R`` rows and ``C`` columns of a table.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["CountTable", "count_pairs", "entropy_sum"]


def count_pairs(x: Tensor, y: Tensor, shape: tuple[int, int]) -> Tensor:
    """How often each pair of places ``[B, N]`` and ``[B or 1, N]`` occurs, ``[B, *shape]``."""
    size = shape[0] * shape[1]
    first = torch.arange(0, len(x) * size, size, device=x.device)[:, None]
    place = (first + x * shape[1] + y).flatten()
    return place.bincount(minlength=len(x) * size).view(len(x), *shape)


def entropy_sum(counts: Tensor, axes: Sequence[int]) -> Tensor:
    """The sum over ``axes`` of ``c log c`` of counts ``c``."""
    return torch.xlogy(counts, counts).sum(tuple(axes))


class CountTable:
    """Counts ``[B, R, C]`` with their totals, and what is read off them."""

    def __init__(self, counts: Tensor) -> None:
        self.counts = counts
        self.rows, self.columns = counts.sum(2), counts.sum(1)
        self.n = float(counts[0].sum())

    def plug_in(self) -> tuple[Tensor, Tensor]:
        """The plug-in estimate and its bias by the numbers of cells seen, ``[B]`` in nats."""
        n = self.n
        whole = entropy_sum(self.counts, (1, 2))
        sides = entropy_sum(self.rows, (1,)) + entropy_sum(self.columns, (1,))
        seen = [(v > 0).flatten(1).sum(1) for v in (self.counts, self.rows, self.columns)]
        bias = (seen[0] - seen[1] - seen[2] + 1).float() / (2 * n)
        return (whole - sides) / n + math.log(n), bias

    def share_of(self, count: int) -> Tensor:
        """Share of the samples ``[B]`` in cells of ``count``."""
        return (self.counts == count).flatten(1).sum(1).float() * (count / self.n)

    def entropies(self) -> tuple[Tensor, Tensor]:
        """Entropies of rows and columns ``[B]`` in nats."""
        rows, columns = (
            math.log(self.n) - entropy_sum(v, (1,)) / self.n for v in (self.rows, self.columns)
        )
        return rows, columns

    def left_out(self, joint: Tensor, rows: Tensor, columns: Tensor, mix: float) -> Tensor:
        """Mean log ratio ``[B]`` of smoothed counts without the sample itself.

        ``joint`` ``[B, R, C]``, ``rows`` ``[B, R]``, ``columns`` ``[B, C]``: sums of weights, 1 of
        which is the sample's own; ``mix``: share of independence in the density.
        """
        product = (rows - 1).clamp(min=1e-3)[:, :, None] * (columns - 1).clamp(min=1e-3)[:, None]
        ratio = (joint - 1).clamp(min=0) * (self.n - 1) / product
        logs = (mix + (1 - mix) * ratio.clamp(max=1e6)).log()
        return (self.counts * logs).sum((1, 2)) / self.n
