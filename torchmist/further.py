r"""What pairs and products of columns say beyond the answer of an arbiter, and what is made of it.

In few datasets columns go in pairs (``torchmist.models.matched``), or their products show what no
column does (``torchmist.models.crossed``), and say more than the answer. Only there small networks
decide, as those of the arbiter do, among the answer and these estimates; elsewhere it stands, so
that nothing that is known is given up.
Legend: ``M`` members, ``B`` datasets, ``Q`` quantiles, ``C`` candidates.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from torchmist.evidence import Evidence, in_t
from torchmist.models.variates import SHARPNESS_COUNT, SUMS, VARIATE_OPINIONS
from torchmist.quantile_head import blended_quantiles, blending_network, to_nats

__all__ = ["Further"]

_MARGIN, _SHARE = 0.05, 0.05  # nats, and of the answer, by which more must be said
_IN_PAIRS = 2
_CANDIDATES = _IN_PAIRS + VARIATE_OPINIONS
_READ = _CANDIDATES + 3 + 3 + 3 + SHARPNESS_COUNT + 2 + 2
_USUAL = 400.0  # rows
_FAR = 5.0
_WIDTH = 64
_FIRST = 2.0  # logit of the share of the answer, at first


class Further(nn.Module):
    """Quantiles that go on from those of an arbiter.

    Args:
        members: of the arbiter.
        quantiles: of the arbiter.
    """

    def __init__(self, members: int, quantiles: int) -> None:
        super().__init__()
        self.members = nn.ModuleList(
            blending_network(_READ, _WIDTH, 1 + _CANDIDATES, quantiles) for _ in range(members)
        )
        for member in self.members:
            nn.init.constant_(member[-1].bias[:1], _FIRST)  # type: ignore[index]

    def forward(
        self, each: Tensor, evidence: Evidence, run: Callable[[nn.Module, Tensor], Tensor]
    ) -> Tensor:
        """Quantiles of ``t`` of every member, ``[M, B, Q]``, from those of the arbiter, ``each``.

        ``run``: how a network is applied to what it sees.
        """
        answer = each.mean(0)
        candidates = _candidates(evidence, answer)
        read = _read(evidence, candidates, answer)
        blend = torch.cat([answer.mean(-1, keepdim=True), candidates], -1)
        found = torch.stack([blended_quantiles(run(m, read), blend) for m in self.members])
        return torch.where(candidates.isnan().all(-1)[:, None], each, found)

    @staticmethod
    def says_more(each: Tensor, evidence: Evidence) -> Tensor:
        """Where it goes on from the quantiles ``each`` ``[M, B, Q]``: ``[B]`` bool."""
        return ~_candidates(evidence, each.mean(0)).isnan().all(-1)


def _candidates(evidence: Evidence, answer: Tensor) -> Tensor:
    """Values of ``t`` ``[B, C]`` from pairs and from products, NaN of those that say no more than
    the ``answer`` ``[B, Q]``.

    Pairs say more if their sum does, by itself and as it goes beyond what all columns share
    linearly, where the answer is no less than that: clusters are not, whose columns all show the
    same; products if an estimate says more than without them, too. Sums that hold for Gaussian
    variates alone do not count.
    """
    near, linear, pairs = evidence.matched.split(1, -1)
    of_pairs = torch.cat([near, evidence.linear + near - linear], -1)
    of_products = evidence.crossed[:, :VARIATE_OPINIONS]
    enough = (1 + _SHARE) * to_nats(answer).mean(-1, keepdim=True) + _MARGIN
    believed = (pairs > 0) & (evidence.linear <= enough)
    paired = (of_pairs > enough).all(-1, keepdim=True) & believed
    without = (1 + _SHARE) * evidence.variates.clamp(min=0) + _MARGIN
    more = (of_products > without) & (of_products > enough)
    shown = more[:, : -len(SUMS)].any(-1, keepdim=True)
    shown = shown & (evidence.crossed[:, -2:] > 0).any(-1, keepdim=True)
    found = [of_pairs, of_products]
    parts = [in_t(v).masked_fill(~some, torch.nan) for v, some in zip(found, (paired, shown))]
    return torch.cat(parts, -1)


def _read(evidence: Evidence, candidates: Tensor, answer: Tensor) -> Tensor:
    """What is read of sizes, answer, pairs and products, ``[B, R]``, 0 of what says no more."""
    middle = answer.mean(-1, keepdim=True)
    paired, shown = (~candidates[:, [0]].isnan(), ~candidates[:, [-1]].isnan())
    _, linear, pairs = evidence.matched.split(1, -1)
    share = pairs / evidence.sizes[:, 1:].amin(-1, keepdim=True)
    of_pairs = torch.cat([in_t(linear) - middle, pairs.log1p(), share], -1) * paired
    sharpness, kept = evidence.crossed[:, VARIATE_OPINIONS:].split([SHARPNESS_COUNT, 2], -1)
    of_products = torch.cat([sharpness, kept.log1p()], -1) * shown
    n, d = evidence.sizes[:, :1].to(middle.dtype), evidence.sizes[:, 1:].to(middle.dtype)
    sizes = [(n / _USUAL).log(), d.amax(-1, keepdim=True).log(), d.amin(-1, keepdim=True).log()]
    own = torch.cat([middle, answer[:, 1:2] - middle, answer[:, -2:-1] - middle], -1)
    beyond = (candidates - middle).nan_to_num(0.0)
    read = [*sizes, own, beyond, of_pairs, of_products, paired, shown]
    return torch.cat(read, -1).clamp(-_FAR, _FAR)
