r"""Peaks of the empirical cross-characteristic function of rows and waves,

.. math:: \Big|\frac{1}{N} \sum_i \varphi_i\, e^{\mathrm{i} w^T x_i}\Big|^2,

over the frequencies :math:`w`: where a wave :math:`\varphi` of one variable goes with anything
along a direction of another. They are climbed from directions of the first and second moments that
waves weight, and from fixed ones, at several lengths. Nothing depends on the frame of the rows.

Legend: ``P`` problems, ``M`` rows, ``d`` columns, ``h`` waves, ``S`` starts, ``r`` directions.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from torchmist.models.directions import fixed_numbers, orthonormal
from torchmist.models.variates import spread_places
from torchmist.numerics.cache import cached
from torchmist.numerics.eigen import eigenvectors, singular_vectors

__all__ = ["characteristic_peaks"]

_SCANNED = 1024  # rows at most, in which starts are compared and climbed
_STARTS = {1.0: 128, 1.8: 256, 2.6: 512, 3.5: 1152}  # fixed frequencies, by their lengths
_DRAWN, _ENDS = 32, 4  # directions that these mix, and leading ones of moments
_CLIMBED, _SAME = 6, 0.8  # starts of each problem, and the cosine from which two are one
_CLIMB, _STEP, _LONGEST = 20, 0.35, 6.0
_INSIDE = 0.85  # cosine to known directions, from which a peak is of these


def characteristic_peaks(
    x: Tensor, said: Tensor, basis: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Frequencies ``[P, d]`` at which weighted waves ``said`` ``[P, M, h]`` of white rows
    ``[M, d]`` peak out of a ``basis`` ``[P, d, r]``, and the heights ``[P]`` there, summed over the
    waves."""
    at = spread_places(len(x), _SCANNED, x)
    rows, seen = x[at], said[:, at] * (len(x) / len(at))
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
    return torch.where((way @ drawn[0] < 0)[:, None], -way, way), height


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
    _, _, means = singular_vectors((said.mT @ x).nan_to_num())
    eye = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
    products = (x[:, :, None] * x[:, None]).flatten(1)
    second = (said.mT @ products).unflatten(-1, eye.shape)
    second = second - said.sum(1)[..., None, None] * eye
    axes = eigenvectors(second.nan_to_num())[1].mT
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
