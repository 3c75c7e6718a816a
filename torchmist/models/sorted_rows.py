r"""Rows in order: what the other side goes with in no order of the columns.

The largest of many channels, their range, deviation or median, how many are above a threshold:
functions of a row that do not depend on which column is which. The columns of a row in rising order
have all of them, each as a function of few,

.. math:: I(X_{(1)}, \dots, X_{(d)}; Y) \le I(X;Y),

with equality for such functions. Columns are compared as they are, and in deviations of each.
Whether they say more in order is told by a ridge regression of waves of the other side on columns
and their squares, asked of each row as if that had no part in it
(``torchmist.models.left_out_regression``).

Which side is put in order is a constant of the backward pass; the gradient goes through the values.
Legend: ``B`` datasets, ``N`` samples, ``M`` of them, ``d``, ``q`` columns of both sides, ``h``
waves.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from torchmist.checks import visible
from torchmist.models.column_frames import WIDEST, frames_in_order
from torchmist.models.left_out_regression import left_out
from torchmist.models.waves import white_waves
from torchmist.numerics.no_gradient import no_gradient

__all__ = ["with_sorted_rows"]

_NARROWEST, _FEWEST, _ROWS = 3, 128, 4  # columns; rows: at least, and for each column
_CONSTANT, _RIDGE = 1e-6, 1.0
_SURE, _MORE = 3.0, 0.02  # standard errors, and share of the waves, by which more is explained


def with_sorted_rows(
    x: Tensor, y: Tensor, mask: Tensor | None = None
) -> Iterator[tuple[int, tuple[Tensor, Tensor]]]:
    """Places of the datasets ``[B, N, dx]`` and ``[B, N, dy]`` of which a side says more with its
    rows in order, with both sides ``[1, M, dx]`` and ``[1, M, dy]``, such ones in order: once for
    each of the units in which they are compared.

    Only sides of 3 to 64 columns are put in order, in at least 128 rows and 4 for each column; none
    while a graph is traced.

    ``mask``: ``[B, N]`` bool, True for real samples.
    """
    columns = max(x.shape[-1], y.shape[-1])
    if not _NARROWEST <= columns <= WIDEST or visible(x.any()) is not True:
        return
    for place in range(len(x)):
        shown = slice(None) if mask is None else mask[place]
        sides = [side[[place]][:, shown] for side in (x, y)]
        if sides[0].shape[1] >= max(_FEWEST, _ROWS * columns):
            one, other = frames_in_order(*sides)
            with no_gradient():
                waves = [white_waves(frames.scores.detach()) for frames in (one, other)]
            for pair in ((one.plain, other.plain), (one.cut, other.cut)):
                with no_gradient():
                    first, second = _in_order(*(side.detach() for side in pair), *waves)
                if first or second:
                    a, b = (s.sort(-1).values if o else s for s, o in zip(pair, (first, second)))
                    yield place, (a[None], b[None])


def _in_order(x: Tensor, y: Tensor, of_x: Tensor, of_y: Tensor) -> tuple[bool, bool]:
    """Which of both sides ``[M, d]`` and ``[M, q]`` say more in order of the waves of the other."""
    a, b = (_even(side.sort(-1).values) for side in (x, y))
    first = _says_more(x, of_y)
    second = _says_more(y, white_waves(a) if first else of_x)
    return first or (second and _says_more(x, white_waves(b))), second


def _says_more(side: Tensor, waves: Tensor) -> bool:
    """Whether ``[M, d]`` explains more of ``waves`` ``[M, h]`` with its rows in order."""
    if side.shape[-1] < _NARROWEST:
        return False
    nothing, own = waves.square().sum(-1), _left(side, waves)
    gain = min(nothing, own, key=lambda left: float(left.mean()))
    gain = gain - _left(side.sort(-1).values, waves)
    error = float(gain.std()) / len(gain) ** 0.5
    return bool(gain.mean() > max(_SURE * error, _MORE * waves.shape[-1]))


def _left(columns: Tensor, waves: Tensor) -> Tensor:
    """What a regression on columns ``[M, d]`` and their squares leaves of ``waves`` ``[M, h]`` of
    each row, squared and summed, ``[M]``."""
    even = _even(columns)
    features = torch.cat([even, even.square() - 1], -1)
    (told,) = left_out(features, waves, (_RIDGE,))
    out: Tensor = (waves - told).square().sum(-1)
    return out


def _even(columns: Tensor) -> Tensor:
    """Columns ``[M, d]`` of mean 0 and variance 1."""
    out: Tensor = (columns - columns.mean(0)) / columns.std(0).clamp(min=_CONSTANT)
    return out
