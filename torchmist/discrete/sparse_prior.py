r"""A prior of sparse tables: most pairs of labels near independence, some far more frequent.

Given the totals, counts are Poisson variables around those of independence,

.. math:: n_{ij} \sim \mathrm{Poisson}(\mu_{ij} \theta_{ij}), \qquad \mu_{ij} = n_i n_j / n, \qquad
          \theta \sim (1 - \epsilon)\,\Gamma(s_0, m_0) + \epsilon\,\Gamma(s_1, m_1),

with gamma laws of given shape and mean and a mean of theta of 1: a share
:math:`w = \epsilon m_1` of the rows falls into the
frequent pairs. A model is a point of epsilon, w and the shapes; a grid is refined around its best
point. Where w is 1 the other pairs never occur. Each cell's posterior is a mixture of two gamma
laws, and with :math:`\lambda = \mu \theta` and :math:`S = \sum \lambda`

.. math:: I = \frac1S \sum_{ij} \lambda_{ij} \log\frac{\lambda_{ij}}{\mu_{ij}} - \log\frac{S}{n}
          - \frac{1}{2S} \sum_{ij} \mathrm{Var}(\lambda_{ij}) (1/n_i + 1/n_j - 1/n).

Legend: ``M`` models.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

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

__all__ = ["Ratios", "fit_ratios"]

_SHARES = (0.03, 0.12, 0.3, 0.5, 0.7, 0.88, 0.97, 0.995, 1.0)
_RARITIES = 8
_SHAPES = ((1e4, 0.5), (1e4, 5.0), (5.0, 0.5), (5.0, 5.0), (0.8, 5.0))
_STEPS = (1.0, 0.7, 1.0, 1.0)  # of log epsilon, logit w and log shapes in the first refinement
_ROUNDS = 4
_LEAST = 2.0  # the frequent pairs are at least this much more frequent than by chance
_CLOSED = 0.99  # share of the frequent pairs of models of which most others are empty


@dataclass(frozen=True, eq=False)
class Ratios:
    """Models ``[M, 4]`` (log epsilon, logit w, log s_0, log s_1) of a table.

    ``log_ratio`` ``[M]``: their log evidence over that of independence.
    """

    cells: tuple[Cells, ...]
    models: Tensor
    log_ratio: Tensor
    n: float
    sides: int

    def moments(self, chosen: list[int]) -> Tensor:
        """Mean (nats) and variance (nats^2) of I under the ``chosen`` models, ``[M, 2]``."""
        return moments_in_parts(self.cells, self.models[chosen], self._moments)

    def _moments(self, models: Tensor) -> Tensor:
        sums = torch.stack(
            [(rate_moments(c, _components(c, models)) * c.times).sum(-1) for c in self.cells]
        ).sum(0)
        whole, logs, spread, cross, square, totals = sums
        mean = logs / whole - (whole / self.n).log() - 0.5 * totals / whole
        center = 1 + logs / whole
        variance = square - 2 * center * cross + center**2 * spread
        variance = torch.maximum(variance - 0.5 * totals**2 / self.sides, 0.02 * variance)
        return torch.stack([mean.clamp(min=1e-9), (variance / whole**2).clamp(min=1e-18)], -1)


def fit_ratios(table: Table) -> Ratios:
    """Models of a table and their evidence, on a grid that is refined around the best."""
    cells, (r, c) = table_cells(table), table.classes
    rarest = -math.log(2.0 * r * c)
    rare = torch.linspace(
        rarest, math.log(0.3), _RARITIES, device="cpu", dtype=torch.float32
    ).tolist()
    points = [
        (e, math.log(w / (1 - w)) if w < 1 else math.inf, math.log(s0), math.log(s1))
        for e in rare for w in _SHARES for s0, s1 in _SHAPES
    ]  # fmt: skip
    models = _allowed(torch.tensor(points, dtype=torch.float64, device="cpu"), rarest)
    ratio = log_evidence(cells, models, _components)
    moves = torch.tensor(
        list(itertools.product((-1.0, 0.0, 1.0), repeat=4)), dtype=torch.float64, device="cpu"
    )
    steps = torch.tensor(_STEPS, dtype=torch.float64, device="cpu")
    rounds = max(_ROUNDS, int(0.5 * math.log2(table.n)) - 1)  # to steps of about 1 / sqrt(n)
    for _ in range(rounds if len(models) else 0):
        near = _allowed(models[ratio.argmax()] + moves * steps, rarest)
        models, ratio = (
            torch.cat([models, near]),
            torch.cat([ratio, log_evidence(cells, near, _components)]),
        )
        steps = steps / 2
    return Ratios(cells, models, ratio, table.n, r + c)


def _allowed(models: Tensor, rarest: float) -> Tensor:
    """The models whose frequent pairs are frequent, neither too rare nor the majority, which they
    may be where hardly any other occurs."""
    rare, share = models[:, 0], models[:, 1].sigmoid()
    frequent = (share / rare.exp() > _LEAST) & (rare <= math.log(0.4))
    closed = (share > _CLOSED) & (rare <= math.log(0.8))
    keep = (frequent | closed) & (rare >= rarest)
    return models[keep]


def _components(_: Cells, models: Tensor) -> tuple[Part, ...]:
    """Log weight, shape and mean of both components, each ``[M, 1]``."""
    rare, share = models[:, :1].exp(), models[:, 1:2].sigmoid()
    low, high = models[:, 2:3].exp(), models[:, 3:4].exp()
    return ((-rare).log1p(), low, (1 - share) / (1 - rare)), (rare.log(), high, share / rare)
