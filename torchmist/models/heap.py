"""Memory of the C library that large estimates on CPU use again, instead of asking anew."""

from __future__ import annotations

import functools

import torch

__all__ = ["keep_heap"]

_LARGEST = 2**25 - 2**20


@functools.cache
def keep_heap() -> None:
    """Let the C library keep up to 64 MiB of freed memory, once in a process; microseconds.

    glibc returns large blocks to the system as they are freed, and the next call pays for every
    page of them again: 5,000 page faults, two thirds more time, for 5,000 samples of 64 columns.
    It adapts to what a program frees: blocks up to the largest one freed so far stay, up to
    twice that in all, for blocks up to 32 MiB (mallopt(3), ``M_MMAP_THRESHOLD``). Freeing one of
    nearly that size, whose pages are never touched, says so ahead. Elsewhere it does nothing.
    """
    torch.empty(_LARGEST, dtype=torch.uint8)
