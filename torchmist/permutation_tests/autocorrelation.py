"""How long a series remembers.

Legend: ``T`` times, ``K`` lags.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from torchmist.checks import check_count

__all__ = ["block_length", "block_rows", "check_block", "spacing"]

_BLOCKS = 8  # fewest blocks of a permutation
_MEMORY = 2.0  # standard errors below which an autocorrelation counts as none


def block_length(x: Tensor, y: Tensor) -> int:
    """Rows of a block for series ``[T]``: twice as long as the longer of them remembers.

    A series remembers up to the last of its first lags whose autocorrelation of ranks is more than
    two standard errors from 0. At least the cube root of ``T``, at most an eighth of it.

    Example:
        >>> import torch
        >>> white = torch.randn(1000, generator=torch.Generator().manual_seed(0))
        >>> block_length(white, white.flip(0)) < block_length(white.cumsum(0), white)
        True
    """
    n = len(x)
    memory = max(_memory(_autocorrelation(side), n) for side in (x, y))
    return int(min(max(2 * memory, round(n ** (1 / 3)), 1), max(1, n // _BLOCKS)))


def block_rows(block: int | None, x: Tensor, y: Tensor, rows: int | None = None) -> int:
    """Rows of a block of series ``[T]``, of which ``rows``, all of ``x`` by default, are put in
    order; :func:`block_length` for None.

    Raises:
        ValueError: as :func:`check_block`.
    """
    return block_length(x, y) if block is None else check_block(block, rows or len(x))


def check_block(block: int, rows: int) -> int:
    """A block of a permutation of ``rows`` rows, as an int.

    Raises:
        ValueError: for a block of no rows, or of more than half of those.
    """
    block = check_count(block, "block", 1)
    if block > rows // 2:
        raise ValueError(
            f"expected block of at most {rows // 2} rows, half of the {rows} that are put in order "
            f"together, got {block}; take a smaller one"
        )
    return block


def _memory(correlation: NDArray[np.float64], n: int) -> int:
    """Lags from 1 on whose correlation is not within chance."""
    inside = np.abs(correlation[1:]) < _MEMORY / math.sqrt(n)
    return int(inside.argmax()) if inside.any() else len(correlation) - 1


def _autocorrelation(side: Tensor) -> NDArray[np.float64]:
    """Correlations ``[K]`` of the ranks of ``[T]`` with those ``0 .. K - 1`` times later."""
    ranks = np.unique(side.cpu().numpy(), return_inverse=True)[1].ravel().astype(np.float64)
    n, centred = len(ranks), ranks - ranks.mean()
    power = np.abs(np.fft.rfft(centred, 2 * n)) ** 2
    found = np.fft.irfft(power)[: max(2, n // 4)]
    out: NDArray[np.float64] = found / max(float(found[0]), 1e-12)
    return out


def spacing(x: Tensor, y: Tensor) -> int:
    """Every how many rows of both series ``[T]`` are worth one independent sample."""
    rx, ry = _autocorrelation(x), _autocorrelation(y)
    last = min(_memory(rx, len(x)), _memory(ry, len(y))) + 1
    inflation = 1 + 2 * float((rx[1:last] * ry[1:last]).sum())
    return max(1, math.ceil(inflation - 0.5))
