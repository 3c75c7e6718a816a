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
from torchmist.models.linear import SHARE, gaussian_information, linear_information

__all__ = ["Collinear", "collinear"]

_MOST = 256  # columns of a side that are looked at
_SMALL = 0.02  # variance of a direction in those of the columns, from which it counts as small
_ROUNDING = 1e-7  # and below which it is taken for a sum that always holds
_FAR = 6.0  # deviations at which columns are cut, so that no few rows decide
_DEVIATION = 1.4826  # of a normal variable, over the median distance from its median
_HIDDEN = 0.15  # nats that are worth a note, and their share of all
_SHARE_HIDDEN = 0.2
_ROWS, _NEIGHBOURS = 1000, 3  # of which is asked how far a side is from normal


class Collinear(NamedTuple):
    """``hidden``: datasets ``[B]`` whose upper end is open, bool on the CPU; ``notes``: why."""

    hidden: Tensor
    notes: tuple[str, ...] = ()


def collinear(
    x: Tensor, y: Tensor, estimate: Tensor, names: tuple[str, str] = ("x", "y"),
    bound: Tensor | None = None,
) -> Collinear:  # fmt: skip
    """Where sides ``[B, N, d]`` share linearly what ranks do not show, and more than the
    ``estimate`` ``[B]`` in nats.

    ``names``: what the notes call the sides; ``bound`` ``[B]``: nats, the entropy of labels, if
    there are some, which no open end may pass.

    Example:
        >>> a, b = torch.randn(2, 1, 500, 1, generator=torch.Generator().manual_seed(0))
        >>> near = torch.cat([a, a + 0.01 * b], -1)
        >>> collinear(near, b, torch.tensor([0.3])).notes[0][:54]
        'x has directions that vary 136 times less than its col'
        >>> collinear(near, b, torch.tensor([3.3])).hidden
        tensor([False])
    """
    nothing = Collinear(torch.zeros(len(x), dtype=torch.bool))
    most = min(_MOST, x.shape[1] // SHARE)
    if max(x.shape[-1], y.shape[-1]) > most or max(x.shape[-1], y.shape[-1]) < 2:
        return nothing
    scores = [standardise(side.mT, None).mT for side in (x, y)]
    if bool((_all_smallest(*scores).amin(0) > _SMALL).all()):
        return nothing
    sides = [_cut(side.double()) for side in (x, y)]
    small = _all_smallest(*sides)
    n = torch.full(x.shape[:1], x.shape[1], device=x.device)
    plain = gaussian_information(sides[0], sides[1], n, ridge=_ROUNDING).clamp(min=0)
    plain = (plain - torch.minimum(*map(_negentropy, sides))).clamp(min=0)
    plain = plain if bound is None else torch.minimum(plain, bound.to(plain))
    ranked = linear_information(x, y, None, None)[:, 0].clamp(min=0)
    least = (_SHARE_HIDDEN * plain).clamp(min=_HIDDEN)
    hidden = (plain - ranked > least) & (plain - estimate.to(plain) > least)
    hidden &= small.amin(0) < _SMALL
    if not bool(hidden.any()):
        return nothing
    which = int(hidden.nonzero()[0])
    shown = (
        f"where ranks show {float(ranked[which]):.2f} of the {float(plain[which]):.2f} nats that "
        f"both sides share linearly: the estimate may be too low"
    )
    if bound is None:
        shown += ", and the upper end of the interval is open"
    of_x, of_y, together = small[:, which].tolist()
    if min(of_x, of_y) < _SMALL:
        name, times = names[of_x >= of_y], min(of_x, of_y) ** -0.5
        note = (
            f"{name} has directions that vary {times:,.0f} times less than its columns, {shown}; "
            f"pass columns without such directions instead, for example differences, or principal "
            f"components over their deviations"
        )
    else:
        note = (
            f"columns of {names[0]} are nearly sums of those of {names[1]}, or these of those, up "
            f"to differences that vary {together**-0.5:,.0f} times less, {shown}; "
            f"what such sides share is what their noise leaves"
        )
    return Collinear(hidden.cpu() & (bound is None), (note,))


def _cut(side: Tensor) -> Tensor:
    """Columns of mean 0 and variance 1, without values far from the others."""
    middle = side.median(1, keepdim=True).values
    away = (side - middle).abs()
    size = _DEVIATION * away.median(1, keepdim=True).values
    size = torch.where(size > 0, size, side.std(1, keepdim=True))  # half of the values are equal
    return standardise((middle + (side - middle).clamp(-_FAR * size, _FAR * size)).mT, None).mT


def _negentropy(side: Tensor) -> Tensor:
    """How far ``[B, N, d]``, of columns of mean 0 and variance 1, is from normal, in nats and not
    below 0, ``[B]``: infinite where rows repeat each other."""
    some = side[:, :_ROWS]
    (n, d), eye = some.shape[1:], torch.eye(side.shape[-1], dtype=side.dtype, device=side.device)
    gram = side.mT @ side / side.shape[1] + _ROUNDING * eye
    rows = torch.linalg.solve_triangular(torch.linalg.cholesky(gram), some.mT, upper=False).mT
    radius = torch.cdist(rows, rows).kthvalue(_NEIGHBOURS + 1, -1).values
    ball = 0.5 * d * math.log(math.pi) - math.lgamma(0.5 * d + 1)
    counts = torch.digamma(torch.tensor([float(n), float(_NEIGHBOURS)], dtype=side.dtype))
    entropy = float(counts[0] - counts[1]) + ball + d * radius.log().mean(-1)
    out: Tensor = (0.5 * d * math.log(2 * math.pi * math.e) - entropy).clamp(min=0)
    return out


def _all_smallest(x: Tensor, y: Tensor) -> Tensor:
    """The least variances of directions of x, of y and of both together, ``[3, B]``."""
    return torch.stack([_smallest(side) for side in (x, y, torch.cat([x, y], -1))])


def _smallest(side: Tensor) -> Tensor:
    """The least variance ``[B]`` of a direction that is not a sum that always holds."""
    values = torch.linalg.eigvalsh(side.mT @ side / side.shape[1])
    least: Tensor = values.masked_fill(values < _ROUNDING, torch.inf).amin(-1)
    return least
