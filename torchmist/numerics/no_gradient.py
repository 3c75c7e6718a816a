"""Blocks that no gradient passes through."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

__all__ = ["no_gradient"]


def no_gradient() -> AbstractContextManager[None]:
    """``torch.no_grad`` where gradients are on, nothing where they are off already.

    So the graph of a frozen network has no switches of the mode: ``torch.export`` makes a module
    of every block between two of them, which took more than half of its time.
    """
    return torch.no_grad() if torch.is_grad_enabled() else nullcontext()
