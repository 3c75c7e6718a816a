"""Order-free statistics of a sample of ranks: what the network reads.

Every entry is invariant under sign changes of the columns (monotone decreasing maps) and
equivariant under their permutation. Legend: ``B`` datasets, ``N`` samples, ``D = dx + dy``
features, ``K`` basis functions, ``F`` raw pair statistics, ``S`` side features.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from torchmist.models.gaussian import gaussian_bias, ridge_factor

__all__ = [
    "ANCHORS",
    "RADIAL",
    "RADII",
    "SIDE",
    "SIZES",
    "Features",
    "Statistics",
    "pair_count",
    "sample_statistics",
]

_PLAIN_RIDGES = (1e-3, 1e-2, 0.3, 3.0)
_READ_RIDGES = (0.05, 1.0)
SIZES = 4
ANCHORS = len(_PLAIN_RIDGES) + len(_READ_RIDGES) + 1
SIDE = SIZES + 2 * ANCHORS
RADII = 4 * len(_READ_RIDGES)
RADIAL = 5


class Features(NamedTuple):
    """Basis values ``all`` ``[K, B, D, N]`` and their parts; the ``paired`` ones come first.

    The parts are one split, whose gradient is one concatenation.
    """

    all: Tensor
    odd_paired: Tensor
    odd_rest: Tensor
    even_paired: Tensor
    even_rest: Tensor

    @classmethod
    def of(cls, values: Tensor, odd: int, paired: int) -> Features:
        """Split ``values`` ``[K, B, D, N]`` whose first ``odd`` functions are odd."""
        sizes = [paired, odd - paired, paired, len(values) - odd - paired]
        return cls(values, *values.split(sizes))


class Statistics(NamedTuple):
    """``sizes`` ``[B, 4]``, ``anchors`` (closed-form MI, nats) ``[B, A]``, ``side`` ``[B, S]``,
    ``pairs`` ``[B, D, D, F]``, ``radii`` ``[B, N, 8]``, soft ``sign`` ``[B, D, D]`` of the
    correlations, the ``scale`` ``[K, B, D]`` that gives the features unit variance, and the
    Gaussian MI of each pair of columns, ``pair_mi`` ``[B, D, D]`` in nats."""

    sizes: Tensor
    anchors: Tensor
    side: Tensor
    pairs: Tensor
    radii: Tensor
    sign: Tensor
    scale: Tensor
    pair_mi: Tensor


def pair_count(odd: int, even: int, paired: int) -> int:
    """Number ``F`` of raw pair statistics without the radial ones."""
    return 4 + odd + even + 2 * paired + len(_READ_RIDGES) + 3


def _sizes(n: Tensor, dx: int, dy: int) -> Tensor:
    """What the sizes alone say about the noise, ``[B, 4]``."""
    area = torch.full_like(n, float(dx * dy))
    return torch.stack(
        [n.log() / 3 - 1.5, 5 / n.sqrt(), area.log() / 4 - 1, (n / (dx + dy)).log() / 2], -1
    )


def _grams(features: Features, n: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Correlations of the basis functions, like with like and odd with even, and their scale."""
    per = n.view(1, -1, 1, 1)
    mean = features.all.sum(-1) / per[..., 0]
    like = features.all @ features.all.mT / per - mean[..., :, None] * mean[..., None, :]
    scale = (like.diagonal(dim1=-2, dim2=-1) + 1e-3).rsqrt()
    like = like * scale[..., :, None] * scale[..., None, :]
    paired, odd = len(features.odd_paired), len(features.odd_paired) + len(features.odd_rest)
    first, second = slice(0, paired), slice(odd, odd + paired)
    mixed = features.odd_paired @ features.even_paired.mT / per
    mixed = mixed - mean[first][..., :, None] * mean[second][..., None, :]
    mixed = mixed * scale[first][..., :, None] * scale[second][..., None, :]
    return like, mixed, scale


def _roles(dx: int, dy: int, like: Tensor) -> Tensor:
    """Indicators of a pair: same side, other side, self; ``[D, D, 3]``."""
    side = torch.arange(dx + dy, device=like.device) < dx
    same = (side[:, None] == side[None, :]).to(like.dtype)
    return torch.stack([same, 1 - same, torch.eye(dx + dy, device=like.device).to(like.dtype)], -1)


def _quadratic(z: Tensor, precision: Tensor) -> Tensor:
    """``z^T P z`` of every sample, ``[L, B, N]``, from ``z`` ``[B, d, N]``."""
    return (precision @ z * z).sum(-2)


def _radial(
    z: Tensor, rx: Tensor, ry: Tensor, correlation: Tensor, sign: Tensor, n: Tensor,
    mask: Tensor | None,
) -> list[Tensor]:  # fmt: skip
    """How the correlations change with the radii of both sides, ``RADIAL`` times ``[B, D, D]``.

    A rotation whose angle grows with the radius (a spiral) hides a correlation from the sample as
    a whole and leaves it in shells. ``rx``, ``ry``: centred radii ``[B, N]``. The weights are their
    squashed sum, difference and product; all that is returned is free of the swap of the sides.
    """
    ux, uy = torch.tanh(rx), torch.tanh(ry)
    weight = torch.stack([(ux + uy) / 2**0.5, (ux - uy) / 2**0.5, ux * uy])
    if mask is not None:
        weight = weight * mask
    mean = weight.sum(-1)[..., None, None] / n
    moved = (weight[:, :, None] * z) @ z.mT / n - mean * correlation
    total, _, product = moved.unbind()
    surprise = torch.log1p(4 * n * moved.square()) / 4
    return [*surprise, 3 * total * sign, 3 * product * sign]


def sample_statistics(
    z: Tensor, features: Features, n: Tensor, dx: int, *, radial: bool = False,
    mask: Tensor | None = None,
) -> Statistics:  # fmt: skip
    """All statistics of standardised scores ``z`` ``[B, D, N]`` and basis ``features``.

    Both are 0 in masked samples; ``n``: ``[B]`` samples per dataset; the first ``dx`` of the ``D``
    columns are X; ``radial``: whether the pairs carry how they change with the radii.
    """
    odd = len(features.odd_paired) + len(features.odd_rest)
    size = z.shape[1]
    dy = size - dx
    n = n.to(z.dtype)
    correlation = z @ z.mT / n.view(-1, 1, 1)
    like, mixed, scale = _grams(features, n)

    blocks = (correlation[:, :dx, :dx], correlation[:, dx:, dx:], correlation)
    ridges = torch.tensor(_PLAIN_RIDGES + _READ_RIDGES, device=z.device)
    factors = [ridge_factor(block, ridges, inverses=len(_READ_RIDGES)) for block in blocks]
    of_x, of_y, of_both = (factor.half_logdet for factor in factors)
    closed = (of_x + of_y - of_both).T
    unbiased = closed[:, :1] - gaussian_bias(n, dx, dy).to(z.dtype)[:, None]
    anchors = torch.cat([unbiased, closed], -1).clamp(min=0)
    sizes = _sizes(n, dx, dy)
    side = torch.cat([sizes, anchors / 4, (anchors + 1e-2).log() / 3], -1)

    precision = [factor.precision for factor in factors]
    joint = precision[2]
    qx = _quadratic(z[:, :dx], precision[0])
    qy = _quadratic(z[:, dx:], precision[1])
    qj = _quadratic(z, joint)
    rx, ry, rj = qx / dx, qy / dy, qj / size
    radii = torch.cat([(rx + ry) / 2 - 1, (rx - ry).square(), rj - 1, (qx + qy - qj) / size**0.5])

    inverse_n = (1 / n).view(-1, 1, 1)
    sign = correlation * (correlation.square() + inverse_n).rsqrt()
    inside = 0.9995 * correlation
    fisher = torch.atanh(inside) * n.sqrt().view(-1, 1, 1) / 4
    diagonal = joint.diagonal(dim1=-2, dim2=-1).rsqrt()
    partial = -joint * diagonal[..., :, None] * diagonal[..., None, :] * sign
    energy = torch.log1p(like[odd:].square().mean(0) / inverse_n)
    surprise = torch.log1p(mixed.square() / inverse_n) / 4
    raw = [
        correlation * sign,
        -torch.log1p(-inside.square()),
        8 * torch.tanh(fisher * sign / 8),
        energy,
        *(like[:odd] * sign),
        *like[odd:],
        *surprise,
        *surprise.mT,
        *partial,
    ]
    pairs = torch.stack(raw, -1)
    parts = [pairs, _roles(dx, dy, pairs).expand(len(pairs), -1, -1, -1)]
    if radial:
        last = len(_READ_RIDGES) - 1
        shells = (rx[last] - 1) * (dx / 2) ** 0.5, (ry[last] - 1) * (dy / 2) ** 0.5
        per = n.view(-1, 1, 1)
        parts.append(torch.stack(_radial(z, *shells, correlation, sign, per, mask), -1))
    return Statistics(
        sizes,
        anchors,
        side,
        torch.cat(parts, -1),
        radii.permute(1, 2, 0),
        sign,
        scale,
        raw[1] / 2,
    )
