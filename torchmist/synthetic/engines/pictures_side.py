"""One side of pictures: a class in a pose as ink that is cut, saturated, rounded, or left alone.

A class may be drawn in several styles. Poses shrink until pictures of different classes are nowhere
near each other, so that the class can be read from a picture.

Legend: ``B`` datasets, ``N`` samples, ``K`` classes, ``S`` items: styles of classes, ``q`` poses,
``d`` columns.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from torchmist.synthetic.engines.codes_random import Random
from torchmist.synthetic.engines.pictures_ink import Ink, draw_clouds, draw_strokes

__all__ = ["Side", "draw_side"]

_POSES, _STYLES = 32, 4  # most
_READABLE = 3  # poses, of which some are shared, that one stroke on a line shows
_CLOUDS = 0.4
_COMPARED = 400  # pictures
_CLOSE = 0.01  # share of pictures that may be next to one of another class
_SHRINK, _ROUNDS = 0.55, 6
_APART = 8.0  # deviations of the noise between pictures of different classes, at least
_LEVELS = (1.0, 3.0, 16.0, 255.0)
_FINE = 16  # columns from which rounding to 1 / 255 hides nothing of a smooth picture


@dataclass(frozen=True)
class Side:
    """``ink`` of items, ``styles`` of each class; ``size`` of the poses, ``gain`` and ``floor`` of
    the ink, ``levels``, 0 where nothing is rounded, and deviation of the ``noise``, all
    ``[B, 1, 1]``; ``shape``: ink is ``cut`` at 0 and 1, ``smooth``, or ``plain``; ``close``
    ``[B]``: share of pictures that are next to one of another class."""

    ink: Ink
    styles: int
    size: Tensor
    gain: Tensor
    floor: Tensor
    levels: Tensor
    noise: Tensor
    shape: str
    close: Tensor

    def __call__(self, classes: Tensor, poses: Tensor, generator: torch.Generator) -> Tensor:
        """Columns ``[B, N, d]`` of ``classes`` ``[B, N]`` in ``poses`` ``[B, N, q]``."""
        style = torch.rand(classes.shape, generator=generator, device=classes.device)
        shown = self.clean(classes * self.styles + (style * self.styles).long(), poses)
        noise = torch.randn(shown.shape, generator=generator, device=shown.device)
        return shown + self.noise * noise

    def clean(self, items: Tensor, poses: Tensor) -> Tensor:
        """Columns ``[B, N, d]`` of ``items`` ``[B, N]``, without noise."""
        ink = self.gain * (self.ink(items, self.size * poses) - self.floor)
        if self.shape != "plain":
            ink = ink.clamp(0, 1) if self.shape == "cut" else ink.tanh()
        steps = self.levels.clamp(min=1)
        return torch.where(self.levels > 0, (ink * steps).round() / steps, ink)


def draw_side(random: Random, classes: int, d: int, *, shared: int) -> Side:
    """Random pictures of ``classes`` in ``d`` columns.

    With ``shared`` poses, which the other side knows of, pictures are not cut and free of noise, so
    that every pose can be read from them.
    """
    u = random.choices(4)
    poses = 1 + int(u[0] ** 2 * _POSES)
    if shared:
        poses = max(shared, min(poses, _READABLE))
    styles = 1 if u[1] < 0.5 else 1 + int((2 * u[1] - 1) * _STYLES)
    clouds = u[2] < _CLOUDS
    rough = "cut" if u[3] < 0.75 else "smooth"
    shape = "plain" if clouds and u[3] < 0.6 else "smooth" if shared else rough
    draw = draw_clouds if clouds else draw_strokes
    one = torch.ones(random.batch, 1, 1, device=random.device)
    floor = random.uniform(1, 1) * {"cut": 0.3, "smooth": 0.0, "plain": 0.0}[shape]
    side = Side(
        ink=draw(random, classes * styles, d, poses),
        styles=styles,
        size=one,
        gain=random.log_uniform(0.7, 4.0, 1, 1),
        floor=floor if not clouds else floor * random.normal(1, 1) / 0.15,
        levels=_levels(random, shared, d),
        noise=torch.zeros_like(one),
        shape=shape,
        close=torch.zeros_like(one[:, 0, 0]),
    )
    side, apart = _separate(random, side, classes)
    noisy = random.coin(0.4 if shared == 0 else 0.0, 1, 1) & (side.levels == 0)
    noise = random.uniform(1, 1) * apart[:, None, None] / _APART
    return replace(side, noise=torch.where(noisy, noise, 0.0))


def _levels(random: Random, shared: int, d: int) -> Tensor:
    """Levels ``[B, 1, 1]``, 0 for none: any, or many or none where poses are ``shared``."""
    some = torch.tensor(_LEVELS, device=random.device)[random.integers(0, len(_LEVELS) - 1, 1, 1)]
    rounded = random.coin(0.5, 1, 1)
    if shared:
        some = torch.full_like(some, _LEVELS[-1])
        rounded &= d >= _FINE
    return torch.where(rounded, some, 0.0)


def _separate(random: Random, side: Side, classes: int) -> tuple[Side, Tensor]:
    """The side with poses so small that its classes are apart, not rounded where that is not
    enough, and the least distance between pictures of two classes ``[B]``."""
    poses = random.normal(_COMPARED, side.ink.poses)
    item = torch.arange(_COMPARED, device=random.device) % (classes * side.styles)
    items = item.expand(random.batch, -1)
    same = item[:, None] // side.styles == item // side.styles
    for k in range(_ROUNDS):
        shown = side.clean(items, poses)
        far = torch.cdist(shown, shown)
        other = far.masked_fill(same, torch.inf).amin(-1)
        own = far.masked_fill(~same, torch.inf)
        own.diagonal(dim1=1, dim2=2).fill_(torch.inf)
        close = (other <= own.amin(-1)).float().mean(-1)
        unclear = close[:, None, None] > _CLOSE
        if k == _ROUNDS - 1 or not unclear.any():
            break
        side = replace(side, size=torch.where(unclear, _SHRINK * side.size, side.size))
        if k == _ROUNDS - 2:  # what is left of it is shown as it is
            side = replace(
                side,
                levels=torch.where(unclear, 0.0, side.levels),
                floor=torch.where(unclear, 0.0, side.floor),
                gain=torch.where(unclear, 1.0, side.gain),
            )
    least = other.amin(-1)
    return replace(side, close=close), torch.where(torch.isfinite(least), least, 0.0)
