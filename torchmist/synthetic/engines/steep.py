"""Steep: linear dependence of which some directions, that share most, vary least.

As :mod:`torchmist.synthetic.engines.spread`, but for the sizes: all directions are alike but a few,
which are 2 to 60 times smaller. Legend: ``B`` datasets, ``dx``, ``dy`` columns.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from torchmist.synthetic.engines.codes_random import Random
from torchmist.synthetic.engines.spread import Spread, SpreadParameters

__all__ = ["Steep"]

_LEAST, _MOST = 2.0, 60.0  # times smaller


class Steep(Spread):
    """Canonical Gaussian pairs, the first of which lie in small directions of one side or both."""

    name = "steep"

    def draw(self, batch: int, dx: int, dy: int, *, generator: torch.Generator) -> SpreadParameters:
        """Draw the parameters of ``batch`` distributions of ``dx`` and ``dy`` columns."""
        p = super().draw(batch, dx, dy, generator=generator)
        random = Random(batch, generator)
        scales = []
        for d in (dx, dy):
            few = 1 + (random.uniform(1, 1) ** 2 * min(dx, dy)).floor()
            small = torch.arange(d, device=random.device) < few
            used = random.coin(0.8, 1, 1) & small
            scales.append(torch.where(used, 1 / random.log_uniform(_LEAST, _MOST, 1, 1), 1.0))
        return replace(p, scales=(scales[0], scales[1]))
