r"""Windows of jointly Gaussian stationary processes: common low-pass signals, and noise.

.. math:: x_{ct} = \sum_f g_{cf} (a_f \cos 2\pi\nu_f (t - \tau_c) + b_f \sin 2\pi\nu_f (t -
    \tau_c)) + e_{ct}

with independent normal a and b of each dataset's frequencies :math:`\nu`, some of which both sides
see, in windows that may follow each other, and stationary noise e (``signals_noise``). With noise
whitened, MI is that of a factor model in closed form.

Legend: ``B`` datasets, ``N`` samples, ``F`` frequencies, ``K`` factors, ``d`` columns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from torchmist.synthetic.engines.codes_random import Random
from torchmist.synthetic.engines.signals_sensor import Sensor, draw_sensor
from torchmist.synthetic.engines.spectra import factor_information, factor_scale

__all__ = ["ProcessParameters", "draw_processes", "processes_information", "sample_processes"]

_FREQUENCIES = 12  # of what is shared; of a side's own at most half as many
_BAND = (0.05, 6.0)  # typical periods in a window
_NATS = (0.02, 6.0)
_LOUD = (0.1, 10.0)  # size of a side's own signal over that of the noise
_LAG = 1.5  # windows


@dataclass(frozen=True)
class ProcessParameters:
    """Of X and of Y: ``loads`` ``[B, K, d]`` float64, whose first ``shared`` factors are those of
    both sides, and the sensors."""

    loads: tuple[Tensor, Tensor]
    sensors: tuple[Sensor, Sensor]
    shared: int


def draw_processes(random: Random, dx: int, dy: int) -> ProcessParameters:
    """Random processes, in windows of ``dx`` and ``dy`` columns."""
    u = random.choices(2)
    count, own = 1 + int(u[0] * _FREQUENCIES), int(u[1] ** 2 * _FREQUENCIES / 2)
    common, lag = _frequencies(random, count), _LAG * (2 * random.uniform(1, 1, 1) - 1)
    lags = (torch.zeros_like(lag), lag * random.coin(0.4, 1, 1, 1))
    sensors = (draw_sensor(random, dx), draw_sensor(random, dy))
    loads = []
    for sensor, late in zip(sensors, lags):
        alone = _loads(random, sensor, _frequencies(random, own), late)
        alone = alone * random.log_uniform(*_LOUD, 1, 1)
        loads.append(torch.cat([_loads(random, sensor, common, late), alone], 1))
    white = [sensor.whiten(side) for sensor, side in zip(sensors, loads)]
    target = random.log_uniform(*_NATS).double() * ~random.coin(0.1)
    scale = factor_scale(white[0].mT, white[1].mT, 2 * count, target)[:, None, None]
    scale = torch.where(target[:, None, None] > 0, scale, 0.0)
    louder = [torch.cat([scale * s[:, : 2 * count], s[:, 2 * count :]], 1) for s in loads]
    sized = [
        sensor.sized(sensor.scale, side.square().sum(1).mean(-1)[:, None, None].float())
        for sensor, side in zip(sensors, louder)
    ]
    return ProcessParameters((louder[0], louder[1]), (sized[0], sized[1]), 2 * count)


def sample_processes(
    p: ProcessParameters, n: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """X ``[B, N, dx]`` and Y ``[B, N, dy]`` float32."""

    def normal(count: int) -> Tensor:
        shape = (len(p.loads[0]), n, count)
        return torch.randn(shape, generator=generator, device=p.loads[0].device)

    both, sides = normal(p.shared), []
    for loads, sensor in zip(p.loads, p.sensors):
        factors = torch.cat([both, normal(loads.shape[1] - p.shared)], -1)
        sides.append(sensor(factors @ loads.float(), generator))
    return sides[0], sides[1]


def processes_information(p: ProcessParameters) -> tuple[Tensor, Tensor]:
    """I(X;Y) in nats and its standard error, which is 0, ``[B]`` float64."""
    white = [sensor.whiten(side) for sensor, side in zip(p.sensors, p.loads)]
    mi = factor_information(white[0] @ white[0].mT, white[1] @ white[1].mT, p.shared)
    return mi, torch.zeros_like(mi)


def _frequencies(random: Random, count: int) -> Tensor:
    """Frequencies ``[B, count]`` of a low-pass spectrum."""
    return (random.log_uniform(*_BAND, 1) * random.normal(count)).abs()


def _loads(random: Random, sensor: Sensor, frequencies: Tensor, late: Tensor) -> Tensor:
    """``[B, 2 F, d]`` float64: cosines and sines at the times of a window that is ``late``."""
    count, grid = frequencies.shape[-1], sensor.grid
    uneven = random.uniform(1, 1, 1) * random.coin(0.6, 1, 1, 1)
    gain = 1 + uneven * (random.normal(count, grid.times.shape[2], 1) - 1)
    angle = 2 * math.pi * frequencies[:, :, None, None] * (grid.times + late)
    parts = [grid.flatten(gain * wave) for wave in (angle.cos(), angle.sin())]
    loads: Tensor = torch.stack(parts, 2).flatten(1, 2).double()
    return loads / math.sqrt(max(1, count))
