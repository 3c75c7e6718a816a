r"""Ink: items in poses as strokes on a grid, or as clouds, before anything is cut or rounded.

Strokes: :math:`\sum_j a_j \exp(-|p - c_j|^2 / 2 w_j^2)` at each place p of a plane or a line, with
places, widths and weights that depend on the item and move with the poses. Clouds:
:math:`m + W R v`, poses v turned and stretched by R of the item's own.

Legend: ``B`` datasets, ``N`` samples, ``S`` items, ``J`` strokes, ``q`` poses, ``d`` columns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from torchmist.synthetic.engines.codes_random import Random

__all__ = ["Clouds", "Ink", "Strokes", "draw_clouds", "draw_strokes"]

_MOST_STROKES = 9
_TURNED = 16  # most poses that an item turns in its own way


class Ink(Protocol):
    """What shows items ``[B, N]`` in poses ``[B, N, q]`` as columns ``[B, N, d]``."""

    @property
    def poses(self) -> int:
        """Number of poses ``q``."""

    def __call__(self, items: Tensor, poses: Tensor, /) -> Tensor:
        """Columns ``[B, N, d]``."""


def _of(table: Tensor, items: Tensor) -> Tensor:
    """Rows ``[B, N, ...]`` of a table ``[B, S, ...]``."""
    place = torch.arange(len(items), device=items.device)[:, None]
    return table[place, items]


@dataclass(frozen=True)
class Strokes:
    """``places`` ``[B, S, J, 2]``, ``widths`` (logs) and ``weights`` ``[B, S, J]`` of the strokes;
    ``shifts`` ``[B, q, 2 J]``, ``swells`` and ``fades`` ``[B, q, J]``: how poses change them;
    ``grid`` ``[2, d]``."""

    places: Tensor
    widths: Tensor
    weights: Tensor
    shifts: Tensor
    swells: Tensor
    fades: Tensor
    grid: Tensor

    @property
    def poses(self) -> int:
        """Number of poses ``q``."""
        return self.swells.shape[1]

    def __call__(self, items: Tensor, poses: Tensor, /) -> Tensor:
        """Columns ``[B, N, d]``."""
        widths = (_of(self.widths, items) + poses @ self.swells).exp()
        weights = _of(self.weights, items) * (poses @ self.fades).exp()
        places = _of(self.places, items) + (poses @ self.shifts).unflatten(-1, (-1, 2))
        ink = torch.zeros(*items.shape, self.grid.shape[1], device=items.device)
        for place, width, weight in zip(places.unbind(2), widths.unbind(-1), weights.unbind(-1)):
            far = (self.grid[0] - place[..., :1]).square()
            far = far + (self.grid[1] - place[..., 1:]).square()
            ink += weight[..., None] * (-0.5 * far / width[..., None].square()).exp()
        return ink


@dataclass(frozen=True)
class Clouds:
    """``centres`` ``[B, S, d]``, maps ``[B, q, d]``, and ``turns`` ``[B, S, q, q]`` or None."""

    centres: Tensor
    maps: Tensor
    turns: Tensor | None

    @property
    def poses(self) -> int:
        """Number of poses ``q``."""
        return self.maps.shape[1]

    def __call__(self, items: Tensor, poses: Tensor, /) -> Tensor:
        """Columns ``[B, N, d]``."""
        if self.turns is not None:
            poses = (poses[:, :, None] @ _of(self.turns, items))[:, :, 0]
        return torch.baddbmm(_of(self.centres, items), poses, self.maps)


def draw_strokes(random: Random, items: int, d: int, poses: int) -> Strokes:
    """Random strokes; items of some datasets differ in a few strokes alone."""
    u = random.choices(2)
    strokes = 2 + int(u[0] * (_MOST_STROKES - 1))
    places = random.uniform(items, strokes, 2)
    alike = random.coin(0.4, 1, 1, 1) & random.coin(0.6, 1, strokes, 1)
    places = torch.where(alike, places[:, :1], places)
    present = random.coin(0.8, items, strokes)
    present[..., :2] = True
    together = random.uniform(1, 1, 1)
    move = together * random.normal(poses, 1, 2)
    move = move + (1 - together) * random.normal(poses, strokes, 2)
    size = random.log_uniform(0.06, 0.3, 1, 1)
    part = poses**-0.5
    return Strokes(
        places=places,
        widths=size.log() + 0.3 * random.normal(items, strokes),
        weights=random.log_uniform(0.4, 1.5, items, strokes) * present,
        shifts=(part * random.log_uniform(0.03, 0.3, 1, 1, 1) * move).flatten(2),
        swells=0.4 * part * random.uniform(1, 1) * random.normal(poses, strokes),
        fades=0.6 * part * random.uniform(1, 1) * random.normal(poses, strokes),
        grid=_grid(d, u[1] < 0.3, random.device),
    )


def draw_clouds(random: Random, items: int, d: int, poses: int) -> Clouds:
    """Random clouds with centres of deviation 1, in a subspace of some datasets."""
    centres = random.normal(items, d)
    maps = random.log_uniform(0.1, 1.5, 1, 1) * random.normal(poses, d) * poses**-0.5
    inside = random.normal(items, poses) @ maps  # differ where they vary
    inside = inside / inside.square().mean((1, 2), keepdim=True).sqrt().clamp(min=1e-6)
    centres = torch.where(random.coin(0.3, 1, 1), inside, centres)
    turns = None
    if poses <= _TURNED and random.choices(1)[0] < 0.7:
        own = random.normal(items, poses, poses) * poses**-0.5
        plain = torch.eye(poses, device=random.device).expand_as(own)
        turns = torch.where(random.coin(0.7, 1, 1, 1), own, plain)
    return Clouds(centres, maps, turns)


def _grid(d: int, line: bool, device: torch.device) -> Tensor:
    """Places ``[2, d]`` in the unit square, row by row, or on a line through its middle."""
    k = torch.arange(d, device=device)
    if line:
        return torch.stack([(k + 0.5) / d, torch.full((d,), 0.5, device=device)])
    width = math.ceil(math.sqrt(d))
    return (torch.stack([k % width, k // width]) + 0.5) / width
