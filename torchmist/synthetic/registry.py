"""Every family that recipes can name, in one registry: the engines, and the general mixtures.

A family is anything whose ``sample`` draws datasets with their mutual information; some also draw
pairs of datasets, the second moved a little. A new one is a file, and a line here or in
:mod:`torchmist.synthetic.engines`; ``tests/test_families.py`` holds all of them to the same
promises.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch

from torchmist.synthetic.batch import Batch
from torchmist.synthetic.engines import ENGINES
from torchmist.synthetic.general import GeneralMeta
from torchmist.synthetic.general.moved import sample_moved
from torchmist.synthetic.general.papers import PaperPairs
from torchmist.synthetic.general.strong import StrongMeta

__all__ = ["FAMILIES", "MovedSampler", "Registered", "Sampler"]


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


class MovedSampler(Protocol):
    """Draws datasets of a family, and the same datasets moved a little."""

    def __call__(
        self, batch: int, n: int, dx: int, dy: int, /, *, generator: torch.Generator
    ) -> tuple[Batch, Batch]:
        """Draw ``batch`` datasets before and after; both share ``y`` and all randomness."""


@dataclass(frozen=True)
class Registered:
    """A family, and what can be asked of it.

    ``wide``: whether it is made for more columns than 64 a side; those that mix columns by dense
    matrices would take most of the time there. ``moved``: draws pairs of its datasets, the second
    moved a little; None where it has none.
    """

    sampler: Sampler
    wide: bool
    moved: MovedSampler | None = None

    def sample(
        self, batch: int, n: int, dx: int, dy: int, /, *, generator: torch.Generator
    ) -> Batch:
        """See :meth:`Sampler.sample`."""
        return self.sampler.sample(batch, n, dx, dy, generator=generator)

    def sample_moved(
        self, batch: int, n: int, dx: int, dy: int, /, *, generator: torch.Generator
    ) -> tuple[Batch, Batch]:
        """See :class:`MovedSampler`.

        Raises:
            ValueError: if the family has no moved pairs.
        """
        if self.moved is None:
            raise ValueError(
                f"expected a family with moved pairs, such as 'general', got one of "
                f"{type(self.sampler).__name__}"
            )
        return self.moved(batch, n, dx, dy, generator=generator)


_GAUSSIAN = {"gaussian": 0.6, "factors": 0.2, "student": 0.2}

FAMILIES: Mapping[str, Registered] = {
    "general": Registered(GeneralMeta(), wide=False, moved=sample_moved),
    "gaussian": Registered(GeneralMeta(_GAUSSIAN, warped=0.0), wide=False),
    **{name: Registered(engine, wide=True) for name, engine in ENGINES.items()},
    "strong": Registered(StrongMeta(), wide=False),
    "papers": Registered(PaperPairs(), wide=False),
}
"""Every family by its name; seeds of validation draws follow their order, so new ones come last."""
