"""A queue of recent samples beside the mini-batch.

An estimate from a batch of 32 is noisy and biased; with the last thousand samples beside it, it is
that of a sample of a thousand. They are detached: the gradient reaches the batch alone, and is
multiplied by ``(N + M) / N``, so that it is, in the mean, the gradient that the whole sample would
have if all of it came from the encoder of now. It holds as long as the encoder moves little while
the queue turns over (M / N steps).

Legend: ``N`` samples of the batch, ``M`` of the queue.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchmist.checks import check_count

__all__ = ["Memory", "weighed"]


class _Scaled(torch.autograd.Function):
    """The identity; its gradient is multiplied by ``factor``."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return ctx.factor * grad, None


def weighed(value: Tensor, factor: float) -> Tensor:
    """``value``, whose gradient is multiplied by ``factor``."""
    if factor == 1 or not value.requires_grad:
        return value
    out: Tensor = _Scaled.apply(value, factor)  # type: ignore[no-untyped-call]
    return out


class Memory:
    """The last ``size`` samples of both sides, in the order in which they came.

    It is no part of a ``state_dict``: after a restart it fills within ``size / N`` steps. Samples
    of other columns, types or devices than those before empty it first.

    Args:
        size: the most samples that are kept; 0 keeps none.

    Example:
        >>> import torch
        >>> memory = Memory(100)
        >>> memory.keep(torch.zeros(64, 2), torch.zeros(64, dtype=torch.long))
        >>> z, y = memory.beside(torch.ones(32, 2), torch.ones(32, dtype=torch.long))
        >>> len(z), len(memory)
        (96, 64)
    """

    def __init__(self, size: int) -> None:
        self.size = check_count(size, "memory", 0)
        self._held: tuple[Tensor, Tensor] | None = None

    def __len__(self) -> int:
        return 0 if self._held is None else len(self._held[0])

    def clear(self) -> None:
        """Forget all samples, as where the data or the encoder is exchanged."""
        self._held = None

    def beside(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """``z`` and ``y`` ``[N, ...]`` followed by what is held of each, ``[N + M, ...]``."""
        held = self.held(z, y)
        if held is None or not len(z):
            return z, y
        return torch.cat([z, held[0]]), torch.cat([y, held[1]])

    @torch.no_grad()
    def keep(self, z: Tensor, y: Tensor) -> None:
        """Add the samples of a batch, and drop the oldest."""
        if not self.size:
            return
        held = self.held(z, y)
        pair = (z.detach().clone(), y.detach().clone())
        if held is not None:
            pair = (torch.cat([held[0], pair[0]]), torch.cat([held[1], pair[1]]))
        self._held = (pair[0][-self.size :], pair[1][-self.size :])

    def held(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor] | None:
        """What is held, if it can stand beside ``z`` and ``y``."""
        if self._held is None:
            return None
        for own, kept in zip((z, y), self._held):
            if (own.shape[1:], own.dtype, own.device) != (kept.shape[1:], kept.dtype, kept.device):
                return None
        return self._held
