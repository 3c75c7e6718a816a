"""Every family that recipes can name, in one registry: the engines, and the general mixtures.

A family is anything whose ``sample`` draws datasets with their mutual information. A new one is a
file, and a line here or in :mod:`torchmist.synthetic.engines`; ``tests/test_families.py`` holds all
of them to the same promises.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch

from torchmist.synthetic.engines import ENGINES
from torchmist.synthetic.general import GeneralMeta
from torchmist.synthetic.general.strong import StrongMeta
from torchmist.synthetic.paper import Batch

__all__ = ["FAMILIES", "Registered", "Sampler"]


class Sampler(Protocol):
    """A law over joint distributions whose mutual information is known."""

    def sample(
        self, batch: int, n: int, dx: int, dy: int, /, *, generator: torch.Generator
    ) -> Batch:
        """Draw ``batch`` datasets of ``n`` rows with their MI in nats, on the generator's device.

        Everything drawn depends on the generator alone.

        Raises:
            ValueError: if a size is no integer of at least 1.
        """


@dataclass(frozen=True)
class Registered:
    """A family, and whether it is made for more columns than 64 a side: those that mix columns by
    dense matrices would take most of the time there."""

    sampler: Sampler
    wide: bool

    def sample(
        self, batch: int, n: int, dx: int, dy: int, /, *, generator: torch.Generator
    ) -> Batch:
        """See :meth:`Sampler.sample`."""
        return self.sampler.sample(batch, n, dx, dy, generator=generator)


_GAUSSIAN = {"gaussian": 0.6, "factors": 0.2, "student": 0.2}

FAMILIES: Mapping[str, Registered] = {
    "general": Registered(GeneralMeta(), wide=False),
    "gaussian": Registered(GeneralMeta(_GAUSSIAN, warped=0.0), wide=False),
    **{name: Registered(engine, wide=True) for name, engine in ENGINES.items()},
    "strong": Registered(StrongMeta(), wide=False),
}
"""Every family by its name; seeds of validation draws follow their order, so new ones come last."""
