r"""Laws of formulas as tables, and what noisy numbers, classes and counts tell of them.

A formula has its distribution function tabulated at the points of one Sobol sequence, apart for
rows of either level of noise. For noise of a law e with scales :math:`\sigma_l`,

.. math:: I = h\Big(\sum_l p_l * \sigma_l e\Big) - \sum_l P_l\, h(\sigma_l e),

sums over an even grid as in ``channels_tables``; for classes and counts it is the entropy of the
mean row less the mean entropy of the rows.

Legend: ``B`` datasets, ``T`` formulas of each, ``R`` formulas in all, ``L`` levels of noise,
``M`` cells of a table, ``G`` cells of a grid, ``C`` classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from torchmist.synthetic.engines.channels_laws import Bank
from torchmist.synthetic.engines.channels_tables import linear_piece

__all__ = ["Laws", "additive_information", "additive_tables", "least_noise", "points",
           "rows_information", "tabulate"]  # fmt: skip

_POINTS = 1 << 15
_COLUMNS = 32
_CELLS = 2048  # of the table of a law
_COARSE = 256  # of these an entropy is taken
_GRID = 2048
_NARROW = 0.15  # unit of a law at least, in its deviations
_LEAST = 3.0  # cells in a unit of noise
_ROWS = 16  # formulas at a time on a CPU


@dataclass(frozen=True)
class Laws:
    """Distribution functions of rows of a level ``below`` ``[R, L, M + 1]`` float64, which end at
    the share of the level, on intervals from ``low`` on of ``width``; ``mean``; all ``[R]`` in the
    unit ``unit`` ``[R]`` of a law: the deviation of a normal law of its entropy, at least a share
    of its own, which it is where the law has atoms."""

    below: Tensor
    low: Tensor
    width: Tensor
    mean: Tensor
    unit: Tensor

    def at(self, law: Tensor, place: Tensor) -> Tensor:
        """Distribution functions ``[B, T, L, G]`` of ``law`` ``[B, T]`` at shares ``place``
        ``[B, T, G]`` of the interval."""
        levels, ends = self.below.shape[1:]
        where = (place * (ends - 1)).clamp(0, ends - 1)
        cell = where.long().clamp(max=ends - 2)
        rows = law[..., None, None] * levels + torch.arange(levels, device=law.device)[:, None]
        flat, index = self.below.flatten(), rows * ends + cell[..., None, :]
        return torch.lerp(flat[index], flat[index + 1], (where - cell)[..., None, :])

    def standard(self, law: Tensor, value: Tensor) -> Tensor:
        """Values ``[B, T, N]`` of the laws ``[B, T]`` from their means on, in their units."""
        return (value - self.mean[law][..., None]) / self.unit[law][..., None]


@lru_cache(maxsize=4)
def points(device: torch.device) -> Tensor:
    """Scrambled Sobol points ``[P, 32]`` in 0 to 1, always the same."""
    sobol = torch.quasirandom.SobolEngine(_COLUMNS, scramble=True, seed=5)
    return sobol.draw(_POINTS).clamp(1e-7, 1 - 1e-7).to(device)


def tabulate(value: Tensor, level: Tensor, levels: int, atoms: bool) -> Laws:
    """Laws of values ``[R, P]`` whose rows have noise of ``level`` ``[R, P]``."""
    count, many = value.shape
    low, high = value.aminmax(dim=-1)
    size = (high - low).clamp(min=1e-6)
    cell = ((value - low[:, None]) / size[:, None] * _CELLS).long().clamp(max=_CELLS - 1)
    row = torch.arange(count, device=value.device)[:, None]
    index = (row * levels + level) * _CELLS + cell
    found = torch.bincount(index.flatten(), minlength=count * levels * _CELLS)
    mass = found.reshape(count, levels, _CELLS).double() / many
    coarse = mass.sum(1).reshape(count, _COARSE, -1).sum(-1)
    normal = math.sqrt(2 * math.pi * math.e) * _COARSE
    unit = size * torch.special.entr(coarse).sum(-1).exp() / normal
    deviation, mean = torch.std_mean(value.double(), -1)
    unit = torch.maximum(unit, deviation * (1 if atoms else _NARROW))
    below = torch.nn.functional.pad(mass.cumsum(-1), (1, 0))
    return Laws(below, (low - mean) / unit, size / unit, mean, unit)


def least_noise(laws: Laws, law: Tensor, spread: Tensor) -> Tensor:
    """Units of noise that a grid resolves ``[B, T]``, for noise over ``spread`` of its units."""
    return _LEAST * laws.width[law] / (_GRID - _LEAST * spread)


def additive_tables(
    laws: Laws, law: Tensor, noises: Bank, noise: Tensor, scales: Tensor
) -> tuple[Tensor, Tensor]:
    """Probabilities ``[B, T, L, G]`` of the cells of a grid, for ``law`` and for ``noise``
    ``[B, T]``, whose means stand at one place for all ``scales`` ``[B, T, L]``."""
    node = torch.arange(_GRID + 1, device=law.device, dtype=torch.float64)
    spread = scales * noises.width[noise][..., None]
    widest = spread.amax(-1)
    step = (laws.width[law] + widest) / (_GRID - 4)
    source = laws.at(law, node * (step / laws.width[law])[..., None]).diff().clamp(min=0)
    start = noises.mean[noise][..., None] * (widest[..., None] - spread)
    place = (node * step[..., None, None] - start[..., None]) / spread[..., None]
    each = noise[..., None].expand(scales.shape)
    return source, noises.at(each, place).diff().clamp(min=0)


def additive_information(source: Tensor, noise: Tensor) -> Tensor:
    """I of laws and their sums with noise, in nats, from their tables, ``[B, T]`` float64."""
    rows = [part.flatten(0, 1) for part in (source, noise)]
    most = 128 * _ROWS if source.is_cuda else _ROWS
    found = [_additive(*part) for part in zip(*(values.split(most) for values in rows))]
    return torch.cat(found).reshape(source.shape[:2])


def _additive(source: Tensor, noise: Tensor) -> Tensor:
    """The same of rows ``[R, L, G]``."""
    share = source.sum(-1)
    spectrum = (torch.fft.rfft(source) * torch.fft.rfft(noise)).sum(1)
    density = torch.fft.irfft(spectrum, n=source.shape[-1]).clamp(min=0)
    known = (share * torch.xlogy(noise, noise).sum(-1)).sum(-1)
    return known - linear_piece(density.roll(1, -1), density).sum(-1)


def rows_information(mass: Tensor, rows: Tensor) -> Tensor:
    """I of a number and a class, in nats, ``[B, T]``: ``rows`` ``[B, T, ..., C]`` are laws of the
    class in cells of probabilities ``mass`` ``[B, T, ...]``."""
    flat, rows = mass.flatten(2)[..., None].to(rows.dtype), rows.flatten(2, -2)
    mean = (flat * rows).sum(2).double()
    own = (flat[..., 0] * torch.special.entr(rows).sum(-1)).sum(2).double()
    mi: Tensor = torch.special.entr(mean).sum(-1) - own
    return mi
