r"""Cells of a table of counts as mixtures of two gamma laws, in groups of cells alike.

Counts are Poisson variables of rates :math:`\lambda_{ij} = \mu_{ij} \theta_{ij}` around those of
independence, :math:`\mu_{ij} = n_i n_j / n`, and :math:`\theta` is of either of two gamma laws, a
``Part`` each. Cells that were not seen enter as pairs of totals
(``torchmist.discrete.contingency``): O(N) in all.

Legend: ``G`` groups of cells, ``M`` models.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from torchmist.discrete.contingency import Table, group_totals

__all__ = ["Cells", "Part", "log_evidence", "moments_in_parts", "rate_moments", "table_cells"]

_ELEMENTS = 2_000_000  # of models x groups at once
_MOMENTS = 200_000  # and where moments of each are asked
_TINY = 1e-200  # scale of a rate that is 0

Part = tuple[Tensor, Tensor, Tensor]  # log weight, shape and mean of theta, [M, 1] or [M, G]


@dataclass(frozen=True, eq=False)
class Cells:
    """Groups of cells ``[G]``: count, expected count, ``1 / n_i + 1 / n_j - 1 / n``, number, and
    the totals of row and column."""

    count: Tensor
    expected: Tensor
    inverse: Tensor
    times: Tensor
    row: Tensor
    column: Tensor


def table_cells(table: Table) -> tuple[Cells, ...]:
    """All cells as if unseen, those seen, and less those seen as if unseen."""
    rows, row_times = group_totals(*table.rows.unbind(-1))
    columns, column_times = group_totals(*table.columns.unbind(-1))
    expected = (rows[:, None] * columns / table.n).flatten()
    inverse = (1 / rows[:, None] + 1 / columns - 1 / table.n).flatten()
    times = (row_times[:, None] * column_times).flatten()
    pairs = rows.repeat_interleave(len(columns)), columns.repeat(len(rows))
    seen = table.row * table.column / table.n, 1 / table.row + 1 / table.column - 1 / table.n
    return (
        Cells(torch.zeros_like(expected), expected, inverse, times, *pairs),
        Cells(table.count, *seen, table.times, table.row, table.column),
        Cells(torch.zeros_like(table.count), *seen, -table.times, table.row, table.column),
    )


def log_evidence(
    cells: tuple[Cells, ...], models: Tensor, parts: Callable[[Cells, Tensor], tuple[Part, ...]]
) -> Tensor:
    """Log likelihood ``[M]`` of the counts over that of independence."""
    out = torch.zeros(len(models), dtype=torch.float64, device="cpu")
    for group in cells:
        size = max(1, _ELEMENTS // len(group.count))
        out += torch.cat(
            [
                (torch.logaddexp(*_log_likelihoods(group, parts(group, some))) * group.times).sum(
                    -1
                )
                for some in models.split(size)
            ]
        )
    return out


def _log_likelihoods(cells: Cells, parts: tuple[Part, ...]) -> list[Tensor]:
    """Weighted negative binomial over Poisson likelihood of each component ``[M, G]``, logs."""
    n, mu, out = cells.count, cells.expected, []
    for log_weight, shape, mean in parts:
        value = log_weight + mu - (n + shape) * (mean * mu / shape).log1p()
        if bool(n.any()):
            value = value + n * (mean / shape).log() + torch.lgamma(n + shape) - torch.lgamma(shape)
        out.append(value)
    return out


def moments_in_parts(
    cells: tuple[Cells, ...], models: Tensor, moments: Callable[[Tensor], Tensor]
) -> Tensor:
    """What ``moments`` gives of few ``models`` at a time, ``[M, 2]`` of all."""
    size = max(1, _MOMENTS // max(len(group.count) for group in cells))
    found = [moments(part) for part in models.split(size) if len(part)]
    return torch.cat(found) if found else models.new_zeros(0, 2)


def rate_moments(cells: Cells, parts: tuple[Part, ...]) -> Tensor:
    """Moments of each cell's rate lambda and of lambda log t, t = lambda / mu, ``[6, M, G]``.

    Mean of lambda and of lambda log t; variance of lambda, covariance and variance of lambda log t;
    variance of lambda times ``inverse``.
    """
    n, mu = cells.count, cells.expected
    weight = torch.stack(_log_likelihoods(cells, parts)).softmax(0)
    moments = []
    for _, shape, mean in parts:
        a, scale = n + shape, (1 / (1 + shape / (mean * mu))).clamp(min=_TINY)
        log_scale = scale.log() - mu.log()
        first, second = a * scale, a * (a + 1) * scale.square()
        psi = torch.digamma(a + 1) + log_scale
        psi2, trigamma = psi + 1 / (a + 1), torch.polygamma(1, a + 2)
        moments.append(
            torch.stack([first, first * psi, second, second * psi2, second * (trigamma + psi2**2)])
        )
    first, log1, second, cross, square = (weight[:, None] * torch.stack(moments)).sum(0)
    spread = (second - first**2).clamp(min=0)
    rest = cross - first * log1, (square - log1**2).clamp(min=0), spread * cells.inverse
    return torch.stack([first, log1, spread, *rest])
