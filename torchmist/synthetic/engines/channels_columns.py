"""Columns around channels: echoes of a side's own columns, mixes, and increasing maps of each.

None changes MI: an echo is a function of columns of its side and of independent noise, a mix is
invertible, and so are the maps.

Legend: ``B`` datasets, ``N`` samples, ``C`` columns that channels show, ``d`` columns of a side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from torchmist.synthetic.engines.codes_frames import Rotation, draw_rotation
from torchmist.synthetic.engines.codes_random import Random
from torchmist.synthetic.warps import WARPS

__all__ = ["Side", "draw_side"]

_ECHOES = 0.35
_TURNED, _MIXED = 0.2, 0.15
_WARPED = 0.5
_KINDS = 6
_KNEE = 3.0  # from where on an exponential map is a line


@dataclass(frozen=True)
class Side:
    """How a side shows its columns.

    ``parents`` ``[2, d - C]``: the columns that an echo adds up, with ``weights``
    ``[B, 2, d - C]``; ``blur`` ``[B, 1, d - C]``: deviation of its noise; ``echoes``
    ``[B, 1, d - C]``: which columns are echoes; ``halves``: columns that ``shears``
    ``[2, B, 1, d // 2]`` add to each other; ``rotation``; ``warp`` ``[B, 1, d]``: which map a
    column passes through; ``order`` ``[d]``.
    """

    parents: Tensor
    weights: Tensor
    blur: Tensor
    echoes: Tensor
    halves: tuple[Tensor, Tensor]
    shears: Tensor
    rotation: Rotation | None
    warp: Tensor
    order: Tensor

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Columns ``[B, N, d]`` float32 of those of channels, and of others for the rest."""
        extra = self.parents.shape[1]
        if extra:
            shown, other = x.split([x.shape[-1] - extra, extra], -1)
            noise = torch.randn(other.shape, generator=generator, device=x.device)
            first, second = (shown[..., parent] for parent in self.parents)
            echo = first * self.weights[:, :1] + second * self.weights[:, 1:] + self.blur * noise
            x = torch.cat([shown, torch.where(self.echoes, echo, other)], -1)
        if self.rotation is not None:
            first, second = (x[..., half] for half in self.halves)
            first = first + self.shears[0] * second
            second = second + self.shears[1] * first
            x = x.index_copy(-1, self.halves[0], first).index_copy(-1, self.halves[1], second)
            x = self.rotation(x)
        return _warp(x, self.warp)[..., self.order]


def draw_side(random: Random, shown: int, d: int, free: Tensor) -> Side:
    """A random side of ``d`` columns; datasets in ``free`` ``[B]`` may be rotated: those without
    atoms, whose equal values would not stay equal."""
    extra, half = d - shown, d // 2
    shape = (2, extra)
    parents = torch.randint(shown, shape, generator=random.generator, device=random.device)
    weights = 1 - 2 * random.coin(0.5, 2, extra).float()
    weights[:, 1] *= random.coin(0.7, 1) & (parents[0] != parents[1])
    blur = random.log_uniform(0.05, 2.0, 1, extra) * random.coin(0.5, 1, extra)
    share = random.uniform(1, 1) * random.coin(_ECHOES, 1, 1)
    echoes = random.uniform(1, extra) < share
    u = random.uniform(1, 1)
    turned, mixed = u < _TURNED, (u >= _TURNED) & (u < _TURNED + _MIXED)
    places = random.permutation(d)
    shears = torch.stack([random.normal(1, half) * random.coin(0.4, 1, half) for _ in range(2)])
    rotation = draw_rotation(random, d, turned & free[:, None, None]) if d > 1 else None
    kinds = random.integers(1, _KINDS - 1, 1, d)
    alike = random.coin(0.5, 1, 1)
    warp = torch.where(alike, kinds[..., :1], kinds * random.coin(0.7, 1, d))
    warp = warp * random.coin(_WARPED, 1, 1)
    order = random.permutation(d)
    halves = places[:half], places[half : 2 * half]
    return Side(parents, weights, blur, echoes, halves, shears * mixed, rotation, warp, order)


def _warp(x: Tensor, kind: Tensor) -> Tensor:
    """Columns through maps: none, logarithms, wiggles, bounds, exponentials and powers."""
    bent = x.clamp(max=_KNEE).exp() + math.exp(_KNEE) * (x - _KNEE).clamp(min=0)
    maps = (x.sign() * torch.log1p(4 * x.abs()), WARPS["wigglify"][0](x), x / (1 + x.abs()), bent)
    out = x
    for k, made in enumerate((*maps, WARPS["halfcube"][0](x)), 1):
        out = torch.where(kind == k, made, out)
    return out
