r"""Links: what Y shows of a number t, as a noisy number, a class or a count.

A class is the interval that t and its noise, logistic or normal, fall in: ratings, probit and
logistic regression. A count is Poisson, with a rate that saturates.

Legend: ``B`` datasets, ``T`` formulas of each, ``m`` outputs, which take turns among them, ``N``
samples, ``L`` levels of noise, ``C`` classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from torchmist.synthetic.engines.channels_laws import NOISES, Bank, draw_bank
from torchmist.synthetic.engines.codes_random import Random
from torchmist.synthetic.engines.interactions_tables import (
    Laws,
    additive_information,
    additive_tables,
    least_noise,
    rows_information,
)

__all__ = ["Additive", "Classes", "Counts", "Link", "draw_link"]

_EACH = (0.002, 4.5)  # nats of one output, about
_TOTAL = (0.02, 14.0)
_CLASSES, _COUNTS = 8, 48
_CELLS = 512  # of a law, where classes or counts are summed
_BUSIEST = 20.0  # largest rate of counts
_SHARES = {"classes": 0.22, "counts": 0.12}


class Link(Protocol):
    """The law of an output given its number."""

    discrete: bool

    def sample(self, t: Tensor, level: Tensor, turn: Tensor, generator: torch.Generator) -> Tensor:
        """Outputs ``[B, m, N]`` of numbers and levels of that shape; ``turn`` ``[m]`` says which
        of the formulas each output shows."""

    def information(self, laws: Laws, law: Tensor) -> Tensor:
        """I in nats ``[B, T]`` float64 of the formulas ``law`` ``[B, T]``."""


@dataclass(frozen=True)
class Additive:
    """Noise of the laws ``noise`` ``[B, T]`` and the ``scales`` ``[B, T, L]``."""

    noises: Bank
    noise: Tensor
    scales: Tensor
    discrete = False

    def sample(self, t: Tensor, level: Tensor, turn: Tensor, generator: torch.Generator) -> Tensor:
        """See :class:`Link`."""
        noise = self.noise[:, turn]
        scales = self.scales[:, turn].unsqueeze(2).expand(*t.shape, -1)
        scale = scales.gather(-1, level[..., None])[..., 0]
        e = _unit_noise(self.noises, noise, t.shape[-1], generator)
        size = (1 + self.scales[:, turn, 0].square()).rsqrt()
        return ((t + scale * e) * size[..., None]).float()

    def information(self, laws: Laws, law: Tensor) -> Tensor:
        """See :class:`Link`."""
        made = additive_tables(laws, law, self.noises, self.noise, self.scales)
        return additive_information(*made)


@dataclass(frozen=True)
class Classes:
    """Ends of the classes ``ends`` ``[B, T, C - 1]``, infinite beyond those in use, the ``scales``
    ``[B, T, L]`` of the noise, and whether it is ``logistic`` ``[B, T]``; ``codes`` ``[B, T, C]``
    that are shown."""

    ends: Tensor
    scales: Tensor
    logistic: Tensor
    codes: Tensor
    discrete = True

    def sample(self, t: Tensor, level: Tensor, turn: Tensor, generator: torch.Generator) -> Tensor:
        """See :class:`Link`."""
        u = torch.rand(t.shape, generator=generator, device=t.device).clamp(1e-6, 1 - 1e-6)
        e = torch.where(self.logistic[:, turn, None], u.logit(), torch.special.ndtri(u))
        scales = self.scales[:, turn].unsqueeze(2).expand(*t.shape, -1)
        noisy = t + scales.gather(-1, level[..., None])[..., 0] * e
        found = torch.searchsorted(self.ends[:, turn].contiguous(), noisy.contiguous())
        return self.codes[:, turn].gather(-1, found)

    def information(self, laws: Laws, law: Tensor) -> Tensor:
        """See :class:`Link`."""
        mass, t = _cells(laws, law)
        gap = self.ends[:, :, None, None] - t[:, :, None, :, None]
        gap = gap / self.scales[..., None, None]
        logistic = self.logistic[..., None, None, None]
        below = torch.where(logistic, gap.sigmoid(), torch.special.ndtr(gap))
        below = torch.nn.functional.pad(torch.nn.functional.pad(below, (0, 1), value=1.0), (1, 0))
        return rows_information(mass, below.diff(dim=-1).clamp(min=0))


@dataclass(frozen=True)
class Counts:
    """Poisson counts of rates ``top * sigmoid(slope * t + start)``, all ``[B, T]``."""

    top: Tensor
    slope: Tensor
    start: Tensor
    discrete = True

    def rates(self, t: Tensor, turn: Tensor) -> Tensor:
        """Rates ``[B, m, N]`` of numbers of that shape."""
        top, slope, start = (v[:, turn, None] for v in (self.top, self.slope, self.start))
        return top * torch.sigmoid(slope * t + start)

    def sample(self, t: Tensor, level: Tensor, turn: Tensor, generator: torch.Generator) -> Tensor:
        """See :class:`Link`."""
        rates = self.rates(t, turn).float()
        return torch.poisson(rates, generator=generator).clamp(max=_COUNTS - 1)

    def information(self, laws: Laws, law: Tensor) -> Tensor:
        """See :class:`Link`."""
        mass, t = _cells(laws, law)
        rates = self.rates(t, torch.arange(law.shape[1], device=t.device)).clamp(min=1e-30)
        count = torch.arange(_COUNTS, device=t.device, dtype=t.dtype)
        log_rows = rates.log()[..., None] * count - rates[..., None] - torch.lgamma(count + 1)
        return rows_information(mass.sum(2), log_rows.exp())


def draw_link(random: Random, laws: Laws, law: Tensor, outputs: int, additive: bool) -> Link:
    """A random link for the formulas ``law`` ``[B, T]`` of ``outputs`` outputs; with ``additive``
    always noisy numbers."""
    u, kinds, levels = random.choices(1)[0], law.shape[1], laws.below.shape[1]
    ratio = torch.ones_like(random.uniform(kinds, levels))
    ratio[..., 1:] = random.log_uniform(1.5, 8.0, kinds, levels - 1)
    if not additive and u < _SHARES["classes"]:
        return _draw_classes(random, kinds, ratio)
    if not additive and u < sum(_SHARES.values()):
        sign = 1 - 2 * random.coin(0.5, kinds).float()
        slope = sign * random.log_uniform(0.5, 4.0, kinds)
        return Counts(random.log_uniform(0.7, _BUSIEST, kinds), slope, random.normal(kinds))
    noises = draw_bank(random, NOISES)
    noise = noises.choose(random, kinds)
    total = random.log_uniform(_TOTAL[0], min(_TOTAL[1], _EACH[1] * outputs), 1)
    each = (total / outputs * random.log_uniform(0.5, 2.0, kinds)).double().clamp(*_EACH)
    sigma = torch.expm1(2 * each).rsqrt()
    sigma = torch.maximum(sigma, least_noise(laws, law, noises.width[noise] * ratio.amax(-1)))
    return Additive(noises, noise, sigma[..., None] * ratio)


def _draw_classes(random: Random, kinds: int, ratio: Tensor) -> Classes:
    """Two to eight classes, two in half of the datasets, in order or of any code."""
    count = torch.where(random.coin(0.5, 1, 1), 2, random.integers(2, _CLASSES, 1, 1))
    ends = 1.2 * random.normal(kinds, _CLASSES - 1)
    place = torch.arange(1, _CLASSES, device=random.device)
    ends = ends.masked_fill(place >= count, torch.inf).sort(-1).values
    scales = random.log_uniform(0.04, 3.0, kinds, 1) * ratio
    order = random.uniform(kinds, _CLASSES).argsort(-1)
    plain = torch.arange(_CLASSES, device=random.device)
    codes = torch.where(random.coin(0.2, 1, 1), order, plain).float()
    return Classes(ends, scales, random.coin(0.5, kinds), codes)


def _cells(laws: Laws, law: Tensor) -> tuple[Tensor, Tensor]:
    """Probabilities ``[B, T, L, cells]`` of cells, and their middles ``[B, T, cells]`` float32."""
    place = torch.arange(_CELLS + 1, device=law.device, dtype=torch.float64) / _CELLS
    middle = laws.low[law][..., None] + (place[1:] - 0.5 / _CELLS) * laws.width[law][..., None]
    return laws.at(law, place.expand(*law.shape, -1)).diff().clamp(min=0), middle.float()


def _unit_noise(noises: Bank, noise: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Rows ``[B, m, n]`` float64 of the laws ``noise`` ``[B, m]``, in their units, of mean 0."""
    below, cells = noises.below[noise], noises.below.shape[1] - 1
    shape = (*noise.shape, n)
    u = torch.rand(shape, generator=generator, device=noise.device, dtype=torch.float64)
    cell = torch.searchsorted(below, u, right=True).sub(1).clamp(0, cells - 1)
    low, high = below.gather(-1, cell), below.gather(-1, cell + 1)
    place = (cell + ((u - low) / (high - low).clamp(min=1e-300)).clamp(0, 1)) / cells
    return (place - noises.mean[noise][..., None]) * noises.width[noise][..., None]
