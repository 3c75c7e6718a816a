"""A side of markers: what each item looks like in columns of which few stand out, and how these
are bent.

Legend: ``B`` datasets, ``N`` samples, ``K`` items, ``d`` columns.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from torchmist.synthetic.engines.codes_random import Random
from torchmist.synthetic.engines.mixture_views import NormalView

__all__ = ["Marked", "draw_marked", "draw_numbers"]

_SOFT = 0.2  # share of the calls in which a side is a softmax
_HEIGHT = (2.0, 150.0)  # of what stands out, in deviations of the noise
_BENT = (0.5, 3.0)  # exponents of powers
_STEEP = (1.0, 5.0)  # logarithm of how far an exponential takes what stands out
_LOGITS = (3.0, 12.0)  # height of what stands out in a softmax
_APART = (1.0, 12.0)  # of items as numbers


@dataclass(frozen=True)
class Marked:
    """Normal columns: ``means`` ``[B, K, d]`` of the items and ``scale`` ``[B, K, d]`` or
    ``[B, 1, d]``; then a ``softmax`` of all columns of ``height`` ``[B, 1, 1]`` in one, or its
    logarithm where ``bend`` is even, or columns bent by ``bend`` ``[B, 1, d]``: 0 for none, 1 for
    exponentials of ``steep``, 2 for powers of ``bent``, 3 for logistic ones."""

    means: Tensor
    scale: Tensor
    height: Tensor
    bend: Tensor
    steep: Tensor
    bent: Tensor
    softmax: bool

    def sample(self, item: Tensor, generator: torch.Generator) -> Tensor:
        """Columns ``[B, N, d]`` of the items ``[B, N]``."""
        index = item[..., None].expand(-1, -1, self.means.shape[-1])
        scale = self.scale if self.scale.shape[1] == 1 else self.scale.gather(1, index)
        noise = torch.randn(index.shape, generator=generator, device=index.device)
        found = self.means.gather(1, index) + scale * noise
        if self.softmax:
            logits = found.log_softmax(-1)
            return torch.where(self.bend[..., :1] % 2 == 0, logits, logits.exp())
        share = found / self.height
        bent = [found, (self.steep * share).exp(), share.abs() ** self.bent * share.sign(),
                torch.sigmoid(4 * share - 2)]  # fmt: skip
        kinds = torch.stack(bent, -1)
        return kinds.gather(-1, self.bend.expand_as(found)[..., None]).squeeze(-1)

    def view(self, part: slice = slice(None)) -> NormalView:
        """Draws and log densities of some of the datasets."""
        means = self.means[part]
        if self.softmax:
            means = means - means.mean(-1, keepdim=True)
        return NormalView(means, self.scale[part])


def draw_marked(random: Random, k: int, d: int, *, places: bool) -> Marked:
    """Sides of which each of ``k`` items has columns of its own that stand out, a few of all of
    them, or, at ``places``, those near it."""
    u = random.choices(2)
    shown = _bumps(random, k, d) if places else _own(random, k, d, u[0])
    height = random.log_uniform(*_HEIGHT, 1, 1)
    if u[1] < _SOFT and d > 2:
        height = random.log_uniform(*_LOGITS, 1, 1)
        side = _unbent(height * shown, torch.ones_like(height).expand(-1, 1, d), height)
        return replace(side, softmax=True, bend=random.integers(0, 1, 1, 1).expand(-1, 1, d))
    gain = torch.exp(0.3 * random.coin(0.4, 1, 1) * random.normal(k, 1))
    rough = random.coin(0.4, 1, 1) * random.uniform(1, 1) * 0.3 * height
    side = _unbent(height * gain * shown, 1 + rough * shown, height)
    bend = random.integers(0, 3, 1, 1) * random.coin(0.6, 1, 1)
    steep = _STEEP[0] + (_STEEP[1] - _STEEP[0]) * random.uniform(1, 1)
    bent = random.log_uniform(*_BENT, 1, 1)
    return replace(side, bend=bend.expand(-1, 1, d), steep=steep, bent=bent)


def draw_numbers(random: Random, k: int, d: int) -> Marked:
    """Items as clusters in normal columns, at random places."""
    means = random.log_uniform(*_APART, 1, 1) * random.normal(k, d)
    scale = torch.exp(0.3 * random.normal(1, d))
    return _unbent(means, scale, torch.ones_like(means[:, :1, :1]))


def _unbent(means: Tensor, scale: Tensor, height: Tensor) -> Marked:
    one = torch.ones_like(height)
    bend = torch.zeros_like(means[:, :1], dtype=torch.int64)
    return Marked(means, scale, height, bend, one, one, softmax=False)


def _own(random: Random, k: int, d: int, u: float) -> Tensor:
    """Which columns stand out for each item, ``[B, K, d]`` of 0 to 1: its own ones, where there are
    enough, or a few of all at random."""
    if u < 0.6 and k <= d:
        item, column = (torch.arange(count, device=random.device) for count in (k, d))
        each = max(1, d // k)
        group = column // each if u < 0.3 else column % k
        return (group[None] == item[:, None]).float().expand(random.batch, -1, -1)
    few = 1 + int(u * 10) % max(1, min(3, d // 2))
    places = random.uniform(k, d).topk(few, -1).indices
    heights = 0.6 + 0.4 * random.uniform(k, few)
    return torch.zeros(random.batch, k, d, device=random.device).scatter(-1, places, heights)


def _bumps(random: Random, k: int, d: int) -> Tensor:
    """Bumps around the places of the items on a ring, or on a torus where ``d`` is a square,
    ``[B, K, d]``."""
    edge = round(d**0.5)
    place = torch.arange(k, device=random.device) / k
    column = torch.arange(d, device=random.device)
    if edge * edge == d and edge > 2 and random.choices(1)[0] < 0.5:
        turns = max(1, round(k**0.5))
        rows, columns = edge * place, edge * (place * turns % 1)
        apart = _around(rows, column // edge, edge).square()
        apart = apart + _around(columns, column % edge, edge).square()
        width = random.log_uniform(0.4, max(0.5, edge / 6), 1, 1)
    else:
        apart = _around(d * place, column, d).square()
        width = random.log_uniform(0.4, max(0.5, d / 8), 1, 1)
    return torch.exp(-0.5 * apart / width.square())


def _around(place: Tensor, column: Tensor, length: int) -> Tensor:
    """Distances ``[K, d]`` on a ring of that ``length``."""
    apart = (place[:, None] - column).abs()
    return torch.minimum(apart, length - apart)
