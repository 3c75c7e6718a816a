r"""Mean and variance of the mutual information of a table with a Dirichlet law.

A Dirichlet law of parameters :math:`a_{ij}` of sum A is one of independent gamma variables over
their sum. The mean of I is exact (Hutter 2001, equation 4),

.. math:: E[I] = \psi(A+1) + \tfrac1A \Big[\sum_{ij} a_{ij}\psi(a_{ij}+1)
          - \sum_i a_{i\cdot}\psi(a_{i\cdot}+1) - \sum_j a_{\cdot j}\psi(a_{\cdot j}+1)\Big],

and the variance is that of the gamma variables to second order.

Legend: ``R`` and ``C`` classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

__all__ = ["cell_sums", "information_moments", "table_moments"]


def cell_sums(a: Tensor, product: Tensor, whole: float, times: Tensor) -> Tensor:
    """Sums over cells of ``a psi(a + 1)``, of variances, and of the overlap of rows and columns.

    A cell's gamma variable g of shape ``a`` contributes ``g log g - g log(product / whole)``, whose
    variance is exact; ``product`` is that of the posterior totals of its row and column.
    """
    psi = torch.digamma(a + 1)
    ratio = psi - (product / whole).log()
    spread = a * (a + 1) * torch.polygamma(1, a + 2) - a + a / (a + 1)
    terms = torch.stack([a * psi, a * ratio.square() + spread, a * a / product])
    return (terms * times).flatten(1).sum(-1)


def information_moments(
    sums: Tensor, sides: Iterable[tuple[Tensor, Tensor]], whole: float, classes: int
) -> tuple[float, float]:
    """Mean (nats) and variance (nats^2) of I.

    ``sums``: of :func:`cell_sums`, over all cells; ``sides``: parameters of the classes of rows and
    of columns, and how many have each; ``whole``: A; ``classes``: of both sides together.
    """
    entropy, variance, overlap = sums.tolist()
    for a, times in sides:
        entropy -= float((times * a * torch.digamma(a + 1)).sum())
    mean = entropy / whole + math.log(whole) + 0.5 / whole
    variance = max(variance + overlap - 0.5 * (classes + 1), 0.02 * variance)
    variance = (variance - mean**2 * whole) / (whole * (whole + 1))
    return max(mean, 1e-9), max(variance, 1e-18)


def table_moments(a: Tensor) -> tuple[float, float]:
    """Mean (nats) and variance (nats^2) of I for parameters ``[R, C]``.

    Example:
        >>> even = torch.full((2, 2), 1e6, dtype=torch.float64)
        >>> [round(value, 4) for value in table_moments(even)]
        [0.0, 0.0]
    """
    row, column, whole = a.sum(1), a.sum(0), float(a.sum())
    sums = cell_sums(a, row[:, None] * column, whole, torch.ones_like(a))
    sides = [(side, torch.ones_like(side)) for side in (row, column)]
    return information_moments(sums, sides, whole, sum(a.shape))
