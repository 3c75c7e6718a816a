r"""Mutual information of two columns of labels: a posterior from counts, without a network.

The joint table of probabilities has a Dirichlet prior of concentration :math:`\alpha` around a base
table :math:`r_i c_j` in which the sides are independent,

.. math:: P \sim \mathrm{Dir}(\alpha\, r c^T), \qquad
          P \mid n \sim \mathrm{Dir}(a), \qquad a_{ij} = n_{ij} + \alpha r_i c_j,

where the factor of a side is uniform over the classes seen, or the share of each class.
:math:`\alpha` and the kind of base are averaged by their evidence (the Dirichlet-multinomial
likelihood of the counts), beside exact independence: a sparse table is shrunk towards independence
as far as its repeated pairs do not speak against it. Nemenman, Shafee and Bialek (2002) average
entropies over concentrations in this way.

Beside these stand tables of which most cells are near independence or empty
(``torchmist.discrete.sparse_prior``), or empty wherever nothing opened them
(``torchmist.discrete.open_cells``), functions of labels (``torchmist.discrete.code_prior``), and
functions but for some rows, as copies with mistakes are (``torchmist.discrete.noisy_codes``):
pseudocounts in cells that a code never uses would cost a copy far more than the truth is from what
was counted. Where classes have an order, as grades and counts have, tables around those of Gaussian
pairs stand beside all of them (``torchmist.discrete.ordered_cells``).

Given :math:`\alpha` the law of I is the gamma law of its mean and variance
(``torchmist.discrete.dirichlet_moments``). Cells that were not seen enter through the totals of
their row and column, which take few distinct values: time and memory are O(N), whatever the number
of classes.

Quantiles are then stretched about the median, as far as tables of many laws ask for, and drawn in
where the counts look like those of one concentration (``torchmist.discrete.table_stretch``).

Legend: ``G`` groups of cells seen, ``M`` components of the mixture, ``Q`` quantiles.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from torchmist.discrete.code_prior import fit_codes
from torchmist.discrete.contingency import Table, group_totals
from torchmist.discrete.dirichlet_moments import cell_sums, information_moments
from torchmist.discrete.noisy_codes import fit_noisy_codes
from torchmist.discrete.open_cells import fit_openings
from torchmist.discrete.ordered_cells import fit_ordered_cells
from torchmist.discrete.sparse_prior import fit_ratios
from torchmist.discrete.table_stretch import (
    drawn_in,
    power_of,
    prior_misfit,
    stretch_of,
    stretched,
)
from torchmist.quantile_head import quantile_levels

__all__ = ["Posterior", "table_posterior", "table_quantiles"]

_GRID = 32  # concentrations of each base
_ZOOMS = 4  # most grids, each where the one before has its mass:
_DROP = 8.0  # less below the largest in log weight
_NEGLIGIBLE = 1e-3  # posterior weight, relative to the largest, below which one is left out
_INDEPENDENT = 0.02  # prior weight of exact independence
_TOP = 1.5  # concentrations up to this many times the samples or cells are equally likely,
_TAIL = 300.0  # larger ones, up to this factor, less in proportion (as is the MI they expect)
_RATIOS = 0.03  # prior weight of the models of ``torchmist.discrete.sparse_prior``
_OPEN = 0.003  # prior weight of those of ``torchmist.discrete.open_cells``
_NOISY = 0.01  # of those of ``torchmist.discrete.noisy_codes``
_ORDERED = 0.3  # of those of ``torchmist.discrete.ordered_cells``, where classes have an order
_CODES = 1e-5  # and of ``torchmist.discrete.code_prior``, of which one repeated pair shows none
_BASES = 4  # fitted or uniform shares on either side
_STEPS = 60  # of the bisection for a quantile
_MEDIAN = torch.tensor([0.5], dtype=torch.float64, device="cpu")


@dataclass(frozen=True, eq=False)
class Posterior:
    """A mixture of gamma laws of the mutual information, and an atom at 0.

    ``weights`` ``[M]`` and ``moments`` ``[M, 2]`` (mean and variance) of the laws; ``spike``: the
    weight of the atom; ``most``: the entropy of the fewest classes, with those that may not have
    been seen, in equal shares; ``alpha``: the geometric mean of the concentration around a uniform
    base; ``patterned``: the weight of codes and of open cells.
    """

    weights: Tensor
    moments: Tensor
    spike: float
    most: float
    alpha: float
    patterned: float

    def quantiles(self, levels: Tensor) -> Tensor:
        """Quantiles ``[Q]`` at ``levels``, in nats, not stretched."""
        found = _mixture_quantiles(self.weights, self.moments, self.spike, levels.double())
        return found.clamp(max=self.most)

    def per_cell(self, table: Table) -> float:
        """The concentration per cell, as far as no code or open cells explain the table."""
        return self.alpha / math.prod(table.classes) * (1 - self.patterned)


@dataclass(frozen=True, eq=False)
class _Base:
    """Shares of rows and columns in a base table.

    ``cell_row``, ``cell_column`` ``[G]``: of the cells seen; ``row``, ``column``: of each distinct
    total; ``fit``: log evidence lost by fitting them to the data, not above 0.
    """

    cell_row: Tensor
    cell_column: Tensor
    row: Tensor
    column: Tensor
    fit: float


class _Family(NamedTuple):
    """Models ``[M, ...]``: log of prior weight times likelihood, and the ``moments`` of some."""

    logs: Tensor
    models: Tensor
    moments: Callable[[list[int]], Tensor]


def table_quantiles(table: Table, levels: Tensor, ordered: bool = False) -> Tensor:
    """Posterior quantiles ``[Q]`` of the mutual information of a table, in nats, at ``levels``.

    ``ordered``: whether the order of classes may mean something, as that of numbers does.

    Example:
        >>> import numpy as np
        >>> from torchmist.discrete.contingency import count_pairs
        >>> x = np.arange(900) % 3
        >>> q = table_quantiles(count_pairs(x, x), torch.tensor([0.05, 0.5]))
        >>> bool((q > 1.0).all() and (q <= np.log(3)).all())
        True
    """
    if min(table.classes) < 2:
        return torch.zeros_like(levels)
    posterior = table_posterior(table, ordered)
    even = quantile_levels(dtype=torch.float64)
    asked, place = torch.cat([levels.double(), even, _MEDIAN]).unique(return_inverse=True)
    found, alone = posterior.quantiles(asked)[place], table.singletons / table.n
    wide = stretched(found[:-1], found[-1], *stretch_of(alone)).clamp(0, posterior.most)
    wanted, even = wide.split([len(levels), len(even)])
    misfit = prior_misfit(table, posterior.alpha)
    power = power_of(alone, misfit, posterior.per_cell(table))
    return drawn_in(wanted, even, power).clamp(max=posterior.most).to(levels)


def _bases(table: Table) -> list[_Base]:
    """Bases with a factor that is fitted, or uniform, on either side."""
    r, c = table.classes
    n = table.n
    fits = [_fit(side) for side in (table.rows, table.columns)]
    out = []
    for u in (False, True):
        for v in (False, True):
            shares = (
                _shares(table.row, n, r if u else 0),
                _shares(table.column, n, c if v else 0),
                _shares(table.rows[:, 0], n, r if u else 0),
                _shares(table.columns[:, 0], n, c if v else 0),
            )
            out.append(_Base(*shares, fits[0] * (not u) + fits[1] * (not v)))
    return out


def _shares(total: Tensor, n: float, classes: int) -> Tensor:
    """Shares of totals, or 1 / ``classes`` where these are given."""
    return torch.full_like(total, 1 / classes) if classes else total / n


def _fit(totals: Tensor) -> float:
    """Log evidence of a side's counts, less the log likelihood of the fitted shares.

    That of a Dirichlet prior of the best of several concentrations, uniform among them.
    """
    value, times = totals.unbind(-1)
    n, k = float((value * times).sum()), float(times.sum())
    shape = torch.logspace(-2, 3, 21, dtype=torch.float64, device="cpu")[:, None]
    gammas = ((torch.lgamma(value + shape) - torch.lgamma(shape)) * times).sum(-1, keepdim=True)
    evidence = gammas + torch.lgamma(k * shape) - torch.lgamma(n + k * shape)
    best = max(float(evidence.max()), -n * math.log(k))
    return best - float((times * torch.xlogy(value, value / n)).sum())


def _evidence(table: Table, base: _Base, alpha: Tensor) -> Tensor:
    """Log likelihood ``[M]`` of the counts for concentrations ``[M]``."""
    prior = alpha[:, None] * base.cell_row * base.cell_column
    cells = torch.lgamma(table.count + prior) - torch.lgamma(prior)
    whole = torch.lgamma(alpha) - torch.lgamma(alpha + table.n)
    return (cells * table.times).sum(-1) + whole + base.fit


def _told(totals: Tensor) -> float:
    """Log likelihood of a side's counts for the shares that were seen."""
    value, times = totals.unbind(-1)
    return float((times * torch.xlogy(value, value / (value * times).sum())).sum())


def _families(table: Table, ordered: bool) -> list[_Family]:
    """Models: Dirichlet laws around each base and, if ``ordered``, around Gaussian pairs, frequent
    pairs, noisy codes, codes, open cells."""
    bases, ratios, codes = _bases(table), fit_ratios(table), fit_codes(table)
    told = sum(_told(side) for side in (table.rows, table.columns))
    each = _fit(table.rows), _fit(table.columns)
    fits, noisy = sum(each), fit_noisy_codes(table, each)
    openings = fit_openings(table, fits)
    out = []
    others = _INDEPENDENT + _RATIOS + _NOISY + _OPEN + _CODES + ordered * _ORDERED
    plain = math.log((1 - others) / len(bases))
    for base in bases:
        alphas, logs = _concentrations(table, base)
        out.append(_Family(logs + plain, alphas, partial(_plain_moments, table, base, alphas)))
    if ordered:
        cells = fit_ordered_cells(table, fits)
        logs = cells.log_weight + math.log(_ORDERED)
        out.append(_Family(logs, cells.models, cells.moments))
    mixed = told + fits + math.log(_RATIOS / max(1, len(ratios.log_ratio)))
    classes = torch.stack([codes.classes, codes.concentration], -1)
    return [
        *out,
        _Family(ratios.log_ratio + mixed, ratios.models, ratios.moments),
        _Family(noisy.log_weight + told + math.log(_NOISY), noisy.models, noisy.moments),
        _Family(codes.log_ratio + told + fits + math.log(_CODES), classes, codes.moments),
        _Family(openings.log_weight + told + math.log(_OPEN), openings.models, openings.moments),
    ]


def _concentrations(table: Table, base: _Base) -> tuple[Tensor, Tensor]:
    """Concentrations ``[M]`` where the posterior of one has its mass, and their log weights."""
    r, c = table.classes
    top = math.log(_TOP * max(table.n, r * c))
    low, high = math.log(0.1), top + math.log(_TAIL)
    mass = math.log(top - low + 1)  # of the prior, flat in the logarithm up to the top
    for _ in range(_ZOOMS):
        grid = torch.linspace(low, high, _GRID, dtype=torch.float64, device="cpu")
        logs = _evidence(table, base, grid.exp()) + (top - grid).clamp(max=0)
        near = (logs > logs.max() - _DROP).nonzero().flatten()
        step = (high - low) / (_GRID - 1)
        if len(near) >= _GRID // 4:
            break
        low, high = max(low, float(grid[near[0]]) - step), min(high, float(grid[near[-1]]) + step)
    return grid.exp(), logs + math.log(step) - mass


def table_posterior(table: Table, ordered: bool = False) -> Posterior:
    """The posterior of a table of at least two classes on each side, as it is.

    ``ordered``: whether the order of classes may mean something.
    """
    families = _families(table, ordered)
    independent = sum(_told(side) + _fit(side) for side in (table.rows, table.columns))
    alone = families[0].logs.new_tensor([independent + math.log(_INDEPENDENT)])
    weights = torch.cat([*(family.logs for family in families), alone]).softmax(0)
    sizes = [len(family.logs) for family in families]
    keep = weights[:-1] > _NEGLIGIBLE * weights.max()
    chosen = [some.nonzero().flatten().tolist() for some in keep.split(sizes)]
    kept = torch.cat([weights[:-1][keep], weights[-1:]])
    kept = kept / kept.sum()
    uniform, codes = families[_BASES - 1], families[-2]
    named = codes.models[chosen[-2], 0].tolist()  # classes, which may be more than were seen
    most = max(_most_classes(table), *named, 1.0)
    return Posterior(
        kept[:-1],
        torch.cat([family.moments(some) for family, some in zip(families, chosen)]),
        float(kept[-1]),
        math.log(most),
        math.exp(float((uniform.logs.softmax(0) * uniform.models.log()).sum())),
        float(weights[sum(sizes[:-2]) : -1].sum()),
    )


def _most_classes(table: Table) -> float:
    """Classes of the side that has fewer, with those that were not seen (Chao 1984)."""
    out = []
    for side in (table.rows, table.columns):
        value, times = side.unbind(-1)
        once, twice = (float(times[value == k].sum()) for k in (1, 2))
        out.append(float(times.sum()) + once * (once - 1) / (2 * (twice + 1)))
    return min(out)


def _plain_moments(table: Table, base: _Base, alphas: Tensor, chosen: list[int]) -> Tensor:
    """Mean and variance of I given the base and each of the ``chosen`` concentrations."""
    found = [_moments(table, base, float(alphas[k])) for k in chosen]
    return alphas.new_tensor(found).reshape(-1, 2)


def _moments(table: Table, base: _Base, alpha: float) -> tuple[float, float]:
    """Mean (nats) and variance (nats^2) of I given the base and the concentration."""
    whole = table.n + alpha
    row_total, row, row_times = group_totals(*table.rows.unbind(-1), base.row)
    column_total, column, column_times = group_totals(*table.columns.unbind(-1), base.column)
    prior = alpha * row[:, None] * column
    product = (row_total + alpha * row)[:, None] * (column_total + alpha * column)
    sums = cell_sums(prior, product, whole, row_times[:, None] * column_times)
    prior = alpha * base.cell_row * base.cell_column
    product = (table.row + alpha * base.cell_row) * (table.column + alpha * base.cell_column)
    sums += cell_sums(table.count + prior, product, whole, table.times)
    sums -= cell_sums(prior, product, whole, table.times)
    sides = [
        (totals[:, 0] + alpha * share, totals[:, 1])
        for totals, share in ((table.rows, base.row), (table.columns, base.column))
    ]
    return information_moments(sums, sides, whole, sum(table.classes))


def _mixture_quantiles(weights: Tensor, moments: Tensor, spike: float, levels: Tensor) -> Tensor:
    """Quantiles ``[Q]`` of a mixture of gamma laws of given moments and an atom at 0."""
    mean, variance = moments.unbind(-1)
    shape, scale = mean.square() / variance, variance / mean
    high = (
        (mean + 40 * variance.sqrt()).max()
        if len(mean)
        else torch.tensor(0.0, device="cpu", dtype=torch.float32)
    )
    low = torch.zeros_like(levels)
    high = high.expand_as(levels).clone()
    for _ in range(_STEPS):
        middle = (low + high) / 2
        below = spike + (weights * torch.special.gammainc(shape, middle[:, None] / scale)).sum(-1)
        low, high = (
            torch.where(below < levels, middle, low),
            torch.where(below < levels, high, middle),
        )
    return torch.where(levels <= spike, 0.0, (low + high) / 2)
