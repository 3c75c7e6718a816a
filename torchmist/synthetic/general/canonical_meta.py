"""Gaussian pairs with rotated sides, standard normal in every column.

Legend: ``B`` datasets, ``N`` samples, ``dx``, ``dy`` columns.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchmist.synthetic.batch import Batch
from torchmist.synthetic.general.canonical import canonical_mi, draw_correlations, sample_canonical

__all__ = ["CanonicalMeta"]


class CanonicalMeta:
    """Gaussian pairs whose two sides are standard normal in all columns, as flows expect.

    Canonical correlations, then a random rotation of each side, so that the dependence lies in no
    particular column: I(X;Y) = -1/2 sum log(1 - rho^2).
    """

    families = ("gaussian",)

    def sample(
        self, batch_size: int, n: int, dx: int, dy: int, *, generator: torch.Generator
    ) -> Batch:
        """``batch_size`` datasets of ``n`` samples with their exact MI in nats."""
        rho = draw_correlations(batch_size, dx, dy, generator=generator)
        df = torch.full((batch_size,), torch.inf, dtype=torch.float64, device=rho.device)
        x, y = sample_canonical(rho, df, n, dx, dy, generator=generator)
        x, y = (v @ _rotations(batch_size, v.shape[-1], generator) for v in (x, y))
        family = torch.zeros(batch_size, dtype=torch.int64, device=rho.device)
        mi = canonical_mi(rho, df, dx, dy).float()
        return Batch(x, y, mi, family, torch.zeros_like(mi))


def _rotations(batch: int, d: int, generator: torch.Generator) -> Tensor:
    gaussian = torch.randn(batch, d, d, generator=generator, device=generator.device)
    rotation: Tensor = torch.linalg.qr(gaussian).Q
    return rotation
