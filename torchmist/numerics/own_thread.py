"""What is made once and kept is made where no mode of the first caller reaches."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["apart"]

Made = TypeVar("Made")


def apart(make: Callable[[], Made]) -> Made:
    """``make()``, called in a thread of its own and waited for.

    Inference mode, default devices and the transforms of ``torch.func`` hold in the thread that
    enters them: weights that were loaded within them could not be used outside of them.
    """
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(make).result()
