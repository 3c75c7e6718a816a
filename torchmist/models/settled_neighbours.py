r"""What nearest neighbours say among thousands of rows, and whether they have settled.

Local statistics refer to 1,024 rows (``torchmist.models.local``); among more, neighbours are
nearer. The estimator of Kraskov, Stoegbauer and Grassberger (Phys. Rev. E 69, 066138, 2004), of
Mesner and Shalizi (IEEE Trans. Inf. Theory 67, 464, 2020) where rows coincide, asks all rows, up to
6,144, in two views: normal scores and the whitened ones. Its bias falls as rows become dense, so
what halves, quarters and eighths of the rows say, each by itself and averaged, shows how far it is
from where it goes. Legend: ``B`` datasets, ``N`` samples, ``M`` rows that are asked, ``d`` columns,
``V`` views.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from torchmist.copula import standardise
from torchmist.models.local import row_counts, whitened
from torchmist.models.neighbours import FAR, NEIGHBOURS, may_tie, neighbour_estimates
from torchmist.models.pair_scores import pair_order, pair_scores
from torchmist.models.variates import even_places, rows_at
from torchmist.numerics.no_gradient import no_gradient

__all__ = ["FEWEST_ROWS", "SETTLED_COUNT", "SETTLED_VIEWS", "Settled", "settled_information"]

SETTLED_VIEWS = 2
"""Normal scores, and each side whitened."""
_PARTS = (2, 4, 8)  # halves, quarters, eighths
SETTLED_COUNT = SETTLED_VIEWS * (len(NEIGHBOURS) + len(_PARTS))
"""Numbers of :class:`Settled`."""
FEWEST_ROWS = 128
"""Rows from which neighbours are asked."""
_MOST_ROWS = 6144
_ON_CPU, _ELSEWHERE = 500_000, 30_000_000  # distances at a time: a cache holds the first


class Settled(NamedTuple):
    """Estimates ``[B, V]`` in nats of each view: ``near`` by three neighbours, ``broad`` by eight,
    and ``half``, ``quarter`` and ``eighth`` by three among so many of the rows; all 0 of fewer than
    128 rows."""

    near: Tensor
    broad: Tensor
    half: Tensor
    quarter: Tensor
    eighth: Tensor


def settled_information(x: Tensor, y: Tensor, mask: Tensor | None = None) -> Settled:
    """What neighbours say of ``[B, N, dx]`` and ``[B, N, dy]`` with at least 128 rows, of which up
    to 6,144 are asked, spread evenly over an order that no permutation changes; a constant of
    the backward pass.

    ``mask``: ``[B, N]`` bool, True for real samples.
    """
    n = x.shape[1]
    if n < FEWEST_ROWS:
        return Settled(
            *torch.zeros(
                SETTLED_COUNT // SETTLED_VIEWS,
                len(x),
                SETTLED_VIEWS,
                device=x.device,
                dtype=torch.float32,
            )
        )
    with no_gradient():
        scores = [side.float() for side in pair_scores(x, y, mask)]
        total = row_counts(x, mask)[:, None]
        at, present = even_places(total, min(n, _MOST_ROWS))
        rows = pair_order(x, y, mask).gather(1, at)
        plain = [standardise(rows_at(side, rows).mT, present) for side in scores]
        sides = [plain]
        if max(x.shape[-1], y.shape[-1]) > 1:  # single columns look the same in all views
            count = present.sum(-1)[:, None, None].float()
            sides.append([whitened(side, count) for side in plain])
        views = [_numbers(a.mT, b.mT, present) for a, b in sides]
    found = torch.stack(views * (SETTLED_VIEWS // len(views)), -1)
    return Settled(*found.where(total[..., None] >= FEWEST_ROWS, 0.0).unbind(1))


def _numbers(x: Tensor, y: Tensor, present: Tensor) -> Tensor:
    """Estimates ``[B, 5]`` of rows ``[B, M, dx]`` and ``[B, M, dy]`` as :class:`Settled` has them;
    ``present`` ``[B, M]``: which count."""
    sides = [_lengths(side, present) for side in (x, y)]
    whole = _estimates(sides, present, NEIGHBOURS)
    parts = []
    for step in _PARTS:
        each = [
            _estimates([side[:, k::step] for side in sides], present[:, k::step], NEIGHBOURS[:1])
            for k in range(step)
        ]
        parts.append(torch.stack(each).mean(0))
    return torch.cat([whole, *parts], -1)


def _lengths(side: Tensor, present: Tensor) -> Tensor:
    """Rows ``[B, M, d]`` over the root of their mean squared distance."""
    square = (side.square().sum(-1) * present).sum(-1) / present.sum(-1)
    return side * (2 * square).clamp(min=1e-9).rsqrt()[:, None, None]


def _estimates(sides: list[Tensor], present: Tensor, neighbours: tuple[int, ...]) -> Tensor:
    """What ``neighbours`` say ``[B, K]`` of both ``sides`` ``[B, M, d]`` among the rows that are
    ``present`` ``[B, M]``."""
    others = (present.sum(-1)[:, None, None] - 1).to(sides[0].dtype)
    ties = may_tie(*sides)
    found = [
        neighbour_estimates((a, b), others, ties, neighbours)
        for a, b in zip(*(_distances(side, present) for side in sides))
    ]
    shares = present[..., None] / (others + 1)
    return (torch.cat(found, 1) * shares).sum(1)


def _distances(side: Tensor, present: Tensor) -> Iterator[Tensor]:
    """Squared distances ``[B, Q, M]`` of some rows of ``[B, M, d]`` after others to all, far to
    themselves and to those that do not count."""
    square = side.square().sum(-1, keepdim=True)
    one = torch.ones_like(square)
    left = torch.cat([-2 * side, square, one], -1)
    right = torch.cat([side, one, square + FAR * (~present[..., None]).to(square)], -1).mT
    most = _ON_CPU if side.device.type == "cpu" else _ELSEWHERE
    size = max(1, most // (len(side) * side.shape[1]))
    for start in range(0, side.shape[1], size):
        squares = left[:, start : start + size] @ right
        squares.diagonal(offset=start, dim1=-2, dim2=-1).fill_(FAR)
        yield squares
