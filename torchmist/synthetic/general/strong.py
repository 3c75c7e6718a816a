"""Pairs that share much: Gaussian pairs of up to 40 nats, and the families of the paper.

Canonical pairs have 0.25 to 3 nats each, log-uniform, equal or unequal, of full or any rank; where
both sides have two columns at least, half of the datasets are of the paper's families instead, in
the columns that the sides have in common. All other columns are noise. The columns of either side
of a third of the datasets are mixed linearly.

Legend: ``B`` datasets, ``N`` samples, ``dx``, ``dy`` columns.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchmist.synthetic.batch import Batch
from torchmist.synthetic.engines.family import check_sizes
from torchmist.synthetic.general.canonical import canonical_mi, sample_canonical
from torchmist.synthetic.general.mixing import mix_linearly
from torchmist.synthetic.paper import PaperMeta

__all__ = ["StrongMeta", "draw_strong_correlations"]

_LEAST, _MOST, _ALL = 0.25, 3.0, 40.0  # nats of one canonical pair, and of all together
_MIXED = 1 / 3


def draw_strong_correlations(batch: int, dx: int, dy: int, *, generator: torch.Generator) -> Tensor:
    """Canonical correlations ``[B, min(dx, dy)]`` float64, zeros beyond the rank of each dataset.

    Half have full rank. The mean of the pairs' MI is log-uniform in 0.25 to 3 nats, at most 40 in
    all; in half of the datasets it is split unequally, with at most 3.5 nats for one pair.
    """
    device, most = generator.device, min(dx, dy)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=device, dtype=torch.float64)

    rank = torch.where(uniform(batch) < 0.5, most, 1 + (uniform(batch) * most).floor())
    used = torch.arange(most, device=device) < rank[:, None]
    each = _LEAST * (_MOST / _LEAST) ** uniform(batch)
    total = (each * rank).clamp(max=_ALL)
    weight = (-uniform(batch, most).clamp(min=1e-12).log()) ** uniform(batch, 1).round()
    weight = weight * used
    nats = total[:, None] * weight / weight.sum(-1, keepdim=True)
    return (-torch.expm1(-2 * nats.clamp(max=3.5))).sqrt()


class StrongMeta:
    """Datasets of any ``dx``, ``dy`` from 1 that share much: see the module.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> batch = StrongMeta().sample(4, 100, 8, 8, generator=generator)
        >>> batch.x.shape, batch.y.shape
        (torch.Size([4, 100, 8]), torch.Size([4, 100, 8]))
    """

    def __init__(self) -> None:
        self._paper = PaperMeta()

    def sample(
        self, batch_size: int, n: int, dx: int, dy: int, *, generator: torch.Generator
    ) -> Batch:
        """``batch_size`` datasets of ``n`` samples; ``family`` is 1 for those of the paper.

        Raises:
            ValueError: if a size is no integer of at least 1.
        """
        check_sizes(batch_size=batch_size, n=n, dx=dx, dy=dy)
        device, both = generator.device, min(dx, dy)
        papers = batch_size // 2 if both > 1 else 0
        x = torch.randn(batch_size, n, dx, generator=generator, device=device)
        y = torch.randn(batch_size, n, dy, generator=generator, device=device)
        rest = batch_size - papers
        rho = draw_strong_correlations(rest, dx, dy, generator=generator)
        df = rho.new_full((rest,), torch.inf)
        x[papers:], y[papers:] = sample_canonical(rho, df, n, dx, dy, generator=generator)
        mi = canonical_mi(rho, df, dx, dy)
        if papers:
            made = self._paper.sample(papers, n, both, generator=generator)
            x[:papers, :, :both], y[:papers, :, :both] = made.x, made.y
            mi = torch.cat([made.mi.double(), mi])
        x, y = (self._mixed(side, generator) for side in (x, y))
        family = (torch.arange(batch_size, device=device) < papers).long()
        return Batch(x, y, mi.float(), family, torch.zeros_like(mi).float())

    @staticmethod
    def _mixed(side: Tensor, generator: torch.Generator) -> Tensor:
        """A third of the datasets ``[B, N, d]`` with linearly mixed columns."""
        if side.shape[-1] < 2:
            return side
        rows = torch.rand(len(side), generator=generator, device=side.device) < _MIXED
        if rows.any():
            side[rows] = mix_linearly(side[rows], generator=generator)
        return side
