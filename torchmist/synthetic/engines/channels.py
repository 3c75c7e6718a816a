r"""Channels: noisy channels of one number each, side by side, with sources and noise of any laws.

.. math:: y_i = s_i + \sigma_i e_i, \qquad I(X;Y) = \sum_i h(s_i + \sigma_i e_i) - h(\sigma_i e_i)

X shows the sources, of any shape, some rounded or with a value that repeats, and Y their noisy
copies: sensors, instruments, quantisers. Channels are alike or of several kinds. Other columns
have the same laws and are of one side alone, or echo columns of their own side
(``channels_columns``). Laws are tables, of which all entropies are sums (``channels_tables``).

Legend: ``B`` datasets, ``N`` samples, ``T`` kinds of channels, ``dx``, ``dy`` columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from torchmist.synthetic.engines.channels_columns import Side, draw_side
from torchmist.synthetic.engines.channels_laws import NOISES, SOURCES, draw_bank
from torchmist.synthetic.engines.channels_tables import Tables, channel_information, make_tables
from torchmist.synthetic.engines.codes_random import Random
from torchmist.synthetic.engines.family import Family, check_sizes

__all__ = ["ChannelParameters", "Channels"]

_KINDS = 4
_TOTAL = (0.02, 20.0)  # nats of all channels, about
_EACH = (0.002, 4.5)  # of one
_ROUNDED, _ZEROS = 0.12, 0.1
_INDEPENDENT = 0.1


@dataclass(frozen=True)
class ChannelParameters:
    """``tables`` of the kinds, how many ``channels`` both sides show, the ``sides`` of the sources
    and of the copies; datasets that are ``independent`` ``[B]``; ``swapped``: X and Y change places
    once sampled."""

    tables: Tables
    channels: int
    sides: tuple[Side, Side]
    independent: Tensor
    swapped: bool


class Channels(Family[ChannelParameters]):
    """Sources and noisy copies of them, in any number of columns.

    The number of channels and of their kinds is shared by a call: all columns in half of the calls,
    and one kind in four of ten. A tenth of the datasets are independent.
    """

    name = "channels"

    def draw(
        self, batch: int, dx: int, dy: int, *, generator: torch.Generator
    ) -> ChannelParameters:
        """Draw the parameters of ``batch`` distributions of ``dx`` and ``dy`` columns."""
        check_sizes(batch=batch, dx=dx, dy=dy)
        random = Random(batch, generator)
        u = random.choices(5)
        swapped = u[0] < 0.5
        if swapped:
            dx, dy = dy, dx
        most = min(dx, dy)
        channels = most if u[1] < 0.5 else 1 + int(u[2] * most)
        kinds = 1 if u[3] < 0.4 else min(channels, 2 + int(u[4] * (_KINDS - 1)))
        tables = _draw_tables(random, channels, kinds)
        plain = ~tables.atoms.flatten(1).any(-1)
        sides = (
            draw_side(random, channels, dx, plain),
            draw_side(random, channels, dy, torch.ones_like(plain)),
        )
        independent = random.coin(_INDEPENDENT)
        return ChannelParameters(tables, channels, sides, independent, swapped)

    def sample_from(
        self, parameters: ChannelParameters, n: int, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw ``n`` rows of each distribution: X ``[B, N, dx]`` and Y ``[B, N, dy]``, float32."""
        p, tables = parameters, parameters.tables
        dx, dy = (len(side.order) for side in p.sides)
        x = tables.sample_source(0, dx, n, generator)
        sent = x[..., : p.channels]
        order = torch.randperm(n, generator=generator, device=x.device)
        sent = torch.where(p.independent[:, None, None], sent[:, order], sent)
        if dy > p.channels:
            sent = torch.cat([sent, tables.sample_source(p.channels, dy, n, generator)], -1)
        kind = torch.arange(dy, device=x.device) % tables.scale.shape[1]
        y = (sent + tables.sample_noise(dy, n, generator)) * tables.scale[:, None, kind]
        x, y = (side(z.float(), generator) for side, z in zip(p.sides, (x, y)))
        return (y, x) if p.swapped else (x, y)

    def information(
        self, parameters: ChannelParameters, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return I(X;Y) in nats and its standard error, which is 0, both ``[B]`` float64."""
        p = parameters
        kinds = p.tables.step.shape[1]
        each = channel_information(p.tables)
        mi = (each * _counts(p.channels, kinds, each.device)).sum(-1)
        mi = mi.masked_fill(p.independent, 0)
        return mi, torch.zeros_like(mi)


def _counts(channels: int, kinds: int, device: torch.device) -> Tensor:
    """How many channels are of each kind ``[T]``, where the kinds take turns."""
    first = torch.arange(kinds, device=device)
    return (channels - first + kinds - 1) // kinds


def _draw_tables(random: Random, channels: int, kinds: int) -> Tables:
    """Random channels.

    The kinds of a dataset have one law of sources, one of noise, and one level in half of the
    datasets each. Noise is set as if all laws were normal.
    """
    banks = draw_bank(random, SOURCES), draw_bank(random, NOISES)
    laws = []
    for bank in banks:
        law = bank.choose(random, kinds)
        laws.append(torch.where(random.coin(0.5, 1), law[:, :1], law))
    weight = random.log_uniform(0.1, 10.0, kinds)
    weight = torch.where(random.coin(0.5, 1), 1.0, weight)
    low, high = _TOTAL
    total = random.log_uniform(low, min(high, _EACH[1] * channels), 1)
    counts = _counts(channels, kinds, random.device)
    nats = total * weight / (weight * counts).sum(-1, keepdim=True)
    sigma = torch.expm1(2 * nats.double().clamp(*_EACH)).rsqrt()
    alike = random.coin(0.5, 1)
    rounded = torch.where(alike, random.coin(_ROUNDED, 1), random.coin(_ROUNDED, kinds))
    levels = random.log_uniform(2.0, 64.0, kinds).floor() * rounded
    repeated = torch.where(alike, random.coin(_ZEROS, 1), random.coin(_ZEROS, kinds))
    zeros = random.log_uniform(0.03, 0.7, kinds) * repeated
    return make_tables(*banks, (laws[0], laws[1]), sigma, levels.double(), zeros.double())
