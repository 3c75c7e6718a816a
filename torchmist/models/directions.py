r"""Sides of many columns, seen through principal and cross-fitted canonical directions.

A side of more than 64 columns becomes the 48 leading principal components of its normal scores and
up to 16 canonical variates: singular vectors of the cross-covariance of the whitened leading
components of both sides, found for each quarter of the sample on the other three, so that chance
dependence between many columns is not taken for information. Principal components come from a
subspace iteration whose start belongs to the samples in the order of their norms, and the quarters
are dealt in that order, so that nothing depends on the order of samples or columns, nor on which
side is which. Where they stand out of noise, both directions of each quarter are turned, by one
rotation, to those of the whole sample: else rows of both sides would show which quarter they belong
to, and seem to share it. Directions are constants of the backward pass; the gradient goes through
the scores.

Legend: ``B`` datasets, ``N`` samples, ``d`` columns, ``p`` components, ``k`` variates, ``K`` folds.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from torchmist.models.pair_scores import pair_scores
from torchmist.numerics.cache import cached
from torchmist.numerics.no_gradient import no_gradient

__all__ = ["WIDEST", "Through", "fixed_numbers", "orthonormal", "see_narrow",
           "see_through"]  # fmt: skip

WIDEST = 64
"""Columns of a side that the network takes as they are."""

_KEPT, _VARIATES, _COMPONENTS = 48, 16, 128
_FOLDS = 4
_ITERATIONS = 4
_OWN = 1e-6  # what directions that do not stand out are turned by: their sign


class Through(NamedTuple):
    """A side for the network: its ``columns`` ``[B, N, k]``, and ``rows`` ``[B, N, p]`` whose
    distances are about those of all its columns."""

    columns: Tensor
    rows: Tensor


class _Components(NamedTuple):
    """Principal components ``[B, N, p]`` in falling order of their ``deviation`` ``[B, 1, p]``."""

    values: Tensor
    deviation: Tensor


def see_narrow(x: Tensor, y: Tensor, mask: Tensor | None = None) -> tuple[Through, Through] | None:
    """:func:`see_through` where a side has more than 64 columns, else None."""
    wide = max(x.shape[-1], y.shape[-1]) > WIDEST
    return see_through(x, y, mask) if wide else None


def see_through(x: Tensor, y: Tensor, mask: Tensor | None = None) -> tuple[Through, Through]:
    """Both sides ``[B, N, d]`` with at most 64 columns each; those with fewer stay as they are.

    ``mask``: ``[B, N]`` bool, True for real samples.
    """
    scores = pair_scores(x, y, mask)
    key = sum(s.detach().double().abs().sum(-1) for s in scores)
    if mask is not None:
        key = key.masked_fill(~mask, torch.inf)  # type: ignore[union-attr]
    place = key.argsort(dim=-1, stable=True).argsort(dim=-1)  # type: ignore[union-attr]
    components = [_components(s, place) for s in scores]
    folds = place % _FOLDS
    if mask is not None:
        folds = folds.masked_fill(~mask, -1)
    found = _variates(components[0], components[1], folds)
    out = []
    for side, score, c, variate in zip((x, y), scores, components, found):
        if side.shape[-1] <= WIDEST:
            out.append(Through(side, score))
            continue
        columns = torch.cat([c.values[..., :_KEPT], variate], -1)
        if mask is not None:
            columns = columns * mask[..., None]
        out.append(Through(columns, c.values))
    return out[0], out[1]


def fixed_numbers(size: int, count: int, like: Tensor) -> Tensor:
    """Fixed numbers ``[size, count]``, from which subspace iterations start."""
    i = torch.arange(1, size + 1, dtype=torch.float64, device=like.device)[:, None]
    j = torch.arange(1, count + 1, dtype=torch.float64, device=like.device)
    return torch.frac(torch.sin(12.9898 * i + 78.233 * j) * 43758.5453).to(like.dtype) - 0.5


def orthonormal(u: Tensor) -> Tensor:
    """An orthonormal basis of the columns of ``[..., n, p]`` by two rounds of Cholesky QR."""
    eye = torch.eye(u.shape[-1], dtype=u.dtype, device=u.device)
    u = u / u.norm(dim=-2, keepdim=True).clamp(min=1e-12)
    for ridge in (1e-5, 1e-7):
        lower = torch.linalg.cholesky_ex(u.mT @ u + ridge * eye).L
        u = torch.linalg.solve_triangular(lower, u.mT, upper=False).mT
    return u


def _components(z: Tensor, place: Tensor) -> _Components:
    """Leading principal components of scores ``[B, N, d]``, all columns if there are few."""
    n, d = z.shape[1:]
    if d <= WIDEST:
        return _Components(z, z.detach().square().mean(1, keepdim=True).clamp(min=1e-6).sqrt())
    count = max(1, min(_COMPONENTS, d, n // 4))
    with no_gradient():
        fixed = z.detach().double()
        u = cached(fixed_numbers, n, count, like=fixed)[place]
        u = u * (fixed.abs().sum(-1, keepdim=True) > 0)
        for _ in range(_ITERATIONS):
            v = orthonormal(fixed.mT @ u)
            u = fixed @ v
        values, vectors = torch.linalg.eigh(u.mT @ u / n)
        directions = (v @ vectors).flip(-1).to(z.dtype)
        deviation = values.clamp(min=1e-9).sqrt().flip(-1).unsqueeze(1).to(z.dtype)
    return _Components(z @ directions, deviation)


def _variates(a: _Components, b: _Components, folds: Tensor) -> list[Tensor]:
    """Cross-fitted canonical variates ``[B, N, k]`` of both sides."""
    sides = [c.values / c.deviation for c in (a, b)]
    count = min(_VARIATES, *(s.shape[-1] for s in sides))
    out = [s.new_zeros(*s.shape[:-1], count) for s in sides]
    with no_gradient():
        x, y = (s.detach().double() for s in sides)
        member = (folds[:, None] == torch.arange(_FOLDS, device=folds.device)[:, None]).to(x.dtype)
        each = torch.einsum("bkn,bnp,bnq->bkpq", member, x, y)
        size, whole = member.sum(-1), each.sum(1, keepdim=True)
        rest = torch.cat([size.sum(1, keepdim=True), size.sum(1, keepdim=True) - size], 1)
        rest = rest.clamp(min=1)[..., None, None]
        found = _singular(torch.cat([whole, whole - each], 1) / rest, count)
        left, right = (w.to(out[0].dtype) for w in _turned(*found, rest))
    for k in range(_FOLDS):
        inside = member[:, k, :, None].to(out[0].dtype)
        for index, (side, w) in enumerate(zip(sides, (left, right))):
            out[index] = out[index] + inside * (side @ w[:, k])
    return out


def _turned(left: Tensor, values: Tensor, right: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Directions ``[B, K, p, k]`` and ``[B, K, q, k]`` of ``K`` quarters, near those of the whole.

    ``left`` ``[B, 1 + K, p, k]``, their singular ``values`` ``[B, 1 + K, k]`` and ``right`` begin
    with the whole; ``rows`` ``[B, 1 + K, 1, 1]`` counts what they were fitted on. Both sides are
    turned by the same rotation, and only as far as their values exceed those of independent
    columns: chance turned to chance would be taken for information.
    """
    chance = (left.shape[-2] ** 0.5 + right.shape[-2] ** 0.5) * rows.squeeze(-1).rsqrt()
    weight = (values - chance).clamp(min=0)
    near = left[:, 1:].mT @ left[:, :1] + right[:, 1:].mT @ right[:, :1]
    sign = torch.where(near.diagonal(dim1=-2, dim2=-1) < 0, -_OWN, _OWN)
    near = weight[:, 1:, :, None] * near * weight[:, :1, None] + sign.diag_embed()
    u, _, v = torch.linalg.svd(near.nan_to_num())
    return left[:, 1:] @ (u @ v), right[:, 1:] @ (u @ v)


def _singular(cross: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Leading singular vectors ``[..., p, k]`` and ``[..., q, k]`` of ``[..., p, q]``, and the
    values ``[..., k]`` between them.

    Subspaces of both sides are found alike, so that a swap of the sides changes nothing.
    """
    left, right = _leading(cross, count), _leading(cross.mT, count)
    u, values, v = torch.linalg.svd((left.mT @ cross @ right).nan_to_num())
    return left @ u, values, right @ v.mT


def _leading(cross: Tensor, count: int) -> Tensor:
    """An orthonormal basis ``[..., p, k]`` of about the leading left singular vectors."""
    u = orthonormal(cross[..., :count])
    for _ in range(_ITERATIONS):
        u = orthonormal(cross @ (cross.mT @ u))
    return u
