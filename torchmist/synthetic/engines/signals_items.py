r"""Waveforms of items: two sensors see one item, or a sensor and numbers or a label of it.

Hundreds of items with random coordinates are shown as waveforms (``signals_waves``) with noise that
is wide enough that several items are near each other. Coordinates are shared or move one side
alone; the law is the mixture over these very items. Whitened, noise is independent, so that MI is
that of codes.

Legend: ``B`` datasets, ``N`` samples, ``M`` items, ``q`` coordinates, ``d`` columns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from torchmist.synthetic.engines.codes_manifolds import ManifoldParameters, widen
from torchmist.synthetic.engines.codes_random import Random
from torchmist.synthetic.engines.mixture_information import label_information, mixture_information
from torchmist.synthetic.engines.signals_sensor import Sensor, draw_sensor, number_grid
from torchmist.synthetic.engines.signals_waves import KINDS, Component, draw_component, show

__all__ = ["Shown", "WaveSide", "draw_items", "items_information"]

Shown = Literal["waves", "numbers", "label"]

_CLEAR = (0.7, 3e4)  # variance of the whitened waveforms over that of the noise
_CLEAR_NUMBERS = (1.0, 3e3)
_DRAWS, _CELLS = 160, 5 << 15  # fewest draws, and draws times items
_INDEPENDENT = 0.1
_CLUSTERED = 0.3  # share of the datasets whose shared coordinates are clusters


@dataclass(frozen=True)
class WaveSide:
    """One side: what items look like without noise, ``means`` ``[B, M, d]``, the same less its
    mean where the noise is white, ``white`` ``[B, M, d]``, and the sensor."""

    means: Tensor
    white: Tensor
    sensor: Sensor

    def sample(self, item: Tensor, generator: torch.Generator) -> Tensor:
        """Columns ``[B, N, d]`` of the items ``[B, N]``."""
        index = item[..., None].expand(-1, -1, self.means.shape[-1])
        return self.sensor(self.means.gather(1, index), generator)

    def scale(self) -> Tensor:
        """Standard deviations of the white noise ``[B, 1, d]``."""
        return self.sensor.scale.expand(-1, -1, self.white.shape[-1])

    def widened(self, factor: Tensor) -> WaveSide:
        """The side with noise that is ``factor`` ``[B, 1, 1]`` times as wide."""
        power = self.means.flatten(1).square().mean(1)[:, None, None]
        sensor = self.sensor.sized(self.sensor.scale * factor, power)
        return WaveSide(self.means, self.white, sensor)


def draw_items(random: Random, dx: int, dy: int, *, shown: Shown) -> ManifoldParameters[WaveSide]:
    """Random items, X being a waveform and Y what is ``shown``."""
    u = random.choices(6)
    shared, own_x, own_y = 1 + int(u[0] ** 2 * 3), int(u[1] ** 1.5 * 3), int(u[2] ** 1.5 * 3)
    own_y = own_y if shown == "waves" else 0
    classes = 2 + int(u[3] ** 2 * 9)
    classes = dy if shown == "label" and dy > 1 else classes
    items = 512 << int(shared + own_x + own_y > 3)
    both, cluster = _draw_shared(random, items, shared, classes)
    of_x, of_y = (torch.cat([both, _numbers(random, items, k)], -1) for k in (own_x, own_y))
    waves = _draw_waves(random, of_x)
    x = _side(random, show_on(random, waves, dx), _CLEAR)
    tied = ~random.coin(_INDEPENDENT)
    if shown == "label":
        x = x.widened(widen(random, [(x.white, x.scale())]))
        return ManifoldParameters(x, None, _noisy(random, cluster, classes), classes, dy, tied)
    if shown == "numbers":
        y = _side(random, _as_numbers(random, both, dy), _CLEAR_NUMBERS)
    else:
        waves = [*waves, *_draw_waves(random, of_y, 1)] if u[4] < 0.5 else _draw_waves(random, of_y)
        y = _side(random, show_on(random, waves, dy), _CLEAR)
    factor = widen(random, [(side.white, side.scale()) for side in (x, y)])
    return ManifoldParameters(x.widened(factor), y.widened(factor), cluster, classes, 0, tied)


def items_information(
    p: ManifoldParameters[WaveSide], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """I(X;Y) in nats and its standard error, ``[B]`` float64."""
    x, y, draws = p.x, p.y, max(_DRAWS, _CELLS // p.labels.shape[1])
    if y is None:
        mi, error = label_information(
            x.white, p.labels, x.scale(), classes=p.classes, draws=draws, generator=generator
        )
    else:
        mi, error = mixture_information(
            x.white, y.white, x.scale(), y.scale(), draws=draws, generator=generator
        )
    return mi.masked_fill(~p.tied, 0), error.masked_fill(~p.tied, 0)


def show_on(random: Random, waves: list[Component], columns: int) -> tuple[Tensor, Sensor]:
    """What a random sensor sees of the waveforms, ``[B, M, columns]``, and the sensor."""
    sensor = draw_sensor(random, columns)
    return sensor.grid.flatten(show(waves, sensor.grid)), sensor


def _draw_waves(random: Random, items: Tensor, most: int = 3) -> list[Component]:
    """One to ``most`` random components."""
    u = random.choices(1 + most)
    kinds = [KINDS[int(v * len(KINDS))] for v in u[1 : 2 + int(u[0] * most)]]
    return [draw_component(random, kind, items, k == 0) for k, kind in enumerate(kinds)]


def _draw_shared(random: Random, items: int, count: int, classes: int) -> tuple[Tensor, Tensor]:
    """Coordinates ``[B, M, count]``, uniform, normal or in clusters, and classes ``[B, M]``: the
    clusters, or equal cuts of the first coordinate."""
    numbers = _numbers(random, items, count)
    member = random.integers(0, classes - 1, items)
    centre = 2 * random.uniform(classes, count) - 1
    index = member[..., None].expand(-1, -1, count)
    tight = random.log_uniform(0.03, 0.5, 1, 1)
    clustered = random.coin(_CLUSTERED, 1, 1)
    around = centre.gather(1, index) + tight * random.normal(items, count)
    cuts = numbers[..., 0].argsort(-1).argsort(-1) * classes // items
    cluster = torch.where(clustered[..., 0], member, cuts)
    return torch.where(clustered, around, numbers), cluster


def _numbers(random: Random, items: int, count: int) -> Tensor:
    """Coordinates ``[B, M, count]`` that are uniform in -1 to 1, or normal."""
    flat, normal = 2 * random.uniform(items, count) - 1, 0.6 * random.normal(items, count)
    return torch.where(random.coin(0.6, 1, count), flat, normal)


def _as_numbers(random: Random, both: Tensor, columns: int) -> tuple[Tensor, Sensor]:
    """The coordinates in ``columns`` columns, or cosine and sine of the first as an angle; columns
    that are left are noise, or show a coordinate again."""
    count = both.shape[-1]
    again = random.integers(0, count - 1, columns)
    place = torch.arange(columns, device=random.device).expand_as(again)
    pick = torch.where(place < count, place, again)
    means = both.gather(2, pick[:, None].expand(-1, both.shape[1], -1))
    means = means * ((place < count) | random.coin(0.5, 1))[:, None]
    if columns > 1:
        angle = math.pi * both[..., :1]
        turned = torch.cat([angle.cos(), angle.sin(), means[..., 2:]], -1)
        means = torch.where(random.coin(0.4, 1, 1), turned, means)
    return means, draw_sensor(random, columns, number_grid(random, columns))


def _side(random: Random, shown: tuple[Tensor, Sensor], clear: tuple[float, float]) -> WaveSide:
    """A side whose noise leaves a random share of what it shows."""
    means, sensor = shown
    white = sensor.whiten(means)
    white = white - white.mean(1, keepdim=True)
    total = white.square().sum((1, 2), keepdim=True) / white.shape[1]
    scale = (total.clamp(min=1e-6) / random.log_uniform(*clear, 1, 1)).sqrt()
    return WaveSide(means, white, sensor.sized(scale, total))


def _noisy(random: Random, labels: Tensor, classes: int) -> Tensor:
    """Labels of which up to 0.7, in half of the datasets, are replaced by any."""
    share = 0.7 * random.uniform(1) * random.coin(0.5, 1)
    anything = random.integers(0, classes - 1, labels.shape[1])
    return torch.where(random.uniform(labels.shape[1]) < share, anything, labels)
