"""A frozen network's value on a graph of its own, which a backward pass need not go through.

The engine of autograd visits all that a value was computed by, even where no gradient is to pass,
and a term that is subtracted asks for none of its network's. So the network reads detached sides,
and a written gradient runs its backward pass where it is asked for.

Legend: ``B`` datasets, ``N`` samples, ``d`` columns.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch import Tensor
from torch.autograd.graph import disable_saved_tensors_hooks

from torchmist.numerics.cache import keepable

__all__ = ["OwnGraph", "Reader", "own_graph"]

Reader = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Of ``[B, N, dx]`` and ``[B, N, dy]``: a value ``[B]``, and quantiles behind it."""

_PATIENCE, _MOST = 2, 64
_unasked: dict[tuple[torch.Size, torch.Size], int] = {}
"""For sides of such sizes, how many backward passes in a row did without the gradient."""


class OwnGraph:
    """What ``read`` says of both sides: ``value`` and ``quantiles``, detached, and the gradient of
    the value when it is asked for.

    After two backward passes that did not ask, the graph is built in those alone that do; then it
    takes a second forward pass.
    """

    def __init__(self, read: Reader, leaves: tuple[Tensor, Tensor]) -> None:
        self._read, self._leaves = read, leaves
        self._sizes = leaves[0].shape, leaves[1].shape
        build = _unasked.get(self._sizes, 0) < _PATIENCE
        with nullcontext() if build else torch.no_grad():
            value, quantiles = read(*leaves)
        self.value, self.quantiles = value.detach(), quantiles.detach()
        self._built = value if build else None

    def unasked(self) -> None:
        """Note a backward pass that does without the gradient, and let go of the graph."""
        self._built = None
        if len(_unasked) >= _MOST:
            _unasked.clear()
        _unasked[self._sizes] = _unasked.get(self._sizes, 0) + 1

    def gradients(self, grad: Tensor, *, hidden: bool = False) -> list[Tensor | None]:
        """Those in both sides, None in one without, of the value times ``grad`` ``[B]``;
        ``hidden``: whether that stands for several in the vmap of ``is_grads_batched``."""
        _unasked.pop(self._sizes, None)
        value, self._built = self._built, None  # a graph is used up by one pass
        if value is None:
            with torch.enable_grad():
                value, _ = self._read(*self._leaves)
        if hidden:  # where torch refuses the other way
            named = [leaf for leaf in self._leaves if leaf.requires_grad]
            each = iter(torch.autograd.grad(value, named, grad, allow_unused=True))
            return [next(each) if leaf.requires_grad else None for leaf in self._leaves]
        value.backward(grad)  # to name the leaves would cost a look at all of the graph
        found = [leaf.grad for leaf in self._leaves]
        for leaf in self._leaves:
            leaf.grad = None
        return found


def own_graph(read: Reader, x: Tensor, y: Tensor) -> OwnGraph | None:
    """The :class:`OwnGraph` of plain float32 sides ``[B, N, d]`` on a CPU, run eagerly; None
    elsewhere, where it saves less, or transforms and checkpoints must see what is computed."""
    if not (keepable(x) and keepable(y) and x.dtype == y.dtype == torch.float32) or _hooked():
        return None
    try:
        leaves = [side.detach().requires_grad_(side.requires_grad) for side in (x, y)]
    except RuntimeError:  # a transform of torch.func
        return None
    return OwnGraph(read, (leaves[0], leaves[1]))


def _hooked() -> bool:
    """Whether hooks take what graphs save: those of checkpoints count it and compute it anew."""
    try:
        with disable_saved_tensors_hooks("asked whether there are any"):
            return False
    except RuntimeError:
        return True
