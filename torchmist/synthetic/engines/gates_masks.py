r"""Masks: which entries of a row are shown, independently of their values; the others are constant.

What is shown tells the mask, so that with masks :math:`M, M'` of both sides

.. math:: I(X;Y) = I(M;M') + E_{M,M'}\, I(X_M; Y_{M'}).

Masks of both sides are independent or coupled in couples of gates, or sparse: exactly k of the
columns are active in a row, on both sides, and one side loses some of them.

Legend: ``B`` datasets, ``N`` rows, ``G`` couples of gates, ``d`` columns of a side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from torchmist.synthetic.engines.codes_random import Random

__all__ = ["Masks", "Sparse", "draw_masks", "draw_sparse"]

_LEAST = 0.1  # probability that a gate is open
_WHOLE = 0.3  # share of the sides without masks
_COUPLED = 0.4
_MOST_COUPLED = 24
_NATS = 16.0  # of a sparse code at most


@dataclass(frozen=True)
class Masks:
    """``open``: probabilities ``[B, G + extra]`` of the gates of each side, of which the first G
    are couples that are open together with probability ``both`` ``[B, G]``; ``places`` ``[d]``:
    the gate of each column of a side. All float64 but the places."""

    open: tuple[Tensor, Tensor]
    both: Tensor
    places: tuple[Tensor, Tensor]

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Which entries are shown, ``[B, N, d]`` of either side."""
        u, v = (
            torch.rand((len(p), n, p.shape[1]), generator=generator, device=p.device)
            for p in self.open
        )
        return self.at(u, v)

    def at(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """The same at uniform numbers ``[B, N, G + extra]`` of the gates of each side."""
        couples = self.both.shape[1]
        a, b = (p[:, :couples] for p in self.open)
        known = self.both / a, (b - self.both) / (1 - a).clamp(min=1e-12), self.open[1][:, couples:]
        given, other, later = (p.to(v.dtype)[:, None] for p in known)
        x = u < self.open[0].to(u.dtype)[:, None]
        first = v[..., :couples] < torch.where(x[..., :couples], given, other)
        y = torch.cat([first, v[..., couples:] < later], -1)
        return x.index_select(-1, self.places[0]), y.index_select(-1, self.places[1])

    def every(self) -> tuple[Tensor, Tensor, Tensor]:
        """All masks of both sides, ``[B, R, d]`` each, and their probabilities ``[B, R]``."""
        a, b = self.open
        gates = torch.arange(a.shape[1] + b.shape[1], device=a.device)
        number = torch.arange(2 ** len(gates), device=a.device)
        shown = (number[:, None] >> gates) & 1 == 1
        x, y = shown.expand(len(a), -1, -1).split([a.shape[1], b.shape[1]], -1)
        couples = self.both.shape[1]
        for_x = torch.where(x, a[:, None], 1 - a[:, None])
        given = torch.where(
            x[..., :couples], self.both[:, None], (b[:, :couples] - self.both)[:, None]
        )
        given = given / for_x[..., :couples].clamp(min=1e-300)
        given = torch.cat([given, b[:, None, couples:].expand(*given.shape[:2], -1)], -1)
        chance = for_x.prod(-1) * torch.where(y, given, 1 - given).prod(-1)
        return x[..., self.places[0]], y[..., self.places[1]], chance

    def first(self, dx: int, dy: int) -> Masks:
        """Those of the first ``dx`` and ``dy`` columns, where each has the gate of its number."""
        couples = min(dx, dy, self.both.shape[1])
        (a, b), (x, y) = self.open, self.places
        return Masks((a[:, :dx], b[:, :dy]), self.both[:, :couples], (x[:dx], y[:dy]))

    def information(self) -> Tensor:
        """I(M;M') of the masks of both sides in nats, ``[B]``."""
        a, b = (p[:, : self.both.shape[1]] for p in self.open)
        joint = torch.stack([self.both, a - self.both, b - self.both, 1 - a - b + self.both])
        apart = torch.stack([a * b, a * (1 - b), (1 - a) * b, (1 - a) * (1 - b)])
        joint = joint.clamp(min=0)
        return torch.xlogy(joint, joint / apart.clamp(min=1e-300)).sum(0).sum(-1)


@dataclass(frozen=True)
class Sparse:
    """``active`` of the first ``columns`` columns are shown in a row, on both sides, of which the
    side ``loser`` loses each with probability ``lost`` ``[B]`` float64; further columns, of ``d``,
    are shown as often."""

    columns: int
    active: int
    lost: Tensor
    loser: int
    d: tuple[int, int]

    @property
    def both(self) -> Tensor:
        """Probabilities ``[B, columns]`` that both sides show a column."""
        share = (1 - self.lost) * (self.active / self.columns)
        return share[:, None].expand(-1, self.columns)

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Which entries are shown, ``[B, N, d]`` of either side."""
        batch, device = len(self.lost), self.lost.device

        def uniform(width: int) -> Tensor:
            return torch.rand((batch, n, width), generator=generator, device=device)

        chosen = uniform(self.columns).topk(self.active, -1).indices
        code = torch.zeros(batch, n, self.columns, dtype=torch.bool, device=device)
        code.scatter_(-1, chosen, True)
        kept = code & (uniform(self.columns) >= self.lost[:, None, None])
        sides = []
        for side, d in enumerate(self.d):
            other = uniform(d - self.columns) < self.active / self.columns
            sides.append(torch.cat([kept if side == self.loser else code, other], -1))
        return sides[0], sides[1]

    def information(self) -> Tensor:
        """I(M;M') of the masks of both sides in nats, ``[B]``.

        Given j columns that were kept, the others are any of those that are not shown.
        """
        k, width, kept = self.active, self.columns, 1 - self.lost[:, None]
        j = torch.arange(k + 1, device=kept.device, dtype=kept.dtype)
        log_chance = _log_choose(torch.full_like(j, k), j)
        log_chance = log_chance + torch.xlogy(j, kept) + torch.xlogy(k - j, 1 - kept)
        hidden = _log_choose(width - j, k - j)
        return math.log(math.comb(width, k)) - (log_chance.exp() * hidden).sum(-1)


def draw_masks(
    random: Random,
    couples: int,
    gates: tuple[int, int],
    places: tuple[Tensor, Tensor],
    used: Tensor,
) -> Masks:
    """Random masks of as many ``gates`` of each side, the first of which are ``couples``, for the
    datasets in ``used`` ``[B]``; ``places`` as in :class:`Masks`.

    The gates of a side are alike in half of the datasets. Up to 24 couples are tied, which have one
    gate for both sides mostly.
    """
    used = used[:, None]
    sides = []
    for count in gates:
        chance = _LEAST + (1 - _LEAST) * random.uniform(count).double()
        chance = torch.where(random.coin(0.5, 1), chance[:, :1], chance)
        sides.append(torch.where(used & ~random.coin(_WHOLE, 1), chance, 1.0))
    most = random.log_uniform(1.0, min(couples, _MOST_COUPLED) + 1.0, 1).floor()
    first = torch.arange(couples, device=random.device) < most
    tied = first & random.coin(_COUPLED, 1)
    alike = tied & random.coin(0.7, 1)
    x, y = (side[:, :couples] for side in sides)
    y = torch.where(alike, x, y)
    sides[1] = torch.cat([y, sides[1][:, couples:]], -1)
    strength = torch.where(random.coin(0.5, 1), 1.0, random.uniform(1)).double() * tied
    both = x * y + strength * (torch.minimum(x, y) - x * y)
    return Masks((sides[0], sides[1]), both, places)


def draw_sparse(random: Random, columns: int, d: tuple[int, int]) -> Sparse:
    """Random sparse masks of ``columns``, of which at most half are active and at most 16 nats are
    shared; their number is one for all datasets."""
    u = random.choices(2)
    most = 1
    while most < columns // 2 and math.log(math.comb(columns, most + 1)) < _NATS:
        most += 1
    lost = random.uniform().double() * 0.8 * random.coin(0.5)
    return Sparse(columns, 1 + int(u[0] * most), lost, int(u[1] < 0.5), d)


def _log_choose(n: Tensor, k: Tensor) -> Tensor:
    """Logarithms of binomial coefficients."""
    return torch.lgamma(n + 1) - torch.lgamma(k + 1) - torch.lgamma(n - k + 1)
