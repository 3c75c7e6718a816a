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

from torchmist.checks import check_count, visible, warn_once
from torchmist.numerics.vmapped import vmapped
from torchmist.samples.plain_tensors import transformed

__all__ = ["Memory", "weighed"]

_LOOK = 16  # rows of a batch that are looked for among those kept
_SAME = 0.5  # share of them, above which they are the same rows again


class _Scaled(torch.autograd.Function):
    """The identity; its gradient is multiplied by ``factor``."""

    generate_vmap_rule = True

    @staticmethod
    def forward(value: Tensor, factor: float | Tensor) -> Tensor:
        return value.view_as(value)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.number = None if isinstance(inputs[1], Tensor) else inputs[1]
        if ctx.number is None:
            ctx.save_for_backward(inputs[1])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        factor = ctx.saved_tensors[0] if ctx.number is None else ctx.number
        return factor * grad, None


def weighed(value: Tensor, factor: float | Tensor) -> Tensor:
    """``value``, whose gradient is multiplied by ``factor``, a number or a 0-dim tensor."""
    if not value.requires_grad or (not isinstance(factor, Tensor) and factor == 1):
        return value
    out: Tensor = _Scaled.apply(value, factor)  # type: ignore[no-untyped-call]
    return out


class Memory:
    """The last ``size`` samples of both sides, in the order in which they came.

    It is no part of a ``state_dict``: after a restart it fills within ``size / N`` steps. Samples
    of other columns, types or devices than those before empty it first. The same rows twice look
    like dependence: where numbers ``y`` of a batch are kept already, a warning says so.

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
        self._kept: tuple[Tensor, Tensor] | None = None
        self._calls = 0  # that found samples of before

    def __len__(self) -> int:
        return 0 if self._kept is None else len(self._kept[0])

    def clear(self) -> None:
        """Forget all samples, as where the data or the encoder is exchanged."""
        self._kept = None

    def beside(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """``z`` and ``y`` ``[N, ...]`` followed by what is kept of each, ``[N + M, ...]``."""
        kept = self.kept(z, y)
        if kept is None or not len(z):
            return z, y
        if not torch.compiler.is_compiling():
            self._look_for(y, kept[1])
        return torch.cat([z, kept[0]]), torch.cat([y, kept[1]])

    @torch.no_grad()
    def _look_for(self, y: Tensor, kept: Tensor) -> None:
        """Warn of a batch that is kept already, by its numbers; looked for at the calls 1, 2, 4,
        8 and so on."""
        self._calls += 1
        if self._calls & (self._calls - 1) or len(y) < _LOOK or not y.is_floating_point():
            return
        some = y[:_LOOK].reshape(_LOOK, 1, -1)
        within, before = ((some == v.reshape(len(v), -1)).all(-1) for v in (y, kept))
        alone = (within.sum(1) == 1).all()  # numbers that repeat by themselves show nothing
        if visible(alone & (before.any(1).float().mean() > _SAME)):
            warn_once(
                "torchmist: most rows of y in this batch stand in the memory already, and the same "
                "rows at several stages of an encoder look like dependence: take memory= smaller "
                "than the data, by several batches"
            )

    @torch.no_grad()
    def keep(self, z: Tensor, y: Tensor) -> None:
        """Add the samples of a batch, and drop the oldest.

        Raises:
            RuntimeError: under ``torch.func.vmap``, after which they are no batch.
        """
        if not self.size:
            return
        if any(transformed(side) and vmapped(visible(side.any()), side) for side in (z, y)):
            raise RuntimeError(
                "expected memory= and every= outside of torch.func.vmap, got values that it hides; "
                "call .eval() of the term, or loop over the datasets"
            )
        kept = self.kept(z, y)
        pair = (z.detach().clone(), y.detach().clone())
        if kept is not None:
            pair = (torch.cat([kept[0], pair[0]]), torch.cat([kept[1], pair[1]]))
        self._kept = (pair[0][-self.size :], pair[1][-self.size :])

    def kept(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor] | None:
        """What is kept, if it can stand beside ``z`` and ``y``."""
        if self._kept is None:
            return None
        for own, old in zip((z, y), self._kept):
            if (own.shape[1:], own.dtype, own.device) != (old.shape[1:], old.dtype, old.device):
                return None
        return self._kept
