"""Rows of datasets one by one, in an order that does not depend on that of the sample.

What loops over datasets, as mixtures and directions that are sought in each, is given the rows of
each so. Legend: ``B`` datasets, ``N`` samples, ``p`` columns of both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from torchmist.checks import visible
from torchmist.models.local import row_counts
from torchmist.models.pair_scores import pair_order, pair_scores
from torchmist.models.variates import even_places, rows_at

__all__ = ["datasets_in_order", "ordered_rows"]


def datasets_in_order(
    x: Tensor, y: Tensor, mask: Tensor | None, most: int, sought: Callable[[int], bool],
    beside: Tensor | None = None,
) -> Iterator[tuple[int, Tensor]]:  # fmt: skip
    """Places of the datasets ``[B, N, dx]`` and ``[B, N, dy]`` and their normal scores ``[M, p]``,
    :func:`ordered_rows`, of those in whose number of rows something is ``sought``; none while a
    graph is traced.

    ``mask``: ``[B, N]`` bool, True for real samples; ``beside``: further columns ``[B, N, q]``,
    which follow the scores in the rows, ``[M, p + q]``, and are of no account for their order.
    """
    scores = torch.cat(pair_scores(x, y, mask), -1)
    real = row_counts(x, mask)[:, None]
    if visible(real.any()) is not True:
        return
    order = pair_order(x, y, mask)
    scores = scores if beside is None else torch.cat([scores, beside], -1)
    for place, count in enumerate(real[:, 0].tolist()):
        if sought(count):
            yield place, ordered_rows(scores, order, real, place, most)


def ordered_rows(scores: Tensor, order: Tensor, real: Tensor, place: int, most: int) -> Tensor:
    """Rows ``[M, p]`` of one dataset of scores ``[B, N, p]``, that at ``place``, in an ``order``
    ``[B, N]``: its ``real`` ``[B, 1]`` ones, or ``most`` of them, spread evenly."""
    count = int(real[place])
    rows = order[[place], :count]
    if count > most:
        at, _ = even_places(real[[place]], most)
        rows = rows.gather(1, at)
    return rows_at(scores[[place]], rows)[0]
