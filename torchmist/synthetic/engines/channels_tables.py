r"""Channels as tables: probabilities of the cells of one even grid, for source and noise.

Both are uniform inside a cell, so that their sum has a density that is linear between the nodes of
the grid, whose values are the convolution of both tables; atoms of a source, at nodes, add constant
pieces. All entropies are sums of closed forms: with a grid of unit step,

.. math:: I = h(s + e) - h(e), \qquad h(e) = -\sum_j b_j \log b_j, \qquad
          \int_0^1 p \log p = \frac{r^2 \log r - l^2 \log l}{2 (r - l)} - \frac{l + r}{4}

for a density that goes from l to r within a cell.

Legend: ``B`` datasets, ``T`` kinds of channels, ``G`` cells, ``N`` samples, ``C`` columns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from torchmist.synthetic.engines.channels_laws import Bank

__all__ = ["Tables", "channel_information", "linear_piece", "make_tables"]

_CELLS = 3072
_LEAST = 3.0  # cells in a unit of noise
_ROWS = 16  # channels at a time on a CPU: tables of these stay in its cache


@dataclass(frozen=True)
class Tables:
    """``source``, ``noise`` ``[B, T, G]`` float64: probabilities, from the lowest value on; the
    cells of the source that are ``atoms`` ``[B, T, G]``; ``step`` ``[B, T]`` of the grid, and the
    means of both, ``centres`` ``[B, T]`` each, in units of the source; ``scale`` ``[B, T]`` that
    gives the noisy copies unit size."""

    source: Tensor
    noise: Tensor
    atoms: Tensor
    step: Tensor
    centres: tuple[Tensor, Tensor]
    scale: Tensor

    def sample_source(self, start: int, end: int, n: int, generator: torch.Generator) -> Tensor:
        """Columns ``start`` to ``end`` of sources ``[B, N, C]`` float64; kinds take turns."""
        return self._sample(self.source, self.atoms, self.centres[0], (start, end), n, generator)

    def sample_noise(self, columns: int, n: int, generator: torch.Generator) -> Tensor:
        """As many columns of noise ``[B, N, C]`` float64; kinds take turns."""
        return self._sample(self.noise, None, self.centres[1], (0, columns), n, generator)

    def _sample(
        self,
        mass: Tensor,
        atoms: Tensor | None,
        centre: Tensor,
        columns: tuple[int, int],
        n: int,
        generator: torch.Generator,
    ) -> Tensor:
        batch, kinds, _ = mass.shape
        turn, width = columns[0] % kinds, columns[1] - columns[0]
        each = -(-width // kinds)
        below = mass.cumsum(-1)
        u = torch.rand(
            (batch, kinds, each * n), generator=generator, device=mass.device, dtype=torch.float64
        )
        u = u * below[..., -1:]
        cell = torch.searchsorted(below, u, right=True).clamp(max=mass.shape[-1] - 1)
        share = mass.gather(-1, cell)
        inside = ((u - below.gather(-1, cell)) / share.clamp(min=1e-300) + 1).clamp(0, 1)
        if atoms is not None:
            inside = inside.masked_fill(atoms.gather(-1, cell), 0)
        value = (cell + inside) * self.step[..., None] - centre[..., None]
        value = value.reshape(batch, kinds, each, n).roll(-turn, 1)
        return value.permute(0, 3, 2, 1).flatten(2)[..., :width]


def make_tables(
    sources: Bank,
    noises: Bank,
    laws: tuple[Tensor, Tensor],
    sigma: Tensor,
    levels: Tensor,
    zeros: Tensor,
) -> Tables:
    """Tables of channels.

    Args:
        sources: laws to choose from.
        noises: as above.
        laws: the numbers of both ``[B, T]``.
        sigma: unit of the noise over that of the source ``[B, T]``; it is raised where the grid
            does not resolve it.
        levels: values of rounded sources over their interval ``[B, T]``, 0 where not rounded.
        zeros: probability of one value ``[B, T]``, the lowest one of laws of even number and the
            middle of others.
    """
    width = sources.width[laws[0]], noises.width[laws[1]]
    sigma = torch.maximum(sigma.double(), _LEAST * width[0] / (_CELLS - _LEAST * width[1]))
    spread = sigma * width[1]
    step = (width[0] + spread) / (_CELLS - 4)
    node = torch.arange(_CELLS + 1, device=sigma.device, dtype=torch.float64)
    group = (width[0] / step / levels.clamp(min=1)).floor().clamp(min=1)
    group = torch.where(levels > 0, group, 1.0)[..., None]
    ends = (node / group).ceil() * group
    source = sources.at(laws[0], ends * (step / width[0])[..., None]).diff().clamp(min=0)
    noise = noises.at(laws[1], node * (step / spread)[..., None]).diff().clamp(min=0)
    mean = sources.mean[laws[0]] * width[0], noises.mean[laws[1]] * spread
    middle = mean[0] / step / group[..., 0]
    place = torch.where(laws[0] % 2 == 0, 0.0, middle).floor()[..., None]
    zero = (node[:-1] == place * group) & (zeros[..., None] > 0)
    source = source * (1 - zeros[..., None]) + zero * zeros[..., None]
    scale = (1 + sigma.square()).rsqrt()
    return Tables(source, noise, (levels > 0)[..., None] | zero, step, mean, scale)


def channel_information(tables: Tables) -> Tensor:
    """I of a source and its noisy copy in nats, ``[B, T]`` float64."""
    rows = [part.flatten(0, 1) for part in (tables.source, tables.noise, tables.atoms)]
    most = 128 * _ROWS if rows[0].is_cuda else _ROWS
    found = [_information(*part) for part in zip(*(values.split(most) for values in rows))]
    return torch.cat(found).reshape(tables.step.shape)


def _information(source: Tensor, noise: Tensor, atoms: Tensor) -> Tensor:
    """The same of rows ``[R, G]``."""
    parts = torch.stack([source.masked_fill(atoms, 0), source.masked_fill(~atoms, 0)])
    cells = source.shape[-1]
    smooth, steps = torch.fft.irfft(torch.fft.rfft(parts) * torch.fft.rfft(noise), n=cells)
    left, right = smooth.roll(1, -1) + steps, smooth + steps
    known = torch.xlogy(noise, noise).sum(-1)
    return known - linear_piece(left.clamp(min=0), right.clamp(min=0)).sum(-1)


def linear_piece(left: Tensor, right: Tensor) -> Tensor:
    """Integrals of p log p over cells in which p is linear; a series where it is nearly constant.

    The series is that of ``(1 + z) log(1 + z)`` with z uniform in -r to r; its next term is
    ``r^8 / 504``.
    """
    middle, half = (left + right) / 2, (right - left) / 2
    ratio = half / middle.clamp(min=1e-300)
    square = ratio.square()
    flat = torch.xlogy(middle, middle) + middle * square * (
        1 / 6 + square * (1 / 60 + square / 210)
    )
    steep = torch.xlogy(right.square(), right) - torch.xlogy(left.square(), left)
    near = square < 0.0025
    return torch.where(near, flat, steep / (4 * half).masked_fill(near, math.inf) - middle / 2)
