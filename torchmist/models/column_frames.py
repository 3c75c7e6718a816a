"""Columns of both sides in several frames: as normal scores, and as they are.

Directions and clusters are sought in either: scores do not depend on units, and what is linear or
apart may be so only in columns as they are. Several searches ask of the same datasets, whose frames
are made once (``torchmist.numerics.sharing``).
Legend: ``B`` datasets, ``N`` samples, ``M`` real ones, ``d`` columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from torchmist.checks import visible
from torchmist.models.directions import see_through
from torchmist.models.ordered_rows import datasets_in_order
from torchmist.models.small_directions import cut_columns
from torchmist.numerics.magnitudes import balanced
from torchmist.numerics.sharing import shared

__all__ = ["WIDEST", "Frames", "datasets_apart", "frames_in_order"]

WIDEST = 64
"""Columns of a side, of more than which principal components are taken."""
_COMPONENTS, _PER_COMPONENT = 48, 10  # of more columns, at most, and rows for each


class Frames(NamedTuple):
    """Columns of a side ``[N, d]``: as normal ``scores``, ``cut``: as they are, but for units,
    offsets and values far out, and ``plain``: as they are, but for units."""

    scores: Tensor
    cut: Tensor
    plain: Tensor


def datasets_apart(
    x: Tensor, y: Tensor, mask: Tensor | None, sought: Callable[[int], bool]
) -> Iterator[tuple[int, tuple[Tensor, Tensor]]]:
    """Places of the datasets ``[B, N, dx]`` and ``[B, N, dy]`` in whose number of rows something is
    ``sought``, with the real rows of both sides, ``[1, M, dx]`` and ``[1, M, dy]``; none while a
    graph is traced.

    ``mask``: ``[B, N]`` bool, True for real samples.
    """
    if not sought(x.shape[1]) or visible(x.any()) is not True:
        return
    for place, sides in enumerate(shared(_apart, x, y, mask)):
        if sought(sides[0].shape[1]):
            yield place, sides


def _apart(x: Tensor, y: Tensor, mask: Tensor | None) -> list[tuple[Tensor, Tensor]]:
    """The real rows of both sides of each dataset."""
    shown = [slice(None) if mask is None else mask[place] for place in range(len(x))]
    return [(x[[place]][:, some], y[[place]][:, some]) for place, some in enumerate(shown)]


def frames_in_order(x: Tensor, y: Tensor) -> tuple[Frames, Frames]:
    """Both sides ``[1, N, d]`` in an order that does not depend on that of the rows, those of more
    than 64 columns as principal components."""
    return shared(_in_order, x, y)


def _in_order(x: Tensor, y: Tensor) -> tuple[Frames, Frames]:
    """See :func:`frames_in_order`."""
    if max(x.shape[-1], y.shape[-1]) > WIDEST:
        most = min(_COMPONENTS, len(x[0]) // _PER_COMPONENT)
        x, y = (
            side if side.shape[-1] <= WIDEST else seen.rows[..., :most]
            for side, seen in zip((x, y), see_through(x, y))
        )
    columns = x.shape[-1], y.shape[-1]
    raw = torch.cat([balanced(side, 1)[0] for side in (x, y)], -1)
    ((_, rows),) = datasets_in_order(x, y, None, len(x[0]), lambda _: True, raw)
    parts = rows.split(columns * 2, -1)
    scores, plain = parts[:2], parts[2:]
    one, other = (Frames(s, cut_columns(p[None])[0], p) for s, p in zip(scores, plain))
    return one, other
