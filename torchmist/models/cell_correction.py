"""A correction of MIST's quantiles, read off how cells and neighbours of X and of Y go together.

Legend: ``B`` datasets, ``N`` samples, ``k`` columns of a side, ``M`` landmarks, ``K`` cells of it,
``r`` diffusion coordinates.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from torchmist.heads import from_nats, to_nats
from torchmist.models.neighbours import JOINT, NUMBERS, neighbour_statistics

__all__ = ["CELLS", "COARSER", "COORDINATES", "NEIGHBOURS", "WIDTH_SIZES", "CellCorrection",
           "SoftCells", "closeness", "landmark_mean", "landmark_shares"]  # fmt: skip

CELLS = 64
COARSER = (32, 16, 8, 4)
NEIGHBOURS = 8
COORDINATES = 48
WIDTH_SIZES = (128, 512, 2048)
_SAID, _SIZES = 5, 2  # numbers of a table, and of N
_TRUST = 2.0  # in neighbours in diffusion coordinates over other opinions, at first; in log odds
_FAR = 4.0  # deviations
_APART = 1e3  # distance of labels, more than any of columns
_NEAR = 16


def closeness(square: Tensor, reach: Tensor, other: Tensor) -> Tensor:
    """Logarithm of the kernel of squared distances with the reach of both ends."""
    return -((square / (reach * other)).clamp(max=1e3) ** 4)


def landmark_shares(x: Tensor, landmarks: Tensor, reach: Tensor) -> tuple[Tensor, Tensor]:
    """Shares of samples ``[..., N, k]`` in the nearest landmarks of ``[M, k]``, and their numbers.

    Both ``[..., N, 16]`` (all if ``M`` is less than 17); shares sum to 1. A landmark at the very
    place of a sample, as it is one of those that the weights were adapted to, is left out once.
    """
    square = (x.square().sum(-1, keepdim=True) + landmarks.square().sum(-1)) - 2 * x @ landmarks.mT
    square, index = square.clamp(min=0).topk(min(_NEAR + 1, len(landmarks)), largest=False)
    same = square[..., :1] < 1e-4 * reach[index[..., :1]].square()
    square = torch.where(same, square[..., 1:], square[..., :-1])
    index = torch.where(same, index[..., 1:], index[..., :-1])
    own = square[..., min(NEIGHBOURS, square.shape[-1]) - 1, None].detach().sqrt()
    log_share = closeness(square, own.clamp(min=1e-9), reach[index])
    return log_share.softmax(-1), index


def landmark_mean(values: Tensor, share: Tensor, index: Tensor) -> Tensor:
    """Means ``[..., N, r]`` of the landmarks' ``values`` ``[M, r]`` by :func:`landmark_shares`."""
    return (share[..., None] * values[index]).sum(-2)


class SoftCells(nn.Module):
    """Shares of a sample in ``CELLS`` cells, each a set of landmarks, and unions of these cells;
    and its :class:`~torchmist.adapt.diffusion.DiffusionMap` coordinates, those of the landmarks.

    Args:
        columns: ``k`` of the side.
        landmarks: their number ``M``.
    """

    landmarks: Tensor
    reach: Tensor
    cell: Tensor
    places: Tensor

    def __init__(self, columns: int, landmarks: int) -> None:
        super().__init__()
        self.register_buffer("landmarks", torch.zeros(landmarks, columns))
        self.register_buffer("reach", torch.ones(landmarks))
        self.register_buffer("cell", torch.zeros(landmarks, dtype=torch.int64))
        self.register_buffer("places", torch.zeros(landmarks, COORDINATES))
        for count in COARSER:
            self.register_buffer(f"union_{count}", torch.zeros(CELLS, count))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``[B, N, k]`` to shares ``[B, N, K]`` that sum to 1, and coordinates ``[B, N, r]``."""
        share, index = landmark_shares(x, self.landmarks, self.reach)
        none = share.new_zeros(*share.shape[:-1], CELLS)
        places = landmark_mean(self.places, share.detach(), index)
        return none.scatter_add(-1, self.cell[index], share), places

    def unions(self) -> list[Tensor]:
        """What joins the cells at each level, ``[K, K']``."""
        coarser = [self.get_buffer(f"union_{count}") for count in COARSER]
        return [torch.eye(CELLS).to(coarser[0]), *coarser]


class CellCorrection(nn.Module):
    r"""Quantiles moved and stretched in ``t = log(I + 0.2)`` by tables and nearest neighbours.

    The table :math:`T = A^\top B / N` of the shares of both sides in their cells, at five levels of
    unions, gives plug-in informations, their expected excess at ``N`` samples, and chi-squares.
    :func:`~torchmist.models.neighbours.neighbour_statistics` are read off the columns and off the
    diffusion coordinates; no gradient flows through them, and in the backward pass their estimates
    move as the mean of those of the tables does (straight through). A weighted mean of
    ``log(I + 0.2)`` over the levels (plug-in less excess) and over the estimates by neighbours is a
    second opinion. A small network makes of all these, scaled as :meth:`standardise` has set it, of
    ``N`` and of the quantiles' mean and spread how far to go towards that opinion, a shift and a
    stretch; all are nothing at first. ``width`` then stretches them by ``N`` around their mean in
    nats. Class labels are their own cells and coordinates.

    Args:
        kx, ky: columns of both sides.
        mx, my: landmarks of both sides; 0 for class labels, as one-hot columns of any number.
    """

    mean: Tensor
    scale: Tensor
    width: Tensor

    def __init__(self, kx: int, ky: int, mx: int, my: int) -> None:
        super().__init__()
        self.x = SoftCells(kx, mx) if mx else None
        self.y = SoftCells(ky, my) if my else None
        levels = 1 + len(COARSER)
        self.tables = _SAID * levels
        trust = [0.0] * (levels + len(JOINT)) + [_TRUST] * len(JOINT)
        self.weights = nn.Parameter(torch.tensor(trust))
        read = self.tables + 2 * NUMBERS + _SIZES
        self.register_buffer("mean", torch.zeros(read))
        self.register_buffer("scale", torch.ones(read))
        self.register_buffer("width", torch.ones(len(WIDTH_SIZES)))
        self.network = nn.Sequential(
            nn.Linear(read + 2, 64), nn.GELU(), nn.Linear(64, 64), nn.GELU(),
            nn.Linear(64, 3),
        )  # fmt: skip
        nn.init.zeros_(self.network[-1].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.network[-1].bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, y: Tensor, quantiles: Tensor, mask: Tensor | None) -> Tensor:
        """Corrected quantiles ``[B, Q]`` in nats, increasing as the given ones are."""
        with torch.autocast(x.device.type, enabled=False):
            return self.correct(self.read(x, y, mask), quantiles)

    def read(self, x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
        """All that tables, neighbours and ``N`` say, ``[B, F]``; depends on buffers alone."""
        if mask is None:
            n = torch.full((len(x), 1), x.shape[1], dtype=x.dtype, device=x.device)
        else:
            n = mask.sum(-1, keepdim=True).to(x.dtype)
        x, a, place_x = _seen(self.x, x)
        y, b, place_y = _seen(self.y, y)
        said = [_statistics(table, n) for table in self._tables(a, b, n, mask)]
        for pair in ((x, y), (place_x, place_y)):
            said.append(neighbour_statistics(*pair, mask))
        return torch.cat([*said, n.log() / 5 - 1, 10 / n.sqrt()], -1)

    def standardise(self, said: Tensor) -> None:
        """Let the network see what :meth:`read` gives less the mean and over the deviation of
        ``said`` ``[B, F]``."""
        self.mean.copy_(said.mean(0))
        self.scale.copy_(said.std(0).clamp(min=1e-3))

    def correct(self, said: Tensor, quantiles: Tensor) -> Tensor:
        """Corrected quantiles ``[B, Q]`` from what :meth:`read` gave."""
        t = from_nats(quantiles.clamp(min=-0.199))
        centre = t.mean(-1, keepdim=True)
        spread = (t - centre).square().mean(-1, keepdim=True).sqrt()
        by_tables = said[:, 2 : self.tables : _SAID]
        by_neighbours = said[:, self.tables : -_SIZES].unflatten(1, (2, NUMBERS))[..., : len(JOINT)]
        follow = by_tables.mean(-1, keepdim=True)
        opinions = [
            by_tables,
            from_nats(by_neighbours.clamp(min=0)).flatten(1) + follow - follow.detach(),
        ]
        opinion = torch.cat(opinions, -1) @ self.weights.softmax(-1)
        seen = ((said - self.mean) / self.scale).clamp(-_FAR, _FAR)
        out = self.network(torch.cat([seen, centre, (spread + 1e-3).log()], -1))
        towards, shift, stretch = out.split(1, -1)
        moved = centre + towards * (opinion[:, None] - centre) + shift
        return _widened(moved + stretch.exp() * (t - centre), self._width(said))

    def _width(self, said: Tensor) -> Tensor:
        """What stretches all quantiles, ``[B, 1]``: ``width`` linearly between its sizes."""
        step = math.log(WIDTH_SIZES[1] / WIDTH_SIZES[0])
        place = (5 * (said[:, -_SIZES, None] + 1) - math.log(WIDTH_SIZES[0])) / step
        gap = place.clamp(0, len(WIDTH_SIZES) - 1) - torch.arange(len(WIDTH_SIZES)).to(place)
        out: Tensor = (1 - gap.abs()).clamp(min=0) @ self.width[:, None]
        return out

    def _tables(self, a: Tensor, b: Tensor, n: Tensor, mask: Tensor | None) -> list[Tensor]:
        """Contingency tables ``[B, Kx, Ky]`` of shares ``[B, N, K]``, from fine to coarse."""
        if mask is not None:
            a = a * mask[..., None]
        fine = a.mT @ b / n[..., None]
        levels = 1 + len(COARSER)
        p, q = (
            [torch.eye(share.shape[-1]).to(fine)] * levels if cells is None else cells.unions()
            for cells, share in ((self.x, a), (self.y, b))
        )
        return [left.mT @ fine @ right for left, right in zip(p, q)]


def _widened(t: Tensor, width: Tensor) -> Tensor:
    """Quantiles in nats from those in ``t`` ``[B, Q]``, wider by ``width`` ``[B, 1]``.

    Their mean in nats stays as it is, while stretching alone would raise it.
    """
    centre = t.mean(-1, keepdim=True)
    wide = centre + width * (t - centre)
    return to_nats(wide + t.logsumexp(-1, keepdim=True) - wide.logsumexp(-1, keepdim=True))


def _seen(cells: SoftCells | None, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Columns, shares in cells, and coordinates of a side.

    Labels are their own cells, where one column of two classes becomes two, and far apart.
    """
    if cells is not None:
        shares, places = cells(x)
        return x, shares, places
    shares = torch.cat([x, 1 - x], -1) if x.shape[-1] == 1 else x
    return _APART * x, shares, _APART * x


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
