"""What of a host's conversions a network does not follow: all of them, or those to other dtypes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from torchmist.models.network import QuantileNetwork
from torchmist.numerics.own_thread import apart

__all__ = ["Frozen", "keeping_dtype"]


class Frozen:
    """A network in eval mode without gradients, on whatever device it is asked for.

    It is no module, so that a host that keeps one holds it out of its ``parameters()``,
    ``state_dict()``, ``train()`` and ``half()``.

    Example:
        >>> from torchmist.functional import resolve_model
        >>> frozen = Frozen(resolve_model("mist-fast", torch.device("cpu")))
        >>> frozen.on(torch.device("cpu")).training
        False
    """

    def __init__(self, network: QuantileNetwork) -> None:
        network = network.eval().requires_grad_(False)
        self._on = {network.levels.device: network}

    def on(self, device: torch.device) -> QuantileNetwork:
        """The network on ``device``, where a copy of it stays."""
        found = self._on.get(device)
        if found is None:
            network = next(iter(self._on.values()))
            found = apart(lambda: copy.deepcopy(network).to(device))
            self._on[device] = found
        return found

    def __deepcopy__(self, memo: dict[int, Any]) -> Frozen:
        """Another holder of the same weights, as nothing can change them."""
        return Frozen(next(iter(self._on.values())))


def keeping_dtype(fn: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """What ``nn.Module._apply`` is called with, but for changes of dtype: devices are followed.

    Example:
        >>> weight = torch.ones(2)
        >>> keeping_dtype(lambda value: value.double())(weight).dtype
        torch.float32
    """

    def run(value: Tensor) -> Tensor:
        shown = fn(torch.empty((), dtype=value.dtype, device=value.device))
        return fn(value) if shown.dtype == value.dtype else value.to(shown.device)

    return run
