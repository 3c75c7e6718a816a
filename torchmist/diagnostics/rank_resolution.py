r"""Where a sample cannot tell how much more its sides share.

Ranks of ``N`` samples cannot tell a column from a copy of it with noise of less than about
``1 / N`` of its range: two columns whose ranks differ by one place share about
:math:`\log N - 1.3` nats, and more information leaves the ranks as they are. ``I(X;Y)`` is at least
that of any pair of columns, so one such pair opens the upper end of the whole estimate.

Nor can few rows tell what hundreds of columns share thinly, all of them together
(``torchmist.models.linear``).
Legend: ``B`` datasets, ``N`` samples, ``d`` columns of one side, ``Q`` quantiles.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from torchmist.models.directions import WIDEST
from torchmist.models.linear import SHARE
from torchmist.numerics.ranked import Ranked

__all__ = ["MARGIN", "OPEN_END", "beyond_resolution", "nearly_copies", "resolution", "thin_notes"]

OPEN_END = "the upper end of the interval is open"
"""What all notes on it say."""
MARGIN = 1.5  # nats below log N: what is above is not resolved for one pair of columns
_APART = 1.0  # places by which the ranks of near copies differ on average, at most
_DISTINCT = 0.9  # share of the samples of a column whose values differ: ties have their own limit
_ALIKE = 0.97  # least rank correlation of the pairs that are compared
_SINGLE = 10  # fewest samples of two single columns, and
_SAMPLES = 30  # where there are several pairs to choose from
_COLUMNS = 1024  # most columns of a side that are looked at
_ROWS = 1000  # most rows in the search for pairs
_PAIRS = 64  # most pairs that are compared, the most alike first


def resolution(n: int) -> float:
    """``log N - 1.5`` nats: about the most that ``n`` samples of two columns resolve.

    Example:
        >>> round(resolution(2000), 1)
        6.1
    """
    return math.log(n) - MARGIN


def beyond_resolution(quantiles: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Datasets whose upper end is open, bool ``[B]`` on the CPU.

    Those that hold a pair of columns that are nearly copies, and those of single columns whose
    median ``quantiles`` ``[B, Q]`` are above :func:`resolution`. ``x``, ``y``: ``[B, N, d]``.
    """
    found = nearly_copies(x, y).cpu()
    if x.shape[2] == y.shape[2] == 1 and resolution(x.shape[1]) > 0:
        found = found | (quantiles.cpu().median(-1).values > resolution(x.shape[1]))
    return found


def thin_notes(
    x: Tensor, y: Tensor, names: tuple[str, str] = ("x", "y"),
    labels: tuple[bool, bool] = (False, False),
) -> tuple[str, ...]:  # fmt: skip
    """What cannot be seen of sides ``[B, N, d]`` of many columns for want of rows, in words, in
    which the sides are called ``names``; sides of ``labels`` have classes instead of columns.

    Example:
        >>> thin_notes(torch.zeros(1, 200, 300), torch.zeros(1, 200, 5))[0][:33]
        'x: 300 columns in 200 rows: depen'
        >>> thin_notes(torch.zeros(1, 2000, 300), torch.zeros(1, 2000, 5))
        ()
    """
    return tuple(
        f"{name}: {side.shape[-1]:,} columns in {side.shape[1]:,} rows: dependence that is spread "
        f"thinly over most of them shows from {SHARE} rows a column on; what is counted here is "
        f"what their leading directions show"
        for name, side, label in zip(names, (x, y), labels)
        if not label and WIDEST < side.shape[-1] and side.shape[1] < SHARE * side.shape[-1]
    )


def nearly_copies(x: Tensor, y: Tensor) -> Tensor:
    """Datasets ``[B, N, d]`` in which the ranks of a column of ``x`` and of one of ``y`` differ by
    less than one place on average, in the same or in the reverse order, bool ``[B]``.

    Example:
        >>> x = torch.linspace(0, 1, 50)[None, :, None]
        >>> nearly_copies(x, -x.exp()).tolist(), nearly_copies(x, (9 * x).sin()).tolist()
        ([True], [False])
    """
    n, single = x.shape[1], x.shape[2] == y.shape[2] == 1
    if n < (_SINGLE if single else _SAMPLES):
        return torch.zeros(len(x), dtype=torch.bool, device="cpu")
    return torch.stack([_pair_found(u, v, single) for u, v in zip(x, y)])


def _pair_found(x: Tensor, y: Tensor, single: bool) -> Tensor:
    """Whether ``[N, dx]`` and ``[N, dy]`` hold a pair of near copies, 0-dim bool."""
    nothing = torch.zeros((), dtype=torch.bool, device=x.device)
    first = [side[:_ROWS, :_COLUMNS] for side in (x, y)]
    ranked = [Ranked.of(side[None]) for side in first]
    i, j = (_mostly_distinct(side).nonzero().flatten() for side in ranked)
    if not (len(i) and len(j)):
        return nothing
    u, v = (_unit(side.ranks[0, k].mT.double()) for side, k in zip(ranked, (i, j)))
    alike = (u.mT @ v).abs().flatten()
    best = alike.topk(min(_PAIRS, len(alike)))
    pairs = best.indices[best.values > (0.0 if single else _ALIKE)]
    if not len(pairs):
        return nothing
    columns = x[:, i[pairs // len(j)]], y[:, j[pairs % len(j)]]
    a, b = (Ranked.of(side[None]) for side in columns)
    keep = _mostly_distinct(a) & _mostly_distinct(b)
    if not bool(keep.any()):
        return nothing
    p, q = (side.ranks[0, keep].mT.double() for side in (a, b))
    apart = torch.minimum((p - q).abs().mean(0), (p + q - (len(p) - 1)).abs().mean(0))
    found: Tensor = (apart < _APART).any()
    return found


def _mostly_distinct(ranked: Ranked) -> Tensor:
    """In which columns ``[1, d, N]`` few values repeat others, ``[d]`` bool."""
    return ranked.distinct[0] >= _DISTINCT * ranked.order.shape[-1]


def _unit(ranks: Tensor) -> Tensor:
    centred = ranks - ranks.mean(0)
    out: Tensor = centred / centred.norm(dim=0)
    return out
