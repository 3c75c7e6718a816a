"""What every engine of the meta-distribution offers: parameters, samples, and their exact MI.

Legend: ``B`` datasets, ``N`` samples, ``dx``, ``dy`` columns.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

import torch
from torch import Tensor

from torchmist.synthetic.batch import Batch

__all__ = ["Family", "check_sizes"]

P = TypeVar("P")


def check_sizes(**sizes: int) -> None:
    """Raise ``ValueError`` unless every size is an integer of at least 1."""
    for name, value in sizes.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"expected {name} to be an integer >= 1, got {value!r}")


class Family(ABC, Generic[P]):
    """A law over joint distributions of columns X and Y whose mutual information is known.

    ``P`` is the family's frozen dataclass of parameters, batched over datasets, whose tensors live
    on the generator's device. Everything drawn depends on the generator alone.
    """

    name: str

    @abstractmethod
    def draw(self, batch: int, dx: int, dy: int, *, generator: torch.Generator) -> P:
        """Draw the parameters of ``batch`` distributions of ``dx`` and ``dy`` columns."""

    @abstractmethod
    def sample_from(
        self, parameters: P, n: int, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw ``n`` rows of each distribution: X ``[B, N, dx]`` and Y ``[B, N, dy]``, float32."""

    @abstractmethod
    def information(self, parameters: P, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return I(X;Y) in nats and its standard error, both ``[B]`` float64.

        The error is 0 where the value is a closed form, and that of the mean where it is a Monte
        Carlo mean.
        """

    def sample(self, batch: int, n: int, dx: int, dy: int, *, generator: torch.Generator) -> Batch:
        """Draw ``batch`` datasets of ``n`` rows with their MI in nats, on the generator's device.

        Raises:
            ValueError: if a size is no integer of at least 1.
        """
        check_sizes(batch=batch, n=n, dx=dx, dy=dy)
        parameters = self.draw(batch, dx, dy, generator=generator)
        x, y = self.sample_from(parameters, n, generator=generator)
        mi, error = self.information(parameters, generator=generator)
        family = torch.zeros(batch, dtype=torch.int64, device=x.device)
        return Batch(x, y, mi.clamp(min=0).float(), family, error.float())
