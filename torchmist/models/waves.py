r"""How waves in one column go with slow functions of another: dependence of any frequency.

For the ranks :math:`u` of a column, :math:`\cos(\pi k u)`, ``k = 1..12``, are orthogonal functions
of rising frequency. The squared correlations of those of one column with the first three of
another, times the number of samples, are about 1 each in independence; their means over three
bands of ``k`` tell functions of many periods, which the learned basis of a few smooth functions
misses.

Legend: ``B`` datasets, ``D`` columns, ``N`` samples, ``K`` frequencies.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from torchmist.numerics.eigen import singular_vectors

__all__ = ["WAVES", "rank_waves", "wave_statistics", "white_waves"]

_BANDS = ((0, 2), (2, 5), (5, 12))
_SLOW = 3
_COUNTS = {1: 5, 4: 3}  # white waves of each column, up to so many columns; of more, 2
_MOST, _RANK = 32, 0.05
WAVES = 2 * len(_BANDS)
"""Statistics of a pair of columns."""


def rank_waves(scores: Tensor, count: int) -> Tensor:
    """The first ``count`` waves ``cos(pi k u)`` over ranks of scores ``[...]``, ``[..., K]``."""
    order = torch.arange(1, count + 1, dtype=scores.dtype, device=scores.device)
    waves: Tensor = torch.cos(math.pi * order * torch.special.ndtr(scores)[..., None])
    return waves


def white_waves(scores: Tensor) -> Tensor:
    """White waves over the ranks of scores ``[N, D]``, ``[N, K]``."""
    count = next((k for most, k in _COUNTS.items() if scores.shape[-1] <= most), 2)
    waves = rank_waves(scores, count).flatten(-2)
    waves = waves - waves.mean(0)
    waves = waves / waves.square().mean(0).sqrt().clamp(min=1e-4)
    u, size, _ = singular_vectors(waves)
    out: Tensor = (u * (size > _RANK * size[0]))[:, :_MOST].to(scores) * len(scores) ** 0.5
    return out


def _cosines(scores: Tensor, count: int) -> Tensor:
    """``sqrt(2) cos(pi k u)`` of unscaled normal scores ``[B, D, N]``, ``[B, D, K, N]``."""
    u = torch.special.ndtr(scores)
    first = torch.cos(math.pi * u)
    out = [torch.ones_like(first), first]
    for _ in range(count - 1):
        out.append(2 * first * out[-1] - out[-2])
    return torch.stack(out[1:], 2) * math.sqrt(2)


def wave_statistics(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    """``[WAVES, B, D, D]`` of unscaled normal scores ``[B, D, N]``; the same for mirrored columns.

    The first half are waves of the first column against slow functions of the second, the rest the
    reverse. ``mask``: ``[B, N]`` of real samples.
    """
    batch, size, n = scores.shape
    waves = _cosines(scores, _BANDS[-1][1])
    count: Tensor | float = float(n)
    if mask is not None:
        waves = waves * mask[:, None, None]
        count = mask.sum(-1)[:, None, None, None, None].to(scores.dtype)
    slow = waves[:, :, :_SLOW].reshape(batch, -1, n)
    cross = (waves.reshape(batch, -1, n) @ slow.mT).view(batch, size, -1, size, _SLOW)
    energy = cross.square() / count
    bands = [energy[:, :, low:high].mean((2, 4)) for low, high in _BANDS]
    seen = torch.log1p(torch.stack(bands)) / 4
    return torch.cat([seen, seen.mT])
