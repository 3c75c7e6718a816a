r"""What independent components of both sides share in pairs, where columns are mixes of them.

Noisy channels side by side are found by the pairs of their columns
(``torchmist.models.matched_columns``), until a map mixes the columns of a side. Four frames undo
the map: independent components of x, of y, and of what either side leaves unexplained of the other,
whose noise they part,

.. math:: r_x = x - C_{xy} C_{yy}^{-1} y, \qquad r_y = y - C_{yx} C_{xx}^{-1} x.

They are found by fixed-point iterations with symmetric orthogonalisation (Hyvärinen, IEEE Trans.
Neural Networks 10, 626, 1999), at last with the cumulants of each component for its contrast.
Each component goes with what the other side says of it linearly; neighbours say what each pair
shares. Were the components of one side independent, both sides shared at least the sum; what their
sizes share tells how far they are not. Where columns of both sides hold equal values nothing is
sought: a mix leaves none, and components that nearly are such columns would show them twice.
Nothing depends on which invertible linear map mixes the scores of a side. Legend: ``B`` datasets,
``N`` samples, ``d`` columns, ``F`` frames.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from torchmist.checks import visible
from torchmist.copula import standardise
from torchmist.models.directions import fixed_numbers
from torchmist.models.local import row_counts, sample_order
from torchmist.models.matched_columns import chance_square, neighbour_information
from torchmist.models.pair_scores import pair_scores
from torchmist.numerics.cache import cached
from torchmist.numerics.eigen import whitening
from torchmist.numerics.no_gradient import no_gradient
from torchmist.numerics.sorting import sorted_values

__all__ = ["FRAMES", "UNMIXED_COUNT", "Unmixed", "unmixed_information"]

FRAMES = 4
UNMIXED_COUNT = 4 * FRAMES
"""Numbers of :class:`Unmixed`."""
_WIDEST = 32  # columns of a side, up to which components are sought
_ROWS = 6  # for each column
_STEPS, _LAST = 12, 6  # with the hyperbolic tangent, and with cumulants
_EDGE = 3.0  # deviations, to which components are cut in cumulants
_ALIKE = 0.05  # of the rows
_RIDGE = 1e-5  # of the largest variance of a direction
_HIGHEST = 0.9999  # squared correlation
# of n (skewness^2 / 6 + excess^2 / 24), mean of the upper half of components of normal columns: few
# of many hundred draws lie above, of 6 to 160 rows a column
_USUAL, _USUAL_ROWS = 40.0, 6.0
_SURE = 3.0  # more than the logarithm of what is compared


class Unmixed(NamedTuple):
    """``near`` ``[B, F]``: the sum over the pairs of each frame by neighbours, ``linear``: were
    they Gaussian, ``tied``: what the sizes of their components share with each other, were those
    Gaussian, all in nats, and ``pairs``, their number; the frame first whose ``near`` is farthest
    above ``linear`` and ``tied``. All 0 of frames whose components look normal."""

    near: Tensor
    linear: Tensor
    tied: Tensor
    pairs: Tensor


def unmixed_information(x: Tensor, y: Tensor, mask: Tensor | None = None) -> Unmixed:
    """What components of ``[B, N, dx]`` and ``[B, N, dy]`` share in pairs; none are sought in more
    than 32 columns a side, in one on each, in fewer than 6 rows a column, nor where a column of
    either side has a twentieth of its rows alike.

    ``mask``: ``[B, N]`` bool, True for real samples. The sums by neighbours have the gradient of
    the Gaussian ones.
    """
    most = max(x.shape[-1], y.shape[-1])
    none = torch.zeros(4, len(x), FRAMES, device=x.device, dtype=torch.float32)
    if not 1 < most <= _WIDEST or x.shape[1] < _ROWS * most:
        return Unmixed(*none)
    scores = pair_scores(x, y, mask)
    n = row_counts(x, mask)
    n = n.float()  # whatever the default dtype
    sought = (n >= _ROWS * most) & ~(_repeats(scores[0], n) & _repeats(scores[1], n))
    if visible(sought.any()) is False:
        return Unmixed(*none)
    twice = None if mask is None else mask.repeat(2, 1)
    found = []
    for own, other in (scores, scores[::-1]):
        with no_gradient():
            maps, told, normal = _frames(own, other, n, mask)
            good = ~normal & sought.repeat(2)
        u, v = own.repeat(2, 1, 1) @ maps, other.repeat(2, 1, 1) @ told
        parts = _pairs(u, v, other.shape[-1], good, n.repeat(2), twice)
        found.append([part.view(2, -1) for part in parts])
    near, linear, tied, pairs = (torch.cat(part).T for part in zip(*found))
    order = (near - linear - tied).detach().argsort(-1, descending=True)
    return Unmixed(*(part.gather(-1, order) for part in (near, linear, tied, pairs)))


def _repeats(scores: Tensor, n: Tensor) -> Tensor:
    """Whether a column of ``[B, N, d]`` has more than a twentieth of its ``n`` rows alike,
    ``[B]``."""
    new = (sorted_values(scores.mT.contiguous()).diff() > 0).sum(-1)
    return (new < (1 - _ALIKE) * n[:, None]).any(-1)


def _frames(
    own: Tensor, other: Tensor, n: Tensor, mask: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Maps ``[2 B, d, d]`` of the scores ``own`` to their components, then to those of what
    ``other`` leaves of them; maps ``[2 B, d', d]`` of ``other`` to what it says of these; and which
    look normal, ``[2 B]``."""
    size = n[:, None, None].double()
    rows = [side.double() for side in (own, other)]
    within, cross, beyond = (a.mT @ b / size for a, b in ((rows[0],) * 2, rows, (rows[1],) * 2))
    eye = torch.eye(beyond.shape[-1], dtype=beyond.dtype, device=beyond.device)
    told = torch.cholesky_solve(cross.mT, torch.linalg.cholesky_ex(beyond + _RIDGE * eye).L)
    white = whitening(torch.cat([within, within - cross @ told])).to(own.dtype)
    told = told.to(own.dtype)
    order = sample_order(own.mT, mask, size).repeat(2, 1)
    real = torch.ones_like(own[..., :1]) if mask is None else mask[..., None].to(own.dtype)
    rest = torch.cat([own, own - other @ told]) * real.repeat(2, 1, 1)
    turn, normal = _components(rest @ white, order, n.repeat(2), real.repeat(2, 1, 1))
    maps = white @ turn
    return maps, told.repeat(2, 1, 1) @ maps, normal


def _components(z: Tensor, order: Tensor, n: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """The orthogonal map ``[B, d, d]`` of white columns ``[B, N, d]`` to independent components,
    and whether all of these look normal, ``[B]``; ``real`` ``[B, N, 1]`` is 0 for padding."""
    d, size = z.shape[-1], n[:, None, None].to(z.dtype)
    fixed = cached(fixed_numbers, z.shape[1], d, like=z)
    w = _orthogonal(z.gather(1, order[..., None].expand_as(z)).mT @ fixed)
    for step in range(_STEPS + _LAST):
        contrast, slope = _contrasts(z @ w, step < _STEPS, real, size)
        w = _orthogonal(z.mT @ contrast / size - w * (slope.sum(1, keepdim=True) / size))
    skew, excess = _cumulants(z @ w, real, size)
    odd = n[:, None] * (skew.square() / 6 + excess.square() / 24).squeeze(1)
    upper = odd.sort(-1).values[:, d // 2 :].mean(-1)
    return w, upper < _USUAL * (1 + (_USUAL_ROWS * d / n) ** 2 * d / _USUAL_ROWS)


def _contrasts(s: Tensor, first: bool, real: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
    """The contrast of each component ``[B, N, d]`` and its slope, by the hyperbolic tangent at
    ``first``, then by cumulants; written over ``s`` where memory would be asked for anew."""
    if first:
        contrast = s.tanh_()
        return contrast, contrast.square().neg_().add_(1).mul_(real)
    skew, excess = _cumulants(s, real, size)
    s = s.clamp_(-_EDGE, _EDGE)
    square = s.square()
    slope = (square - 1).mul_(excess).div_(2)
    contrast = (square - 1).mul_(skew).div_(2).add_(square.sub_(3).mul_(excess).mul_(s).div_(6))
    return contrast, slope.add_(s.mul_(skew)).mul_(real)


def _cumulants(s: Tensor, real: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
    """Skewness and excess kurtosis ``[B, 1, d]`` of components ``[B, N, d]``."""
    power = s.square().mul_(s)
    skew = power.sum(1, keepdim=True) / size
    fourth = power.mul_(s).sum(1, keepdim=True) / size
    return skew, fourth - 3 * (real.sum(1, keepdim=True) / size)


def _orthogonal(w: Tensor) -> Tensor:
    """The orthogonal map nearest to ``[B, d, d]`` with columns of length 1."""
    w = w / w.norm(dim=1, keepdim=True).clamp(min=1e-9)
    values, vectors = torch.linalg.eigh(w.mT @ w)
    out: Tensor = w @ (vectors * values.clamp(min=1e-6).rsqrt()[:, None]) @ vectors.mT
    return out


def _pairs(
    u: Tensor, v: Tensor, fitted: int, good: Tensor, n: Tensor, mask: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Sums ``[B]`` by neighbours and were all Gaussian, what sizes share, and the number, of the
    pairs of columns of ``[B, N, d]`` that go with each other beyond chance, where those of ``v``
    were fitted to those of ``u`` by ``fitted`` numbers each; 0 of datasets that are not ``good``
    ``[B]``."""
    u, v = (standardise(side.mT, mask).mT for side in (u, v))
    square = ((u * v).sum(1) / n[:, None]).square().clamp(max=_HIGHEST)
    chance = chance_square(fitted, math.log(u.shape[-1]) + _SURE)
    some = ((square * n[:, None] > chance) & good[:, None]).to(u.dtype)
    with no_gradient():
        near = neighbour_information(u, v, some, n, mask).sum(-1)
        tied = _tied(u, some, n, mask)
    linear = (-torch.log1p(-square) / 2 * some).sum(-1)
    return near + linear - linear.detach(), linear, tied, some.sum(-1)


def _tied(u: Tensor, some: Tensor, n: Tensor, mask: Tensor | None) -> Tensor:
    """What the sizes of ``some`` ``[B, d]`` of the components ``[B, N, d]`` share with each other,
    were they Gaussian and two by two, less what chance would show, ``[B]``."""
    size = standardise(u.abs().mT, mask)
    square = (size @ size.mT / n[:, None, None]).square().clamp(max=_HIGHEST)
    each = (-torch.log1p(-square) - 1 / n[:, None, None]) / 2 * some[:, None] * some[..., None]
    return each.triu(1).sum((1, 2)).clamp(min=0)
