"""Samples, and a network that reads local statistics, which the tests of these share."""

from __future__ import annotations

import dataclasses

import torch
from conftest import SMALL
from torch import Tensor

from torchmist.models.local import Local, local_statistics, subset
from torchmist.models.mist import MIST

SIDES = [(1, 1), (3, 2)]


def make_network() -> MIST:
    """A small network that reads local statistics, with all its parameters moved."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = MIST(dataclasses.replace(SMALL, local=1)).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def dependent(batch: int, n: int, dx: int, dy: int, dtype=torch.float32) -> tuple[Tensor, Tensor]:
    """``x`` ``[B, N, dx]`` and ``y`` ``[B, N, dy]`` that share their first column through noise."""
    generator = torch.Generator().manual_seed(n + dx)
    x = torch.randn(batch, n, dx, generator=generator, dtype=dtype)
    y = torch.randn(batch, n, dy, generator=generator, dtype=dtype)
    y[..., 0] = x[..., 0].square() + 0.3 * y[..., 0]
    return x, y


def local_of(x: Tensor, y: Tensor, mask: Tensor | None = None) -> Local:
    """Local statistics of one view, the values as they are."""
    return local_statistics([(x, y)], subset(torch.cat([x, y], -1).mT, mask))
