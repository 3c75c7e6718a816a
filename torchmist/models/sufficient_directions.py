r"""Few directions of a side that carry all that the other side goes with, in rotated columns.

A label that is a threshold of a sum of columns, two such labels, an exclusive or of them, a wave
along one direction: columns one by one or in pairs show little of it, and among many columns
neighbours are far. Along the directions themselves, the central subspace (Li, JASA 86, 316, 1991;
Cook, *Regression Graphics*, 1998), it is a function of few columns. They are found one after the
other. Each begins at a peak of the cross-characteristic function
(``torchmist.models.characteristic_peaks``) of white columns and what the directions before leave
unexplained of waves of ranks of the other side, if that is higher than after rows of one side are
exchanged. Then all of them turn to where a ridge regression on waves along them explains most, and
it stays if what it adds goes with rows that had no part in it. All this is done without each fold
of the rows in turn, for the rows of that fold, and with all rows. What the first share with the
other side is at most I(X; Y), by the data processing inequality, and too little by the error of the
directions; what the second share is too much by what they were fitted to.

Directions are constants of the backward pass; the gradient goes through the scores. Legend: ``B``
datasets, ``N`` samples, ``M`` of them, ``d``, ``q`` columns of both sides, ``P`` problems: all
rows, those without each of ``F`` folds, and exchanged rows; ``h`` waves, ``r`` directions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from torchmist.models.characteristic_peaks import characteristic_peaks
from torchmist.models.column_frames import WIDEST, Frames, datasets_apart, frames_in_order
from torchmist.models.directions import fixed_numbers, orthonormal
from torchmist.models.folds import FOLDS
from torchmist.models.local import whitened
from torchmist.models.variates import spread_places
from torchmist.models.waves import white_waves
from torchmist.numerics.cache import cached
from torchmist.numerics.eigen import singular_vectors
from torchmist.numerics.no_gradient import no_gradient

__all__ = ["Along", "along_sufficient_directions"]

_NARROWEST, _AGAINST = 3, 12  # columns of a side, and of what it goes with
_FEWEST, _ROWS = 128, 4  # rows: at least, and for each column
_FITTED = 2048  # rows at most, in which directions are sought
_CLEARER = 1.05  # by which a peak of columns as they are is higher than one of scores
_BEYOND_CHANCE = 1.1
_SURE = 3.0  # standard errors by which what it explains goes with rows that had no part in it
_MOST, _NEAR = 4, 0.999  # directions, and the cosine from which two are nearly the same
_ALONG, _MORE = 20, 12  # waves along the first direction, and for each further one
_SLOWEST, _FASTEST = 0.6, 4.0
_RIDGE = 0.01
_TURN, _ANGLE, _BRISK = 25, 0.3, 3


class Along(NamedTuple):
    """Both sides of a dataset along their directions, ``[1, M, r]`` and ``[1, M, s]``: a side of
    which none are found as it is. ``apart``: by directions that the row itself had no part in,
    ``whole``: by those of all rows, None where these are nearly the same."""

    apart: tuple[Tensor, Tensor]
    whole: tuple[Tensor, Tensor] | None


class _Side(NamedTuple):
    """The same of one side, ``[N, r]``; ``cosine``: the least between directions of both."""

    apart: Tensor
    whole: Tensor
    cosine: float


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
    for place, sides in datasets_apart(x, y, mask, lambda rows: _sought(rows, columns)):
        one, other = frames_in_order(*sides)
        swap = _first(other.scores, one.scores)
        found = _along(*((other, one) if swap else (one, other)))
        if found is not None:
            x_side, y_side = found[::-1] if swap else found
            apart, whole = zip(*((s.apart[None], s.whole[None]) for s in (x_side, y_side)))
            near = min(x_side.cosine, y_side.cosine) > _NEAR
            yield place, Along(apart, None if near else whole)


def _sought(rows: int, columns: tuple[int, int]) -> bool:
    """Whether directions are sought in so many rows and columns of both sides."""
    widest = min(max(columns), WIDEST)
    return (
        widest >= _NARROWEST and min(columns) <= _AGAINST and rows >= max(_FEWEST, _ROWS * widest)
    )


def _first(one: Tensor, other: Tensor) -> bool:
    """Whether directions of ``one`` ``[N, d]`` are sought before those of the ``other``."""
    if one.shape[-1] != other.shape[-1]:
        return one.shape[-1] > other.shape[-1]
    size = [float(side.detach().double().abs().sum()) for side in (one, other)]
    return size[0] > size[1]


def _along(one: Frames, other: Frames) -> list[_Side] | None:
    """Two sides along directions of the first, then of the second; None where there are none."""
    row = torch.arange(len(one.scores), device=one.scores.device)
    sides = [_Side(side.scores, side.scores, 1.0) for side in (one, other)]
    first = _directions(one, other.scores, row % FOLDS)
    sides[0] = sides[0] if first is None else first
    second = None
    if other.scores.shape[-1] >= _NARROWEST and sides[0].apart.shape[-1] <= _AGAINST:
        # other folds: what fold a row belongs to is else what both sides share
        second = _directions(other, sides[0].apart, row // FOLDS % FOLDS)
    sides[1] = sides[1] if second is None else second
    return None if first is None and second is None else sides


def _directions(frames: Frames, y: Tensor, fold: Tensor) -> _Side | None:
    """A side along directions that ``[N, q]`` goes with, apart by the ``fold`` ``[N]`` of a row;
    None where there are none, or more than are sought are needed."""
    whites = [whitened(x.mT[None], x.new_full((1, 1, 1), len(x)))[0].mT for x in frames[:2]]
    with no_gradient():
        at = spread_places(len(y), _FITTED, y)
        waves, seen = white_waves(y.detach())[at], [white.detach()[at] for white in whites]
        if _linear(seen[0], waves) > min(_MOST, seen[0].shape[-1] - 1):
            return None
        by_scores, by_cut = (float(characteristic_peaks(x, waves[None] / len(x))[1]) for x in seen)
        best = int(by_cut > _CLEARER * by_scores)
        basis = _found(seen[best], waves, fold[at])
    if basis is None:
        return None
    u, cosines, v = singular_vectors((basis[1 : 1 + FOLDS].mT @ basis[0]).nan_to_num())
    near = basis[1 : 1 + FOLDS] @ (u @ v)  # turned to the directions of all rows
    each = whites[best] @ near
    apart = each.gather(0, fold[None, :, None].expand(1, -1, each.shape[-1]))[0]
    return _Side(apart, whites[best] @ basis[0], float(cosines.amin()))


def _linear(x: Tensor, waves: Tensor) -> int:
    """How many directions of white columns ``[M, d]`` go with white ``waves`` ``[M, h]`` linearly,
    beyond what the first of chance would."""
    edge = (x.shape[-1] ** 0.5 + waves.shape[-1] ** 0.5) * len(x) ** 0.5
    return int((torch.linalg.svdvals(x.mT @ waves) > _BEYOND_CHANCE * edge).sum())


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
        way, height = characteristic_peaks(x, said, basis)
        if not bool(height[0] > _BEYOND_CHANCE * height[-1]):
            break
        way = (way - (basis @ (basis.mT @ way[..., None]))[..., 0])[..., None]
        more = torch.cat([basis, F.normalize(way, dim=1)], -1)
        more, left = _turned(more, x, target, weight, _frequencies(count, x))
        gain = ((rest[apart] - left[apart]) * rest[apart]).sum(-1)
        if not bool(gain.mean() > _SURE * gain.std() / len(gain) ** 0.5):
            break
        basis, rest = more, left
    return basis if basis.shape[-1] else None


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
