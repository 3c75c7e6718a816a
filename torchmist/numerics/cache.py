"""Small tensors that follow from sizes alone, made once and kept while the sizes recur.

Making them anew, the network takes 14 % more time at 256 samples of 8 + 8 columns on one thread, a
term with its gradient 9 %, ``estimate`` 6 %, and at 5,000 samples of 32 + 32 nothing measurable
(``python -m benchmarks.tricks``, medians of 5 to 16 paired calls on a busy machine,
``benchmarks/results/tricks.csv``).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["cached", "keepable"]

_MOST, _LONGEST = 64, 2**16
_kept: dict[tuple[object, ...], Tensor] = {}
_graphed: dict[tuple[object, ...], Tensor] = {}


def keepable(like: Tensor) -> bool:
    """Whether what is computed beside ``like`` may be kept: plain tensors on CPU, run eagerly.

    Elsewhere keeping saves little, and must not reach into ``torch.compile`` or fake tensors.
    """
    return like.device.type == "cpu" and _eager(like)


def _eager(like: Tensor) -> bool:
    return not torch.compiler.is_compiling() and type(like) in (Tensor, torch.nn.Parameter)


def cached(make: Callable[..., Tensor], *sizes: float, like: Tensor) -> Tensor:
    """``make(*sizes, like=like)``: of numbers, and of the device and dtype of ``like``, alone.

    At most 64 tensors of at most 65,536 entries are kept, on CPU and CUDA devices, beside those
    that a CUDA graph has read: it will read them again. They must not be written to.
    """
    device = like.device
    if device.type not in ("cpu", "cuda") or not _eager(like):
        return make(*sizes, like=like)
    captured = device.type == "cuda" and torch.cuda.is_current_stream_capturing()
    key = (make, *sizes, like.dtype, device)
    found = _kept.get(key)
    if found is None:
        found = _graphed.get(key)
    if found is None:
        with torch.inference_mode(False), torch.no_grad():
            found = make(*sizes, like=torch.empty(0, dtype=like.dtype, device=device))
        if captured:  # its memory is the graph's
            return found
        if device.type == "cuda":
            torch.cuda.current_stream(device).synchronize()  # other streams may read it
        if len(_kept) >= _MOST:
            _kept.clear()
        if found.numel() <= _LONGEST:
            _kept[key] = found
    if captured:
        _graphed[key] = found
    return found
