"""Small tensors that follow from sizes alone, made once and kept while the sizes recur."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["constant", "keepable"]

_MOST, _LONGEST = 64, 2**16
_kept: dict[tuple[object, ...], Tensor] = {}


def keepable(like: Tensor) -> bool:
    """Whether what is computed beside ``like`` may be kept: plain tensors on CPU, run eagerly.

    Elsewhere keeping saves little, and must not reach into ``torch.compile``, fake tensors or the
    memory pools of CUDA graphs.
    """
    return (
        not torch.compiler.is_compiling()
        and like.device.type == "cpu"
        and type(like) in (Tensor, torch.nn.Parameter)
    )


def constant(make: Callable[..., Tensor], *sizes: float, like: Tensor) -> Tensor:
    """``make(*sizes, like=like)``: of numbers, and of the device and dtype of ``like``, alone.

    At most 64 tensors of at most 65,536 entries are kept. They must not be written to.
    """
    if not keepable(like):
        return make(*sizes, like=like)
    key = (make, *sizes, like.dtype)
    found = _kept.get(key)
    if found is None:
        with torch.inference_mode(False), torch.no_grad():
            found = make(*sizes, like=torch.empty(0, dtype=like.dtype))
        if len(_kept) >= _MOST:
            _kept.clear()
        if found.numel() <= _LONGEST:
            _kept[key] = found
    return found
