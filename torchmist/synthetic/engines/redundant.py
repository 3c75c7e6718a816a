r"""Redundant: several latent numbers a side that share much, shown as many functions of them.

As :mod:`torchmist.synthetic.engines.expansions`, of 2 to 16 latent numbers, each of which shares
its part, and of functions of one kind on both sides as a rule: in few rows nothing but the
dimension of both sides tells that their columns, far more than there are numbers, repeat each
other. Legend: ``B`` datasets, ``k`` latent numbers.
"""

from __future__ import annotations

import torch

from torchmist.synthetic.engines.codes_random import Random
from torchmist.synthetic.engines.expansions import Expansions
from torchmist.synthetic.engines.lifts_pairs import PairParameters, pairs_of

__all__ = ["Redundant"]

_FEWEST, _MOST = 2, 16  # latent numbers, where there are as many columns
_LITTLE, _MUCH, _HIGHEST = 0.05, 1.2, 3.0  # nats of one of them
_UNLIKE = 0.6
_ALIKE = 0.7  # share of the calls with functions of one kind on both sides
_PLAIN, _PRODUCTS = 0.15, 1.7  # no sides without functions, and half of them with products


class Redundant(Expansions):
    """Expansions of more latent numbers, all of which share some information."""

    name = "redundant"

    def draw_latent(self, random: Random, most: int) -> PairParameters:
        """Random pairs of latent numbers, at most so many."""
        few, many = min(_FEWEST, most), min(_MOST, most)
        k = few + int(random.choices(1)[0] * (many - few + 1) * 0.999)
        each = random.log_uniform(_LITTLE, _MUCH, 1) * (_UNLIKE * random.normal(k)).exp()
        nats = each.double().clamp(max=_HIGHEST)
        return pairs_of(random, torch.sqrt(-torch.expm1(-2 * nats)))

    def draw_kind(self, random: Random, other: list[float] | None = None) -> list[float]:
        """Three numbers that choose the functions of a side: those of the ``other``, as a rule."""
        kind, order, turn, alike = random.choices(4)
        if other is not None and alike < _ALIKE:
            return other
        return [_PLAIN + (1 - _PLAIN) * kind**_PRODUCTS, order, turn]
