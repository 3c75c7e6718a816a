r"""Masked factors: common sources that show in several noisy columns each, some of them hidden.

.. math:: x = A u + C v + e, \qquad y = B u + D w + e'

as in ``spectra``, where a row shows only the columns in its masks. The information given the masks
is a closed form of the Gram matrices of the loadings that are shown. Its mean is a sum over all
masks of up to eight gates, and else is taken over masks that are stratified in every gate and come
in opposite pairs, which makes the stated error an upper bound.

Legend: ``B`` datasets, ``N`` rows, ``R`` masks, ``d`` columns of a side, ``K`` factors of a side.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from torchmist.synthetic.engines.codes_random import Random
from torchmist.synthetic.engines.gates_masks import Masks
from torchmist.synthetic.engines.spectra import (
    factor_columns,
    factor_information,
    scaled_loadings,
)

__all__ = ["Factors", "draw_factors"]

_NATS = (0.05, 14.0)  # of all columns
_EACH = 3.5  # at most, for a column of the smaller side
_SHARED, _OWN = 4, 2
_STRENGTHS = (0.1, 30.0)  # variance of a side's own factors over that of the noise
_FEW = 8  # gates of both sides, all of whose masks are listed
_PAIRS = 128  # opposite pairs of masks
_CPU_ELEMENTS, _GPU_ELEMENTS = 1 << 19, 1 << 26  # entries of Gram matrices worked on at once


@dataclass(frozen=True)
class Factors:
    """Loadings of the columns, ``x`` ``[B, dx, K]`` and ``y`` ``[B, dy, K']`` float64, whose first
    ``shared`` factors are those of both sides; the ``masks``."""

    x: Tensor
    y: Tensor
    shared: int
    masks: Masks

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Columns ``[B, N, d]`` of unit variance of either side, as if all were shown."""
        x, y = factor_columns(self.x, self.y, self.shared, n, generator)
        sizes = [(1 + loads.square().sum(-1)).sqrt()[:, None].float() for loads in (self.x, self.y)]
        return x / sizes[0], y / sizes[1]

    def information(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """I(X;Y) in nats and its standard error, both ``[B]`` float64; 0 for few gates."""
        masks, apart = self.masks.first(self.x.shape[1], self.y.shape[1]), self.masks.information()
        if sum(gates.shape[1] for gates in masks.open) <= _FEW:
            x, y, chance = masks.every()
            mean = (chance * self._shown(x, y)).sum(-1)
            return mean + apart, torch.zeros_like(mean)
        u, v = (_strata(gates.shape, generator) for gates in masks.open)
        pairs = self._shown(*masks.at(u, v)).unflatten(1, (2, _PAIRS)).mean(1)
        return pairs.mean(1) + apart, pairs.std(1) / _PAIRS**0.5

    def _shown(self, in_x: Tensor, in_y: Tensor) -> Tensor:
        """I given each of the masks ``[B, R, d]``, ``[B, R]``, a part of the datasets at a time."""
        elements = _GPU_ELEMENTS if self.x.is_cuda else _CPU_ELEMENTS
        joint = self.x.shape[-1] + self.y.shape[-1]
        most = max(1, elements // (in_x.shape[1] * joint**2))
        split = zip(*(part.split(most) for part in (self.x, self.y, in_x.double(), in_y.double())))
        return torch.cat([self._given(*part) for part in split])

    def _given(self, x: Tensor, y: Tensor, in_x: Tensor, in_y: Tensor) -> Tensor:
        """The same of all datasets at once."""
        grams = []
        for loads, mask in ((x, in_x), (y, in_y)):
            products = (loads[..., None] * loads[..., None, :]).flatten(2)
            gram = mask @ products
            grams.append(gram.reshape(-1, loads.shape[-1], loads.shape[-1]))
        return factor_information(grams[0], grams[1], self.shared).reshape(in_x.shape[:2])


def draw_factors(random: Random, columns: tuple[int, int], masks: Masks) -> Factors:
    """Random loadings of as many columns of either side, on one to four shared factors.

    In half of the datasets a column shows one of the shared factors. The loadings are scaled until
    all columns share 0.05 to 14 nats, log-uniform.
    """
    u = random.choices(2)
    shared = 1 if u[0] < 0.4 else min(*columns, 2 + int(u[1] * (_SHARED - 1)))
    single = random.coin(0.5, 1, 1)
    sides = []
    for d in columns:
        loads = random.normal(d, shared).double()
        factor = torch.arange(d, device=random.device)[:, None] % shared
        own_factor = factor == torch.arange(shared, device=random.device)
        loads = torch.where(single & ~own_factor, 0.0, loads)
        strength = random.log_uniform(*_STRENGTHS, 1, _OWN) * random.coin(0.5, 1, _OWN)
        own = random.normal(d, _OWN) * strength.sqrt()
        sides.append(torch.cat([loads, own.double()], -1))
    nats = random.log_uniform(_NATS[0], min(_NATS[1], _EACH * min(columns))).double()
    return Factors(*scaled_loadings(sides[0], sides[1], shared, nats), shared, masks)


def _strata(gates: torch.Size, generator: torch.Generator) -> Tensor:
    """Uniform numbers ``[B, R, gates]``, one in each stratum, and after them their opposites."""
    batch, count = gates
    shape = (batch, _PAIRS, count)
    order = torch.rand(shape, generator=generator, device=generator.device).argsort(1)
    u = torch.rand(shape, generator=generator, device=generator.device, dtype=torch.float64)
    u = (order + u) / _PAIRS
    return torch.cat([u, 1 - u], 1)
