r"""How wide the posterior of a table is made, and what that depends on.

Tables that users have follow laws that no prior knows: of sparse ones the intervals of a posterior
are far too narrow. Quantiles are stretched about the median by the share s of rows that are alone
in their cell,

.. math:: 1.1 + 1.2\, \frac{s}{s + 0.04} \text{ below}, \qquad
          1.1 + 2.1\, \frac{s}{s + 0.04} \text{ above}.

Where the prior fits they are wider than need be then. A table of a symmetric Dirichlet law has one
concentration :math:`\alpha`, which its cells show, and which implies how uneven the totals of its
sides are, and how many cells have each count. How far these are from it, in nats, is the misfit

.. math:: D = \sum_{t = r, c} \Big[\max_b \log p(t \mid b) - \log p(t \mid \alpha)\Big]
          + \sum_{o=1}^{O} k_o \log \frac{k_o}{E[k_o]} - \frac{O}{2},

where :math:`p(t \mid b)` is the Dirichlet-multinomial likelihood of the totals of a side for a
concentration b of their own, and :math:`k_o` the number of cells with a count in octave o (0, 1, 2,
3 to 4, 5 to 8 and so on), of which the law expects :math:`E[k_o]`. Of tables of this law D is
near 0, whatever the number of rows; of others it grows with them. Stretched quantiles are drawn in
towards their mean m by a power,

.. math:: q \to m \frac{q^\gamma}{\overline{q^\gamma}}, \qquad
          \gamma = 1 - \Big(0.2 + 0.7\, \frac{s}{s + 0.04}\Big)
          \frac{1}{1 + 4 D^2}\, \frac{a}{a + 0.1},

which keeps the mean and quantiles of 0. Here a is :math:`\alpha` per cell, times the posterior
weight of all models but those of codes and open cells: where few cells hold
most rows, as in tables of copies and mistakes, even small ones that look like this law seldom are
of it. The constants (``Stretch``) were chosen on tables of nine
laws (``training.table_widths``).

Legend: ``K`` distinct totals, ``P`` ranges of counts, ``Q`` quantiles.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from torchmist.discrete.contingency import Table

__all__ = ["Stretch", "drawn_in", "power_of", "prior_misfit", "stretch_of", "stretched"]

_OCTAVE = 64  # ranges in an octave of counts; counts up to about as many are told apart
_EXPECTED = 0.5  # cells that an octave without a cell must expect to count as one


@dataclass(frozen=True)
class Stretch:
    """Constants of how wide the quantiles are made.

    Factors about the median: ``least``, and how much more ``below`` and ``above`` where most rows
    are alone in their cell, half of which counts at the share ``half``. How far the power falls
    below 1 where the prior fits: ``narrow``, and how much more, ``sparse``, where most rows are
    alone; half of this at the ``misfit`` (nats), and half at the concentration per cell ``alike``.
    """

    least: float = 1.1
    below: float = 1.2
    above: float = 2.1
    half: float = 0.04
    narrow: float = 0.2
    sparse: float = 0.7
    misfit: float = 0.5
    alike: float = 0.1


def stretch_of(alone: float, stretch: Stretch = Stretch()) -> tuple[float, float]:
    """Factors below and above the median, for the share of rows that are ``alone`` in their
    cell."""
    part = alone / (alone + stretch.half)
    return stretch.least + stretch.below * part, stretch.least + stretch.above * part


def stretched(
    quantiles: Tensor, middle: Tensor, below: Tensor | float, above: Tensor | float
) -> Tensor:
    """Quantiles ``[..., Q]`` at ``below`` and ``above`` times their distance from the median, which
    is ``middle``."""
    away = quantiles - middle
    return middle + torch.where(away < 0, below, above) * away


def power_of(
    alone: float, misfit: float, concentration: float, stretch: Stretch = Stretch()
) -> float:
    """The power that draws quantiles in, 1 where the ``misfit`` D is large.

    ``concentration``: of the prior, per cell.
    """
    part = alone / (alone + stretch.half)
    fits = 1 / (1 + (misfit / stretch.misfit) ** 2)
    fits *= concentration / (concentration + stretch.alike)
    return 1 - (stretch.narrow + stretch.sparse * part) * fits


def drawn_in(quantiles: Tensor, even: Tensor, power: float) -> Tensor:
    """Quantiles ``[Q]`` drawn in by a power not above 1 that keeps the mean of ``even``.

    ``even``: quantiles of the same law at levels that are equally far from each other.

    Example:
        >>> q = torch.tensor([0.0, 0.1, 0.2, 0.5])
        >>> drawn_in(q, q, 0.5).mean()  # as before
        tensor(0.2000)
    """
    mean = even.mean()
    if mean <= 0:
        return quantiles
    return mean * (quantiles / mean) ** power / ((even / mean) ** power).mean()


def prior_misfit(table: Table, alpha: float) -> float:
    """D of a table and the concentration of its Dirichlet prior, in nats, not below 0.

    Example:
        >>> import numpy as np
        >>> from torchmist.discrete.contingency import count_pairs
        >>> x = np.arange(900) % 30
        >>> prior_misfit(count_pairs(x, x), 10.0) > 20  # totals are more alike than cells
        True
    """
    sides = sum(_totals_misfit(side, table.n, alpha) for side in (table.rows, table.columns))
    return max(0.0, sides + _counts_misfit(table, alpha))


def _totals_misfit(totals: Tensor, n: float, alpha: float) -> float:
    """Log likelihood of totals ``[K, 2]`` of the best concentration over that of ``alpha``."""
    value, times = totals.unbind(-1)
    classes = float(times.sum())
    own = torch.logspace(-2.5, 4, 66, dtype=torch.float64, device="cpu")
    shape = torch.cat([own, own.new_tensor([alpha / classes])])[:, None]
    gammas = ((torch.lgamma(value + shape) - torch.lgamma(shape)) * times).sum(-1)
    whole = classes * shape[:, 0]
    logs = gammas + torch.lgamma(whole) - torch.lgamma(n + whole)
    return max(float(logs.max()), -n * math.log(classes)) - float(logs[-1])


def _counts_misfit(table: Table, alpha: float) -> float:
    """The sum over octaves of counts, less half of their number."""
    cells = math.prod(table.classes)
    start, width, octave = _points(int(table.n))
    count, a, b = start + (width - 1) / 2, alpha / cells, alpha - alpha / cells
    logs = _log_beta(count + a, table.n - count + b) - math.log(table.n + 1)
    logs = logs - _log_beta(count + 1, table.n - count + 1) - _log_beta(*logs.new_tensor([a, b]))
    expected = torch.zeros(int(octave.max()) + 1, dtype=torch.float64, device="cpu")
    expected.index_add_(0, octave, cells * width * logs.exp())
    seen = torch.zeros_like(expected).index_add_(0, _octaves(table.count.round()), table.times)
    seen[0] = cells - table.times.sum()
    number = ((seen > 0) | (expected > _EXPECTED)).sum()
    return float(torch.xlogy(seen, seen / expected.clamp(min=1e-12)).sum() - number / 2)


def _points(n: int) -> tuple[Tensor, Tensor, Tensor]:
    """Starts, widths and octaves ``[P]`` of ranges that together are the counts 0 to ``n``."""
    steps = torch.arange(int(_OCTAVE * math.log2(n)) + 2, dtype=torch.float64, device="cpu")
    starts = torch.cat([steps.new_tensor([0, 1]), 1 + (2 ** (steps / _OCTAVE)).round()]).unique()
    starts = starts[starts <= n]
    width = torch.cat([starts[1:], starts.new_tensor([n + 1])]) - starts
    return starts, width, _octaves(starts)


def _octaves(count: Tensor) -> Tensor:
    """The octave of each count: 0 of 0, 1 of 1, 2 of 2, 3 of 3 to 4, 4 of 5 to 8."""
    return (1 + count.clamp(min=1).log2().ceil()).mul(count > 0).long()


def _log_beta(a: Tensor, b: Tensor) -> Tensor:
    return torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)
