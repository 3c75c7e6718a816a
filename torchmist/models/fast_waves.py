r"""Phases of fast waves along columns: hours of days, seasons of years, stripes of space.

A variable that goes up and down many times along a column shares little with any slow function of
it, and among few rows those near in that column say nothing. Its wave is where the periodogram of
waves of the other side over the column peaks, after slow functions of columns are taken off. Any
function of a column may be added as a further one: the cosine and sine of the phase of that wave,

.. math:: I(X, \cos\omega X_j, \sin\omega X_j; Y) = I(X;Y),

make all that repeats a slow function of theirs. Columns are read as ranks, as normal scores and as
they are, for the wave may be even in one of these alone; the highest peak counts, if it is higher
than after rows of one side are exchanged, and than what is left of sharp functions. Peaks of half
its height at lower frequencies come first: it may be an overtone.

Frequencies are constants of the backward pass; the gradient goes through the phase. Legend: ``B``
datasets, ``N`` samples, ``M`` of them, ``d``, ``q`` columns of both sides, ``h`` waves, ``V``
views of a column, ``F`` frequencies, ``S`` sets of waves.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from torchmist.models.column_frames import Frames, datasets_apart, frames_in_order
from torchmist.models.directions import fixed_numbers
from torchmist.models.waves import white_waves
from torchmist.numerics.cache import cached
from torchmist.numerics.no_gradient import no_gradient

__all__ = ["with_phases"]

_FEWEST, _COLUMNS, _AGAINST = 128, 16, 12  # rows, columns of a side, and of what it goes with
_DISTINCT = 64  # values of a column that may hold a wave
_CELLS, _FINE = 1024, 2  # cells of a column, and frequencies for each cycle
_SLOW, _FAST, _ROWS = 3, 96, 8  # cycles: below which they are slow, at most, and rows for each
_BEYOND_CHANCE = 2.0  # times the highest peak of exchanged rows
_OVERTONE = 0.5  # of the highest peak, that the first one has at least
_NEAR, _FINER = 1.0, 65  # cycles around a peak, and frequencies tried there
_LEAKS = 0.15  # of what slow functions explain, that sharp ones of them have beside
_RIDGE = 1.0


def with_phases(
    x: Tensor, y: Tensor, mask: Tensor | None = None
) -> Iterator[tuple[int, tuple[Tensor, Tensor]]]:
    """Places of the datasets ``[B, N, dx]`` and ``[B, N, dy]`` in which a fast wave along a column
    is found, with both sides ``[1, M, dx]`` or ``[1, M, dx + 2]`` and ``[1, M, dy]`` or
    ``[1, M, dy + 2]``: the cosine and sine of its phase follow.

    Waves are sought in at least 128 rows, along sides of up to 16 columns against up to 12 of the
    other; none while a graph is traced.

    ``mask``: ``[B, N]`` bool, True for real samples.
    """
    few, many = sorted((x.shape[-1], y.shape[-1]))
    if few > _AGAINST or many > _COLUMNS:
        return
    for place, sides in datasets_apart(x, y, mask, lambda rows: rows >= _FEWEST):
        one, other = frames_in_order(*sides)
        phases = [_phase(one, other.scores), _phase(other, one.scores)]
        if any(phase is not None for phase in phases):
            a, b = (
                side.plain if phase is None else torch.cat([side.plain, phase], -1)
                for side, phase in zip((one, other), phases)
            )
            yield place, (a[None], b[None])


def _phase(side: Frames, y: Tensor) -> Tensor | None:
    """The cosine and sine ``[M, 2]`` of the phase along the column of a side that ``[M, q]`` goes
    with most as a fast wave, None where none is beyond chance."""
    if y.shape[-1] > _AGAINST:
        return None
    seen = _views(side)
    with no_gradient():
        waves = white_waves(y.detach())
        exchanged = cached(fixed_numbers, len(y), 1, like=y)[:, 0].argsort()
        views = seen.detach()
        values = [len(column.unique()) for column in side.plain.detach().mT]
        many = torch.tensor(values, device=views.device)
        (found, chance), (slow, _) = _heights(views, torch.stack([waves, waves[exchanged]]))
        found = found.masked_fill(many[:, None] < _DISTINCT, 0.0)
        highest = found.amax(-1)
        view, column = divmod(int(highest.argmax()), highest.shape[-1])
        peak = highest[view, column]
        if not bool(peak > torch.maximum(_BEYOND_CHANCE * chance.amax(), _LEAKS * slow)):
            return None
        first = int((found[view, column] >= _OVERTONE * peak).nonzero()[0])
        rate = _finer(views[view, :, column], waves, _SLOW + first / _FINE)
    phase = 2 * math.pi * rate * seen[view, :, column]
    return torch.stack([phase.cos(), phase.sin()], -1)


def _views(side: Frames) -> Tensor:
    """Columns ``[V, M, d]`` between 0 and 1: ranks, scores and values as they are."""
    views = torch.stack([torch.special.ndtr(side.scores), side.scores, side.cut])
    low, high = views.amin(1, keepdim=True).detach(), views.amax(1, keepdim=True).detach()
    return (views - low) / (high - low).clamp(min=1e-6)


def _heights(views: Tensor, waves: Tensor) -> tuple[Tensor, Tensor]:
    """The periodograms ``[S, V, d, F]`` of sets of white ``waves`` ``[S, M, h]`` over columns
    ``[V, M, d]``, less slow functions of all of these, from 3 cycles on, and what slow functions of
    them explain, ``[S]``, in the same units."""
    order = torch.arange(1, 2 * _SLOW + 1, dtype=views.dtype, device=views.device)
    slow = torch.cos(math.pi * order * views[0, ..., None]).flatten(-2)
    slow = slow - slow.mean(0)
    eye = torch.eye(slow.shape[-1], dtype=views.dtype, device=views.device)
    told = slow @ torch.linalg.solve(slow.mT @ slow + _RIDGE * eye, slow.mT @ waves)
    sets, rows, count = waves.shape
    cell = (views.mT * _CELLS).long().clamp(max=_CELLS - 1)
    cell = cell[..., None].expand(sets, -1, -1, -1, count)
    rest = (waves - told)[:, None, None].expand_as(cell)
    sums = rest.new_zeros(*cell.shape[:3], _CELLS, count).scatter_add(3, cell, rest)
    spectrum = torch.fft.rfft(sums, n=_FINE * _CELLS, dim=3)
    height = 2 * spectrum.abs().square().sum(-1) / rows
    most = min(_FAST, max(rows // _ROWS, _SLOW + 1))
    return height[..., _SLOW * _FINE : most * _FINE + 1], told.square().sum((1, 2))


def _finer(column: Tensor, waves: Tensor, cycles: float) -> float:
    """The frequency near so many ``cycles`` over a column ``[M]`` at which white ``waves``
    ``[M, h]`` peak."""
    rates = torch.linspace(cycles - _NEAR, cycles + _NEAR, _FINER, device=column.device)
    phase = 2 * math.pi * column[:, None] * rates.to(column)
    height = ((phase.cos().mT @ waves).square() + (phase.sin().mT @ waves).square()).sum(-1)
    return float(rates[height.argmax()])
