r"""Lengths for vectors that have none of their own.

Rows of length one, as normalised embeddings are, lie on a sphere: to a network that reads pairs of
columns their columns look like as many independent ones, of which each says something. A length
that is drawn for a row, whatever the row is, changes no mutual information,

.. math:: I(R X; S Y) = I(X;Y), \qquad R, S \perp (X, Y),

and with the lengths of normal vectors, :math:`R^2 \sim \chi^2_d`, unit vectors of no preferred
direction become normal ones. Where the rows of both sides have one length each, and no columns of
labels or bits, they are dealt such lengths, by the place of a row in an order that no permutation
of rows or columns changes, along a sequence that fills the square evenly (Roberts 2018, after
Kronecker). Legend: ``B`` datasets, ``N`` samples, ``d`` columns.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchmist.checks import visible

__all__ = ["same_in_all_rows", "with_lengths"]

_FEWEST = 5  # columns: of fewer, the sphere is seen as what it is
_UNEVEN = 5e-3  # of a length, by which rows of one length may differ: so much bfloat16 leaves
_TIES = 0.5  # share of values that repeat in their column, from which they are no numbers
_PARTS = -0.7  # correlation of squared columns, below which they have one length by themselves
_STEPS = (0.7548776662466927, 0.5698402909980532)  # powers of 1 over the plastic number


def with_lengths(x: Tensor, y: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """``[B, N, dx]`` and ``[B, N, dy]``, whose rows are multiplied by lengths where all rows of a
    side have the same; elsewhere as they are.

    Cosine and sine of an angle have one length as well: such parts of a side leave it as it is.

    Args:
        x: one side.
        y: the other.
        mask: ``[B, N]`` bool, True for real samples.
    """
    if min(x.shape[-1], y.shape[-1]) < _FEWEST:
        return x, y
    with torch.no_grad():
        present = torch.ones_like(x[..., 0], dtype=torch.bool) if mask is None else mask
        norms = [side.detach().double().norm(dim=-1) for side in (x, y)]
        even = same_in_all_rows(norms[0], mask, _UNEVEN) & same_in_all_rows(norms[1], mask, _UNEVEN)
        if visible(even.any()) is False:
            return x, y
        units = [_units(side, norm, present) for side, norm in zip((x, y), norms)]
        for side, unit in zip((x, y), units):
            even = even & ~_repeats(side, present) & ~_in_parts(unit, present)
        place = _places(units[0], units[1], present)
        # no swap of the sides changes which of them is dealt what
        larger = units[0].abs().sum((1, 2)) >= units[1].abs().sum((1, 2))
        shares = [((place + 0.5) * step).frac()[..., None] for step in _STEPS]
        shares = [torch.where(larger[:, None, None], a, b) for a, b in (shares, shares[::-1])]
        lengths = [_length(u, side) for u, side in zip(shares, (x, y))]
        a, b = (torch.where(even[:, None, None], length, 1.0) for length in lengths)
    return x * a.to(x), y * b.to(y)


def same_in_all_rows(values: Tensor, mask: Tensor | None, share: float) -> Tensor:
    """Which datasets have a positive number of each row, ``[B, N]``, that varies by less than that
    ``share`` of the largest, ``[B]`` bool; ``mask``: as in :func:`with_lengths`."""
    low = high = values
    if mask is not None:
        low, high = (values.masked_fill(~mask, end) for end in (torch.inf, -torch.inf))
    low, high = low.amin(-1), high.amax(-1)
    return (high > 0) & (high - low < share * high)


def _units(side: Tensor, norms: Tensor, present: Tensor) -> Tensor:
    """Rows ``[B, N, d]`` of length one, double, 0 for padding."""
    unit = side.detach().double() / norms[..., None].clamp(min=torch.finfo(torch.float64).tiny)
    return unit.masked_fill(~present[..., None], 0.0)


def _repeats(side: Tensor, present: Tensor) -> Tensor:
    """Of which datasets ``[B, N, d]`` values repeat in their columns, as bits do, ``[B]``."""
    ordered = side.detach().masked_fill(~present[..., None], torch.nan).sort(dim=1).values
    repeated = (ordered[:, 1:] == ordered[:, :-1]).double().sum(1).mean(-1)
    return repeated > _TIES * present.sum(-1)


def _in_parts(unit: Tensor, present: Tensor) -> Tensor:
    """Which datasets ``[B, N, d]`` have columns of one length by themselves, ``[B]``: squares of
    two columns of a sphere correlate by about ``-1 / (d - 1)``."""
    square, count = unit.square(), present.sum(-1)[:, None, None].clamp(min=1)
    square = (square - square.sum(1, keepdim=True) / count) * present[..., None]
    square = square / square.norm(dim=1, keepdim=True).clamp(min=1e-12)
    parts: Tensor = (square.mT @ square).amin((1, 2)) < _PARTS
    return parts


def _places(x: Tensor, y: Tensor, present: Tensor) -> Tensor:
    """The place of each row ``[B, N]`` by the sum of its absolute values, double."""
    key = (x.abs().sum(-1) + y.abs().sum(-1)).masked_fill(~present, torch.inf)
    return key.argsort(dim=-1, stable=True).argsort(dim=-1).double()


def _length(share: Tensor, side: Tensor) -> Tensor:
    """Quantiles of the length of a normal vector of so many columns, over its root mean square
    (Wilson and Hilferty 1931)."""
    width = 2 / (9 * side.shape[-1])
    root = 1 - width + width**0.5 * torch.special.ndtri(share)
    length: Tensor = root.clamp(min=1e-3).pow(1.5)
    return length
