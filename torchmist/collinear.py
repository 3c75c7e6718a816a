r"""Where columns share what the ranks of single columns hide.

The networks see each column by its ranks. A direction that varies far less than the columns that
hold it, the difference of two near copies for example, is blurred by the order of a finite sample:
ranks move each column by about :math:`1/\sqrt N` of its size, which may be more than the whole
direction. Correlations of the columns as they are still show it.

Legend: ``B`` datasets, ``N`` samples, ``d`` columns of one side.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchmist.copula import standardise
from torchmist.models.linear import SHARE, gaussian_information, linear_information

__all__ = ["collinear_notes"]

_MOST = 256  # columns of a side that are looked at
_SMALL = 0.02  # variance of a direction in those of the columns, from which it counts as small
_ROUNDING = 1e-7  # and below which it is taken for a sum that always holds
_FAR = 6.0  # deviations at which columns are cut, so that no few rows decide
_DEVIATION = 1.4826  # of a normal variable, over the median distance from its median
_HIDDEN = 0.15  # nats that are worth a note, and their share of all
_SHARE_HIDDEN = 0.2


def collinear_notes(
    x: Tensor, y: Tensor, estimate: Tensor, names: tuple[str, str] = ("x", "y")
) -> tuple[str, ...]:
    """What sides ``[B, N, d]`` share linearly, ranks do not show, and is more than the ``estimate``
    ``[B]`` in nats, in words, in which the sides are called ``names``.

    Example:
        >>> a, b = torch.randn(2, 1, 500, 1, generator=torch.Generator().manual_seed(0))
        >>> near = torch.cat([a, a + 0.01 * b], -1)
        >>> collinear_notes(near, b, torch.tensor([0.3]))[0][:54]
        'x has directions that vary 136 times less than its col'
        >>> collinear_notes(near, b, torch.tensor([3.3]))
        ()
    """
    most = min(_MOST, x.shape[1] // SHARE)
    if max(x.shape[-1], y.shape[-1]) > most or max(x.shape[-1], y.shape[-1]) < 2:
        return ()
    first = [_smallest(standardise(side.mT, None).mT) for side in (x, y)]
    if bool((torch.minimum(*first) > _SMALL).all()):
        return ()
    sides = [_cut(side.double()) for side in (x, y)]
    small = [_smallest(side) for side in sides]
    n = torch.full(x.shape[:1], x.shape[1], device=x.device)
    plain = gaussian_information(sides[0], sides[1], n, ridge=_ROUNDING).clamp(min=0)
    ranked = linear_information(x, y, None, None)[:, 0].clamp(min=0)
    least = (_SHARE_HIDDEN * plain).clamp(min=_HIDDEN)
    hidden = (plain - ranked > least) & (plain - estimate.to(plain) > least)
    hidden &= torch.minimum(*small) < _SMALL
    if not bool(hidden.any()):
        return ()
    which = int(hidden.nonzero()[0])
    least_x, least_y = (float(side[which]) for side in small)
    name, times = names[least_x >= least_y], min(least_x, least_y) ** -0.5
    return (
        f"{name} has directions that vary {times:,.0f} times less than its columns, where ranks "
        f"show {float(ranked[which]):.2f} of the {float(plain[which]):.2f} nats that both sides "
        f"share linearly: the estimate may be too low; pass columns without such directions "
        f"instead, for example differences, or principal components over their deviations",
    )


def _cut(side: Tensor) -> Tensor:
    """Columns of mean 0 and variance 1, without values far from the others."""
    middle = side.median(1, keepdim=True).values
    away = (side - middle).abs()
    size = _DEVIATION * away.median(1, keepdim=True).values
    size = torch.where(size > 0, size, side.std(1, keepdim=True))  # half of the values are equal
    return standardise((middle + (side - middle).clamp(-_FAR * size, _FAR * size)).mT, None).mT


def _smallest(side: Tensor) -> Tensor:
    """The least variance ``[B]`` of a direction that is not a sum that always holds."""
    values = torch.linalg.eigvalsh(side.mT @ side / side.shape[1])
    least: Tensor = values.masked_fill(values < _ROUNDING, torch.inf).amin(-1)
    return least
