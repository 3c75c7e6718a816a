r"""Manifolds with noise on them: two noisy codes of one source, or a code and a label.

Hundreds to thousands of items :math:`s_I` are drawn from a source of a few dimensions;
:math:`x = f(s_I) + a e` and :math:`y = g(s'_I) + b e'`, where s and s' share all or some of their
dimensions, or y is a label of :math:`s_I`. The law is the mixture over these very items, and the
noise is wide enough that several items are near each other: a sample cannot tell them from a
continuum.

Legend: ``B`` datasets, ``N`` samples, ``M`` items, ``q`` dimensions, ``m`` latent columns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor

from torchmist.synthetic.engines.codes_clusters import show_label
from torchmist.synthetic.engines.codes_frames import Frame, draw_frame
from torchmist.synthetic.engines.codes_random import Random
from torchmist.synthetic.engines.mixture_information import (
    label_information,
    mixture_information,
)
from torchmist.synthetic.engines.nets import random_map

__all__ = ["Code", "ItemSide", "ManifoldParameters", "draw_labels", "draw_manifolds", "draw_source",
           "manifolds_information", "sample_codes", "widen"]  # fmt: skip

_LATENT = 64
_CPU_ELEMENTS, _GPU_ELEMENTS = 3 << 18, 1 << 21  # draws times items of a dataset
_NEAR, _REACH = 5, 2.0  # items that have to lie within that many standard deviations of another
_PROBES = 64
_INDEPENDENT = 0.1


@dataclass(frozen=True)
class Code:
    """One side: ``means`` ``[B, M, m]``, ``scale`` of its noise ``[B, 1, m]``, its frame."""

    means: Tensor
    scale: Tensor
    frame: Frame

    def sample(self, item: Tensor, generator: torch.Generator) -> Tensor:
        """Columns ``[B, N, d]`` of the items ``[B, N]``."""
        index = item[..., None].expand(-1, -1, self.means.shape[-1])
        noise = torch.randn(index.shape, generator=generator, device=index.device)
        return self.frame(self.means.gather(1, index) + self.scale * noise, generator)


class ItemSide(Protocol):
    """What one side shows of items."""

    def sample(self, item: Tensor, generator: torch.Generator) -> Tensor:
        """Columns ``[B, N, d]`` of the items ``[B, N]``."""


S = TypeVar("S", bound=ItemSide)


@dataclass(frozen=True)
class ManifoldParameters(Generic[S]):
    """The side of X, such as a code; that of Y, or None where Y is a label in ``label_columns``
    columns; the ``labels`` ``[B, M]`` int64 in 0 to ``classes - 1``; whether both sides show the
    same item, ``tied`` ``[B]``."""

    x: S
    y: S | None
    labels: Tensor
    classes: int
    label_columns: int
    tied: Tensor


def draw_manifolds(random: Random, dx: int, dy: int, *, label: bool) -> ManifoldParameters[Code]:
    """Random codes; with ``label``, Y is a label, in one column or one-hot in ``dy`` columns."""
    u = random.choices(6)
    shared, private = 1 + int(u[0] ** 2 * 6), int(u[1] ** 2 * 3)
    dims = shared + (private if label else 2 * private)
    items = 512 << min(3, dims - 1 + int(u[2] < 0.4))
    source = draw_source(random, items, dims)
    of_x, of_y = source[..., : 2 * (shared + private)], source
    if private and not label:
        of_y = torch.cat([source[..., : 2 * shared], source[..., 2 * (shared + private) :]], -1)
    hidden = random.coin(0.5, 1, 1) & (u[3] < 0.5)  # half of the datasets: only the first is shared
    of_y = torch.where(hidden, _keep_first(of_y), of_y)
    means_x, scale_x = _draw_code(random, of_x, dx, u[4])
    tied = ~random.coin(_INDEPENDENT)
    if label:
        classes = dy if dy > 1 else 2 + int(u[5] ** 2 * 8)
        labels = draw_labels(random, of_y, classes)
        scale_x = scale_x * widen(random, [(means_x, scale_x)])
        x = Code(means_x, scale_x, _draw_frame(random, means_x, scale_x, dx))
        return ManifoldParameters(x, None, labels, classes, dy, tied)
    means_y, scale_y = _draw_code(random, of_y, dy, u[5])
    factor = widen(random, [(means_x, scale_x), (means_y, scale_y)])
    scale_x, scale_y = scale_x * factor, scale_y * factor
    x = Code(means_x, scale_x, _draw_frame(random, means_x, scale_x, dx))
    y = Code(means_y, scale_y, _draw_frame(random, means_y, scale_y, dy))
    return ManifoldParameters(
        x, y, tied.new_zeros(means_x.shape[:2], dtype=torch.int64), 1, 0, tied
    )


def sample_codes(
    p: ManifoldParameters[S], n: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """X ``[B, N, dx]`` and Y ``[B, N, dy]`` float32."""
    batch, items = p.labels.shape
    item, other = torch.randint(
        items, (2, batch, n), generator=generator, device=p.tied.device
    ).unbind(0)
    other = torch.where(p.tied[:, None], item, other)
    x = p.x.sample(item, generator)
    if p.y is not None:
        return x, p.y.sample(other, generator)
    return x, show_label(p.labels.gather(1, other), p.label_columns)


def manifolds_information(
    p: ManifoldParameters[Code], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """I(X;Y) in nats and its standard error, ``[B]`` float64."""
    x, y = p.x, p.y
    elements = _CPU_ELEMENTS if p.tied.device.type == "cpu" else _GPU_ELEMENTS
    draws = max(400, min(1024, elements // x.means.shape[1]))
    if y is None:
        mi, error = label_information(
            x.means, p.labels, x.scale, classes=p.classes, draws=draws, generator=generator
        )
    else:
        mi, error = mixture_information(
            x.means, y.means, x.scale, y.scale, draws=draws, generator=generator
        )
    zero = torch.zeros_like(mi)
    return torch.where(p.tied, mi, zero), torch.where(p.tied, error, zero)


def draw_source(random: Random, items: int, dims: int) -> Tensor:
    """Items of a source ``[B, M, 2 q]``: each dimension is a number and 0, or the cosine and the
    sine of an angle. Numbers are uniform, normal, in clusters, or on a grid, of variance about 1.
    """
    u, normal = random.uniform(items, dims), random.normal(items, dims)
    kind = random.uniform(1, 1)
    level = random.integers(3, 8, 1, 1)
    grid = ((u * level).floor() + 0.5) / level
    flat = math.sqrt(12) * (torch.where(kind < 0.1, grid, u) - 0.5)
    centres = (u * random.integers(2, 6, 1, 1)).floor() - 2
    tight = random.log_uniform(0.1, 0.6, 1, 1)
    number = torch.where(kind < 0.4, flat, torch.where(kind < 0.7, normal, 0))
    number = torch.where(kind >= 0.7, 0.7 * centres + tight * normal, number)
    angle = 2 * math.pi * u
    turning = random.coin(0.3, 1, 1)
    first = torch.where(turning, math.sqrt(2) * angle.cos(), number)
    second = torch.where(turning, math.sqrt(2) * angle.sin(), 0.0)
    return torch.stack([first, second], -1).flatten(2)


def _keep_first(source: Tensor) -> Tensor:
    keep = torch.arange(source.shape[-1], device=source.device) < 2
    return source * keep


def _draw_code(random: Random, source: Tensor, d: int, u: float) -> tuple[Tensor, Tensor]:
    """Means ``[B, M, m]`` and noise scales ``[B, 1, m]`` of a random code in at most 64 columns."""
    most = min(d, _LATENT)
    latent = most if u < 0.7 else 1 + int((u - 0.7) / 0.3 * most * 0.999)
    means = random_map(random, source, latent)
    grow = (2 * latent / source.shape[-1]) ** (0.5 * random.uniform(1, 1).square())
    scale = random.log_uniform(0.01, 0.6, 1, 1) * grow.clamp(min=1)
    uneven = 0.5 * random.coin(0.4, 1, 1).float()
    return means, scale * torch.exp(uneven * random.normal(1, latent))


def widen(random: Random, codes: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Factors of the noise ``[B, 1, 1]``, at least 1, that bring five other items within two
    standard deviations of most items, on the sides together."""
    items = codes[0][0].shape[1]
    probe = random.permutation(items)[:_PROBES]
    values = torch.cat([means / scale for means, scale in codes], -1)
    values = values - values.mean(1, keepdim=True)
    some, squares = values[:, probe], values.square().sum(-1)
    distance = torch.baddbmm(squares[:, None], some, values.mT, alpha=-2)
    distance = distance + squares[:, probe, None]
    near = distance.topk(_NEAR + 1, largest=False).values[..., -1].clamp(min=0).sqrt()
    typical = near.quantile(0.75, dim=-1)[:, None, None]
    return (typical / _REACH).clamp(min=1)


def _draw_frame(random: Random, means: Tensor, scale: Tensor, d: int) -> Frame:
    """Frames whose noise columns are as noisy as the code in half of the datasets."""
    alike = scale.mean(-1, keepdim=True)
    noise = torch.where(random.coin(0.5, 1, 1), alike, random.log_uniform(0.02, 1.0, 1, 1))
    decay = random.uniform(1, 1) * random.coin(0.3, 1, 1)
    latent = means.shape[-1]
    return draw_frame(random, latent, d, noise=noise, decay=decay, turned=0.6, curved=0.2)


def draw_labels(random: Random, source: Tensor, classes: int) -> Tensor:
    """Labels ``[B, M]`` int64: the largest of random functions, or equal cuts of one of them; a
    share of the items, up to 0.7 in half of the datasets, has a random label."""
    scores = random_map(random, source, classes)
    uneven = 0.3 * random.normal(1, classes) * random.coin(0.5, 1, 1)
    largest = (scores + uneven).argmax(-1)
    cuts = scores[..., 0].argsort(-1).argsort(-1) * classes // source.shape[1]
    labels = torch.where(random.coin(0.5, 1), largest, cuts)
    noise = 0.7 * random.uniform(1) * random.coin(0.5, 1)
    anything = random.integers(0, classes - 1, source.shape[1])
    return torch.where(random.uniform(source.shape[1]) < noise, anything, labels)
