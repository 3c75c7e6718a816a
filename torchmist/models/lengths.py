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

__all__ = ["with_lengths"]

_FEWEST = 5  # columns: of fewer, the sphere is seen as what it is
_TIES = 0.01  # share of values that repeat in their column, from which they are no numbers
_UNEVEN = 1e-3  # of a length, by which rows of one length may differ
_STEPS = (0.7548776662466927, 0.5698402909980532)  # powers of 1 over the plastic number


def with_lengths(x: Tensor, y: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """``[B, N, dx]`` and ``[B, N, dy]``, whose rows are multiplied by lengths where all rows of a
    side have the same; elsewhere as they are.

    Args:
        x: one side.
        y: the other.
        mask: ``[B, N]`` bool, True for real samples.
    """
    if min(x.shape[-1], y.shape[-1]) < _FEWEST:
        return x, y
    with torch.no_grad():
        norms = [side.detach().double().norm(dim=-1) for side in (x, y)]
        even = _even(norms[0], mask) & _even(norms[1], mask)
        if visible(even.any()) is False:
            return x, y
        even = even & ~_repeats(x, mask) & ~_repeats(y, mask)
        place = _places(x, y, mask)
        larger = _key(x, mask) >= _key(y, mask)  # no swap of the sides changes who is dealt what
        shares = [((place + 0.5) * step).frac()[..., None] for step in _STEPS]
        shares = [torch.where(larger[:, None, None], a, b) for a, b in (shares, shares[::-1])]
        lengths = [_length(u, side) for u, side in zip(shares, (x, y))]
        a, b = (torch.where(even[:, None, None], length, 1.0) for length in lengths)
    return x * a.to(x), y * b.to(y)


def _even(norms: Tensor, mask: Tensor | None) -> Tensor:
    """Which datasets ``[B]`` have rows of one length, ``[B, N]``."""
    present = torch.ones_like(norms, dtype=torch.bool) if mask is None else mask
    low = norms.masked_fill(~present, torch.inf).amin(-1)
    high = norms.masked_fill(~present, -torch.inf).amax(-1)
    return (high > 0) & (high - low < _UNEVEN * high)


def _repeats(side: Tensor, mask: Tensor | None) -> Tensor:
    """Which datasets ``[B, N, d]`` hold values that repeat in their columns, ``[B]``."""
    values = side.detach() if mask is None else side.masked_fill(~mask[..., None], torch.nan)
    ordered = values.sort(dim=1).values
    return (ordered[:, 1:] == ordered[:, :-1]).double().mean((1, 2)) > _TIES


def _places(x: Tensor, y: Tensor, mask: Tensor | None) -> Tensor:
    """The place of each row ``[B, N]`` by the sum of its absolute values, double."""
    key = x.detach().double().abs().sum(-1) + y.detach().double().abs().sum(-1)
    key = key if mask is None else key.masked_fill(~mask, torch.inf)
    return key.argsort(dim=-1, stable=True).argsort(dim=-1).double()


def _key(side: Tensor, mask: Tensor | None) -> Tensor:
    """A number of each dataset ``[B]`` that orders neither rows nor columns."""
    size = side.detach().double().abs().sum(-1)
    return (size if mask is None else size * mask).sum(-1)


def _length(share: Tensor, side: Tensor) -> Tensor:
    """Quantiles of the length of a normal vector of so many columns, over its root mean square
    (Wilson and Hilferty 1931)."""
    width = 2 / (9 * side.shape[-1])
    root = 1 - width + width**0.5 * torch.special.ndtri(share)
    length: Tensor = root.clamp(min=1e-3).pow(1.5)
    return length
