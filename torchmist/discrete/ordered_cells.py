r"""A prior of tables whose classes have an order, as counts, grades and rounded numbers have.

The base table is a Gaussian pair of correlation :math:`\rho = \tanh z` that is cut where the shares
of rows and columns say (a polychoric table, Olsson 1979),

.. math:: b_{ij} = \Phi_2\big((x_{i-1}, x_i] \times (y_{j-1}, y_j];\, \rho\big), \qquad
          \frac{\partial}{\partial \rho} \Phi_2(x, y; \rho) = \varphi_2(x, y; \rho),

and the table has a Dirichlet law of concentration :math:`\alpha` around it: what follows an order
in another way than Gaussian pairs do is left to the counts. Where the cell of the most frequent
classes may hold more rows than such tables say, as that of zeros of both sides often does, a share
f of the rows that it could hold at most is put there first, and a Gaussian pair makes the others.
All parameters are averaged by their evidence. Where the order of classes means nothing, counts
speak against this prior, or for :math:`\rho` near 0.

Legend: ``K`` cells seen, ``M`` models, ``P`` values of z, ``R`` and ``C`` classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from torchmist.discrete.best_grid import Range, grid_at_best
from torchmist.discrete.contingency import Table
from torchmist.discrete.dirichlet_moments import table_moments

__all__ = ["OrderedCells", "base_tables", "fit_ordered_cells"]

_MOST_CELLS = 20_000  # of a table, with those that are empty
_WIDEST = 3.5  # the largest z
_PANEL = 0.125  # of z, in which three points integrate the density
_NODES = (-math.sqrt(0.6), 0.0, math.sqrt(0.6))  # of Gauss and Legendre, between -1 and 1
_WEIGHTS = (5 / 18, 8 / 18, 5 / 18)
_EMPTY = 1e-14  # the least share of a cell
_STARTS = (29, 9)  # points of z and of log alpha,
_SOME = (15, 3)  # beside those of the log odds of f
_HELD = (-1.0, 0.0, 1.0, 2.5)
_LARGEST = 100.0  # concentration, times the rows or cells
_MOST_HELD = 5.0  # log odds of f
_ERRORS = (0.4, 1.5, 1.0)  # of all three, at most
_ROUNDS = 8
_EXCESS = -1.0  # standard deviations of the most frequent cell, below which f is 0


@dataclass(frozen=True, eq=False)
class OrderedCells:
    """Models ``[M, 3]`` (z, log alpha, log odds of f) of a table.

    ``log_weight`` ``[M]``: of the prior, and log evidence over the likelihood of independent sides
    of the shares that were seen.
    """

    table: Table
    models: Tensor
    log_weight: Tensor

    def moments(self, chosen: list[int]) -> Tensor:
        """Mean (nats) and variance (nats^2) of I under the ``chosen`` models, ``[M, 2]``."""
        models = self.models[chosen]
        found = models.new_zeros(len(models), 2)
        for some, bases, alphas in self._parts(models):
            each = [table_moments(self.seen + a * b) for a, b in zip(alphas.tolist(), bases)]
            found[some] = models.new_tensor(each)
        return found

    def log_likelihood(self, models: Tensor) -> Tensor:
        """Log likelihood ``[M]`` of the counts, for ``models`` ``[M, 3]``, or ``[M, 2]`` where f is
        0."""
        row, column, group = self.table.pairs
        count, found = self.table.count[group], models.new_zeros(len(models))
        for some, bases, alphas in self._parts(models):
            prior = alphas[:, None] * bases[:, row, column]
            cells = torch.lgamma(count + prior) - torch.lgamma(prior)
            found[some] = cells.sum(-1) + torch.lgamma(alphas) - torch.lgamma(alphas + count.sum())
        return found

    @cached_property
    def seen(self) -> Tensor:
        """Counts ``[R, C]``."""
        row, column, group = self.table.pairs
        counts = torch.zeros(self.table.classes, dtype=torch.float64, device="cpu")
        return counts.index_put((row, column), self.table.count[group])

    def excess(self, model: Tensor) -> float:
        """Standard deviations by which the rows of the most frequent classes of both sides exceed
        those of a model ``[2]`` or ``[3]``."""
        sizes = self.seen.sum(1), self.seen.sum(0)
        place = int(sizes[0].argmax()), int(sizes[1].argmax())
        ((_, bases, _),) = self._parts(model[None])
        expected = float(bases[0][place] * self.table.n)
        return (float(self.seen[place]) - expected) / math.sqrt(expected + 1)

    def _parts(self, models: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Of all models ``[M, ...]`` of one f each: their places ``[M]``, base tables
        ``[M, R, C]`` and concentrations ``[M]``."""
        odds = models[:, 2] if models.shape[1] > 2 else torch.full_like(models[:, 0], -math.inf)
        for one in odds.unique():
            some = (odds == one).nonzero().flatten()
            z, place = models[some, 0].unique(return_inverse=True)
            yield some, self._bases(z, float(one.sigmoid()))[place], models[some, 1].exp()

    def _bases(self, z: Tensor, held: float) -> Tensor:
        """Base tables ``[P, R, C]`` of which the most frequent cell holds a share of its own."""
        rows, columns = self.seen.sum(1), self.seen.sum(0)
        if held == 0:
            return base_tables(rows, columns, z)
        row, column = rows.argmax(), columns.argmax()
        own = held * torch.minimum(rows[row], columns[column])
        rows[row] -= own
        columns[column] -= own
        bases = (1 - own / self.table.n) * base_tables(rows, columns, z)
        bases[:, row, column] += own / self.table.n
        return bases


def fit_ordered_cells(table: Table, fits: float) -> OrderedCells:
    """Models of a table and their weight; ``fits``: log evidence lost by fitting both sides.

    None of two classes on both sides, or of too many cells.
    """
    cells = math.prod(table.classes)
    none = OrderedCells(table, table.count.new_zeros(0, 3), table.count[:0])
    if max(table.classes) < 3 or cells > _MOST_CELLS:
        return none
    top = math.log(_LARGEST * max(table.n, cells))
    least, most = (-_WIDEST, 0.0, -_MOST_HELD), (_WIDEST, top, _MOST_HELD)
    z, alpha = _axes(least, most, _STARTS)
    halves = float(z[1] - z[0]) / 2, float(alpha[1] - alpha[0]) / 2, 1.0

    def sought(starts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        d = starts.shape[1]
        limits = Range(least[:d], most[:d], halves[:d], _ERRORS[:d], _ROUNDS)
        found = grid_at_best(none.log_likelihood, starts, limits)
        volume = math.prod(high - low for low, high in zip(least[:d], most[:d]))
        logs = none.log_likelihood(found.models) + found.log_volume - math.log(volume)
        models = torch.full((len(logs), 3), -math.inf, dtype=logs.dtype, device="cpu")
        models[:, :d] = found.models
        return found.best, models, logs + fits - math.log(2)

    best, models, logs = sought(torch.cartesian_prod(z, alpha))
    if none.excess(best) > _EXCESS:
        starts = *_axes(least, most, _SOME), z.new_tensor(_HELD)
        _, others, more = sought(torch.cartesian_prod(*starts))
        models, logs = torch.cat([models, others]), torch.cat([logs, more])
    return OrderedCells(table, models, logs)


def _axes(
    least: tuple[float, ...], most: tuple[float, ...], points: tuple[int, ...]
) -> list[Tensor]:
    """Even points between limits."""
    return [
        torch.linspace(low, high, k, dtype=torch.float64, device="cpu")
        for low, high, k in zip(least, most, points)
    ]


def base_tables(rows: Tensor, columns: Tensor, z: Tensor) -> Tensor:
    """Shares ``[P, R, C]`` of the cells of base tables, for sizes of classes and ``z`` ``[P]``.

    Example:
        >>> even = torch.ones(2, dtype=torch.float64)
        >>> half = torch.tensor([0.5], dtype=torch.float64).atanh()
        >>> base_tables(even, even, half)[0, 0, 0].round(decimals=6)  # 1/4 + asin(1/2) / (2 pi)
        tensor(0.3333, dtype=torch.float64)
    """
    x, y = ((side.cumsum(0)[:-1] / side.sum()) for side in (rows, columns))
    inside = _corners(torch.special.ndtri(x), torch.special.ndtri(y), z) + x[:, None] * y
    below = inside.new_zeros(len(z), len(rows) + 1, len(columns) + 1)
    below[:, 1:-1, 1:-1] = inside
    below[:, -1, 1:-1], below[:, 1:-1, -1], below[:, -1, -1] = y, x, 1.0
    share = below.diff(dim=1).diff(dim=2).clamp(min=_EMPTY)
    return share / share.sum((1, 2), keepdim=True)


def _corners(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """``Phi_2`` less that of independence ``[P, R - 1, C - 1]`` at all pairs of ``x`` and ``y``."""
    panels = torch.arange(-_WIDEST, _WIDEST + _PANEL / 2, _PANEL, dtype=z.dtype, device="cpu")
    ends = torch.cat([panels, z, z.new_zeros(1)]).unique()
    ends = ends[(ends >= z.min().clamp(max=0)) & (ends <= z.max().clamp(min=0))]
    start, width = ends[:-1], ends.diff()
    parts = z.new_zeros(len(ends), len(x), len(y))  # up to each end
    for node, weight in zip(_NODES, _WEIGHTS):
        at = (start + (1 + node) / 2 * width)[:, None, None]
        parts[1:] += weight * width[:, None, None] * _slope(x[:, None], y, at.tanh())
    whole = parts.cumsum(0)
    place, origin = (torch.searchsorted(ends, some) for some in (z, z.new_zeros(1)))
    return whole[place] - whole[origin]


def _slope(x: Tensor, y: Tensor, rho: Tensor) -> Tensor:
    """The derivative of ``Phi_2(x, y; rho)`` to ``z = atanh(rho)``."""
    rest = 1 - rho.square()
    return (-(x * x - 2 * rho * x * y + y * y) / (2 * rest)).exp() * rest.sqrt() / (2 * math.pi)
