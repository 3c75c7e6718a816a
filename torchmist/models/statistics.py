"""Order-free statistics of a sample of ranks: what the network reads.

Every entry is invariant under sign changes of the columns (monotone decreasing maps) and
equivariant under their permutation. Legend: ``B`` datasets, ``N`` samples, ``D = dx + dy``
features, ``K`` basis functions, ``F`` raw pair statistics, ``S`` side features. What belongs to
pairs of columns has its channels first, which makes whole blocks of memory of them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from torchmist.models.channels import PLAIN_RIDGES, READ_RIDGES, SIZES
from torchmist.models.gaussian import gaussian_bias, ridge_factor
from torchmist.numerics.cache import cached

__all__ = ["Features", "Statistics", "roles", "sample_statistics"]


class Features(NamedTuple):
    """Basis values ``all`` ``[K, B, D, N]`` and their parts; the ``paired`` ones come first.

    ``odd_paired``, ``odd_rest`` and ``even`` are one split, whose gradient is one concatenation.
    """

    all: Tensor
    odd_paired: Tensor
    odd_rest: Tensor
    even: Tensor

    @classmethod
    def of(cls, values: Tensor, odd: int, paired: int) -> Features:
        """Split ``values`` ``[K, B, D, N]`` whose first ``odd`` functions are odd."""
        return cls(values, *values.split([paired, odd - paired, len(values) - odd]))


class Statistics(NamedTuple):
    """``sizes`` ``[B, 4]`` (``[1, 4]`` if all datasets have one size), ``anchors`` (closed-form MI,
    nats) ``[B, A]``, ``side`` ``[B, S]``, ``pairs`` ``[F, B, D, D]``, ``radii`` ``[B, 8, N]``, soft
    ``sign`` ``[B, D, D]`` of the correlations, the ``scale`` ``[K, B, D, 1]`` that gives the
    features unit variance, and the Gaussian MI of each pair of columns, ``pair_mi`` ``[B, D, D]``
    in nats."""

    sizes: Tensor
    anchors: Tensor
    side: Tensor
    pairs: Tensor
    radii: Tensor
    sign: Tensor
    scale: Tensor
    pair_mi: Tensor

    def with_pairs(self, more: Tensor) -> Statistics:
        """The same with further statistics of pairs ``[F, B, D, D]`` behind those at hand."""
        return self._replace(pairs=torch.cat([self.pairs, more]))


def _sizes(n: Tensor, dx: int, dy: int) -> Tensor:
    """What the sizes alone say about the noise, the bias of the plug-in MI, and ``n``; 6 each."""
    area = torch.full_like(n, float(dx * dy))
    known = [n.log() / 3 - 1.5, 5 / n.sqrt(), area.log() / 4 - 1, (n / (dx + dy)).log() / 2]
    return torch.stack([*known, gaussian_bias(n, dx, dy).to(n.dtype), n], -1)


def _sizes_of_full(n: int, dx: int, dy: int, like: Tensor) -> Tensor:
    return _sizes(torch.full((1,), n, dtype=like.dtype, device=like.device), dx, dy)


class _Gram(torch.autograd.Function):
    """``a @ a.mT``, the two parts of whose gradient are one product."""

    generate_vmap_rule = True

    @staticmethod
    def forward(a: Tensor) -> Tensor:
        return a @ a.mT

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (a,) = ctx.saved_tensors
        out: Tensor = (grad + grad.mT) @ a
        return out


def _gram(a: Tensor) -> Tensor:
    """``a @ a.mT`` of ``[..., D, N]``."""
    if not torch.is_grad_enabled():  # spares the bookkeeping of a function with a gradient
        return a @ a.mT
    out: Tensor = _Gram.apply(a)  # type: ignore[no-untyped-call]
    return out


def _grams(features: Features, samples: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Correlations of the basis functions, like with like and odd with even, and their scale."""
    mean = features.all.sum(-1, keepdim=True) / samples
    like = _gram(features.all) / samples - mean * mean.mT
    scale = (like.diagonal(dim1=-2, dim2=-1).unsqueeze(-1) + 1e-3).rsqrt()
    like = like * (scale * scale.mT)
    paired, odd = len(features.odd_paired), len(features.odd_paired) + len(features.odd_rest)
    first, second = slice(0, paired), slice(odd, odd + paired)
    mixed = features.odd_paired @ features.even[:paired].mT / samples
    mixed = (mixed - mean[first] * mean[second].mT) * (scale[first] * scale[second].mT)
    return like, mixed, scale


def _roles(dx: int, dy: int, like: Tensor) -> Tensor:
    in_x = (torch.arange(dx + dy, device=like.device) < dx).to(like.dtype)
    # a product of numbers, since inductor cannot bound the comparison of two booleans
    same = in_x[:, None] * in_x + (1 - in_x[:, None]) * (1 - in_x)
    eye = torch.eye(dx + dy, dtype=like.dtype, device=like.device)
    return torch.stack([same, 1 - same, eye])[:, None]


def roles(dx: int, dy: int, like: Tensor) -> Tensor:
    """Indicators of a pair: same side, other side, self; ``[3, 1, D, D]``."""
    return cached(_roles, dx, dy, like=like)


def _radius_maps(count: int, dx: int, dy: int, like: Tensor) -> Tensor:
    """What makes radii of the terms of quadratic forms, and a last column that is added.

    ``[4 L + 2, 2 L D + 1]``, of ``L = count`` matrices for the sides apart and for both together.
    With ``q`` the sums of the terms, ``L`` rows each of the mean of ``q / d`` of both sides, their
    difference, that of both together, and what it adds; then the last ``q`` of X and of Y, each
    standardised as under independence of its columns.
    """
    size, last = dx + dy, count - 1
    maps = torch.zeros(4, count, count, 2, size, dtype=like.dtype, device=like.device)
    shells = torch.zeros(2, count, 2, size, dtype=like.dtype, device=like.device)
    for i in range(count):
        maps[0, i, i, 0, :dx], maps[0, i, i, 0, dx:] = 0.5 / dx, 0.5 / dy
        maps[1, i, i, 0, :dx], maps[1, i, i, 0, dx:] = 1 / dx, -1 / dy
        maps[2, i, i, 1] = 1 / size
        maps[3, i, i, 0], maps[3, i, i, 1] = size**-0.5, -(size**-0.5)
    shells[0, last, 0, :dx], shells[1, last, 0, dx:] = (2 * dx) ** -0.5, (2 * dy) ** -0.5
    added = [-1.0, 0.0, -1.0, 0.0]
    last_column = [a for a in added for _ in range(count)] + [
        -((dx / 2) ** 0.5),
        -((dy / 2) ** 0.5),
    ]
    offset = torch.tensor(last_column, dtype=like.dtype, device=like.device)
    rows = torch.cat([maps.view(4 * count, -1), shells.view(2, -1)])
    return torch.cat([rows, offset[:, None]], 1)


def _radii(z: Tensor, precision: Tensor, dx: int) -> tuple[Tensor, Tensor]:
    """Mahalanobis radii of every sample, ``[B, 4 L, N]``, and both sides' last ones, ``[B, 2, N]``.

    ``precision``: ``[L, 2, B, D, D]``, of the sides apart and of both together. All that is read
    off ``z^T P z`` within X, within Y and jointly is one linear map of its terms.
    """
    count, _, batch, size, _ = precision.shape
    stacked = precision.permute(2, 0, 1, 3, 4).reshape(batch, -1, size)
    terms = (stacked @ z).view(batch, 2 * count, size, -1)
    terms = terms * z[:, None] if torch.is_grad_enabled() else terms.mul_(z[:, None])
    maps, offset = cached(_radius_maps, count, dx, size - dx, like=z).split(
        [2 * count * size, 1], 1
    )
    read = torch.baddbmm(offset, maps.expand(batch, -1, -1), terms.flatten(1, 2))
    mean, difference, rest, shells = read.split([count, count, 2 * count, 2], 1)
    return torch.cat([mean, difference.square(), rest], 1), shells


def _radial(
    z: Tensor, shells: Tensor, correlation: Tensor, sign: Tensor, samples: Tensor,
    mask: Tensor | None,
) -> list[Tensor]:  # fmt: skip
    """How the correlations change with the radii of both sides, in all ``[5, B, D, D]``.

    A rotation whose angle grows with the radius (a spiral) hides a correlation from the sample as
    a whole and leaves it in shells. ``shells``: centred radii of both sides, ``[B, 2, N]``. The
    weights are their squashed sum, difference and product; all that is returned is free of the
    swap of the sides.
    """
    ux, uy = torch.tanh(shells).unbind(1)
    weight = torch.stack([(ux + uy) / 2**0.5, (ux - uy) / 2**0.5, ux * uy], 1).unsqueeze(-2)
    if mask is not None:
        weight = weight * mask[:, None, None]
    mean = weight.sum(-1, keepdim=True).transpose(0, 1) / samples
    changed = (weight * z[:, None]).flatten(1, 2) @ z.mT
    changed = changed.unflatten(1, (3, -1)).transpose(0, 1) / samples - mean * correlation
    surprise = torch.log1p(4 * samples * changed.square()) / 4
    return [surprise, 3 * changed[::2] * sign]


def sample_statistics(
    z: Tensor, features: Features, dx: int, *, radial: bool = False, mask: Tensor | None = None
) -> Statistics:
    """All statistics of standardised scores ``z`` ``[B, D, N]`` and basis ``features``.

    Both are 0 in masked samples; the first ``dx`` of the ``D`` columns are X; ``radial``: whether
    the pairs carry how they change with the radii; ``mask``: ``[B, N]``, of the real samples.
    """
    odd = len(features.odd_paired) + len(features.odd_rest)
    batch, size, length = z.shape
    dy = size - dx
    if mask is None:
        known = cached(_sizes_of_full, length, dx, dy, like=z)
    else:
        known = _sizes(mask.sum(-1).to(z.dtype), dx, dy)
    sizes, bias, count = known.split([len(SIZES), 1, 1], -1)
    samples = count.unsqueeze(-1)
    correlation = _gram(z) / samples
    like, mixed, scale = _grams(features, samples)
    odd_like, even_like = like.split([odd, len(like) - odd])

    role = roles(dx, dy, z)
    both = torch.stack([correlation * role[0], correlation])
    factor = ridge_factor(both, PLAIN_RIDGES + READ_RIDGES, inverses=len(READ_RIDGES))
    apart, joint = factor.half_logdet.unbind(1)
    closed = (apart - joint).mT
    anchors = torch.cat([closed[:, :1] - bias, closed], -1).clamp(min=0)
    parts = [sizes.expand(batch, -1), anchors / 4, (anchors + 1e-2).log() / 3]
    side = torch.cat(parts, -1)

    radii, shells = _radii(z, factor.precision, dx)

    square = correlation.square()
    sign = correlation * (square + 1 / samples).rsqrt()
    inside = 0.9995 * correlation
    precision = factor.precision[:, 1]
    diagonal = precision.diagonal(dim1=-2, dim2=-1).rsqrt().unsqueeze(-1)
    information = -torch.log1p(-inside.square())
    surprise = torch.log1p(mixed.square() * samples) / 4
    raw = [
        torch.stack(
            [
                correlation * sign,
                information,
                8 * torch.tanh(torch.atanh(inside) * sign * (samples.sqrt() / 32)),
                torch.log1p(even_like.square().mean(0) * samples),
            ]
        ),
        odd_like * sign,
        even_like,
        surprise,
        surprise.mT,
        -precision * (diagonal * diagonal.mT * sign),
        role.expand(-1, batch, -1, -1),
    ]
    if radial:
        raw += _radial(z, shells, correlation, sign, samples, mask)
    return Statistics(sizes, anchors, side, torch.cat(raw), radii, sign, scale, information / 2)
