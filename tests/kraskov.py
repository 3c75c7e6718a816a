"""An estimator of mutual information that tests of samplers hold their truths against."""

from __future__ import annotations

import torch
from torch import Tensor


def kraskov(x: Tensor, y: Tensor, k: int = 5) -> float:
    """Kraskov et al. (2004), first estimator, of ``[N, dx]`` and ``[N, dy]``; equation 8."""
    dx, dy = torch.cdist(x, x, p=torch.inf), torch.cdist(y, y, p=torch.inf)
    radius = torch.maximum(dx, dy).kthvalue(k + 1, dim=1).values[:, None]
    counts = [(d < radius).sum(1).double() for d in (dx, dy)]
    psi = torch.special.digamma
    sizes = psi(torch.tensor([float(k), float(len(x))], dtype=torch.float64)).sum()
    return float(sizes - (psi(counts[0]) + psi(counts[1])).mean())


def scaled_kraskov(x: Tensor, y: Tensor) -> float:
    """The same of columns over their deviations."""
    return kraskov(x / x.std(0), y / y.std(0))
