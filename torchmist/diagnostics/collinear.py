r"""Where columns share what the ranks of single columns hide.

The networks see each column by its ranks. A direction that varies far less than the columns that
hold it, the difference of two near copies for example, is blurred by the order of a finite sample:
ranks move each column by about :math:`1/\sqrt N` of its size, which may be more than the whole
direction. The same holds of what is left of one side when sums of columns of the other are taken
off. Correlations of the columns as they are still show it: with S what is left of the covariance of
x given all linear functions of y,

.. math:: I(X;Y) \ge h(X) - \tfrac12\log|2\pi e S| = I_{\text{normal}}(X;Y) - J(X),

where J, how far x is from normal, is found by neighbours (Kozachenko and Leonenko 1987); the same
holds of y, and the larger of both bounds counts.

Legend: ``B`` datasets, ``N`` samples, ``d`` columns of one side.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from torchmist.copula import standardise
from torchmist.diagnostics.rank_resolution import OPEN_END
from torchmist.models.linear import SHARE, gaussian_information, linear_information
from torchmist.models.local import sample_order
from torchmist.models.small_directions import ROUNDING, SMALL, cut_columns, least_variance
from torchmist.numerics.magnitudes import balanced

__all__ = ["Collinear", "collinear"]

_MOST = 256  # columns of a side that are looked at
_HIDDEN, _MANY = 0.15, 1.0  # nats that are worth a note: least and most, and their share of all
_SHARE_HIDDEN = 0.2
_EACH = 10  # fewest rows for each column of both sides
_SURE = 6  # columns of a side, up to which neighbours tell how far it is from normal
_ROWS, _NEIGHBOURS, _GAP = 1000, 3, 10  # of which this is asked
_CHANCE = 0.05  # nats by which gaps of normal columns seem to be off at most
_NORMAL = 0.5 * math.log(2 * math.pi * math.e)  # nats of a normal variable of variance 1


class Collinear(NamedTuple):
    """``opened``: datasets ``[B]`` whose upper end is open, bool on the CPU; ``notes``: on these
    and on what is less sure."""

    opened: Tensor
    notes: tuple[str, ...] = ()


def collinear(
    x: Tensor, y: Tensor, estimate: Tensor, names: tuple[str, str] = ("x", "y"),
    bound: Tensor | None = None,
) -> Collinear:  # fmt: skip
    """Where sides ``[B, N, d]`` share linearly what ranks do not show, and more than the
    ``estimate`` ``[B]`` in nats.

    Of sides of at most six columns the upper end is open there; how far more columns are from
    normal, no thousand rows tell for sure. ``names``: what the notes call the sides; ``bound``
    ``[B]``: nats, the entropy of labels or repeated values, which both sides cannot pass.

    Example:
        >>> a, b = torch.randn(2, 1, 500, 1, generator=torch.Generator().manual_seed(0))
        >>> near = torch.cat([a, a + 0.01 * b], -1)
        >>> collinear(near, b, torch.tensor([0.3])).notes[0][:54]
        'x has directions that vary 136 times less than its col'
        >>> collinear(near, b, torch.tensor([3.3])).opened
        tensor([False])
    """
    opened, widest = (
        torch.zeros(len(x), dtype=torch.bool, device="cpu"),
        max(x.shape[-1], y.shape[-1]),
    )
    if not 2 <= widest <= min(_MOST, x.shape[1] // SHARE):
        return Collinear(opened)
    if x.shape[1] < _EACH * (x.shape[-1] + y.shape[-1]):
        return Collinear(opened)
    x, y = (balanced(side, 1)[0] for side in (x, y))
    scores = [standardise(side.mT, None).mT for side in (x, y)]
    if bool((_all_smallest(*scores).amin(0) > SMALL).all()):
        return Collinear(opened)
    sides = [cut_columns(side.double()) for side in (x, y)]
    small = _all_smallest(*sides)
    n = torch.full(x.shape[:1], x.shape[1], device=x.device)
    plain = gaussian_information(sides[0], sides[1], n, ridge=ROUNDING).clamp(min=0)
    ranked = linear_information(x, y, None, None)[:, 0].clamp(min=0)
    limit = torch.full_like(plain, torch.inf) if bound is None else bound.to(plain)
    few = (small.amin(0) < SMALL) & _far(torch.minimum(plain, limit), ranked, estimate)
    notes: tuple[str, ...] = ()
    for k in few.nonzero().flatten().tolist():
        order = sample_order(torch.cat([scores[0][k], scores[1][k]], -1).mT[None], None, len(n))[0]
        one = slice(k, k + 1)
        least = torch.minimum(*(_negentropy(side[one, order]) for side in sides))
        shared = torch.minimum((plain[one] - least).clamp(min=0), limit[one])
        if not bool(_far(shared, ranked[one], estimate[one])):
            continue
        opened[k] = widest <= _SURE and bool(limit[k].isinf())
        told = _note(small[:, k].tolist(), float(ranked[k]), float(shared), bool(opened[k]), names)
        notes = notes or (told,)
    return Collinear(opened, notes)


def _far(shared: Tensor, ranked: Tensor, estimate: Tensor) -> Tensor:
    """Where what is ``shared`` is far above what ranks show and what is estimated, all ``[B]``."""
    least = (_SHARE_HIDDEN * shared).clamp(_HIDDEN, _MANY)
    return (shared - ranked > least) & (shared - estimate.to(shared) > least)


def _note(
    small: list[float], ranked: float, shared: float, opened: bool, names: tuple[str, str]
) -> str:
    """What is said of least variances ``small`` of directions of x, of y and of both together."""
    shown = (
        f"where ranks show {ranked:.2f} of the {shared:.2f} nats that both sides share linearly: "
        f"the estimate may be too low"
    )
    if opened:
        shown += f", and {OPEN_END}"
    of_x, of_y, together = small
    if min(of_x, of_y) < SMALL:
        name, times = names[of_x >= of_y], min(of_x, of_y) ** -0.5
        return (
            f"{name} has directions that vary {times:,.0f} times less than its columns, {shown}; "
            f"pass columns without such directions instead, for example differences, or principal "
            f"components over their deviations"
        )
    return (
        f"columns of {names[0]} are nearly sums of those of {names[1]}, or these of those, up "
        f"to differences that vary {together**-0.5:,.0f} times less, {shown}; "
        f"what such sides share is what their noise leaves"
    )


def _negentropy(side: Tensor) -> Tensor:
    """How far ``[1, N, d]``, of columns of mean 0 and variance 1, is from normal at least, in nats
    and not below 0, ``[1]``: infinite where rows repeat each other.

    The larger of what neighbours say of all columns, and the sum of what gaps say of uncorrelated
    ones: of many columns neighbours see little.
    """
    (n, d), eye = side.shape[1:], torch.eye(side.shape[-1], dtype=side.dtype, device=side.device)
    values, vectors = torch.linalg.eigh(side.mT @ side / n + ROUNDING * eye)
    rows = side @ (vectors * values.rsqrt()[:, None]) @ vectors.mT
    gaps = rows.sort(1).values
    gaps = gaps[:, _GAP:] - gaps[:, :-_GAP]
    single = (
        gaps.log().mean(1)
        + math.log(n + 1)
        - float(torch.digamma(torch.tensor(_GAP, device="cpu", dtype=torch.float32)))
    )
    places = (torch.arange(_ROWS, device=side.device) + 0.5) * (n / _ROWS)
    some = rows if n <= _ROWS else rows[:, places.long()]
    radius = torch.cdist(some, some).kthvalue(_NEIGHBOURS + 1, -1).values
    ball = 0.5 * d * math.log(math.pi) - math.lgamma(0.5 * d + 1)
    counts = torch.digamma(
        torch.tensor([float(some.shape[1]), float(_NEIGHBOURS)], device="cpu", dtype=torch.float32)
    )
    whole = float(counts[0] - counts[1]) + ball + d * radius.log().mean(-1)
    found = torch.maximum(d * _NORMAL - whole, (_NORMAL - single - _CHANCE).clamp(min=0).sum(-1))
    out: Tensor = found.clamp(min=0)
    return out


def _all_smallest(x: Tensor, y: Tensor) -> Tensor:
    """The least variances of directions of x, of y and of both together, ``[3, B]``."""
    return torch.stack([least_variance(side) for side in (x, y, torch.cat([x, y], -1))])
