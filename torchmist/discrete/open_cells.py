r"""A prior of tables of which most cells are empty: channels, blocks, classes and their mistakes.

A share epsilon of the cells is open, with rates of a gamma law of shape s and a common mean; of the
other cells come a share w of the rows, at most a sixth of them and often none, near independence:

.. math:: \lambda_{ij} \sim (1 - \epsilon)\, \mu_{ij}\, \Gamma(s_0, w / (1 - \epsilon))
          + \epsilon\, \Gamma(s, (1 - w)\, n / (\epsilon R C)),

with gamma laws of given shape and mean. Given how many rows there are this is a Dirichlet law of
concentration s on the open cells. The models without lost rows (w = 0) and those with some are
grids of their own, each refined around its best point, and a point weighs as much as the step it
was reached by. With the posterior means p and q of the shares of rows and columns

.. math:: I = \mathrm{KL}(P \| p q) - \mathrm{KL}(P_x \| p) - \mathrm{KL}(P_y \| q),

the last two to second order. Both are means of what is posterior of rows of alike totals.

Legend: ``G`` groups of cells, ``M`` models, ``K`` distinct totals of a side.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from torchmist.discrete.contingency import Table
from torchmist.discrete.table_cells import (
    Cells,
    Part,
    log_evidence,
    moments_in_parts,
    rate_moments,
    table_cells,
)

__all__ = ["Openings", "fit_openings"]

_SHAPES = (0.2, 0.7, 2.5, 15.0, 150.0, 3e4)  # of the rates of open cells
_LOST = (-8.5, -6.5, -4.5, -3.0, -2.0)  # log odds of the share of rows of other cells
_MOST_LOST = -1.5
_EVEN = 1e4  # shape of rates that hardly differ
_STEPS = (0.7, 0.8, 0.0, 1.2)  # in the first refinement, of a model as in ``Openings``
_ROUNDS = 5
_WIDER = 2.0  # times the variance: weights of open cells of other laws are less alike


@dataclass(frozen=True, eq=False)
class Openings:
    """Models ``[M, 4]`` (log epsilon, log odds of w, log s_0, log s) of a table.

    ``log_weight`` ``[M]``: of the prior, and log evidence over the likelihood of independent sides
    of the shares that were seen.
    """

    cells: tuple[Cells, ...]
    table: Table
    models: Tensor
    log_weight: Tensor

    def moments(self, chosen: list[int]) -> Tensor:
        """Mean (nats) and variance (nats^2) of I under the ``chosen`` models, ``[M, 2]``."""
        return moments_in_parts(self.cells, self.models[chosen], self._moments)

    def _moments(self, models: Tensor) -> Tensor:
        rates = [rate_moments(c, _components(self.table, c, models)) for c in self.cells]
        means = [rate[0] * c.times for rate, c in zip(rates, self.cells)]
        rows = _totals(self.table.rows, [c.row for c in self.cells], means)
        columns = _totals(self.table.columns, [c.column for c in self.cells], means)
        whole = torch.stack([mean.sum(-1) for mean in means]).sum(0)[:, None]
        sums = torch.zeros(5, len(models), dtype=torch.float64, device="cpu")
        for c, rate, row, column in zip(self.cells, rates, rows, columns):
            first, logs, spread, cross, square, _ = rate
            shift = c.expected.log() - (row * column / whole).log()
            terms = (
                logs + shift * first,
                spread,
                cross + shift * spread,
                square + 2 * shift * cross + shift.square() * spread,
                spread * (1 / row + 1 / column - 1 / whole),
            )
            sums += (torch.stack(terms) * c.times).sum(-1)
        logs, spread, cross, square, totals = sums / whole[:, 0]
        center = 1 + logs
        variance = square - 2 * center * cross + center.square() * spread
        kept = 0.5 * totals.square() * whole[:, 0] / sum(self.table.classes)
        variance = _WIDER * torch.maximum(variance - kept, 0.02 * variance) / whole[:, 0]
        mean = logs - 0.5 * totals
        return torch.stack([mean.clamp(min=1e-9), variance.clamp(min=1e-18)], -1)


def fit_openings(table: Table, fits: float) -> Openings:
    """Models of a table and their weight; ``fits``: log evidence lost by fitting both sides."""
    cells, least = table_cells(table), 0.5 / math.prod(table.classes)
    seen, more = (float(table.times[table.count > k].sum()) * 2 * least for k in (0, 1))
    opened = {min(max(math.log(max(o, least)), math.log(least)), math.log(0.98))
              for o in (seen, more, 2 * seen)}  # fmt: skip
    shapes, even = [math.log(s) for s in _SHAPES], math.log(_EVEN)
    families = (
        itertools.product(sorted(opened), (-math.inf,), (even,), shapes),
        itertools.product(sorted(opened), _LOST, (even, 0.0), shapes),
    )
    rounds = max(_ROUNDS, int(0.5 * math.log2(table.n)))
    found, weights = [], []
    for points in families:
        grid = torch.tensor(list(points), dtype=torch.float64, device="cpu")
        models, logs = _refined(table, cells, grid, fits, rounds)
        found.append(models)
        weights.append(logs - math.log(len(grid)) - math.log(len(families)))
    return Openings(cells, table, torch.cat(found), torch.cat(weights))


def _refined(
    table: Table, cells: tuple[Cells, ...], models: Tensor, fits: float, rounds: int
) -> tuple[Tensor, Tensor]:
    """A grid with points around its best, and their evidence times the step between points."""
    steps = torch.tensor(_STEPS, dtype=torch.float64, device="cpu")
    steps = torch.where(models[0].isfinite(), steps, 0.0)
    turns = [(-1.0, 0.0, 1.0) if step > 0 else (0.0,) for step in steps.tolist()]
    moves = torch.tensor(list(itertools.product(*turns)), dtype=torch.float64, device="cpu")
    logs, volume = _evidence(table, cells, models, fits), torch.zeros_like(models[:, 0])
    for k in range(rounds):
        near = models[logs.argmax()] + moves * steps / 2**k
        near = near[_allowed(near, 0.5 / math.prod(table.classes))]
        models = torch.cat([models, near])
        logs = torch.cat([logs, _evidence(table, cells, near, fits)])
        smaller = volume.new_full((len(near),), -k * int((steps > 0).sum()) * math.log(2))
        volume = torch.cat([volume, smaller])
    return models, logs + volume


def _allowed(models: Tensor, least: float) -> Tensor:
    opened, lost, _, shape = models.unbind(-1)
    keep = (opened >= math.log(least)) & (opened <= math.log(0.98)) & (lost <= _MOST_LOST)
    return keep & (shape > math.log(0.05)) & (shape < math.log(1e5))


def _evidence(table: Table, cells: tuple[Cells, ...], models: Tensor, fits: float) -> Tensor:
    """Log evidence ``[M]`` given the number of rows, which the models do not tell as exactly as
    independence. Lost rows need the fitted sides: a part w of what the fit gains explains
    :math:`1 - (1 - w)^2` of it."""
    opened, lost = models[:, 0].exp(), models[:, 1].sigmoid()
    more = (1 + (-models[:, 3]).exp()) / opened - 1
    more = (1 - lost).square() * table.n / math.prod(table.classes) * more
    logs = log_evidence(cells, models, partial(_components, table))
    return logs + 0.5 * more.clamp(min=0).log1p() + (1 - (1 - lost).square()) * fits


def _components(table: Table, cells: Cells, models: Tensor) -> tuple[Part, ...]:
    """Other cells and open ones; means are relative to what independence expects."""
    opened, lost = models[:, :1].exp(), models[:, 1:2].sigmoid()
    low, high = models[:, 2:3].exp(), models[:, 3:4].exp()
    mean = (1 - lost) * table.n / (opened * math.prod(table.classes)) / cells.expected
    return ((-opened).log1p(), low, lost / (1 - opened)), (opened.log(), high, mean)


def _totals(side: Tensor, totals: list[Tensor], rates: list[Tensor]) -> list[Tensor]:
    """The mean posterior total ``[M, G]`` of rows of the ``totals`` of each group of cells.

    ``side`` ``[K, 2]``: distinct totals, in order, and how many rows have each.
    """
    edges = (side[1:, 0] + side[:-1, 0]) / 2
    places = [torch.bucketize(total, edges) for total in totals]
    sums = torch.zeros(len(rates[0]), len(side), dtype=torch.float64, device="cpu")
    for place, rate in zip(places, rates):
        sums.index_add_(1, place, rate)
    each = (sums / side[:, 1]).clamp(min=1e-9)
    return [each[:, place] for place in places]
