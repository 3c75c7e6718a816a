"""Which rows are alike in a condition: those that permutations given it exchange (Runge 2018).

Rows of the same labels and, where the condition holds numbers, at most 12 that are near in these;
of many columns, first in the few directions that predict the sides by least squares, since rows are
far from each other in all others.

Legend: ``N`` rows, ``q`` columns of the condition, ``K`` columns of a side.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchmist.permutation_tests.permutations import near_order
from torchmist.samples.column_kinds import Sorted, joint_codes

__all__ = ["alike", "predictors"]

_CELL = 12  # most rows that are taken for alike in numbers of the condition
_INDIRECT = 0.3  # weight of the columns of the condition beside what they predict
_FEW = 2
_LEAST = 1e-6


def predictors(sides: tuple[Tensor, ...], given: Tensor) -> Tensor:
    """What ``given`` ``[N, q]`` says of each side ``[N, K]`` by least squares: at most two columns
    for each, the leading principal ones, scaled to the variance of the first; ``[N, 0]`` if ``q``
    is 1."""
    if given.shape[1] == 1:
        return given[:, :0]
    z = given.double() - given.double().mean(0)
    out = []
    for side in sides:
        u, size, _ = torch.linalg.svd(z, full_matrices=False)
        u = u[:, size > _LEAST * size.max()]
        fit = u @ (u.mT @ side.double())
        left, values, _ = torch.linalg.svd(fit, full_matrices=False)
        fit = left[:, :_FEW] * values[:_FEW]
        out.append(fit / fit.square().mean(0).sqrt().amax().clamp(min=_LEAST))
    return torch.cat(out, -1).to(given.dtype)


def alike(given: Sorted, columns: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """An order ``[N]`` of the rows in which alike ones stand together, and their cells ``[N]``."""
    values = given.values[0]
    strata = torch.zeros(len(values), dtype=torch.int64, device=values.device)
    labels = [k for k, label in enumerate(given.label) if label]
    if labels:
        strata = joint_codes(values[None][..., labels])[0]
    if len(labels) == values.shape[1]:
        order = strata.argsort(stable=True)
        return order, strata[order]
    place = columns
    if index.shape[1]:
        place = torch.cat([index, _INDIRECT * columns / columns.shape[1] ** 0.5], -1)
    orders, cells, first = [], [], 0
    for code in strata.unique():
        rows = (strata == code).nonzero().flatten()
        order, cell = near_order(place[rows], _CELL)
        orders.append(rows[order])
        cells.append(cell + first)
        first += int(cell.max()) + 1
    return torch.cat(orders), torch.cat(cells)
