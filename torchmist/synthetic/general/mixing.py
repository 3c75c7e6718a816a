r"""Invertible maps of one side that leave no column as it was; none changes MI.

Linear mixing, additive coupling layers, rotations whose angle depends on the radius (spirals), and
appended features of the other columns: I((x, h(x)); y) = I(x; y). Each is drawn anew for every
dataset. Legend: ``B`` datasets, ``N`` samples, ``d`` columns.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["append_features", "couple", "mix_linearly", "roll", "spiral", "warp_marginals"]


def _normal(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=generator, device=generator.device)


def _uniform(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.rand(shape, generator=generator, device=generator.device)


def _bounded(x: Tensor) -> Tensor:
    """An increasing map onto (-1, 1) that single precision does not saturate."""
    return x / (1 + x.abs())


def mix_linearly(x: Tensor, *, generator: torch.Generator) -> Tensor:
    """``x`` ``[B, N, d]`` times an invertible matrix of one of four kinds per dataset:

    a common factor in all columns, a rotation, a dense matrix, a sparse one. The dense one is a
    Gaussian matrix and half of the rotation nearest to its columns (QR), as of the Gaussian matrix
    alone the condition grows as ``d``: what X and Y share in directions of so little variance is
    lost in the noise of ranks.
    """
    batch, _, d = x.shape
    eye = torch.eye(d, device=x.device)
    gaussian = _normal(generator, batch, d, d) / math.sqrt(d)
    rotation, upper = torch.linalg.qr(gaussian)
    rotation = rotation * upper.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)
    common = eye + 2 * _uniform(generator, batch, 1, 1) / math.sqrt(d)
    few = _uniform(generator, batch, d, d) < 2 / d
    sparse = eye + 0.7 * torch.triu(few * _normal(generator, batch, d, d), 1)
    kind = torch.randint(4, (batch,), generator=generator, device=x.device)
    matrices = torch.stack([common, rotation, gaussian + rotation / 2, sparse])
    return x @ matrices[kind, torch.arange(batch, device=x.device)]


def warp_marginals(x: Tensor, *, generator: torch.Generator) -> Tensor:
    """An increasing map of all columns, one per dataset: only seen when mixing follows."""
    kind = torch.randint(4, (len(x), 1, 1), generator=generator, device=x.device)
    cube = x * x.abs().sqrt()
    out = torch.where(
        kind == 0,
        torch.asinh(2 * x),
        torch.where(kind == 1, cube, torch.nn.functional.softplus(2 * x)),
    )
    return torch.where(kind == 2, _bounded(x), out)


def couple(x: Tensor, *, generator: torch.Generator) -> Tensor:
    """Two additive coupling layers: half of the columns is shifted by a random smooth function of
    the other half, ``x_b + g(x_a)`` with ``g`` a sum of four sines."""
    batch, _, d = x.shape
    strength = _uniform(generator, batch, 1, 1) * 1.5
    halves = torch.randperm(d, generator=generator, device=x.device).tensor_split(2)
    for a, b in (halves, halves[::-1]):
        inner = _normal(generator, batch, len(a), 4) / math.sqrt(len(a))
        outer = _normal(generator, batch, 4, len(b)) / 2
        phase = 2 * math.pi * _uniform(generator, batch, 1, 4)
        shift = torch.sin(1.5 * x[..., a] @ inner + phase) @ outer
        x = x.index_add(2, b, strength * shift)
    return x


def spiral(x: Tensor, *, generator: torch.Generator) -> Tensor:
    """Rotates pairs of columns by an angle that grows with the norm of the whole row.

    The norm is kept, so the map is invertible. The angle is a power of the root mean square of the
    row, uniform in 0.5 to 2.5 (Czyz et al. 2023 have 2), times a speed uniform in 0.28 to 2.8.
    """
    batch, _, d = x.shape
    pairs = d // 2
    order = torch.randperm(d, generator=generator, device=x.device)
    first, second = order[:pairs], order[pairs : 2 * pairs]
    speed = 0.2 + 1.8 * _uniform(generator, batch, 1, 1)
    turns = (_uniform(generator, batch, 1, pairs) < 2 / pairs).to(x.dtype)
    power = 0.5 + 2 * _uniform(generator, batch, 1, 1)
    radius = x.square().mean(-1, keepdim=True).clamp(max=1e4) ** (power / 2)
    angle = speed * math.sqrt(2) * radius * turns
    a, b = x[..., first], x[..., second]
    out = x.clone()
    out[..., first] = angle.cos() * a - angle.sin() * b
    out[..., second] = angle.sin() * a + angle.cos() * b
    return out


def append_features(x: Tensor, count: int, *, generator: torch.Generator) -> Tensor:
    """``x`` with ``count`` further columns, each a random function of its columns: tanh, sine or
    square of one argument, or the product of two. Half of the arguments are single columns, half
    random directions; half of each are shifted."""
    batch, _, d = x.shape
    shape = (batch, 1, 2 * count)
    direction = _normal(generator, batch, d, 2 * count) / math.sqrt(d)
    column = torch.randint(d, shape[::2], generator=generator, device=x.device)
    column = torch.nn.functional.one_hot(column, d).mT.to(x.dtype)
    inner = torch.where(_uniform(generator, *shape) < 0.5, column, direction)
    sharp = torch.exp(0.7 * _normal(generator, *shape))
    shift = _normal(generator, *shape) * (_uniform(generator, *shape) < 0.5)
    a, b = (x @ (inner * sharp) + shift).tensor_split(2, -1)
    kind = torch.randint(4, (batch, 1, count), generator=generator, device=x.device)
    out = torch.where(kind == 0, a.tanh(), torch.where(kind == 1, (2 * a).sin(), a * b))
    return torch.cat([x, torch.where(kind == 3, a.square(), out)], -1)


def roll(x: Tensor, *, generator: torch.Generator) -> Tensor:
    """The first column on a plane spiral (Swiss roll): one column more, ``[B, N, d + 1]``."""
    turns = 0.3 + 1.2 * _uniform(generator, len(x), 1, 1)
    t = 1.5 * math.pi * (1 + 2 * turns * (1 + _bounded(x[..., :1])) / 2)
    return torch.cat([t * t.cos(), t * t.sin(), x[..., 1:]], -1)
