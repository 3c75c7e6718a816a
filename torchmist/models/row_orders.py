r"""The order of the columns of a row: their values in rising order, and the rank of each.

The largest of many channels, their range, deviation or median, how many are above a threshold:
functions of a row that do not depend on which column is which. The columns of a row in rising order
have all of them, each as a function of few,

.. math:: I(X_{(1)}, \dots, X_{(d)}; Y) \le I(X;Y),

with equality for such functions. Which column is the second of the row, what place an item has
among others: functions of the ranks of columns within the row, of which the same holds. Columns are
compared as they are, and in deviations of each where these differ. Whether values in order, or
ranks, say more is told by a ridge regression of waves of the other side on waves of these columns,
asked of each row as if that had no part in it (``torchmist.models.left_out_regression``).

What is asked of is a constant of the backward pass, as ranks are; the gradient goes through values
in order. Legend: ``B`` datasets, ``N`` samples, ``M`` of them, ``d``, ``q`` columns of both sides,
``h`` waves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import Tensor

from torchmist.models.column_frames import WIDEST, Frames, datasets_apart, frames_in_order
from torchmist.models.left_out_regression import left_out
from torchmist.models.variates import spread_places
from torchmist.models.waves import rank_waves, white_waves
from torchmist.numerics.no_gradient import no_gradient
from torchmist.numerics.sharing import shared

__all__ = ["by_row_order"]

_NARROWEST, _FEWEST, _ROWS = 3, 128, 4  # columns; rows: at least, and for each column
_SCANNED = 1024  # rows at most, in which that is told
_UNLIKE = 1.5  # times the least deviation of a column, from which units differ
_CONSTANT, _RIDGE = 1e-6, 1.0
_SURE, _MORE = 3.0, 0.02  # standard errors, and share of the waves, by which more is explained


def by_row_order(
    x: Tensor, y: Tensor, mask: Tensor | None = None
) -> Iterator[tuple[int, tuple[Tensor, Tensor]]]:
    """Places of the datasets ``[B, N, dx]`` and ``[B, N, dy]`` of which a side says more by the
    order within its rows, with both sides ``[1, M, dx]`` and ``[1, M, dy]``, such ones as values in
    rising order or as ranks: once for each of these and of the units in which columns are compared.

    Only sides of 3 to 64 columns are put in order, in at least 128 rows and 4 for each column; none
    while a graph is traced.

    ``mask``: ``[B, N]`` bool, True for real samples.
    """
    columns = max(x.shape[-1], y.shape[-1])
    if not _NARROWEST <= columns <= WIDEST:
        return
    fewest = max(_FEWEST, _ROWS * columns)
    for place, sides in datasets_apart(x, y, mask, lambda rows: rows >= fewest):
        one, other = frames_in_order(*sides)
        at = spread_places(len(one.plain), _SCANNED, one.plain)
        with no_gradient():
            waves = [white_waves(frames.scores[at].detach()) for frames in (one, other)]
        for pair in _in_units(one, other):
            seen = [side[at].detach() for side in pair]
            for turn in (_rising, _ranks):
                with no_gradient():
                    both = _which(turn, *seen, *waves)
                if any(both):
                    a, b = (turn(side) if more else side for side, more in zip(pair, both))
                    yield place, (a[None], b[None])


def _in_units(one: Frames, other: Frames) -> list[tuple[Tensor, Tensor]]:
    """Columns of both sides as they are, and in deviations of each where these are unlike."""
    sizes = [side.plain.detach().std(0) for side in (one, other)]
    alike = all(bool(size.amax() < _UNLIKE * size.amin()) for size in sizes)
    return [(one.plain, other.plain), (one.cut, other.cut)][: 1 if alike else 2]


def _rising(side: Tensor) -> Tensor:
    """Values of each row ``[M, d]`` in rising order."""
    return side.sort(-1).values


def _ranks(side: Tensor) -> Tensor:
    """Mean ranks of columns within each row ``[M, d]``, from 0."""
    own, other = side.detach()[:, :, None], side.detach()[:, None]
    beyond = ((own > other).to(side) - (own < other).to(side)).sum(-1)
    return (beyond + side.shape[-1] - 1) / 2


def _which(
    turn: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, of_x: Tensor, of_y: Tensor
) -> tuple[bool, bool]:
    """Which of both sides ``[M, d]`` and ``[M, q]`` say more of the waves of the other, turned."""
    first = _says_more(turn, x, of_y)
    second = _says_more(turn, y, white_waves(_even(turn(x))) if first else of_x)
    return first or (second and _says_more(turn, x, white_waves(_even(turn(y))))), second


def _says_more(turn: Callable[[Tensor], Tensor], side: Tensor, waves: Tensor) -> bool:
    """Whether ``[M, d]`` explains more of ``waves`` ``[M, h]`` when it is turned."""
    if side.shape[-1] < _NARROWEST:
        return False
    gain = shared(_untold, side, waves) - _left(turn(side), waves)
    error = float(gain.std()) / len(gain) ** 0.5
    return bool(gain.mean() > max(_SURE * error, _MORE * waves.shape[-1]))


def _untold(side: Tensor, waves: Tensor) -> Tensor:
    """What a side as it is leaves of ``waves``, as :func:`_left`, at most all of them."""
    nothing, own = waves.square().sum(-1), _left(side, waves)
    return min(nothing, own, key=lambda left: float(left.mean()))


def _left(columns: Tensor, waves: Tensor) -> Tensor:
    """What a regression on two waves of each of the columns ``[M, d]`` leaves of ``waves``
    ``[M, h]`` of each row, squared and summed, ``[M]``."""
    features = _even(rank_waves(_even(columns), 2).flatten(-2))
    (told,) = left_out(features, waves, (_RIDGE,))
    out: Tensor = (waves - told).square().sum(-1)
    return out


def _even(columns: Tensor) -> Tensor:
    """Columns ``[M, d]`` of mean 0 and variance 1."""
    out: Tensor = (columns - columns.mean(0)) / columns.std(0).clamp(min=_CONSTANT)
    return out
