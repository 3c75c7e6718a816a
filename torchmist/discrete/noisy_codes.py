r"""A prior of tables in which one side is a function of the other, but for some rows.

Each class i of the finer side has one partner f(i) among the C classes of the coarser side, each
as likely as the others. Of the rows of i a share goes to the partner, and the others are as
frequent as the classes of the coarser side are, :math:`p_j = n_j / n`. The share :math:`u_i` of
the partner in all has a Beta law of mean :math:`m + (1 - m)\, p_{f(i)}` and concentration c.
Given the totals, the evidence over that of independent sides is a product over the finer classes,

.. math:: \prod_i \frac1C \sum_j \frac{B(n_{ij} + a_j,\ n_i - n_{ij} + b_j) / B(a_j, b_j)}
          {p_j^{n_{ij}} (1 - p_j)^{n_i - n_{ij}}}, \qquad a_j + b_j = c,

whose terms are the odds of the partners. Totals of the coarser side have a law of their own, or
one around the sums of the shares of their partners, whichever says more of them. Copies with
mistakes, noisy labels, and classes of sub-classes are of this kind, whatever the shares of classes;
what no mistake is seen in is left to ``torchmist.discrete.code_prior``. The sides share

.. math:: I = \sum_i q_i\, \mathrm{kl}(u_i \,\|\, p_{f(i)}), \qquad
          \mathrm{kl}(u \| p) = u \log\frac{u}{p} + (1 - u) \log\frac{1 - u}{1 - p},

to which the entropy of the coarser side adds what its counts do not show, in proportion to m.
Cells that were not seen enter through the totals: O(N) in all.

Legend: ``D`` distinct totals of the finer side, ``E`` of the coarser one, ``G`` groups of cells,
``K`` cells seen, ``M`` models, ``R`` and ``C`` finer and coarser classes.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from torchmist.discrete.best_grid import Range, grid_at_best
from torchmist.discrete.code_prior import entropy_moments
from torchmist.discrete.contingency import Table, group_totals

__all__ = ["NoisyCodes", "fit_noisy_codes"]

_SHARES = (-4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.5)  # log odds of m
_ALIKE = (0.5, 2.0, 4.0, 9.0)  # logs of the concentration of the shares of partners
_SOUGHT = Range((-6.0, -2.0), (7.0, 12.0), steps=(0.5, 1.0), widest=(0.7, 1.5), rounds=6)
_RANGE = 100.0  # of both, in which they are equally likely
_TOLD = 13  # concentrations of totals around what partners tell
_MOST_EMPTY = 10.0  # log odds of a partner without a row, whose sum is a difference
_MOST_CELLS = 200_000  # cells that were seen; of more, other priors have nothing left to say


@dataclass(frozen=True, eq=False)
class _Cells:
    """Cells of a table of which side ``across`` (0: the rows) is the finer one.

    ``line``, ``other`` and ``group`` ``[K]``: finer class, coarser class and group of each cell.
    ``count``, ``total``, ``share`` ``[G]``: n_ij, n_i and p_j. ``size`` ``[R]``: n_i, and ``place``
    ``[R]`` where it stands among those that are distinct, ``sizes`` ``[D]``. ``shares`` and
    ``times`` ``[E]``: of the coarser side, and ``unseen``: mean and variance of what its counts
    lack of its entropy.
    """

    across: int
    line: Tensor
    other: Tensor
    group: Tensor
    count: Tensor
    total: Tensor
    share: Tensor
    size: Tensor
    place: Tensor
    sizes: Tensor
    shares: Tensor
    times: Tensor
    unseen: tuple[float, float]


@dataclass(frozen=True, eq=False)
class NoisyCodes:
    """Models ``[M, 3]`` (log odds of m, log c, and the place of the cells) of a table.

    ``log_weight`` ``[M]``: of the prior, and log evidence over the likelihood of independent sides
    of the shares that were seen.
    """

    cells: tuple[_Cells, ...]
    models: Tensor
    log_weight: Tensor

    def moments(self, chosen: list[int]) -> Tensor:
        """Mean (nats) and variance (nats^2) of I under the ``chosen`` models, ``[M, 2]``."""
        found = [_moments(self.cells[int(model[2])], model) for model in self.models[chosen]]
        return self.models.new_tensor(found).reshape(-1, 2)


def fit_noisy_codes(table: Table, fits: tuple[float, float]) -> NoisyCodes:
    """Models of a table; either side is a function of the other where both have as many classes.
    None of a table that looks like a function, or of too many cells.

    ``fits``: log evidence lost by fitting the shares of rows and of columns.
    """
    r, c = table.classes
    sides = [k for k, more in enumerate((r >= c, c >= r)) if more]
    if not max(r, c) < table.pairs.shape[1] <= _MOST_CELLS:
        none = table.count[:0]
        return NoisyCodes((), none[:, None].expand(0, 3), none)
    cells = tuple(_cells(table, side) for side in sides)
    found = [_fit(some, *fits[:: 1 - 2 * some.across]) for some in cells]
    models = [
        torch.cat([points, torch.full_like(points[:, :1], k)], 1)
        for k, (points, _) in enumerate(found)
    ]
    logs = torch.cat([some for _, some in found]) - math.log(len(sides))
    return NoisyCodes(cells, torch.cat(models), logs)


def _fit(cells: _Cells, fine: float, coarse: float) -> tuple[Tensor, Tensor]:
    """Points ``[M, 2]`` of an even grid around the best one, and their log weights; ``fine`` and
    ``coarse``: log evidence lost by fitting the shares of either side."""
    points = torch.tensor(
        list(itertools.product(_SHARES, _ALIKE)), dtype=torch.float64, device="cpu"
    )
    found = grid_at_best(lambda models: _log_odds(cells, models), points, _SOUGHT)
    lost = fine + max(coarse, _told_by_partners(cells, found.best))
    part = found.log_volume - math.log(_RANGE)
    return found.models, _log_odds(cells, found.models) + part + lost


def _moments(cells: _Cells, model: Tensor) -> tuple[float, float]:
    """Mean and variance of I."""
    _, mean, square, paired = _partners(cells, model)
    n = float(cells.size.sum())
    part = cells.size / n
    value, own = float((part * mean).sum()), float((part * paired).sum())
    spread = (float((part * mean.square()).sum()) - value * value) / n
    spread += float((part.square() * (square - mean.square()).clamp(min=0)).sum())
    more, variance = cells.unseen
    return max(value + own * more, 1e-9), max(spread + own * own * variance, 1e-18)


def _cells(table: Table, across: int) -> _Cells:
    """Cells with the columns across the rows as the finer side, if ``across`` is 1."""
    line, opposite, group = table.pairs[[across, 1 - across, 2]]
    fine, coarse = (table.rows, table.columns)[:: 1 - 2 * across]
    total, other = (table.row, table.column)[:: 1 - 2 * across]
    size = torch.zeros(int(line.max()) + 1, dtype=torch.float64, device="cpu")
    size.index_add_(0, line, table.count[group])
    sizes = fine[:, 0]
    place = torch.bucketize(size, (sizes[1:] + sizes[:-1]) / 2)
    shares, times = group_totals(*coarse.unbind(-1))
    return _Cells(
        across, line, opposite, group, table.count, total, other / table.n, sizes[place], place,
        sizes, shares / table.n, times, _unseen(coarse),
    )  # fmt: skip


def _unseen(totals: Tensor) -> tuple[float, float]:
    """Mean and variance of the entropy of a side beyond that of its counts."""
    value, times = totals.unbind(-1)
    n = (value * times).sum()
    part, surprise = value * times / n, -(value / n).log()
    seen = float((part * surprise).sum())
    mean, variance = entropy_moments(totals)
    sampled = (float((part * surprise.square()).sum()) - seen**2) / float(n)
    return max(mean - seen, 0.0), max(variance - sampled, 0.0)


def _log_odds(cells: _Cells, models: Tensor) -> Tensor:
    """Log evidence ``[M]`` over that of independent sides, given the totals of both."""
    return torch.stack([_partners(cells, model)[0].sum() for model in models])


def _told_by_partners(cells: _Cells, model: Tensor) -> float:
    """Log evidence of the totals of the coarser side, less their likelihood for the shares that
    were seen, of a Dirichlet law around the sums of the shares of their partners.

    That of the best of several concentrations, uniform among them.
    """
    n = float(cells.size.sum())
    total = torch.zeros(int(cells.other.max()) + 1, dtype=torch.float64, device="cpu")
    total.index_add_(0, cells.other, cells.count[cells.group])
    odds = _terms(cells.count, cells.total, cells.share, model)[0][cells.group]
    odds = (odds - _partners(cells, model)[0][cells.line]).exp() / len(total)
    part = (odds * cells.size[cells.line] / n).clamp(max=1)
    told = torch.zeros_like(total).index_add_(0, cells.other, part)
    told = told + max(1 - float(told.sum()), 1 / n) / len(total)
    shape = torch.logspace(0, 6, _TOLD, dtype=torch.float64, device="cpu")[:, None]
    each = shape * told / told.sum()
    logs = (torch.lgamma(total + each) - torch.lgamma(each)).sum(-1)
    logs = logs + (torch.lgamma(shape) - torch.lgamma(n + shape))[:, 0]
    return float(logs.max() - torch.xlogy(total, total / n).sum()) - math.log(_TOLD)


def _partners(cells: _Cells, model: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of each finer class ``[R]``: log evidence, the means of kl and of its square, and the mean
    share of its rows that go to its partner for that."""
    seen = _terms(cells.count, cells.total, cells.share, model)
    less = _terms(torch.zeros_like(cells.count), cells.total, cells.share, model)
    every = _terms(cells.sizes.new_zeros(1), cells.sizes[:, None], cells.shares, model)
    logs, *values = (some[cells.group] for some in seen)
    gone, *others = (some[cells.group] for some in less)
    odds = every[0].clamp(max=_MOST_EMPTY).exp() * cells.times
    gone = gone.clamp(max=_MOST_EMPTY).exp()
    top = torch.zeros_like(cells.size).scatter_reduce(0, cells.line, logs, "amax")
    part, scale = (logs - top[cells.line]).exp(), (-top).exp()
    number, one = torch.ones_like(gone), gone.new_ones(())
    left = cells.times.sum() - torch.zeros_like(top).index_add(0, cells.line, number)
    scale = scale * (left > 0.5)  # 0 where no cell of the class is empty
    sums = []
    for value, other, rest in zip((number, *values), (number, *others), (one, *every[1:])):
        empty = (odds * rest).sum(-1)[cells.place].index_add(0, cells.line, -gone * other)
        empty = empty.clamp(min=0) * scale
        sums.append(empty.index_add(0, cells.line, part * value))
    mean, square, own = (value / sums[0] for value in sums[1:])
    return top + sums[0].log() - cells.times.sum().log(), mean, square, own


def _terms(count: Tensor, total: Tensor, share: Tensor, model: Tensor) -> tuple[Tensor, ...]:
    """Log odds of a partner, means of kl and of its square, and the excess of its share."""
    fit, alike = model[0].sigmoid(), model[1].exp()
    a = alike * (fit + (1 - fit) * share)
    b = alike * (1 - fit) * (1 - share)
    yes, no = a + count, b + total - count
    odds = _log_beta(yes, no) - _log_beta(a, b) - count * share.log()
    odds = odds - (total - count) * (-share).log1p()
    whole = yes + no
    u, v = yes / whole, no / whole
    psi = torch.digamma(whole + 1)
    kl = u * (torch.digamma(yes + 1) - psi - share.log())
    kl = kl + v * (torch.digamma(no + 1) - psi - (-share).log1p())
    slope = (u / share).log() - (v / (1 - share)).log()
    square = kl.square() + slope.square() * u * v / (whole + 1)
    return odds, kl, square, ((u - share) / (1 - share)).clamp(min=0)


def _log_beta(a: Tensor, b: Tensor) -> Tensor:
    return torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)
