"""The families of the MIST paper in the columns that both sides have in common, beside noise.

Sides of different widths have columns of noise in the wider one; where a side has a single column,
too few for the paper's families, the pair is Gaussian.

Legend: ``B`` datasets, ``N`` samples, ``dx``, ``dy`` columns.
"""

from __future__ import annotations

import torch

from torchmist.synthetic.batch import Batch
from torchmist.synthetic.engines.family import check_sizes
from torchmist.synthetic.general.canonical import (
    canonical_mi,
    draw_correlations,
    sample_canonical,
)
from torchmist.synthetic.paper import PaperMeta

__all__ = ["PaperPairs"]


class PaperPairs:
    """Datasets of any ``dx``, ``dy`` from 1 of the paper's training families: see the module.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> batch = PaperPairs().sample(4, 100, 8, 5, generator=generator)
        >>> batch.x.shape, batch.y.shape
        (torch.Size([4, 100, 8]), torch.Size([4, 100, 5]))
    """

    def __init__(self) -> None:
        self._paper = PaperMeta()

    def sample(
        self, batch_size: int, n: int, dx: int, dy: int, *, generator: torch.Generator
    ) -> Batch:
        """``batch_size`` datasets of ``n`` samples; ``family`` is the paper's, 0 of single columns.

        Raises:
            ValueError: if a size is no integer of at least 1.
        """
        check_sizes(batch_size=batch_size, n=n, dx=dx, dy=dy)
        both = min(dx, dy)
        if both == 1:
            return _single(batch_size, n, dx, dy, generator)
        made = self._paper.sample(batch_size, n, both, generator=generator)
        x, y = (
            torch.cat([side, _noise(batch_size, n, d - both, generator)], -1)
            for side, d in ((made.x, dx), (made.y, dy))
        )
        return Batch(x, y, made.mi, made.family, torch.zeros_like(made.mi))


def _noise(batch: int, n: int, d: int, generator: torch.Generator) -> torch.Tensor:
    return torch.randn(batch, n, d, generator=generator, device=generator.device)


def _single(batch: int, n: int, dx: int, dy: int, generator: torch.Generator) -> Batch:
    """Gaussian pairs of one column on a side at least."""
    rho = draw_correlations(batch, dx, dy, generator=generator)
    df = torch.full_like(rho[:, 0], torch.inf)
    x, y = sample_canonical(rho, df, n, dx, dy, generator=generator)
    mi = canonical_mi(rho, df, dx, dy).float()
    return Batch(x, y, mi, torch.zeros_like(mi).long(), torch.zeros_like(mi))
