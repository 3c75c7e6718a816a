"""Columns around an informative core: redundant columns, mixing, and independent noise.

Legend: ``B`` datasets, ``N`` samples, ``C`` core columns, ``W`` columns of the side.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["chances", "display", "lay_out", "one_hot", "pick", "repeats", "uniform"]

_REFLECTIONS = 3
_TIE = 4096.0  # discrete columns are rounded to 1 / 4096 after mixing, so that ties stay ties


def uniform(*shape: int, generator: torch.Generator, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Uniform numbers in ``low`` to ``high``, float32, on the generator's device."""
    u = torch.rand(shape, generator=generator, device=generator.device)
    return u if (low, high) == (0.0, 1.0) else low + (high - low) * u


def chances(count: int, *, generator: torch.Generator) -> list[float]:
    """Uniform numbers for structural choices, read from the device in one transfer."""
    values: list[float] = uniform(count, generator=generator).tolist()
    return values


def pick(u: float, shares: dict[str, float]) -> str:
    """The name at the quantile ``u`` of a table of shares."""
    left = u * sum(shares.values())
    for name, share in shares.items():
        left -= share
        if left < 0:
            return name
    return list(shares)[-1]


def display(
    core: Tensor, ties: Tensor, extra: int, mixed: float, *, generator: torch.Generator
) -> Tensor:
    """Show core columns ``[B, N, C]`` through an injective map into ``C + extra`` columns.

    The core is joined by ``extra`` smooth functions of itself, ``tanh`` of random projections, and
    a share ``mixed`` of the datasets is then scaled and turned by random reflections. The map is
    injective: mutual information does not change. Datasets in ``ties`` ``[B]`` (bool), whose core
    is discrete, are rounded where they are computed, so that equal rows stay exactly equal.
    """
    batch, _, width = core.shape
    shown = core
    if extra:
        spread = width**-0.5 * uniform(batch, 1, 1, generator=generator, low=0.5, high=4.0)
        weight = spread * torch.randn(batch, width, extra, generator=generator, device=core.device)
        bias = torch.randn(batch, 1, extra, generator=generator, device=core.device)
        shown = torch.cat((core, torch.baddbmm(bias, core, weight).tanh()), -1)
    if mixed and width + extra > 1:
        on = uniform(batch, 1, 1, generator=generator) < mixed
        scale = uniform(batch, 1, width + extra, generator=generator, low=0.3, high=1.0)
        shown = shown * torch.where(on, scale, torch.ones_like(scale))
        for _ in range(_REFLECTIONS):
            axis = torch.randn(batch, width + extra, 1, generator=generator, device=core.device)
            axis = on * axis / axis.norm(dim=1, keepdim=True)
            shown = torch.baddbmm(shown, shown @ axis, axis.mT, alpha=-2)
    if extra or (mixed and width > 1):
        shown = torch.where(ties[:, None, None], (shown * _TIE).round() / _TIE, shown)
    return shown


def lay_out(shown: Tensor, width: int, *, generator: torch.Generator) -> Tensor:
    """Put columns ``[B, N, m]`` among independent noise columns, ``[B, N, W]``, in random order.

    Noise is normal; a third of the datasets has a common factor in it, and in a fifth about half of
    its columns are discrete.
    """
    batch, n, informative = shown.shape
    noise = width - informative
    if noise:
        device = shown.device
        columns = torch.randn(batch, n, noise, generator=generator, device=device)
        factor = torch.randn(batch, n, 1, generator=generator, device=device)
        loading = torch.randn(batch, 1, noise, generator=generator, device=device)
        u = uniform(3, batch, 1, 1, generator=generator)
        columns = columns + factor * loading * (2 * u[1] * (u[0] < 1 / 3))
        discrete = (u[2] < 0.2) & (uniform(batch, 1, noise, generator=generator) < 0.5)
        columns = torch.where(discrete, (columns * (0.4 + 10 * u[2])).round(), columns)
        shown = torch.cat((shown, columns), -1)
    if width == 1:
        return shown
    return shown[..., torch.randperm(width, generator=generator, device=shown.device)]


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """Indicator columns ``[B, N, classes]``, float32, of labels ``[B, N]`` in 0 to classes - 1."""
    return (labels[..., None] == torch.arange(classes, device=labels.device)).float()


def repeats(core: Tensor, extra: int, *, generator: torch.Generator) -> Tensor:
    """Join ``extra`` zigzag functions of single core columns to ``[B, N, C]``.

    Equal values give equal values, exactly; the core stays, so mutual information does too.
    """
    if not extra:
        return core
    batch, _, width = core.shape
    own = torch.randint(width, (extra,), generator=generator, device=core.device)
    turns = 3 * uniform(batch, 1, extra, generator=generator) ** 2 + 0.1
    turned = core[..., own] * turns + uniform(batch, 1, extra, generator=generator)
    return torch.cat((core, (turned - turned.floor() - 0.5).abs()), -1)
