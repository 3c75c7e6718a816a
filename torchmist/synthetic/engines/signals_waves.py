r"""Waveforms: sums of oscillations, bumps, steps and trends over a grid of times and channels.

.. math:: m_c(t) = g_c \sum_k A_k\, f_k(t - \tau_c;\, p_k, w_k, r_k)

with gains g and delays :math:`\tau` of the channels. Amplitude A, place p, width w and rate r of a
component are numbers of the dataset, some of which coordinates of the item move.

Legend: ``B`` datasets, ``M`` items, ``q`` coordinates, ``C`` channels, ``T`` times.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from torchmist.synthetic.engines.codes_random import Random

__all__ = ["Component", "Grid", "KINDS", "draw_component", "draw_grid", "show"]

KINDS = ("oscillation", "chirp", "decay", "bump", "step", "trend")
_CHANNELS = 8
_PERIODS = (0.3, 8.0)  # of an oscillation within the window
_WIDTHS = {"bump": (0.03, 0.4), "step": (0.005, 0.3)}


@dataclass(frozen=True)
class Component:
    """One term of the sum: its ``kind``, and ``[B, M, 1, 1]`` each: ``amplitude``; ``place`` in
    time, or the phase in turns; ``width``, or the frequency; ``rate`` of a chirp or a decay."""

    kind: str
    amplitude: Tensor
    place: Tensor
    width: Tensor
    rate: Tensor

    def __call__(self, t: Tensor) -> Tensor:
        """Values ``[B, M, C, T]`` at the times ``[B, 1, C, T]``."""
        if self.kind == "bump":
            return self.amplitude * torch.exp(-0.5 * ((t - self.place) / self.width).square())
        if self.kind == "step":
            return self.amplitude * torch.sigmoid((t - self.place) / self.width)
        if self.kind == "trend":
            return self.amplitude * (t - self.place)
        turns = self.width * t + self.place
        if self.kind == "chirp":
            turns = turns + self.rate * t.square()
        wave: Tensor = self.amplitude * torch.sin(2 * math.pi * turns)
        return wave * torch.exp(-self.rate.abs() * t) if self.kind == "decay" else wave


@dataclass(frozen=True)
class Grid:
    """Where a waveform is seen: ``times`` ``[B, 1, C, T]``, of a channel with its delay, its
    ``gain`` ``[B, 1, C, 1]``, the number of ``columns`` and whether a channel's are together."""

    times: Tensor
    gain: Tensor
    columns: int
    together: bool

    def flatten(self, values: Tensor) -> Tensor:
        """Columns ``[B, N, d]`` of ``[B, N, C, T]``; the last ones may not fit."""
        flat: Tensor = (values if self.together else values.mT).flatten(2)
        return flat[..., : self.columns]

    def unflatten(self, values: Tensor) -> Tensor:
        """``[B, N, C, T]`` of columns ``[B, N, d]``, with zeros in what did not fit."""
        channels, times = self.times.shape[2:]
        padded = torch.nn.functional.pad(values, (0, channels * times - values.shape[-1]))
        shape = (channels, times) if self.together else (times, channels)
        cells = padded.reshape(*values.shape[:2], *shape)
        return cells if self.together else cells.mT


def draw_grid(random: Random, columns: int) -> Grid:
    """A random grid: even, jittered or random times in 0 to 1, up to 8 channels with delays."""
    u = random.choices(3)
    channels = 1 if u[0] < 0.4 else min(columns, 1 + int(u[1] * _CHANNELS))
    length = math.ceil(columns / channels)
    even = (torch.arange(length, device=random.device) + 0.5) / length
    loose = random.coin(0.3, 1, 1, 1) * random.uniform(1, 1, 1)
    times = even + loose * (random.uniform(1, 1, length) - 0.5) / length
    anywhere = random.uniform(1, 1, length).sort(-1).values
    times = torch.where(random.coin(0.2, 1, 1, 1) | (length == 1), anywhere, times)
    late = random.coin(0.5, 1, 1, 1) * random.log_uniform(0.003, 0.3, 1, 1, 1)
    times = times - late * random.normal(1, channels, 1)
    uneven = random.uniform(1, 1, 1) * random.coin(0.7, 1, 1, 1)
    gain = 1 + uneven * (random.normal(1, channels, 1) - 1)
    return Grid(times, gain, columns, u[2] < 0.5)


def draw_component(random: Random, kind: str, items: Tensor, first: bool) -> Component:
    """A random component that coordinates ``items`` ``[B, M, q]`` of about -1 to 1 move.

    Each of amplitude, place, width and rate varies with one coordinate or with none; where the
    component is the ``first``, the first coordinate moves its amplitude, its place or its width.
    """
    pick = random.integers(0, items.shape[-1] - 1, 4)
    varied = random.coin(0.45, 4)
    if first:
        main = torch.arange(4, device=random.device) == random.integers(0, 2, 1)
        pick, varied = pick * ~main, varied | main
    index = pick[:, None].expand(-1, items.shape[1], -1)
    values = items.gather(2, index) * varied[:, None]
    amplitude, place, width, rate = (v[..., None, None] for v in values.unbind(-1))
    size = random.log_uniform(0.3, 1.0, 1, 1, 1)
    linear = 1 + random.log_uniform(0.3, 3.0, 1, 1, 1) * amplitude
    by_power = torch.exp(amplitude)
    a = size * torch.where(random.coin(0.5, 1, 1, 1), linear, by_power)
    if kind in _WIDTHS:
        p = random.uniform(1, 1, 1) + 0.5 * random.uniform(1, 1, 1) * place
        w = random.log_uniform(*_WIDTHS[kind], 1, 1, 1) * torch.exp(0.7 * width)
        return Component(kind, a, p, w, rate)
    if kind == "trend":
        return Component(kind, a, 0.5 + place + width, width, rate)
    full = random.coin(0.5, 1, 1, 1)  # a whole turn
    turn = torch.where(full, 0.5, 0.3 * random.uniform(1, 1, 1))
    p = random.uniform(1, 1, 1) + turn * place
    spread = random.log_uniform(0.02, 0.5, 1, 1, 1)
    w = random.log_uniform(*_PERIODS, 1, 1, 1) * torch.exp(spread * width)
    r = random.log_uniform(0.3, 4.0, 1, 1, 1) * torch.exp(rate)
    return Component(kind, a, p, w, r)


def show(components: list[Component], grid: Grid) -> Tensor:
    """Waveforms ``[B, M, C, T]`` of the items."""
    out: Tensor = components[0](grid.times)
    for component in components[1:]:
        out = out + component(grid.times)
    return out * grid.gain
