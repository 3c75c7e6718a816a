r"""Few directions of a side that carry all that the other side goes with, in rotated columns.

A label that is a threshold of a sum of columns, two such labels, an exclusive or of them, a wave
along one direction: columns one by one or in pairs show little of it, and among many columns
neighbours are far. Along the directions themselves, the central subspace (Li, JASA 86, 316, 1991;
Cook, *Regression Graphics*, 1998), it is a function of few columns. They are found one after the
other. Each begins where the empirical cross-characteristic function

.. math:: \Big|\frac{1}{N} \sum_i \varphi(y_i)\, e^{\mathrm{i} w^T x_i}\Big|^2

of white columns and what directions before leave unexplained of waves :math:`\varphi` of ranks of
the other side peaks over the frequencies :math:`w`, as long as it is more than the same search
finds after rows of one side are exchanged. Then all of them turn to where a ridge regression on
waves along them explains most. All this is done without each fold of the rows in turn, for the
rows of that fold, and with all rows. What the first share with the other side is at most I(X; Y),
by the data processing inequality, and too little by the error of the directions; what the second
share is too much by what they were fitted to.

Directions are constants of the backward pass; the gradient goes through the scores. Legend: ``B``
datasets, ``N`` samples, ``M`` of them, ``d``, ``q`` columns of both sides, ``P`` problems: all
rows, those without each of ``F`` folds, and exchanged rows; ``h`` waves, ``r`` directions, ``S``
starts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from torchmist.checks import visible
from torchmist.models.directions import fixed_numbers, orthonormal, see_through
from torchmist.models.folds import FOLDS
from torchmist.models.local import whitened
from torchmist.models.ordered_rows import datasets_in_order
from torchmist.models.small_directions import cut_columns
from torchmist.models.variates import even_places
from torchmist.numerics.cache import cached
from torchmist.numerics.magnitudes import balanced
from torchmist.numerics.no_gradient import no_gradient

__all__ = ["Along", "along_sufficient_directions"]

_NARROWEST, _WIDEST, _AGAINST = 3, 64, 12  # columns of a side, and of what it goes with
_FEWEST, _ROWS = 128, 4  # rows: at least, and for each column
_COMPONENTS, _PER_COMPONENT = 48, 10  # of more columns, at most, and rows for each
_SCANNED, _FITTED = 1024, 2048  # rows at most, in which peaks are sought, and regressions fitted
_WAVES = {1: 5, 4: 3, _AGAINST: 2}  # of each column of the other side, up to so many columns
_MOST_WAVES, _RANK = 32, 0.05
_STARTS = {1.0: 128, 1.8: 256, 2.6: 512, 3.5: 1152}  # frequencies at first, by their lengths
_DRAWN, _ENDS = 32, 4  # directions that these mix, and leading ones of moments
_LONGEST = 6.0
_CLIMBED, _SAME = 6, 0.8  # starts of each problem, and the cosine from which two are one
_CLIMB, _STEP = 20, 0.35
_CLEARER = 1.05  # by which a peak of columns as they are is higher than one of scores
_BEYOND_CHANCE = 1.1
_SURE = 3.0  # standard errors by which what it explains goes with rows that had no part in it
_INSIDE = 0.85  # cosine to known directions, from which a peak is of these
_MOST = 4  # directions
_ALONG, _MORE = 20, 12  # waves along the first direction, and for each further one
_SLOWEST, _FASTEST = 0.6, 4.0
_RIDGE = 0.01
_TURN, _ANGLE, _BRISK = 25, 0.3, 3


class Frames(NamedTuple):
    """Columns of a side ``[N, d]``, of which directions are mixes: as normal ``scores``, and
    ``cut``: as they are, but for units, offsets and values far out."""

    scores: Tensor
    cut: Tensor


class Along(NamedTuple):
    """Both sides of a dataset along their directions, ``[1, M, r]`` and ``[1, M, s]``: a side of
    which none are sought as it is. ``apart``: by directions that the row itself had no part in,
    ``whole``: by those of all rows."""

    apart: tuple[Tensor, Tensor]
    whole: tuple[Tensor, Tensor]


def along_sufficient_directions(
    x: Tensor, y: Tensor, mask: Tensor | None = None
) -> Iterator[tuple[int, Along]]:
    """Places of the datasets ``[B, N, dx]`` and ``[B, N, dy]`` whose directions are found, with
    both sides along them.

    Directions are sought of sides of at least 3 columns, more than 64 as their leading principal
    components, against up to 12 columns or directions of the other side, in at least 128 rows and
    4 for each column; none while a graph is traced.

    ``mask``: ``[B, N]`` bool, True for real samples.
    """
    columns = x.shape[-1], y.shape[-1]
    if not _sought(x.shape[1], columns) or visible(x.any()) is not True:
        return
    for place in range(len(x)):
        shown = slice(None) if mask is None else mask[place]
        sides = [side[[place]][:, shown] for side in (x, y)]
        if _sought(sides[0].shape[1], columns):
            found = _along(*_narrow(*sides))
            if found is not None:
                yield place, found


def _sought(rows: int, columns: tuple[int, int]) -> bool:
    """Whether directions are sought in so many rows and columns of both sides."""
    widest = min(max(columns), _WIDEST)
    return (
        widest >= _NARROWEST and min(columns) <= _AGAINST and rows >= max(_FEWEST, _ROWS * widest)
    )


def _narrow(x: Tensor, y: Tensor) -> tuple[Frames, Frames]:
    """Both sides ``[1, N, d]`` in an order that does not depend on that of the rows, those of more
    than 64 columns as principal components."""
    if max(x.shape[-1], y.shape[-1]) > _WIDEST:
        most = min(_COMPONENTS, len(x[0]) // _PER_COMPONENT)
        x, y = (
            side if side.shape[-1] <= _WIDEST else seen.rows[..., :most]
            for side, seen in zip((x, y), see_through(x, y))
        )
    columns = x.shape[-1], y.shape[-1]
    raw = torch.cat([balanced(side, 1)[0] for side in (x, y)], -1)
    ((_, rows),) = datasets_in_order(x, y, None, len(x[0]), lambda _: True, raw)
    parts = rows.split(columns * 2, -1)
    one, other = (Frames(parts[k], cut_columns(parts[2 + k][None])[0]) for k in range(2))
    return one, other


def _along(x: Frames, y: Frames) -> Along | None:
    """Both sides along their directions, None where there are none."""
    swap = _first(y.scores, x.scores)
    found = _one_by_one(y, x) if swap else _one_by_one(x, y)
    return Along(*(pair[::-1] for pair in found)) if found is not None and swap else found


def _first(one: Tensor, other: Tensor) -> bool:
    """Whether directions of ``one`` ``[N, d]`` are sought before those of the ``other``."""
    if one.shape[-1] != other.shape[-1]:
        return one.shape[-1] > other.shape[-1]
    size = [float(side.detach().double().abs().sum()) for side in (one, other)]
    return size[0] > size[1]


def _one_by_one(one: Frames, other: Frames) -> Along | None:
    """Two sides along directions of the first, then of the second."""
    row = torch.arange(len(one.scores), device=one.scores.device)
    first = _directions(one, other.scores, row % FOLDS)
    apart, whole = (one.scores,) * 2 if first is None else first
    second = None
    if other.scores.shape[-1] >= _NARROWEST and apart.shape[-1] <= _AGAINST:
        # other folds: what fold a row belongs to is else what both sides share
        second = _directions(other, apart, row // FOLDS % FOLDS)
    if first is None and second is None:
        return None
    others = (other.scores,) * 2 if second is None else second
    return Along((apart[None], others[0][None]), (whole[None], others[1][None]))


def _directions(frames: Frames, y: Tensor, fold: Tensor) -> tuple[Tensor, Tensor] | None:
    """A side along directions that ``[N, q]`` goes with, ``[N, r]``: by those of the rows out of
    each row's ``fold`` ``[N]``, and by those of all; None where there are none."""
    whites = [whitened(x.mT[None], x.new_full((1, 1, 1), len(x)))[0].mT for x in frames]
    with no_gradient():
        at, _ = even_places(torch.full((1, 1), len(y), device=y.device), min(_FITTED, len(y)))
        waves, seen = _waves(y.detach())[at[0]], [white.detach()[at[0]] for white in whites]
        by_scores, by_cut = (float(_peaks(x, waves[None] / len(x))[1]) for x in seen)
        best = int(by_cut > _CLEARER * by_scores)
        basis = _found(seen[best], waves, fold[at[0]])
    if basis is None:
        return None
    u, _, v = torch.linalg.svd(basis[1 : 1 + FOLDS].mT @ basis[0])
    near = basis[1 : 1 + FOLDS] @ (u @ v)  # turned to the directions of all rows
    each = whites[best] @ near
    apart = each.gather(0, fold[None, :, None].expand(1, -1, each.shape[-1]))[0]
    return apart, whites[best] @ basis[0]


def _waves(y: Tensor) -> Tensor:
    """White waves over the ranks of scores ``[N, q]``, ``[N, h]``."""
    count = next(waves for most, waves in _WAVES.items() if y.shape[-1] <= most)
    order = torch.arange(1, count + 1, dtype=y.dtype, device=y.device)
    waves = torch.cos(math.pi * order * torch.special.ndtr(y)[..., None]).flatten(-2)
    waves = waves - waves.mean(0)
    waves = waves / waves.square().mean(0).sqrt().clamp(min=1e-4)
    u, size, _ = torch.linalg.svd(waves, full_matrices=False)
    out: Tensor = (u * (size > _RANK * size[0]))[:, :_MOST_WAVES] * len(y) ** 0.5
    return out


def _found(x: Tensor, waves: Tensor, fold: Tensor) -> Tensor | None:
    """Orthonormal directions ``[P, d, r]`` of white columns ``[M, d]`` that ``waves`` ``[M, h]`` go
    with; None where no peak is beyond chance."""
    exchanged = cached(fixed_numbers, len(x), 1, like=x)[:, 0].argsort()
    folds = [(fold != k).to(x.dtype) for k in range(FOLDS)]
    every = torch.ones_like(folds[0])
    weight = torch.stack([every, *folds, every])
    weight = (weight / weight.sum(-1, keepdim=True))[..., None]
    target = torch.stack([waves] * (1 + FOLDS) + [waves[exchanged]])
    rest, basis = target, x.new_zeros(len(target), x.shape[-1], 0)
    apart = (1 + fold, torch.arange(len(x), device=x.device))  # each row where it had no part
    for count in range(1, min(_MOST, x.shape[-1] - 1) + 1):
        rest = torch.cat([rest[:-1], rest[:1, exchanged]])
        said = (rest - (rest * weight).sum(1, keepdim=True)) * weight
        way, height = _peaks(x, said, basis)
        if bool(height[0] < _BEYOND_CHANCE * height[-1]):
            break
        way = (way - (basis @ (basis.mT @ way[..., None]))[..., 0])[..., None]
        more = torch.cat([basis, F.normalize(way, dim=1)], -1)
        more, left = _turned(more, x, target, weight, _frequencies(count, x))
        gain = ((rest[apart] - left[apart]) * rest[apart]).sum(-1)
        if bool(gain.mean() < _SURE * gain.std() / len(gain) ** 0.5):
            break
        basis, rest = more, left
    return basis if basis.shape[-1] else None


def _peaks(x: Tensor, said: Tensor, basis: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Frequencies ``[P, d]`` at which weighted waves ``said`` ``[P, M, h]`` of rows ``[M, d]`` peak
    out of a ``basis`` ``[P, d, r]``, and the heights ``[P]`` there."""
    at, _ = even_places(torch.full((1, 1), len(x), device=x.device), min(_SCANNED, len(x)))
    scale = len(x) / at.shape[-1]
    rows, seen = x[at[0]], said[:, at[0]] * scale
    lengths = torch.tensor(list(_STARTS), dtype=x.dtype, device=x.device)
    counts = torch.tensor(list(_STARTS.values()), device=x.device)
    drawn = _drawn(x) * lengths.repeat_interleave(counts)[:, None]
    own = (_of_moments(rows, seen)[:, :, None] * lengths[:, None]).flatten(1, 2)
    starts = torch.cat([drawn.expand(len(said), -1, -1), own], 1)
    height = torch.cat([_height(drawn, rows, seen), _height(own, rows, seen)], -1)
    way = _climbed(_highest(starts, height), rows, seen)
    height = _height(way, x, said)
    if basis is not None:
        inside = (way @ basis).norm(dim=-1) > _INSIDE * way.norm(dim=-1)
        height = height.masked_fill(inside, 0.0)
    height, place = height.max(-1)
    way = way[torch.arange(len(way), device=way.device), place]
    return way * torch.where(way @ drawn[0] < 0, -1.0, 1.0)[:, None], height


def _drawn(x: Tensor) -> Tensor:
    """Fixed directions ``[S, d]`` in a frame of the rows ``[M, d]``, that turns with these."""
    width = min(x.shape[-1], _DRAWN)
    frame = orthonormal(x.mT @ cached(fixed_numbers, len(x), width, like=x))
    mixed = frame @ cached(fixed_numbers, width, sum(_STARTS.values()), like=x)
    return F.normalize(mixed, dim=0).mT


def _height(way: Tensor, x: Tensor, said: Tensor) -> Tensor:
    """The cross-characteristic function ``[P, S]``, squared and summed over the waves ``said``
    ``[P, M, h]``, at frequencies ``[P or 1, S, d]``."""
    phase = way @ x.mT
    even, odd = phase.cos() @ said, phase.sin() @ said
    out: Tensor = (even.square() + odd.square()).sum(-1)
    return out


def _of_moments(x: Tensor, said: Tensor) -> Tensor:
    """Directions ``[P, S, d]`` to start from: those of means of rows ``[M, d]`` weighted by waves
    ``said`` ``[P, M, h]``, and the extreme ones of second moments, alone and in pairs."""
    _, _, means = torch.linalg.svd(said.mT @ x, full_matrices=False)
    eye = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
    products = (x[:, :, None] * x[:, None]).flatten(1)
    second = (said.mT @ products).unflatten(-1, eye.shape)
    second = second - said.sum(1)[..., None, None] * eye
    axes = torch.linalg.eigh(second).eigenvectors.mT
    low, high = axes[..., :1, :], axes[..., -1:, :]
    ends = [axes[..., : _ENDS // 2, :], axes[..., -_ENDS // 2 :, :], low + high, low - high]
    found = torch.cat([means[:, :_ENDS], torch.cat(ends, -2).flatten(1, 2)], 1)
    return F.normalize(found, dim=-1)


def _highest(starts: Tensor, height: Tensor) -> Tensor:
    """The frequencies ``[P, S', d]`` of the greatest ``height`` ``[P, S]`` in different directions
    of ``starts`` ``[P, S, d]``."""
    kept, unit = [], F.normalize(starts, dim=-1)
    for _ in range(_CLIMBED):
        place = height.argmax(-1)[:, None, None].expand(-1, 1, starts.shape[-1])
        kept.append(starts.gather(1, place))
        same = (unit @ unit.gather(1, place).mT).squeeze(-1).abs() > _SAME
        height = height.masked_fill(same, -1.0)
    return torch.cat(kept, 1)


def _climbed(way: Tensor, x: Tensor, said: Tensor) -> Tensor:
    """Frequencies ``[P, S, d]`` after steps up the height: those that would reach the top of the
    peak of one wave in normal rows, or as far as a step goes."""
    for step in range(_CLIMB):
        phase = way @ x.mT
        cos, sin = phase.cos(), phase.sin()
        even, odd = cos @ said, sin @ said
        height = (even.square() + odd.square()).sum(-1, keepdim=True).clamp(min=1e-12)
        slope = (cos * (odd @ said.mT) - sin * (even @ said.mT)) @ x / height
        most = _STEP * (1 - step / _CLIMB)
        way = way + slope * (most / slope.norm(dim=-1, keepdim=True).clamp(min=most))
        size = way.norm(dim=-1, keepdim=True)
        way = way * (size.clamp(max=_LONGEST) / size)
    return way


def _frequencies(directions: int, like: Tensor) -> Tensor:
    """Fixed frequencies ``[r, w]`` of waves along ``directions``, slow to fast."""
    count = _ALONG + _MORE * (directions - 1)
    way = F.normalize(cached(fixed_numbers, directions, count, like=like), dim=0)
    return way * torch.linspace(_SLOWEST, _FASTEST, count, dtype=like.dtype, device=like.device)


def _turned(
    basis: Tensor, x: Tensor, target: Tensor, weight: Tensor, frequencies: Tensor
) -> tuple[Tensor, Tensor]:
    """Directions ``[P, d, r]`` of ``x`` ``[M, d]``, turned to where waves along them explain most
    of the ``target`` ``[P, M, h]`` over rows of a ``weight`` ``[P, M, 1]``, and what these leave
    unexplained, ``[P, M, h]``."""
    for step in range(_TURN):
        _, slope = _regression(basis, x, target, weight, frequencies)
        slope = slope - basis @ (basis.mT @ slope)
        size = slope.flatten(1).norm(dim=1).clamp(min=1e-12)[:, None, None]
        pace = _ANGLE * (1 - step / _TURN) * min(1.0, _BRISK / (1 + step))
        basis = orthonormal(basis + pace * slope / size)
    left, _ = _regression(basis, x, target, weight, frequencies)
    return basis, left


def _regression(
    basis: Tensor, x: Tensor, target: Tensor, weight: Tensor, frequencies: Tensor
) -> tuple[Tensor, Tensor]:
    """What a ridge regression on ``x`` along the ``basis`` ``[P, d, r]`` and waves of it leaves of
    the ``target``, ``[P, M, h]``, and how what it explains rises with the basis, ``[P, d, r]``, up
    to a factor."""
    along = x @ basis
    phase = along @ frequencies
    cos, sin = phase.cos(), phase.sin()
    features = torch.cat([along, cos, sin], -1)
    features = features - (features * weight).sum(1, keepdim=True)
    weighted = (features * weight).mT
    eye = torch.eye(features.shape[-1], dtype=x.dtype, device=x.device)
    lower = torch.linalg.cholesky_ex(weighted @ features + _RIDGE * eye).L
    slopes = torch.cholesky_solve(weighted @ target, lower)
    left = target - features @ slopes
    rise = (left - (left * weight).sum(1, keepdim=True)) * weight @ slopes.mT
    own, by_cos, by_sin = rise.split([along.shape[-1], cos.shape[-1], sin.shape[-1]], -1)
    return left, x.mT @ (own + (cos * by_sin - sin * by_cos) @ frequencies.mT)
