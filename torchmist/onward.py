r"""How an answer goes on where something says more than it does.

Small networks decide, as those of an arbiter do, among the answer and further estimates, but only
where these say more; elsewhere the answer stands, so that nothing that is known is given up.
Legend: ``M`` members, ``B`` datasets, ``Q`` quantiles, ``C`` candidates, ``R`` numbers.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from torchmist.evidence import Evidence
from torchmist.quantile_head import blended_quantiles, blending_network

__all__ = ["SIZES_AND_ANSWER", "Onward", "enough", "sizes_and_answer"]

SIZES_AND_ANSWER = 6
"""Numbers of :func:`sizes_and_answer`."""
_MARGIN, _SHARE = 0.05, 0.05  # nats, and of the answer, by which more must be said
_USUAL = 400.0  # rows
_FAR = 5.0
_WIDTH = 64
_FIRST = 2.0  # logit of the share of the answer, at first


class Onward(nn.Module):
    """Quantiles that go on from an answer: ``CANDIDATES`` further estimates, and ``READ`` numbers
    that its networks read.

    Args:
        members: of the arbiter.
        quantiles: of the arbiter.
    """

    CANDIDATES: int
    READ: int

    def __init__(self, members: int, quantiles: int) -> None:
        super().__init__()
        self.members = nn.ModuleList(
            blending_network(self.READ, _WIDTH, 1 + self.CANDIDATES, quantiles)
            for _ in range(members)
        )
        for member in self.members:
            nn.init.constant_(member[-1].bias[:1], _FIRST)  # type: ignore[index]

    def candidates(self, evidence: Evidence, answer: Tensor) -> Tensor:
        """Values of ``t`` ``[B, C]``, NaN of those that say no more than the ``answer``
        ``[B, Q]``."""
        raise NotImplementedError

    def read(self, evidence: Evidence, candidates: Tensor, answer: Tensor) -> Tensor:
        """What the networks read, ``[B, R]``, 0 of what says no more."""
        raise NotImplementedError

    def forward(
        self, each: Tensor, evidence: Evidence, run: Callable[[nn.Module, Tensor], Tensor]
    ) -> Tensor:
        """Quantiles of ``t`` of every member, ``[M, B, Q]``, from those of the answer, ``each``.

        ``run``: how a network is applied to what it sees.
        """
        answer = each.mean(0)
        candidates = self.candidates(evidence, answer)
        read = self.read(evidence, candidates, answer).clamp(-_FAR, _FAR)
        blend = torch.cat([answer.mean(-1, keepdim=True), candidates], -1)
        found = torch.stack([blended_quantiles(run(m, read), blend) for m in self.members])
        return torch.where(candidates.isnan().all(-1)[:, None], each, found)

    def says_more(self, each: Tensor, evidence: Evidence) -> Tensor:
        """Where it goes on from the quantiles ``each`` ``[M, B, Q]``: ``[B]`` bool."""
        return ~self.candidates(evidence, each.mean(0)).isnan().all(-1)


def enough(nats: Tensor) -> Tensor:
    """What must be said to say more than ``nats``."""
    return (1 + _SHARE) * nats + _MARGIN


def sizes_and_answer(evidence: Evidence, answer: Tensor) -> Tensor:
    """Logs of N and of the columns of both sides, the mean of the ``answer`` ``[B, Q]`` in ``t``
    and how far its outer quantiles lie from it, ``[B, SIZES_AND_ANSWER]``."""
    middle = answer.mean(-1, keepdim=True)
    n, d = evidence.sizes[:, :1].to(middle.dtype), evidence.sizes[:, 1:].to(middle.dtype)
    sizes = [(n / _USUAL).log(), d.amax(-1, keepdim=True).log(), d.amin(-1, keepdim=True).log()]
    own = [middle, answer[:, 1:2] - middle, answer[:, -2:-1] - middle]
    return torch.cat([*sizes, *own], -1)
