r"""A prior of sparse tables: most pairs of labels near independence, some far more frequent.

Given the totals, counts are Poisson variables around those of independence,

.. math:: n_{ij} \sim \mathrm{Poisson}(\mu_{ij} \theta_{ij}), \qquad \mu_{ij} = n_i n_j / n, \qquad
          \theta \sim (1 - \epsilon)\,\Gamma(s_0, m_0) + \epsilon\,\Gamma(s_1, m_1),

with gamma laws of given shape and mean and a mean of theta of 1: a share
:math:`w = \epsilon m_1` of the rows falls into the
frequent pairs. A model is a point of epsilon, w and the shapes; a grid is refined around its best
point. Each cell's posterior is a mixture of two gamma laws, and with
:math:`\lambda = \mu \theta` and :math:`S = \sum \lambda`

.. math:: I = \frac1S \sum_{ij} \lambda_{ij} \log\frac{\lambda_{ij}}{\mu_{ij}} - \log\frac{S}{n}
          - \frac{1}{2S} \sum_{ij} \mathrm{Var}(\lambda_{ij}) (1/n_i + 1/n_j - 1/n).

Cells that were not seen enter as pairs of totals (``torchmist.discrete.contingency``): O(N) in all.

Legend: ``G`` groups of cells, ``M`` models.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from torchmist.discrete.contingency import Table, group_totals

__all__ = ["Ratios", "fit_ratios"]

_SHARES = (0.03, 0.12, 0.3, 0.5, 0.7, 0.88, 0.97)
_RARITIES = 8
_SHAPES = ((1e4, 0.5), (1e4, 5.0), (5.0, 0.5), (5.0, 5.0), (0.8, 5.0))
_STEPS = (1.0, 0.7, 1.0, 1.0)  # of log epsilon, logit w and log shapes in the first refinement
_ROUNDS = 4
_LEAST = 2.0  # the frequent pairs are at least this much more frequent than by chance
_ELEMENTS = 2_000_000  # of models x groups at once
_AT_ONCE = 200_000  # the same of moments
_NO_MOMENTS = torch.zeros(0, 2, dtype=torch.float64, device="cpu")


@dataclass(frozen=True, eq=False)
class _Cells:
    """Groups of cells ``[G]``: count, expected count, ``1 / n_i + 1 / n_j - 1 / n``, and number."""

    count: Tensor
    expected: Tensor
    inverse: Tensor
    times: Tensor


@dataclass(frozen=True, eq=False)
class Ratios:
    """Models ``[M, 4]`` (log epsilon, logit w, log s_0, log s_1) of a table.

    ``log_ratio`` ``[M]``: their log evidence over that of independence.
    """

    cells: tuple[_Cells, ...]
    models: Tensor
    log_ratio: Tensor
    n: float
    sides: int

    def moments(self, chosen: list[int]) -> Tensor:
        """Mean (nats) and variance (nats^2) of I under the ``chosen`` models, ``[M, 2]``."""
        size = max(1, _AT_ONCE // max(len(c.count) for c in self.cells))
        parts = self.models[chosen].split(size)
        return torch.cat([self._moments(part) for part in parts if len(part)] or [_NO_MOMENTS])

    def _moments(self, models: Tensor) -> Tensor:
        parts = _components(models)
        sums = torch.stack([(_moments(c, parts) * c.times).sum(-1) for c in self.cells]).sum(0)
        whole, logs, spread, cross, square, totals = sums
        mean = logs / whole - (whole / self.n).log() - 0.5 * totals / whole
        center = 1 + logs / whole
        variance = square - 2 * center * cross + center**2 * spread
        variance = torch.maximum(variance - 0.5 * totals**2 / self.sides, 0.02 * variance)
        return torch.stack([mean.clamp(min=1e-9), (variance / whole**2).clamp(min=1e-18)], -1)


def fit_ratios(table: Table) -> Ratios:
    """Models of a table and their evidence, on a grid that is refined around the best."""
    cells, (r, c) = _cells(table), table.classes
    rarest = -math.log(2.0 * r * c)
    rare = torch.linspace(
        rarest, math.log(0.3), _RARITIES, device="cpu", dtype=torch.float32
    ).tolist()
    points = [
        (e, math.log(w / (1 - w)), math.log(s0), math.log(s1))
        for e in rare for w in _SHARES for s0, s1 in _SHAPES
    ]  # fmt: skip
    models = _allowed(torch.tensor(points, dtype=torch.float64, device="cpu"), rarest)
    ratio = _log_ratio(cells, models)
    moves = torch.tensor(
        list(itertools.product((-1.0, 0.0, 1.0), repeat=4)), dtype=torch.float64, device="cpu"
    )
    steps = torch.tensor(_STEPS, dtype=torch.float64, device="cpu")
    rounds = max(_ROUNDS, int(0.5 * math.log2(table.n)) - 1)  # to steps of about 1 / sqrt(n)
    for _ in range(rounds if len(models) else 0):
        near = _allowed(models[ratio.argmax()] + moves * steps, rarest)
        models, ratio = torch.cat([models, near]), torch.cat([ratio, _log_ratio(cells, near)])
        steps = steps / 2
    return Ratios(cells, models, ratio, table.n, r + c)


def _allowed(models: Tensor, rarest: float) -> Tensor:
    """The models whose frequent pairs are frequent, neither too rare nor the majority."""
    rare, share = models[:, 0], models[:, 1].sigmoid()
    keep = (share / rare.exp() > _LEAST) & (rare >= rarest) & (rare <= math.log(0.4))
    return models[keep]


def _cells(table: Table) -> tuple[_Cells, ...]:
    """All cells as if unseen, those seen, and less those seen as if unseen."""
    rows, row_times = group_totals(*table.rows.unbind(-1))
    columns, column_times = group_totals(*table.columns.unbind(-1))
    expected = (rows[:, None] * columns / table.n).flatten()
    inverse = (1 / rows[:, None] + 1 / columns - 1 / table.n).flatten()
    times = (row_times[:, None] * column_times).flatten()
    seen = table.row * table.column / table.n, 1 / table.row + 1 / table.column - 1 / table.n
    return (
        _Cells(torch.zeros_like(expected), expected, inverse, times),
        _Cells(table.count, *seen, table.times),
        _Cells(torch.zeros_like(table.count), *seen, -table.times),
    )


def _components(models: Tensor) -> tuple[tuple[Tensor, Tensor, Tensor], ...]:
    """Log weight, shape and mean of both components, each ``[M, 1]``."""
    rare, share = models[:, :1].exp(), models[:, 1:2].sigmoid()
    low, high = models[:, 2:3].exp(), models[:, 3:4].exp()
    return ((-rare).log1p(), low, (1 - share) / (1 - rare)), (rare.log(), high, share / rare)


def _log_ratio(cells: tuple[_Cells, ...], models: Tensor) -> Tensor:
    out = torch.zeros(len(models), dtype=torch.float64, device="cpu")
    for group in cells:
        size = max(1, _ELEMENTS // len(group.count))
        out += torch.cat(
            [
                (torch.logaddexp(*_log_likelihoods(group, _components(part))) * group.times).sum(-1)
                for part in models.split(size)
            ]
        )
    return out


def _log_likelihoods(
    cells: _Cells, parts: tuple[tuple[Tensor, Tensor, Tensor], ...]
) -> list[Tensor]:
    """Weighted negative binomial over Poisson likelihood of each component ``[M, G]``, logs."""
    n, mu, out = cells.count, cells.expected, []
    for log_weight, shape, mean in parts:
        value = log_weight + mu - (n + shape) * (mean * mu / shape).log1p()
        if bool(n.any()):
            value = value + n * (mean / shape).log() + torch.lgamma(n + shape) - torch.lgamma(shape)
        out.append(value)
    return out


def _moments(cells: _Cells, parts: tuple[tuple[Tensor, Tensor, Tensor], ...]) -> Tensor:
    """Moments of each cell's rate lambda and of lambda log t, t = lambda / mu, ``[6, M, G]``.

    Mean of lambda and of lambda log t; variance of lambda, covariance and variance of lambda log t;
    variance of lambda times ``inverse``.
    """
    n, mu = cells.count, cells.expected
    weight = torch.stack(_log_likelihoods(cells, parts)).softmax(0)
    moments = []
    for _, shape, mean in parts:
        a, scale = n + shape, 1 / (1 + shape / (mean * mu))
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
