r"""Of how many dimensions both sides are, beside as many normal columns.

Rows whose columns are functions of few numbers (products, layers of a network, splines) lie on a
curved sheet in all directions of space, and what all columns share were they Gaussian counts the
same numbers many times. Few rows do not show which functions these are; how fast the number of
neighbours grows with the distance tells the dimension. With :math:`r_{ik}` the distance of row i to
its k-th neighbour,

.. math:: \hat d = \Big[\frac{1}{N (K - 1)} \sum_{i} \sum_{k < K} \log\frac{r_{iK}}{r_{ik}}
          \Big]^{-1}

(Levina and Bickel 2004, with the mean of MacKay and Ghahramani), far too little in many columns;
so each is divided by that of as many rows of as many normal columns. Dimensions are constants of
the backward pass. Legend: ``B`` datasets, ``N`` samples, ``d`` columns, ``K`` neighbours.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import NamedTuple

import torch
from torch import Tensor

from torchmist.models.ordered_rows import datasets_in_order
from torchmist.numerics.eigen import white_frame
from torchmist.numerics.no_gradient import no_gradient
from torchmist.numerics.sorting import smallest

__all__ = ["DIMENSION_COUNT", "ManifoldDimensions", "manifold_dimensions", "measured"]

DIMENSION_COUNT = 6
"""Numbers of :class:`ManifoldDimensions`."""
_NARROWEST, _WIDEST = 3, 64  # columns of a side
_FEWEST, _ROWS, _MOST_ROWS = 64, 2, 768  # rows: at least, for each column, at most
_NEIGHBOURS = 10
_LEAST, _MOST = 1e-6, 2.0  # squared distance, and share
_TIED = 0.05  # share of rows that coincide with another, above which distances tell no dimension
_STEADY = 512  # rows, of fewer of which several draws of normal columns are taken


class ManifoldDimensions(NamedTuple):
    """Dimensions over those of normal columns: of whitened scores, of the side that has ``most`` of
    them and of that which has ``least``, of scores as they are, ``plain_most`` and
    ``plain_least``, and of both sides together, ``joint``; and the ``dimension`` of whitened scores
    of the side with the least: ``[B, 1]`` each, and all 0 where none are sought."""

    most: Tensor
    least: Tensor
    plain_most: Tensor
    plain_least: Tensor
    joint: Tensor
    dimension: Tensor


def measured(rows: int, columns: tuple[int, int]) -> bool:
    """Whether dimensions are sought in so many rows and columns of both sides."""
    few, many = min(columns), max(columns)
    return few >= _NARROWEST and many <= _WIDEST and rows >= max(_FEWEST, _ROWS * many)


def manifold_dimensions(x: Tensor, y: Tensor, mask: Tensor | None = None) -> ManifoldDimensions:
    """Dimensions of ``[B, N, dx]`` and ``[B, N, dy]``; none are sought of sides of fewer than 3 or
    more than 64 columns, in fewer than 64 rows or 2 for each column, where more than a twentieth of
    the rows of a side coincide with others, as of grades and copies, nor while a graph is traced.

    ``mask``: ``[B, N]`` bool, True for real samples.
    """
    columns = (x.shape[-1], y.shape[-1])
    out = torch.zeros(len(x), DIMENSION_COUNT, device=x.device, dtype=torch.float32)
    if not measured(x.shape[1], columns):
        return _parts(out)
    here = partial(measured, columns=columns)
    with no_gradient():
        for place, rows in datasets_in_order(x, y, mask, _MOST_ROWS, here):
            out[place] = _numbers(*rows.split(columns, -1))
    return _parts(out)


def _parts(out: Tensor) -> ManifoldDimensions:
    return ManifoldDimensions(*out.split(1, -1))


def _numbers(x: Tensor, y: Tensor) -> Tensor:
    """The numbers of :class:`ManifoldDimensions` from scores ``[N, d]`` of both sides."""
    n, sides = len(x), (x, y)
    white = [_whitened(side) for side in sides]
    near = [_nearest(side) for side in white]
    if any(float((side[:, 0] <= _LEAST).float().mean()) > _TIED for side in near):
        return x.new_zeros(DIMENSION_COUNT)
    normal = x.new_tensor([_of_normal(n, side.shape[-1]) for side in sides])
    own = torch.stack([_dimension(side) for side in near])
    plain = torch.stack([_dimension(_nearest(side)) for side in sides])
    joint = _dimension(_nearest(torch.cat(white, -1))) / _of_normal(n, x.shape[-1] + y.shape[-1])
    shares = [own / normal, plain / normal]
    ends = [end for share in shares for end in (share.amax(), share.amin())]
    shown = torch.stack([*ends, joint]).clamp(max=_MOST)
    return torch.cat([shown, own[shares[0].argmin(), None]])


def _whitened(scores: Tensor) -> Tensor:
    """Scores ``[N, d]`` in a frame in which they are uncorrelated."""
    return (scores.double() @ white_frame(scores)).to(scores.dtype)


def _nearest(rows: Tensor) -> Tensor:
    """Squared distances ``[N, K]`` to the nearest of the other ``rows`` ``[N, d]``, in rising
    order."""
    square = rows.square().sum(-1)
    squares = (square[:, None] + square - 2 * rows @ rows.mT).fill_diagonal_(torch.inf)
    return smallest(squares, _NEIGHBOURS).clamp(min=_LEAST)


def _dimension(near: Tensor) -> Tensor:
    """The dimension, 0-dim, that squared distances ``[N, K]`` to the nearest rows tell."""
    logs = (near[:, -1:] / near[:, :-1]).log().mean() / 2
    return 1 / logs.clamp(min=1 / 4096)


@lru_cache(maxsize=4096)
def _of_normal(rows: int, columns: int) -> float:
    """The dimension of so many rows and columns of normal numbers, whitened: of few rows a mean
    over several fixed draws."""
    generator, draws = torch.Generator().manual_seed(0), max(1, _STEADY // rows)
    found = 0.0
    with torch.no_grad():
        for _ in range(draws):
            normal = torch.randn(
                rows, columns, generator=generator, dtype=torch.float32, device="cpu"
            )
            found += float(_dimension(_nearest(_whitened(normal))))
    return found / draws
