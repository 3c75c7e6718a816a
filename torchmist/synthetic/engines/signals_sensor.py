r"""Sensors: how a waveform becomes columns with stationary noise, and curves of single columns.

Legend: ``B`` datasets, ``N`` rows, ``M`` items, ``d`` columns.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from torchmist.synthetic.engines.codes_random import Random
from torchmist.synthetic.engines.signals_noise import Noise, draw_noise
from torchmist.synthetic.engines.signals_waves import Grid, draw_grid

__all__ = ["Sensor", "draw_sensor", "number_grid"]

_CURVED = 0.2  # share of calls in which half of the datasets have curved columns


@dataclass(frozen=True)
class Sensor:
    """A grid of times and channels, noise on it of size ``scale`` ``[B, 1, 1]``, and the strength
    of each column's curve ``bend`` ``[B, 1, d]``: positive compresses, negative stretches the
    large values, 0 leaves all alone, as None does; values are in multiples of ``unit``
    ``[B, 1, 1]``."""

    grid: Grid
    noise: Noise
    scale: Tensor
    bend: Tensor | None
    unit: Tensor

    def __call__(self, signal: Tensor, generator: torch.Generator) -> Tensor:
        """Columns ``[B, N, d]`` of what is there without noise, ``[B, N, d]``."""
        channels, times = self.grid.times.shape[2:]
        shape = (*signal.shape[:2], channels, times)
        white = torch.randn(shape, generator=generator, device=signal.device)
        x = (signal + self.scale * self.grid.flatten(self.noise.colour(white))) / self.unit
        if self.bend is None:
            return x
        flat = self.bend == 0
        strength = torch.where(flat, 1.0, self.bend.abs())
        curved = torch.where(self.bend > 0, torch.asinh(strength * x), torch.expm1(strength * x))
        return torch.where(flat, x, curved / strength)

    def whiten(self, signal: Tensor) -> Tensor:
        """Signals ``[B, M, d]`` in the coordinates in which the noise is independent, of standard
        deviation ``scale``, ``[B, M, d]``."""
        return self.grid.flatten(self.noise.whiten(self.grid.unflatten(signal)))

    def sized(self, scale: Tensor, power: Tensor) -> Sensor:
        """The sensor with noise of another size, of signals of that mean square ``[B, 1, 1]``."""
        return replace(self, scale=scale, unit=(power + scale.square()).sqrt())


def draw_sensor(random: Random, columns: int, grid: Grid | None = None) -> Sensor:
    """A random sensor of that many columns, with noise of size 1; of a random grid if None."""
    grid = draw_grid(random, columns) if grid is None else grid
    noise = draw_noise(random, grid.times.shape[2])
    one, bend = torch.ones(random.batch, 1, 1, device=random.device), None
    if random.choices(1)[0] < _CURVED:
        strength = random.log_uniform(0.1, 3.0, 1, 1) * random.log_uniform(0.5, 1.0, 1, columns)
        bend = torch.where(random.coin(0.5, 1, 1), strength, -0.3 * strength.clamp(max=2))
        bend = torch.where(random.coin(0.5, 1, 1), bend, 0.0)
    return Sensor(grid, noise, one, bend, one)


def number_grid(random: Random, columns: int) -> Grid:
    """A grid of one time, for numbers: every column is a channel."""
    times = torch.zeros(random.batch, 1, columns, 1, device=random.device)
    return Grid(times, torch.ones_like(times), columns, True)
