"""Local statistics by naive loops, in the precision of their input."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

TIED, SMOOTH = 1e-6, 0.05  # as in the docstring of torchmist.models.local


class Fixed(NamedTuple):
    """What is held fixed in the derivative of a kernel estimate, of one side."""

    scale: Tensor
    first: Tensor
    rate: Tensor
    nearest: Tensor


def squares(u: Tensor, scale: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Squared distances ``[N, N - 1]`` of the others over about their mean, and the scale."""
    if scale is None:
        scale = (2 * u.square().sum(-1).mean()).sqrt()
    apart = (u[:, None] - u) / scale
    return apart.square().sum(-1)[~torch.eye(len(u), dtype=torch.bool)].view(len(u), -1), scale


def fixed(u: Tensor) -> Fixed:
    square, scale = squares(u)
    near = square.sort(-1).values.clamp(0, 4)
    first = near[:, :1]
    fine = near[:, 3:4] - first + TIED
    middle = torch.maximum(near[:, 9:10] - first + TIED, fine)
    broad = torch.maximum((square.mean(-1, keepdim=True) - first) / 2 + TIED, middle)
    width = torch.cat([fine, middle, (middle * broad).sqrt(), broad], -1)
    return Fixed(scale, first, 1 / width, square <= first)


def naive_kernels(x: Tensor, y: Tensor, by: tuple[Fixed, Fixed]) -> Tensor:
    """Mean local log ratios ``[S, S]`` of one dataset, with bandwidths and nearest ones given."""
    kernels = []
    for u, (scale, first, rate, nearest) in zip((x, y), by):
        shifted = (squares(u, scale)[0] - first).masked_fill(nearest, 0.0)
        kernels.append(torch.exp(-shifted[:, None] * rate[..., None]))
    joint = torch.einsum("isj,itj->ist", *kernels)
    total_x, total_y = (k.sum(-1) for k in kernels)
    expected = total_x[:, :, None] * total_y[:, None] / (len(x) - 1)
    return ((joint + SMOOTH) / (expected + SMOOTH)).log().mean(0)


def naive_neighbours(x: Tensor, y: Tensor, k: int) -> float:
    """Kraskov's first estimate in nats; where the radius is 0, all that coincide count (Mesner and
    Shalizi); where columns hold few values, those that lie at it in one side come in any order."""
    dx, dy = squares(x)[0].tolist(), squares(y)[0].tolist()
    few = any(all(4 * len(c.unique()) <= len(c) for c in side.T) for side in (x, y))
    total = 0.0
    for row_x, row_y in zip(dx, dy):
        joint = [max(a, b) for a, b in zip(row_x, row_y)]
        radius = sorted(joint)[k - 1]
        reach = radius * (1 + 1e-6) + 1e-9
        nearer = [sum(d < radius * (1 - 1e-6) - 1e-9 for d in row) for row in (row_x, row_y)]
        within = [sum(d < reach for d in row) for row in (row_x, row_y)]
        near, counts = k, [count + 1.0 for count in nearer]
        at = [b - a for a, b in zip(nearer, within)]
        if radius < 1e-9:
            near, counts = sum(r < reach for r in joint), within
        elif few and max(at) > 2:
            before = sum(r < radius * (1 - 1e-6) - 1e-9 for r in joint)
            share = (k - before) / (sum(r < reach for r in joint) - before + 1)
            counts = [a + share * (c + 1) if c else a + 1 for a, c in zip(nearer, at)]
        in_x, in_y = counts
        for sign, count in ((1, near), (-1, in_x), (-1, in_y)):
            total += sign * float(torch.digamma(torch.tensor(float(count), dtype=torch.float64)))
    n = len(dx)
    return total / n + float(torch.digamma(torch.tensor(float(n), dtype=torch.float64)))
