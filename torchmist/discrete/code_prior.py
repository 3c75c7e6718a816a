r"""Labels of which one side is a function of the other: what they share is the entropy of it.

Where every class of the finer side goes with one class of the coarser one alone, as in copies and
codes, :math:`I(X;Y) = H(Y)`. The shares of the coarser classes have a symmetric Dirichlet law of
``K' >= K`` classes, of which ``K`` were seen,

.. math:: p(n \mid K', \beta) = \frac{K'!}{(K' - K)!} \frac{\Gamma(K'\beta)}{\Gamma(n + K'\beta)}
          \prod_k \frac{\Gamma(n_k + \beta)}{\Gamma(\beta)},

the probability of the groups of equal labels. Were the sides independent, they would be the same
groups by chance only: that is how much more a function explains, less what it costs to name it,
:math:`R \log C - \log C!` of R finer and C coarser classes.

Legend: ``M`` models.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from torchmist.discrete.contingency import Table

__all__ = ["Codes", "entropy_moments", "fit_codes"]

_CONCENTRATIONS = 22
_EVEN = 10.0  # times the prior weight of any other concentration: equal shares
_FINER = 4  # numbers of classes that were not seen in each doubling
_LARGE = 1e5  # starts of rising factorials, times their number of factors
_MOST = 64.0  # times the rows: most classes
_NEGLIGIBLE = 1e-3  # posterior weight, relative to the largest, below which one is left out


class Codes(NamedTuple):
    """Models ``[M]`` of a function: ``classes`` and ``concentration`` per class of the coarser
    side, whose ``totals`` are ``[K, 2]``, and ``log_ratio``, the log of the posterior weights over
    the evidence of independence."""

    totals: Tensor
    classes: Tensor
    concentration: Tensor
    log_ratio: Tensor

    def moments(self, chosen: list[int]) -> Tensor:
        """Mean (nats) and variance (nats^2) of the entropy, ``[M, 2]``."""
        value, times = self.totals.unbind(-1)
        size, shape = self.classes[chosen, None], self.concentration[chosen, None]
        counts = torch.cat([value, value.new_zeros(1)])
        number = torch.cat([times.expand(len(size), -1), size - times.sum()], 1)
        a = counts + shape
        whole = (a * number).sum(-1, keepdim=True)
        share = a / whole * number
        log = torch.digamma(a + 1) - torch.digamma(whole + 1)
        mean = -(share * log).sum(-1)
        second = (share * (log.square() + torch.polygamma(1, a + 1))).sum(-1)
        spread = (a * number / a.square()).sum(-1) / whole[:, 0]
        variance = (second - mean**2 - spread) / (whole[:, 0] + 1)
        even = (size[:, 0] - 1) / (2 * whole[:, 0] ** 2)  # what is of second order
        variance = torch.maximum(variance - even, 0.5 * even)
        return torch.stack([mean.clamp(min=1e-9), variance.clamp(min=1e-18)], -1)


def fit_codes(table: Table) -> Codes:
    """Models of a table that looks like a function; none of any other."""
    fine, coarse = max(table.classes), min(table.classes)
    totals = table.rows if table.classes[0] == coarse else table.columns
    if round(float(table.times.sum())) > fine:
        none = totals[:0, 0]
        return Codes(totals, none, none, none)
    codes, groups = _fit(totals)
    named = fine * math.log(coarse) - math.lgamma(coarse + 1) if fine > coarse else 0.0
    return codes._replace(log_ratio=codes.log_ratio - groups - named)


def entropy_moments(totals: Tensor) -> tuple[float, float]:
    """Mean (nats) and variance (nats^2) of the entropy of a side of ``totals`` ``[K, 2]``, with
    what its classes that were not seen add.

    Example:
        >>> mean, variance = entropy_moments(torch.tensor([[50.0, 4.0]], dtype=torch.float64))
        >>> round(mean, 2), variance < 1e-3  # log 4
        (1.39, True)
    """
    codes, _ = _fit(totals)
    weights = codes.log_ratio.exp()
    chosen = (weights > _NEGLIGIBLE * weights.max()).nonzero().flatten().tolist()
    mean, variance = codes.moments(chosen).unbind(-1)
    part = weights[chosen] / weights[chosen].sum()
    middle = float((part * mean).sum())
    return middle, float((part * (variance + mean.square())).sum()) - middle**2


def _fit(totals: Tensor) -> tuple[Codes, float]:
    """Models of the shares of a side and their log posterior weights, and its log evidence."""
    value, times = totals.unbind(-1)
    n, coarse = float((value * times).sum()), round(float(times.sum()))
    shape = torch.logspace(-1.5, 9, _CONCENTRATIONS, dtype=torch.float64, device="cpu")
    doublings = int(math.log2(_MOST * n))
    unseen = [0.0, *(2.0 ** (k / _FINER) for k in range(_FINER * doublings))]
    size, shape = (
        v.flatten() for v in torch.meshgrid(coarse + shape.new_tensor(unseen), shape, indexing="ij")
    )
    each = shape[:, None]
    logs = (_rising(each, value) * times).sum(-1)
    logs = logs - _rising(size * shape, torch.full_like(size, n))
    logs = logs + torch.lgamma(size + 1) - torch.lgamma(size - coarse + 1)
    part = (size - coarse) / size / _FINER  # flat in the logarithm of the number of classes
    width = torch.where(size > coarse, part, 1.0).log()
    width = width + torch.where(shape == shape.max(), math.log(_EVEN), 0.0)
    weights = (logs + width).log_softmax(0)
    groups = float(torch.logsumexp(logs + width, 0) - torch.logsumexp(width, 0))
    return Codes(totals, size, shape, weights), groups


def _rising(start: Tensor, count: Tensor) -> Tensor:
    """``lgamma(start + count) - lgamma(start)``, of large starts by its series."""
    series = count * start.log() + count * (count - 1) / (2 * start)
    return torch.where(
        start > _LARGE * count, series, torch.lgamma(start + count) - torch.lgamma(start)
    )
