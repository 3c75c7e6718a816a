"""A pull that grows over the first calls of a training.

At the first steps a code says little of its task yet, and a term that pulls at its full weight can
take from it all that there is. Codes that are empty have nothing to come back by: the gradient of
the task through them is as small as they are. So the pull begins at a share of its weight and
grows along a line. What is scaled is the gradient that goes back to both sides; the value stays in
nats.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from torchmist.checks import check_count
from torchmist.numerics.own_thread import apart
from torchmist.samples.plain_tensors import transformed
from torchmist.terms.memory_bank import weighed

__all__ = ["Warmup"]


class Warmup(nn.Module):
    """Scales the gradient of the ``k``-th call by ``k / steps``, and by 1 from call ``steps`` on.

    The count is a buffer, ``calls``, so that a training goes on where its checkpoint left it; a
    state without it, as of a training that had no warm-up, leaves the count as it is. With 0 steps
    there is neither a buffer nor a change of anything.

    Args:
        steps: the calls over which the gradient grows.

    Raises:
        ValueError: unless ``steps`` is an int of at least 0.

    Example:
        >>> import torch
        >>> warmup, z = Warmup(4), torch.ones(2, requires_grad=True)
        >>> for _ in range(3):
        ...     (scaled,) = warmup(z)
        >>> torch.autograd.grad(scaled.sum(), z)[0]
        tensor([0.7500, 0.7500])
    """

    calls: Tensor

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = check_count(steps, "warmup", 0)
        if self.steps:
            self.register_buffer("calls", torch.zeros((), dtype=torch.long))

    def forward(self, *sides: Tensor) -> tuple[Tensor, ...]:
        """``sides`` as they are, with scaled gradients, and one call more; call it in training."""
        if not self.steps:
            return sides
        if any(map(transformed, sides)):
            apart(self._count)  # a transform of torch.func lets no buffer change
        else:
            self._count()
        share = self.calls.float() / self.steps
        return tuple(weighed(side, share.to(side.device)) for side in sides)

    def _count(self) -> None:
        """One call more, in place, so that a captured CUDA graph counts its replays; in a compiled
        graph as a new tensor, as its backward pass works out the share once more."""
        if torch.compiler.is_compiling():
            self.calls = (self.calls + 1).clamp(max=self.steps)
        else:
            self.calls.add_(1).clamp_(max=self.steps)

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *args: Any) -> None:
        if self.steps:
            state.setdefault(prefix + "calls", self.calls)
        super()._load_from_state_dict(state, prefix, *args)

    def extra_repr(self) -> str:
        return f"{self.steps}"
