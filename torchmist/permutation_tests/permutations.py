"""Permutations within groups of rows, and p-values from as few of them as it takes.

Legend: ``N`` rows, ``B`` blocks of ``m`` rows, ``q`` columns, ``P`` permutations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = [
    "near_order", "permutation_p_value", "sequential_p_value", "shuffled", "shuffled_blocks",
]  # fmt: skip

Value = TypeVar("Value", float, NDArray[np.float64])
_ROUNDING = 1e-3  # share of a score by which single precision may move it: of one order in batches
# of different sizes up to 1e-4


def near_order(rows: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Rows ``[N, q]`` in an order in which near ones stand together, and their cells, both ``[N]``.

    The rows are halved at the median of their widest column, and so are the halves, until no part
    has more than ``size`` rows. The cell of the ``i``-th row of the order is ``cell[i]``, from 0.
    """
    order = torch.arange(len(rows), device=rows.device)
    waiting, done = [order], []
    while waiting:
        part = waiting.pop()
        if len(part) <= size:
            done.append(part)
            continue
        values = rows[part]
        widest = int((values.amax(0) - values.amin(0)).argmax())
        part = part[values[:, widest].argsort(stable=True)]
        half = len(part) // 2
        waiting += [part[half:], part[:half]]
    sizes = torch.tensor([len(part) for part in done], device=rows.device)
    return torch.cat(done), torch.arange(len(done), device=rows.device).repeat_interleave(sizes)


def shuffled(groups: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """``count`` random orders ``[P, B, m]`` that move rows within ``groups`` ``[B, m]`` only.

    Drawn on the CPU, uniformly and independently of each other.
    """
    home = groups.cpu().argsort(dim=-1, stable=True)
    draw = torch.rand(count, *groups.shape, generator=generator, dtype=torch.float64, device="cpu")
    code = groups.cpu().unique(return_inverse=True)[1].double()
    there = (code + draw).argsort(-1)
    orders = torch.empty_like(there).scatter_(-1, home.expand_as(there), there)
    return orders.to(groups.device)


def shuffled_blocks(groups: Tensor, size: int, count: int, generator: torch.Generator) -> Tensor:
    """``count`` random orders ``[P, B, m]`` that keep ``size`` consecutive rows together.

    The rows of each of the ``B`` blocks, all in one group (``groups`` ``[B, m]`` is read for its
    shape alone), are a ring, which is cut at a random place, and so are the ends of what is kept
    together. Of a series, ``B`` is 1.
    """
    m = groups.shape[1]
    place = torch.arange(m, device="cpu") // size
    keys = torch.rand(
        count,
        len(groups),
        int(place[-1]) + 1,
        generator=generator,
        device="cpu",
        dtype=torch.float32,
    )
    order: Tensor = keys[..., place].argsort(dim=-1, stable=True)
    start = torch.randint(m, (count, len(groups), 1), generator=generator, device="cpu")
    return ((order + start) % m).to(groups.device)


def permutation_p_value(observed: Value, scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """P-values ``(1 + #{>=}) / (1 + P)`` of all permutations, one for each score of the data.

    Scores that differ from that of the data by rounding alone count as equal to it.

    Args:
        observed: scores of the data, of any shape.
        scores: those of permuted data, ``[P, ...]``.
    """
    reached = scores >= _least(observed)
    return np.asarray((1 + reached.sum(0)) / (1 + len(scores)))


def _least(observed: Value) -> Value:
    """The least score that counts as that of the data."""
    return observed - _ROUNDING * abs(observed)


def sequential_p_value(
    observed: float, draw: Callable[[int], Tensor], permutations: int, stop: int | None, chunk: int
) -> tuple[float, int]:
    """The p-value of a permutation test, and how many permutations were drawn.

    Scores that differ from that of the data by rounding alone count as equal to it: few rows come
    in the order of the data now and then, and labels in orders that make the same table.

    Stops at the ``stop``-th permutation whose score is at least that of the data, with
    ``p = stop / drawn``; else ``p = (1 + exceeding) / (1 + permutations)``. Both are exact, as the
    stopping rule is one of the binomial sequence (Besag and Clifford 1991).

    Args:
        observed: the score of the data.
        draw: gives that many scores of permuted data.
        permutations: the most that are drawn.
        stop: exceeding ones after which to stop; None: never.
        chunk: how many are drawn at once.
    """
    exceeding, drawn, least = 0, 0, _least(observed)
    while drawn < permutations:
        scores = draw(min(chunk, permutations - drawn))
        over = (scores >= least).cpu()
        if stop is not None and exceeding + int(over.sum()) >= stop:
            last = int((over.cumsum(0) >= stop - exceeding).nonzero()[0])
            return stop / (drawn + last + 1), drawn + last + 1
        exceeding += int(over.sum())
        drawn += len(scores)
    return (1 + exceeding) / (1 + permutations), drawn
