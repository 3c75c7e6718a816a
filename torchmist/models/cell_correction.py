"""A correction of MIST's quantiles, read off how cells of X and cells of Y go together.

Legend: ``B`` datasets, ``N`` samples, ``k`` columns of a side, ``K`` cells of a side.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from torchmist.heads import from_nats, to_nats

__all__ = ["CELLS", "COARSER", "CellCorrection", "SoftCells"]

CELLS = 64
COARSER = (32, 16, 8, 4)
_SHARPEST = 25.0  # largest difference of log shares: smaller ones are slow denormal numbers


class SoftCells(nn.Module):
    """Shares of a sample in ``CELLS`` cells around prototypes, and unions of these cells.

    Args:
        columns: ``k`` of the side.
    """

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.prototypes = nn.Parameter(torch.zeros(CELLS, columns))
        self.log_precision = nn.Parameter(torch.zeros(()))
        for count in COARSER:
            self.register_buffer(f"union_{count}", torch.zeros(CELLS, count))

    def forward(self, x: Tensor) -> Tensor:
        """``[B, N, k]`` to shares ``[B, N, K]`` that sum to 1."""
        c = self.prototypes
        log_share = (x @ c.mT - 0.5 * c.square().sum(-1)) * self.log_precision.exp()
        log_share = log_share - log_share.amax(-1, keepdim=True)
        return log_share.clamp(min=-_SHARPEST).softmax(-1)

    def unions(self) -> list[Tensor]:
        """What joins the cells at each level, ``[K, K']``."""
        coarser = [self.get_buffer(f"union_{count}") for count in COARSER]
        return [torch.eye(CELLS).to(coarser[0]), *coarser]


class CellCorrection(nn.Module):
    r"""Quantiles moved and stretched in ``t = log(I + 0.2)`` by what contingency tables say.

    The table :math:`T = A^\top B / N` of the shares of both sides in their cells, at five levels of
    unions, gives plug-in informations, their expected excess at ``N`` samples, and chi-squares. A
    weighted mean over the levels of ``log(plug-in - excess + 0.2)`` is a second opinion. A small
    network makes of all these, of ``N`` and of the quantiles' mean and spread how far to go towards
    that opinion, a shift and a stretch; all are nothing at first. Class labels are their own cells.

    Args:
        kx, ky: columns of both sides.
        labels_x, labels_y: whether a side is class labels, as one-hot columns of any number.
    """

    def __init__(self, kx: int, ky: int, labels_x: bool, labels_y: bool) -> None:
        super().__init__()
        self.x = None if labels_x else SoftCells(kx)
        self.y = None if labels_y else SoftCells(ky)
        levels = 1 + len(COARSER)
        self.weights = nn.Parameter(torch.zeros(levels))
        self.network = nn.Sequential(
            nn.Linear(5 * levels + 4, 64), nn.GELU(), nn.Linear(64, 64), nn.GELU(),
            nn.Linear(64, 3),
        )  # fmt: skip
        nn.init.zeros_(self.network[-1].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.network[-1].bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, y: Tensor, quantiles: Tensor, mask: Tensor | None) -> Tensor:
        """Corrected quantiles ``[B, Q]`` in nats, increasing as the given ones are."""
        with torch.autocast(x.device.type, enabled=False):
            t = from_nats(quantiles.clamp(min=-0.199))
            centre = t.mean(-1, keepdim=True)
            spread = (t - centre).square().mean(-1, keepdim=True).sqrt()
            if mask is None:
                n = torch.full_like(centre, x.shape[1])
            else:
                n = mask.sum(-1, keepdim=True).to(centre)
            sizes = [n.log() / 5 - 1, 10 / n.sqrt(), centre, (spread + 1e-3).log()]
            said = [_statistics(table, n) for table in self._tables(x, y, n, mask)]
            opinion = torch.stack([v[:, 2] for v in said], -1) @ self.weights.softmax(-1)
            out = self.network(torch.cat([*said, *sizes], -1))
            towards, shift, stretch = out.split(1, -1)
            moved = centre + towards * (opinion[:, None] - centre) + shift
            return to_nats(moved + stretch.exp() * (t - centre))

    def _tables(self, x: Tensor, y: Tensor, n: Tensor, mask: Tensor | None) -> list[Tensor]:
        """Contingency tables ``[B, Kx, Ky]`` from fine to coarse."""
        sides = [(self.x, x), (self.y, y)]
        a, b = (_one_hot(v) if cells is None else cells(v) for cells, v in sides)
        if mask is not None:
            a = a * mask[..., None]
        fine = a.mT @ b / n[..., None]
        levels = 1 + len(COARSER)
        p, q = (
            [torch.eye(share.shape[-1]).to(fine)] * levels if cells is None else cells.unions()
            for (cells, _), share in zip(sides, (a, b))
        )
        return [left.mT @ fine @ right for left, right in zip(p, q)]


def _one_hot(columns: Tensor) -> Tensor:
    """Labels as cells: one column of two classes becomes two."""
    return torch.cat([columns, 1 - columns], -1) if columns.shape[-1] == 1 else columns


def _statistics(table: Tensor, n: Tensor) -> Tensor:
    """Five numbers ``[B, 5]`` of tables ``[B, Kx, Ky]`` of ``n`` ``[B, 1]`` samples.

    The excess is that of Miller (1955), (Kx - 1)(Ky - 1) / 2n, with the number of cells in use by
    their entropy.
    """
    table = table.clamp(min=1e-9)
    p, q = table.sum(-1, keepdim=True), table.sum(-2, keepdim=True)
    product = p * q
    mi = (table * (table.log() - product.log())).sum((1, 2)).unsqueeze(-1)
    used = [(-(v * v.log()).sum((1, 2))).exp().unsqueeze(-1) - 1 for v in (p, q)]
    excess = used[0] * used[1] / (2 * n)
    chi_square = ((table - product).square() / product).sum((1, 2)).unsqueeze(-1)
    left = mi - excess
    return torch.cat([mi, left, from_nats(left.clamp(min=0)), excess, chi_square.log1p()], -1)
