r"""How fast numbers are learned, and how well where rows lie densely.

A number that a network makes of many columns may have little noise, and no regression shows it in
few rows: what it leaves unexplained is mostly what it has not learned yet. The bound

.. math:: I(X;Y) \ge \tfrac12 \log\det \mathrm{Cov}(s) - \tfrac12 \log\det \mathrm{Cov}(s - \hat s)

of normal scores s of a side of few columns, each row predicted by a regression that it had no part
in (``torchmist.models.left_out_regression``), is asked of all rows, of halves and of quarters, on a
kernel of rectified units of white columns, on sums of bent columns, and on columns as they are. Of
the first also where rows weigh little in what is said of them, as those do that others surround:
there less is missing, but as much is noise.

Ridges are constants of the backward pass. Legend: ``N`` samples, ``d`` columns, ``q`` of the side
that is predicted, ``M`` rows of a kernel.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from torchmist.models.left_out_regression import (
    INSIDE,
    features_of,
    left_out,
    rectified_kernel,
    white_columns,
)
from torchmist.models.ordered_rows import datasets_in_order

__all__ = ["NUMBER_COUNT", "NumberCurves", "may_be_predicted", "number_curves"]

NUMBER_COUNT = 10
"""Numbers of :class:`NumberCurves`."""
_NARROWEST, _WIDEST, _PREDICTED = 3, 64, 4  # columns of a side, and of what is predicted
_FEWEST, _MOST_ROWS = 64, 2048
_RIDGES = (1e-3, 1e-2, 0.1, 1.0, 10.0)
_PARTS = (1, 2, 4)
_SUREST = (2, 8)
_SIZES = (len(_PARTS), len(_PARTS), 1, len(_SUREST), 1)
_BEND = 0.5  # width of a bump in a column
_LEAST_VARIANCE = 1e-5
_BEYOND = 0.03  # nats by which what is not linear must be more


class NumberCurves(NamedTuple):
    """``bounds`` in nats of a regression of rectified units on all rows, on halves and on quarters,
    of sums of bent columns, ``sums``, and of what is ``linear``; what the first would be were all
    rows told as the half and the eighth are that weigh least in what is said of them, ``dense``,
    and the mean size of what it leaves over the root of its square, ``even``: all 0 where no side
    is predicted."""

    bounds: Tensor
    sums: Tensor
    linear: Tensor
    dense: Tensor
    even: Tensor

    @staticmethod
    def of(numbers: Tensor) -> NumberCurves:
        """By name, of ``[B, 10]``."""
        return NumberCurves(*numbers.split(_SIZES, -1))


def may_be_predicted(rows: int, columns: tuple[int, int]) -> bool:
    """Whether numbers may be predicted in so many rows and columns of both sides."""
    few, many = min(columns), max(columns)
    return rows >= _FEWEST and few <= _PREDICTED and _NARROWEST <= many <= _WIDEST


def number_curves(x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
    """The numbers of :class:`NumberCurves` of ``[B, N, dx]`` and ``[B, N, dy]``, ``[B, 10]``, of
    the side that is predicted better; none of fewer than 64 rows, more than 64 columns or 4 that
    are predicted, of labels, where all that is found is linear, nor while a graph is traced.

    ``mask``: ``[B, N]`` bool, True for real samples.
    """
    columns = (x.shape[-1], y.shape[-1])
    out = torch.zeros(len(x), NUMBER_COUNT, device=x.device, dtype=torch.float32)
    if not may_be_predicted(x.shape[1], columns):
        return out

    def sought(rows: int) -> bool:
        return may_be_predicted(rows, columns)

    for place, rows in datasets_in_order(x, y, mask, _MOST_ROWS, sought):
        sides = rows.split(columns, -1)
        if any(map(_has_bits, sides)):
            continue
        found = [
            _numbers(side, other)
            for side, other in (sides, sides[::-1])
            if _NARROWEST <= side.shape[-1] and other.shape[-1] <= _PREDICTED
        ]
        best = max(found, key=lambda numbers: float(numbers.detach()[0]))
        out = out.index_put((torch.tensor([place], device=x.device),), best[None])
    return out


def _has_bits(side: Tensor) -> bool:
    """Whether a column ``[N]`` of ``[N, d]`` holds at most two values, as those of labels do."""
    return bool(((side == side.amin(0)) | (side == side.amax(0))).all(0).any())


def _numbers(x: Tensor, y: Tensor) -> Tensor:
    """The numbers of :class:`NumberCurves` from scores ``[N, d]`` and those that are predicted,
    ``[N, q]``."""
    y = y - y.mean(0)
    white = white_columns(x)
    rectified, bumps = features_of(white, rectified_kernel), features_of(x, _bumps)
    (whole, left), (bent, _) = (_learned(features, y, 1) for features in (rectified, bumps))
    linear, _ = _learned(torch.cat([white, torch.ones_like(white[:, :1])], -1), y, 1)
    if bool(torch.maximum(whole, bent).detach() < linear.detach() + _BEYOND):
        return y.new_zeros(NUMBER_COUNT)
    curves = [
        [first, *(_learned(features, y, parts)[0] for parts in _PARTS[1:])]
        for first, features in ((whole, rectified), (bent, bumps))
    ]
    weight = _weights(rectified.detach())
    order = weight.argsort()
    dense = [_bound(y, left[order[: len(y) // part]]) for part in _SUREST]
    even = (left.abs().mean(0) / left.square().mean(0).clamp(min=_LEAST_VARIANCE).sqrt()).mean()
    return torch.stack([*curves[0], *curves[1], linear, *dense, even]).float()


def _bumps(a: Tensor, b: Tensor) -> Tensor:
    """The kernel ``[M, N]`` of sums of functions of single columns of ``[M, d]`` and ``[N, d]``."""
    out = a.new_zeros(len(a), len(b))
    for column in range(a.shape[-1]):
        away = (a[:, None, column] - b[:, column]) / _BEND
        out = out + (-away.square() / 2).exp()
    return out / a.shape[-1]


def _learned(features: Tensor, y: Tensor, parts: int) -> tuple[Tensor, Tensor]:
    """The bound by a regression of ``y`` ``[N, q]`` on ``features`` ``[N, M]`` of each of so many
    ``parts`` of the rows, and what it leaves, ``[N, q]``, part after part."""
    left = []
    for k in range(parts):
        own = y[k::parts]
        centred = own - own.mean(0)
        each = [centred - f for f in left_out(features[k::parts], centred, _RIDGES)]
        left.append(min(each, key=lambda rest: float(rest.detach().square().sum())))
    rest = torch.cat(left)
    return _bound(y, rest), rest


def _bound(y: Tensor, left: Tensor) -> Tensor:
    """The bound in nats by what is ``left`` ``[M, q]`` of ``y`` ``[N, q]``."""
    return (_log_volume(y) - _log_volume(left)) / 2


def _log_volume(columns: Tensor) -> Tensor:
    """The log determinant of second moments of ``[N, q]``."""
    eye = torch.eye(columns.shape[-1], dtype=columns.dtype, device=columns.device)
    moments = columns.mT @ columns / len(columns) + _LEAST_VARIANCE * eye
    out: Tensor = torch.linalg.cholesky_ex(moments).L.diagonal().log().sum()
    return 2 * out


def _weights(features: Tensor) -> Tensor:
    """How much rows of ``features`` ``[N, M]`` weigh in what a regression says of them, ``[N]``."""
    eye = torch.eye(features.shape[-1], dtype=features.dtype, device=features.device)
    lower = torch.linalg.cholesky_ex(features.mT @ features + _RIDGES[1] * eye).L
    turned = torch.linalg.solve_triangular(lower, features.mT, upper=False)
    out: Tensor = turned.square().sum(0).clamp(max=INSIDE)
    return out
