"""An estimator of mutual information that tests of samplers hold their truths against."""

from __future__ import annotations

import torch
from torch import Tensor


def kraskov(x: Tensor, y: Tensor, k: int = 5) -> float:
    """Kraskov et al. (2004), first estimator, of ``[N, dx]`` and ``[N, dy]``; equation 8."""
    psi = torch.special.digamma
    inside = 0.0
    for rows in torch.arange(len(x)).split(256):
        dx, dy = (torch.cdist(z[rows], z, p=torch.inf) for z in (x, y))
        nearest = torch.maximum(dx, dy).topk(k + 1, dim=1, largest=False, sorted=False).values
        radius = nearest.amax(1, keepdim=True)
        inside += sum(psi((d < radius).sum(1).double()).sum().item() for d in (dx, dy))
    sizes = psi(torch.tensor([float(k), float(len(x))], dtype=torch.float64)).sum()
    return sizes.item() - inside / len(x)


def scaled_kraskov(x: Tensor, y: Tensor) -> float:
    """The same of columns over their deviations."""
    return kraskov(x / x.std(0), y / y.std(0))
