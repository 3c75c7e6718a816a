"""Values that a transform hides, so that nothing can be decided by them."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["vmapped"]


def vmapped(seen: bool | None, on: Tensor) -> bool:
    """Whether ``torch.func.vmap`` hid what :func:`~torchmist.checks.visible` has ``seen``, None,
    of a tensor ``on`` a device: neither a compiled graph nor the capture of one did."""
    captured = on.is_cuda and torch.cuda.is_current_stream_capturing()
    return seen is None and not captured and not torch.compiler.is_compiling()
