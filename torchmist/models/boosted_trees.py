r"""Boosted trees between one side and few columns or the classes of the other.

What tables follow is often made of thresholds of single columns: rules, scores, trees of
questions. Networks and neighbours see little of it where columns are many. Trees, each fitted to
what those before it leave (Friedman, Annals of Statistics 29, 2001), find it. With an f that is
fitted on other rows

.. math:: I(f(X);Y) \le I(X;Y),

and few columns are easily asked. They are grown on three quarters of the rows, for each of the four
quarters, and on half of these rows, which tells how much is not learned yet.

All of it is a constant of the backward pass. Legend: ``B`` datasets, ``N`` samples, ``M`` of them,
``d`` columns, ``q`` that are predicted, ``K`` fits, ``P`` predictions that are kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from torchmist.models.column_frames import Frames, datasets_apart, frames_in_order
from torchmist.models.folds import FOLDS
from torchmist.models.label_curves import classes_of
from torchmist.models.variates import spread_places
from torchmist.numerics.no_gradient import no_gradient

__all__ = ["OfTrees", "predicted_by_trees"]

_NARROWEST, _WIDEST = 2, 64  # columns that predict
_NUMBERS, _CLASSES = 4, 12  # most columns and classes that are predicted
_FEWEST, _MOST_ROWS = 200, 2048
_BINS = 32  # of a column
_LEVELS = (2, 4)
_KEPT = (3, 6, 12, 24, 40)  # trees after which predictions are kept
_RATE, _RIDGE = 0.3, 1.0
_LEAF, _PART = 3, 200  # fewest rows of a leaf: so many, and one of so many rows
_WORTH = 0.85  # of an answer that one fit must tell
_LEAST = 1e-6  # of what is left, and of a deviation


class OfTrees(NamedTuple):
    """What trees predict of a side, with that side, ``[1, M, q]`` each: trees of three quarters of
    the rows, and of half of these."""

    whole: tuple[Tensor, Tensor]
    half: tuple[Tensor, Tensor]


class _Task(NamedTuple):
    """Bins ``[M, d]`` of what predicts, and what is ``wanted`` ``[M, q]``, of which ``numbers``
    are free, of the ``side`` that is predicted."""

    bins: Tensor
    wanted: Tensor
    numbers: int
    side: Tensor


def predicted_by_trees(
    x: Tensor, y: Tensor, told: Tensor, mask: Tensor | None = None
) -> Iterator[tuple[int, OfTrees]]:
    """Places of the datasets ``[B, N, dx]`` and ``[B, N, dy]`` of which trees tell about as much as
    is ``told`` ``[B]`` in nats, or more, with what they predict.

    Up to 4 columns, or up to 12 classes, of 200 rows and more are predicted from 2 to 64 columns;
    none while a graph is traced.

    ``mask``: ``[B, N]`` bool, True for real samples.
    """
    if min(x.shape[-1], y.shape[-1]) > _CLASSES:
        return
    for place, sides in datasets_apart(x, y, mask, lambda rows: rows >= _FEWEST):
        with no_gradient():
            found = _of_trees(*frames_in_order(*sides), float(told[place]))
        if found is not None:
            yield place, found


def _of_trees(one: Frames, other: Frames, told: float) -> OfTrees | None:
    """Predictions of the side of which one fit tells more, None where that is too little."""
    at = spread_places(len(one.scores), _MOST_ROWS, one.scores)
    a, b = (Frames(*(columns[at].detach() for columns in side)) for side in (one, other))
    tasks = [task for task in (_task(a, b), _task(b, a)) if task is not None]
    first = torch.arange(len(at), device=at.device)[None] % FOLDS == 0
    found = []
    for task in tasks:
        for levels in _LEVELS:
            loss = _losses(_grown(task, ~first, levels), task.wanted, first).min()
            rest = float(loss / task.wanted.var(0, correction=0).sum())
            found.append((-0.5 * task.numbers * math.log(max(rest, _LEAST)), task, levels))
    if not found:
        return None
    bound, task, levels = max(found, key=lambda each: each[0])
    return _predicted(task, levels) if bound > _WORTH * told else None


def _task(side: Frames, other: Frames) -> _Task | None:
    """To predict the ``other`` side from a ``side``, None where it has too many columns."""
    if not _NARROWEST <= side.scores.shape[-1] <= _WIDEST:
        return None
    label = classes_of(other.scores)
    wanted = other.scores if label is None else F.one_hot(label).to(other.scores)
    if wanted.shape[-1] > (_NUMBERS if label is None else _CLASSES):
        return None
    numbers = wanted.shape[-1] - (label is not None)
    wanted = (wanted - wanted.mean(0)) / wanted.std(0).clamp(min=_LEAST)
    bins = torch.stack([_binned(column) for column in side.scores.unbind(-1)], -1)
    return _Task(bins, wanted, numbers, other.plain)


def _binned(column: Tensor) -> Tensor:
    """Bins ``[M]`` of about as many rows each, or the place of each value where these are few."""
    values, place, count = column.unique(return_inverse=True, return_counts=True)
    bins = torch.arange(len(values), device=column.device)
    if len(values) > _BINS:
        middle = (count.cumsum(0) - count / 2) / len(column)
        bins = (middle * _BINS).long().clamp(max=_BINS - 1)
    return bins[place]


def _predicted(task: _Task, levels: int) -> OfTrees:
    """Predictions of each row by trees that it had no part in."""
    row = torch.arange(len(task.wanted), device=task.wanted.device)
    asked = row % FOLDS == torch.arange(FOLDS, device=row.device)[:, None]
    half = ~asked & (row // FOLDS % 2 == 0)
    kept = _grown(task, torch.cat([~asked, half]), levels)
    found = []
    for some in kept.split(FOLDS, 1):
        best = some[int(_losses(some, task.wanted, asked).argmin())]
        found.append((best * asked[..., None]).sum(0))
    whole, fewer = ((rows[None], task.side[None]) for rows in found)
    return OfTrees(whole, fewer)


def _losses(kept: Tensor, wanted: Tensor, asked: Tensor) -> Tensor:
    """Mean squared errors ``[P]`` of predictions ``[P, K, M, q]`` in rows ``asked`` ``[K, M]``."""
    left: Tensor = (wanted - kept).square().sum(-1) * asked
    return left.sum((1, 2)) / asked.sum()


def _grown(task: _Task, shown: Tensor, levels: int) -> Tensor:
    """Predictions ``[P, K, M, q]`` of trees that are fitted to the rows ``shown`` ``[K, M]``."""
    weight = shown[..., None].to(task.wanted.dtype)
    mean = (weight * task.wanted).sum(1, keepdim=True) / weight.sum(1, keepdim=True)
    out, kept = mean.expand(-1, shown.shape[1], -1), []
    fit = torch.arange(len(shown), device=shown.device)[:, None]
    least, edges = max(_LEAF, len(task.wanted) // _PART), int(task.bins.max()) + 1
    for tree in range(1, _KEPT[-1] + 1):
        left = torch.cat([weight, (task.wanted - out) * weight], -1)
        node = torch.zeros_like(shown, dtype=torch.long)
        for level in range(levels):
            node = _parted(task.bins, edges, left, node, 1 << level, least)
        place = (fit << levels) + node
        sums = _sums(place, left, len(fit) << levels)
        out = out + (_RATE * sums[:, 1:] / (sums[:, :1] + _RIDGE))[place]
        if tree in _KEPT:
            kept.append(out)
    return torch.stack(kept)


def _parted(bins: Tensor, edges: int, left: Tensor, node: Tensor, nodes: int, least: int) -> Tensor:
    """Nodes ``[K, M]`` of the next level, from the best cut of a column in each ``node``.

    ``left`` ``[K, M, 1 + q]``: the weight of each row, and what is left to explain of it.
    ``edges``: how many bins there are; ``nodes``: of each fit; ``least``: fewest rows of a part.
    """
    d = bins.shape[1]
    place = nodes * torch.arange(len(node), device=node.device)[:, None] + node
    cells = place[..., None] * (d * edges) + bins + edges * torch.arange(d, device=bins.device)
    rows = left[:, :, None].expand(-1, -1, d, -1)
    total = _sums(cells, rows, len(node) * nodes * d * edges).view(-1, d, edges, rows.shape[-1])
    below = total.cumsum(2)
    above = below[:, :, -1:] - below
    gain = sum(part[..., 1:].square().sum(-1) / (part[..., 0] + _RIDGE) for part in (below, above))
    allowed = (below[..., 0] >= least) & (above[..., 0] >= least)
    best = torch.where(allowed, gain, -1.0).flatten(1).argmax(1)
    column, edge = (best // edges)[place], (best % edges)[place]
    value = bins.expand(len(node), -1, -1).gather(2, column[..., None])[..., 0]
    return 2 * node + (value > edge)


def _sums(place: Tensor, values: Tensor, count: int) -> Tensor:
    """Sums ``[count, p]`` of ``values`` ``[..., p]`` by their place ``[...]``."""
    out = values.new_zeros(count, values.shape[-1])
    return out.index_add_(0, place.flatten(), values.reshape(-1, values.shape[-1]))
