r"""What happens to samples larger or wider than those that the weights were trained on.

**More samples**: they are dealt into equal chunks within the range, and the quantiles of the chunks
are averaged (``benchmarks/high_dim.py`` has the comparison with one pass over all of them).

**More columns**: a wide side is seen through as many directions as the sample can bear. One half
are ridge canonical directions, fitted on normal scores with correlations shrunk towards the
identity (Schäfer and Strimmer 2005),

.. math:: R_\lambda = (1 - \lambda) R + \lambda I, \qquad
          R_{\lambda,x}^{-1/2} R_{xy} R_{\lambda,y}^{-1/2} = A\, S\, B^T, \qquad
          W_x = R_{\lambda,x}^{-1/2} A,

the other half principal directions, from which the canonical ones are made uncorrelated: strong
dependence along the main axes of a side is kept whole, and that in directions of low variance is
found where the sample is large enough. With more columns than samples the canonical ones would fit
noise, so they are cross-fitted: the sample is dealt into folds, each is seen through the directions
of all the others, and the quantiles of the folds are averaged. With fewer than eight rows for each
column it is dealt into halves and into eighths, and what says less counts: in small folds a network
takes chance for dependence, in large ones it counts what many columns repeat. Directions are
constants of the backward pass; the gradient goes through the projected scores.

Samples are dealt by a key that depends on neither their order, nor that of the columns, nor the
side, so that an estimate keeps its symmetries.

Legend: ``B`` datasets, ``N`` samples, ``d`` columns, ``r = min(N, d)``, ``K`` parts, ``m`` samples
of a part, ``k`` directions, ``Q`` quantiles.
"""

from __future__ import annotations

import torch
from einops import rearrange, reduce
from torch import Tensor

from torchmist.checks import MIN_SAMPLES, visible
from torchmist.copula import full_grid, lookup, normal_scores, rank_transform
from torchmist.models.network import QuantileNetwork
from torchmist.models.trained_range import TrainedRange
from torchmist.numerics.eigen import eigenvectors
from torchmist.numerics.ranked import Ranked

__all__ = ["route"]

_ELEMENTS = 4_000_000  # of parts x samples x columns in one pass of the network
_SAMPLES = 131_072  # of parts x samples: each has neighbours, which take memory
_FOLD = 32  # fewest samples of a fold, where there are enough
_HALVES, _EIGHTHS, _FOLDS = 2, 8, 4  # of a sample with fewer rows for each column than
_ROWS = 8  # of them, and with more
_LEAST_SHRINKAGE = 0.01


def route(
    x: Tensor, y: Tensor, network: QuantileNetwork, mask: Tensor | None = None,
    ranked: tuple[Ranked, Ranked] | None = None, folds: int | None = None,
) -> Tensor:  # fmt: skip
    """Quantiles ``[B, Q]`` of pairs ``[B, N, d]`` of any size, by the route that the sizes ask for.

    The largest sizes of the training are those of ``network.trained_range``; without them, or
    within them, this is ``network(x, y, mask)``. ``ranked``: the columns of both by rank, where
    they are known and nothing is masked. ``folds``: of a wide sample with fewer than eight rows for
    each column, 2 and 8 by default.
    """
    n, dx, dy = x.shape[1], x.shape[2], y.shape[2]
    most_n, most_d = _most(network.trained_range, n, max(dx, dy))
    chunks = -(-n // most_n)
    if max(dx, dy) > most_d and n >= 2 * MIN_SAMPLES:
        few = n < _ROWS * max(dx, dy)
        if few and folds is None:
            each = [route(x, y, network, mask, folds=count) for count in (_HALVES, _EIGHTHS)]
            return torch.minimum(each[0], each[1])
        parts = max(_HALVES, min(n // _FOLD, folds if few and folds else _FOLDS), chunks)
        a, b, present = _on_directions(x, y, mask, parts, most_d)
    elif chunks > 1 and not _fits(mask, most_n):
        parts = chunks
        a, b, present = _deal(x, y, mask, parts, ranked)
    else:
        out: Tensor = network(x, y, mask)
        return out
    most = min(_ELEMENTS // (a.shape[2] + b.shape[2]), _SAMPLES)
    size = max(1, most // a.shape[1])
    masks = [None] * len(a) if present is None else present.split(size)
    passes = [network(p, q, m) for p, q, m in zip(a.split(size), b.split(size), masks)]
    averaged: Tensor = reduce(torch.cat(passes), "(b p) q -> b q", "mean", p=parts)
    return averaged


def _most(trained: TrainedRange | None, n: int, d: int) -> tuple[int, int]:
    """The most samples and columns in training; ``n`` and ``d`` where they are not stated."""
    if trained is None:
        return n, d
    return n if trained.n is None else trained.n[1], d if trained.d is None else trained.d[1]


def _fits(mask: Tensor | None, most: int) -> bool:
    """Whether no dataset has more than ``most`` samples once ``mask`` is counted."""
    return mask is not None and visible((mask.sum(-1) <= most).all()) is True


def _scores(
    x: Tensor, y: Tensor, mask: Tensor | None, ranked: tuple[Ranked, Ranked] | None
) -> Tensor:
    """Normal scores of the columns of both sides, ``[B, D, N]``."""
    if ranked is None:
        return rank_transform(torch.cat([x.detach(), y.detach()], -1), mask).scores
    codes = torch.cat([side.codes for side in ranked], -2)
    return lookup(full_grid(codes.shape[-1], x.detach()).float(), codes)


def _deal(
    x: Tensor, y: Tensor, mask: Tensor | None, parts: int,
    ranked: tuple[Ranked, Ranked] | None = None,
) -> tuple[Tensor, Tensor, Tensor | None]:  # fmt: skip
    """Both sides and the mask as ``[B K, m, d]`` and ``[B K, m]``, one sample to each part in turn.

    In the order of the sum over columns of the absolute normal scores. The last round is filled up
    with masked samples.
    """
    key = _scores(x, y, mask, ranked).double().abs().sum(-2)
    if mask is not None:
        key = key.masked_fill(~mask, torch.inf)
    order = key.argsort(dim=-1, stable=True)
    missing = -order.shape[1] % parts
    if missing and mask is None:
        mask = torch.ones_like(order, dtype=torch.bool)

    def dealt(value: Tensor) -> Tensor:
        value = value.gather(1, order[..., None].expand_as(value))
        value = torch.nn.functional.pad(value, (0, 0, 0, missing))
        out: Tensor = rearrange(value, "b (m p) d -> (b p) m d", p=parts)
        return out

    present = None if mask is None else dealt(mask[..., None].to(x.dtype)).squeeze(-1) > 0
    return dealt(x), dealt(y), present


def _on_directions(
    x: Tensor, y: Tensor, mask: Tensor | None, parts: int, most: int
) -> tuple[Tensor, Tensor, Tensor | None]:
    """As :func:`_deal`, with sides of more than ``most`` columns on directions of other folds."""
    wide = [side.shape[-1] > most for side in (x, y)]
    scores = [normal_scores(side, mask) for side in (x, y)]
    zx, zy, present = _deal(scores[0], scores[1], mask, parts)
    a, b, _ = _deal(x, y, mask, parts) if not all(wide) else (zx, zy, present)
    keep = min(most, max(MIN_SAMPLES, zx.shape[1] // 4))
    canonical = min(max(1, keep // 2), x.shape[-1], y.shape[-1])
    maps = _directions(zx.detach(), zy.detach(), parts, keep, canonical)
    sides = [
        z @ w if is_wide else side for z, w, side, is_wide in zip((zx, zy), maps, (a, b), wide)
    ]
    if present is not None:
        sides = [side * present[..., None] for side in sides]
    return sides[0], sides[1], present


def _directions(zx: Tensor, zy: Tensor, parts: int, keep: int, canonical: int) -> list[Tensor]:
    """Maps ``[B K, d, k]`` of both sides for each part, fitted on the other parts' scores."""
    coordinates = [_coordinates(z.unflatten(0, (-1, parts))) for z in (zx, zy)]
    (cx, _), (cy, _) = coordinates
    counts = (cx.square().sum(-1) + cy.square().sum(-1) > 0).sum(-1)[..., None, None]
    n = counts.sum(1, keepdim=True) - counts  # samples of the other parts, [B, K, 1, 1]

    def others(p: Tensor, q: Tensor) -> Tensor:
        own = p.mT @ q
        return (own.sum(1, keepdim=True) - own) / n

    rx, ry = others(cx, cx), others(cy, cy)
    lower_x, lower_y = _shrunk_factor(rx, n), _shrunk_factor(ry, n)
    between = torch.linalg.solve_triangular(lower_x, others(cx, cy), upper=False)
    between = torch.linalg.solve_triangular(lower_y, between.mT, upper=False).mT
    swap = between.shape[-2] > between.shape[-1]
    between = between.mT if swap else between
    left = eigenvectors(between @ between.mT)[1][..., -canonical:]
    right = between.mT @ left
    right = right / right.norm(dim=-2, keepdim=True).clamp(min=1e-6)
    pair = (right, left) if swap else (left, right)
    maps = []
    for (c, basis), r, lower, found in zip(coordinates, (rx, ry), (lower_x, lower_y), pair):
        found = torch.linalg.solve_triangular(lower.mT, found, upper=True)
        whole = (c.mT @ c).sum(1, keepdim=True)
        principal = eigenvectors(whole)[1][..., canonical - keep :]
        principal = principal.expand(-1, parts, -1, -1)[..., : keep - canonical]
        maps.append((basis @ _uncorrelated(torch.cat([principal, found], -1), r)).flatten(0, 1))
    return maps


def _coordinates(z: Tensor) -> tuple[Tensor, Tensor]:
    """Scores ``[B, K, m, d]`` in an orthonormal basis ``[B, 1, d, r]`` of their span."""
    rows = z.flatten(1, 2)
    if rows.shape[-1] > rows.shape[-2]:
        basis = torch.linalg.qr(rows.mT).Q[:, None]
        return z @ basis, basis
    return z, torch.eye(z.shape[-1], dtype=z.dtype, device=z.device)[None, None]


def _shrunk_factor(correlation: Tensor, n: Tensor) -> Tensor:
    """Cholesky factor of shrunk correlations ``[..., r, r]`` of ``n`` samples.

    The share of the identity is the sum of the variances of the correlations over the sum of their
    squares, which is 1 for unrelated columns.
    """
    d = correlation.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None]
    squares = (correlation.square().sum((-2, -1), keepdim=True) - d).clamp(min=1e-6)
    share = ((d * (d - 1) - squares) / (n * squares)).clamp(_LEAST_SHRINKAGE, 1.0)
    eye = torch.eye(correlation.shape[-1], dtype=correlation.dtype, device=correlation.device)
    lower: Tensor = torch.linalg.cholesky_ex((1 - share) * correlation + share * eye).L
    return lower


def _uncorrelated(w: Tensor, correlation: Tensor) -> Tensor:
    """Directions ``[..., r, k]`` made uncorrelated one after the other, with unit variance."""
    scale = (w * (correlation @ w)).sum(-2, keepdim=True).clamp(min=1e-12).rsqrt()
    w = w * scale
    eye = torch.eye(w.shape[-1], dtype=w.dtype, device=w.device)
    lower = torch.linalg.cholesky_ex(w.mT @ correlation @ w + 1e-3 * eye).L
    out: Tensor = torch.linalg.solve_triangular(lower, w.mT, upper=False).mT
    return out
