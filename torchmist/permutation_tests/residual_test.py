"""The p-value of independence from what a condition, if there is one, leaves of both sides.

Given labels alone, rows are put in random orders within their classes, and the level is exact. With
numbers, the rows get random signs (``torchmist.permutation_tests.residual_products``). More than
1,024 rows are taken in blocks of at most that many, more than 8,192 by 8,192 of them.

Legend: ``N`` rows, ``B`` blocks of ``m`` rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor

from torchmist.checks import warn_once
from torchmist.permutation_tests.kernel_dependence import MOST, block_sizes, score_groups
from torchmist.permutation_tests.kernel_residuals import Left, Smoother, agreement, features, near
from torchmist.permutation_tests.permutations import sequential_p_value, shuffled
from torchmist.permutation_tests.residual_products import OrderedProducts, SignedProducts
from torchmist.samples.column_kinds import Sorted, joint_codes

__all__ = ["ResidualCache", "residual_p_value"]

_PILOT, _CHUNK = 40, 40
_ENTRIES, _WIDE = 2**25, 128  # numbers that a cache holds at most, and of a row in one part of it
_ROWS_PER_COLUMN = 3  # of a condition, fewer of which bring a warning
Kept = TypeVar("Kept")


class ResidualCache:
    """What tests of one table have in common: features, smoothers, and what these leave.

    Found again by the values of the columns, so that the same columns give the same p-value with a
    cache and without. It is emptied where it would hold more than about 2^25 numbers.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[str, ...], Any] = {}
        self._entries = 0

    def left(self, side: Sequence[Tensor], given: Sequence[Tensor]) -> Left:
        """What variables ``given`` leave of those of ``side``, each ``[m, k]``; all without any."""
        key = (*map(_digest, side), "given", *map(_digest, given))
        made = partial(self._left, side, given)
        return self._get(key, made, len(side[0]))

    def _left(self, side: Sequence[Tensor], given: Sequence[Tensor]) -> Left:
        phi = self._get(tuple(map(_digest, side)), partial(features, side), len(side[0]))
        if not given:
            nothing = phi[0].new_ones(len(phi), 0), phi[0].new_ones(len(phi[0]), 0)
            return Left(tuple(part.float() for part in phi), *nothing)
        smoother = self.smoother(given)
        if len(given) > 1:
            smoother = smoother.with_index(side)
        if all(v.shape[1] == 1 for v in side) and any(v.shape[1] == 1 for v in given):
            own = phi[:1] if smoother.wide else phi
            phi = (*own, *smoother.noise(side))
        return smoother.left(phi)

    def smoother(self, given: Sequence[Tensor]) -> Smoother:
        """The smoother of variables ``given``, each ``[m, k]``."""
        key = ("given", *map(_digest, given))
        return self._get(key, partial(Smoother, given), len(given[0]))

    def _get(self, key: tuple[str, ...], make: Callable[[], Kept], rows: int) -> Kept:
        if key not in self._kept:
            if self._entries + _WIDE * rows > _ENTRIES:
                self._kept.clear()
                self._entries = 0
            self._kept[key] = make()
            self._entries += _WIDE * rows
        found: Kept = self._kept[key]
        return found


def _digest(values: Tensor) -> str:
    array = values.detach().cpu().contiguous().numpy()
    return hashlib.blake2b(array.tobytes(), digest_size=16).hexdigest() + str(array.shape)


def _block_rows(n: int) -> Tensor:
    """Places of at most 8,192 rows, spread over all, as blocks ``[B, m]`` of at most 1,024; every
    block is spread over all too."""
    rows = torch.arange(min(n, MOST), device="cpu") * n // min(n, MOST)
    count, size = block_sizes(len(rows))
    return rows[: count * size].view(size, count).T


def residual_p_value(
    x: Sorted, y: Sorted, given: Sorted | None, permutations: int, stop: int | None,
    generator: torch.Generator, cache: ResidualCache,
) -> tuple[float, int]:  # fmt: skip
    """The p-value, and how many orders or signs were drawn.

    Args:
        x, y, given: sides of one dataset; without a condition, all rows are one class.
        permutations, stop, generator: as for :func:`torchmist.conditional_independence_test`.
        cache: of earlier tests.
    """
    rows = _block_rows(x.values.shape[1]).to(x.values.device)
    first, second, third = (
        [[group[place] for group in score_groups(side)] if side else [] for place in rows]
        for side in (x, y, given)
    )
    left = [[cache.left(*pair) for pair in zip(side, third)] for side in (first, second)]
    draw: Callable[..., Tensor]
    score: Callable[[Tensor | None], Tensor]
    if given is None or all(given.label):
        classes = torch.zeros_like(rows) if given is None else joint_codes(given.values)[0][rows]
        draw = partial(shuffled, classes, generator=generator)
        score = OrderedProducts(left[0], left[1], classes, draw(count=_PILOT)).score
    else:
        _warn_of_few_rows(third[0])
        draw = partial(_signs, rows, generator)
        factors = [agreement(*pair) for pair in zip(*left)]
        local = [near(z) for z in third]
        score = SignedProducts(left[0], left[1], local, torch.stack(factors).mean(0)).score
    return sequential_p_value(
        float(score(None)), lambda count: score(draw(count=count)), permutations, stop, _CHUNK
    )


def _warn_of_few_rows(given: Sequence[Tensor]) -> None:
    """Warn where variables ``[m, k]`` of a condition have more columns than a third of the rows."""
    rows, columns = len(given[0]), sum(group.shape[1] for group in given)
    if _ROWS_PER_COLUMN * columns > rows:
        warn_once(
            f"torchmist: given has {columns} columns in {rows} rows that are tested at once: what "
            f"they do to x and y can hardly be told from so few, and where they act on both, p may "
            f"be small for that alone; leave out columns that do not act on both, or bring "
            f"{_ROWS_PER_COLUMN} rows for each"
        )


def _signs(rows: Tensor, generator: torch.Generator, count: int) -> Tensor:
    """Random signs ``[P, B, m]`` of the rows ``[B, m]``, drawn on the CPU."""
    bits = torch.randint(2, (count, *rows.shape), generator=generator, device="cpu")
    return (2.0 * bits.float() - 1).to(rows.device)
