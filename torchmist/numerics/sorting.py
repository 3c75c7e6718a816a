"""Sorts of the columns of a sample on a CPU, faster than those of torch on few threads.

NumPy sorts several times as fast as torch where it has AVX-512. On one thread, 5,000 samples of
32 + 32 columns, the network takes 14 % more time with torch's sort, a term with its gradient 13 %
and ``estimate`` 7 %; with NumPy's argsort in place of integer keys the network takes 9 % more. At
256 samples of 8 + 8 columns neither is measurable (``python -m benchmarks.tricks``, medians of 5 to
16 paired calls on a busy machine, ``benchmarks/results/tricks.csv``).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchmist.checks import visible

__all__ = ["counts_within", "lexical_order", "smallest", "sort_columns", "sorted_values",
           "tie_groups"]  # fmt: skip

_FEW_THREADS = 4
_FEW = 0.05  # share of the samples that tie
_LARGE = 2**13
_AT_ONCE = 2**17  # values that are copied and sorted at a time
_SHORT = 128  # values that NumPy sorts at once
_MAGNITUDE = 2**31 - 1


def sort_columns(columns: Tensor) -> tuple[Tensor, Tensor]:
    """Values ``[..., N]`` sorted along the last axis, and their places, with ties in any order."""
    array = _array(columns)
    if array is not None:
        if columns.dtype == torch.float32 and columns.numel() >= _LARGE:
            return _sort_keys(columns.detach())
        order = torch.from_numpy(np.argsort(array, axis=-1))
        return columns.gather(-1, order), order
    ordered, order = columns.sort(-1)
    return ordered, order


def sorted_values(columns: Tensor) -> Tensor:
    """Values ``[..., N]`` sorted along the last axis, without gradient."""
    array = _array(columns)
    return columns.detach().sort(-1).values if array is None else torch.from_numpy(np.sort(array))


def smallest(values: Tensor, count: int) -> Tensor:
    """The least ``count`` values of the last axis of ``[..., N]``, ``[..., count]``, in rising
    order, without gradient."""
    array = _array(values)
    if array is None or values.dtype != torch.float32:
        return values.detach().topk(count, largest=False).values
    n = values.shape[-1]
    rows = array.reshape(-1, n)
    found = np.empty((len(rows), min(count, n)), dtype=array.dtype)
    size = max(1, _AT_ONCE // n)
    for start in range(0, len(rows), size):
        found[start : start + size] = _smallest_of(rows[start : start + size], count)
    return torch.from_numpy(found.reshape(*array.shape[:-1], -1))


def _smallest_of(rows: NDArray[Any], count: int) -> NDArray[Any]:
    """See :func:`smallest`; of so few ``rows`` ``[R, N]`` that a cache holds a copy of them."""
    n = rows.shape[-1]
    parts = max(1, min(-(-n // _SHORT), n // (2 * count)))
    body = rows[:, : n - n % parts].reshape(-1, parts, n // parts)
    found = np.sort(body, axis=-1)
    if parts > 1:  # short parts are sorted much faster than whole rows
        least = found[..., :count].reshape(len(rows), -1)
        found = np.sort(np.concatenate([least, rows[:, n - n % parts :]], axis=-1), axis=-1)
    return found.reshape(len(rows), -1)[:, :count]


def lexical_order(first: Tensor, second: Tensor) -> Tensor:
    """Places ``[..., N]`` in the order of the first and, where it ties, of the second; those that
    tie in both in any order."""
    single = first.dtype == second.dtype == torch.float32
    if single and _array(first) is not None and _array(second) is not None:
        high, low = (_as_ordered((side.detach() + 0.0).view(torch.int32)).to(torch.int64)
                     for side in (first, second))  # fmt: skip
        keys = high.bitwise_left_shift_(32).add_(low)
        return torch.from_numpy(np.argsort(keys.numpy(), axis=-1))
    order = second.argsort(-1)
    return order.gather(-1, first.gather(-1, order).argsort(dim=-1, stable=True))


def counts_within(columns: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """How many values of each column ``[P, N]`` lie from ``low`` to ``high``, both ``[P, N]`` and
    counted, for each of them."""
    n = columns.shape[-1]
    if columns.dtype == torch.float32 and columns.numel() >= _LARGE:
        ends = torch.cat([low, columns, high], -1).detach()
        if _array(ends) is not None:
            # one sort of all: of what is equal, lower ends come first and upper ends last
            place = _sort_keys(ends)[1]
            seen = ((place >= n) & (place < 2 * n)).cumsum(-1, dtype=torch.int32)
            below = torch.empty_like(seen).scatter_(-1, place, seen)
            return below[:, 2 * n :] - below[:, :n]
    ordered = sorted_values(columns)
    return torch.searchsorted(ordered, high, right=True) - torch.searchsorted(ordered, low)


def _array(columns: Tensor) -> NDArray[Any] | None:
    """The same as an array, if NumPy sorts it faster than torch; None if not, and under vmap, which
    has no arrays."""
    on_cpu = columns.device.type == "cpu" and not torch.compiler.is_compiling()
    if not on_cpu or torch.get_num_threads() > _FEW_THREADS:
        return None
    try:
        return columns.detach().numpy()
    except RuntimeError:
        return None


def _sort_keys(columns: Tensor) -> tuple[Tensor, Tensor]:
    """:func:`sort_columns` of float32 by integers that hold a value and its place.

    Sorting them takes half as long as an argsort, and both are read off the result in order.
    """
    n = columns.shape[-1]
    values = _as_ordered((columns + 0.0).view(torch.int32))  # 0.0 for -0.0
    keys = values.to(torch.int64).bitwise_left_shift_(32).bitwise_or_(torch.arange(n, device="cpu"))
    keys.numpy().sort(axis=-1)
    ordered = _as_ordered((keys >> 32).to(torch.int32)).view(torch.float32)
    return ordered, keys.bitwise_and_(2**32 - 1)


def _as_ordered(bits: Tensor) -> Tensor:
    """Bits of float32 as int32 that rise with the values, and back."""
    return bits ^ ((bits >> 31) & _MAGNITUDE)


def tie_groups(ordered: Tensor) -> tuple[Tensor, Tensor]:
    """First and last sorted position of each sample's group of equal values.

    Both are ``[..., D, N]`` int32, which passes through memory faster than int64, or
    ``[..., 1, N]`` for all columns alike where nothing ties.
    """
    n = ordered.shape[-1]
    position = torch.arange(n, device=ordered.device).int()
    step = ordered[..., 1:] != ordered[..., :-1]
    if step.device.type == "cpu":
        steps = torch.count_nonzero(step)
        if visible(steps == step.numel()):
            position = position.view(*[1] * (ordered.dim() - 1), n)
            return position, position
        if visible(steps > (1 - _FEW) * step.numel()):
            return _few_tie_groups(position.expand(ordered.shape), step)
    position = position.expand(ordered.shape)
    edge = torch.ones_like(step[..., :1])
    first = torch.where(torch.cat([edge, step], -1), position, 0).cummax(-1).values
    last = torch.where(torch.cat([step, edge], -1), position, n - 1)
    last = last.flip(-1).cummin(-1).values.flip(-1)
    return first, last


def _few_tie_groups(position: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
    """:func:`tie_groups` where few samples tie, in time that follows the number of those.

    ``position``: ``[..., D, N]``; ``step``: ``[..., D, N - 1]``, whether the next value differs.
    """
    n = position.shape[-1]
    tie = torch.nonzero(step.logical_not().flatten()).squeeze(1)
    tie = tie + tie // (n - 1)  # a sample, counted over all columns, that ties with the next one
    gap = tie[1:] != tie[:-1] + 1
    edge = torch.ones_like(tie[:1], dtype=torch.bool)
    starts, ends = torch.cat([edge, gap]), torch.cat([gap, edge])
    group = starts.cumsum(0) - 1
    both = torch.cat([tie, tie + 1])
    first, last = (
        position.reshape(-1).index_copy(0, both, (place % n).to(position.dtype)[group].repeat(2))
        for place in (tie[starts], tie[ends] + 1)
    )
    return first.view(position.shape), last.view(position.shape)
