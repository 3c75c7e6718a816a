r"""Ridge regressions on kernels, asked of each row as if that had no part in them.

That costs no further fit (Allen, Technometrics 16, 125, 1974), so that learning curves can be read
off few rows. Legend: ``N`` rows, ``d`` columns, ``M`` rows of the kernel, ``L`` targets.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from torchmist.models.variates import spread_places
from torchmist.numerics.eigen import white_frame
from torchmist.numerics.no_gradient import no_gradient

__all__ = ["INSIDE", "features_of", "left_out", "rectified_kernel", "white_columns"]

INSIDE = 1 - 1e-6
"""The most of a cosine, and of the weight of a row in what is said of it."""
_SHRINK = 0.05  # variance added to that of columns
_KERNEL, _JITTER = 512, 1e-4  # rows, and variance added

Kernel = Callable[[Tensor, Tensor], Tensor]
"""The kernel ``[M, N]`` of rows ``[M, d]`` and ``[N, d]``, about 1 of a row with itself."""


def white_columns(scores: Tensor) -> Tensor:
    """Scores ``[N, d]`` in a frame in which they are nearly uncorrelated; no gradient passes
    through the frame."""
    with no_gradient():
        turn = white_frame(scores, _SHRINK).to(scores.dtype)
    out: Tensor = scores @ turn
    return out


def rectified_kernel(a: Tensor, b: Tensor) -> Tensor:
    """That of a wide layer of rectified units (Cho and Saul, NeurIPS 2009)."""
    size = a.norm(dim=-1)[:, None] * b.norm(dim=-1)
    cos = (a @ b.mT / size).clamp(-INSIDE, INSIDE)
    angle = cos.acos()
    out: Tensor = size * (angle.sin() + (math.pi - angle) * cos) / (math.pi * a.shape[-1])
    return out


def features_of(x: Tensor, kernel: Kernel) -> Tensor:
    """Features ``[N, M]`` of rows ``[N, d]`` and a constant, whose products are the kernel."""
    x = torch.cat([x, torch.ones_like(x[:, :1])], -1)
    centres = x[spread_places(len(x), _KERNEL, x)]
    inner = kernel(centres, centres)
    inner = inner + _JITTER * torch.eye(len(centres), dtype=x.dtype, device=x.device)
    lower = torch.linalg.cholesky_ex(inner).L
    out: Tensor = torch.linalg.solve_triangular(lower, kernel(centres, x), upper=False).mT
    return out


def left_out(features: Tensor, centred: Tensor, ridges: tuple[float, ...]) -> list[Tensor]:
    """What a regression of ``centred`` targets ``[N, L]`` on ``features`` ``[N, M]`` of all other
    rows says of each, ``[N, L]``, by each of the ``ridges``."""
    gram = features.mT @ features
    eye = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    out = []
    for ridge in ridges:
        lower = torch.linalg.cholesky_ex(gram + ridge * eye).L
        turned = torch.linalg.solve_triangular(lower, features.mT, upper=False)
        own = turned.square().sum(0)[:, None].clamp(max=INSIDE)
        out.append((turned.mT @ (turned @ centred) - own * centred) / (1 - own))
    return out
