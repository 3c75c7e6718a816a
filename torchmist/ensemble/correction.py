r"""Corrections of an answer: how it goes on where something knows more than it does.

Small networks decide, as those of an arbiter do, among the answer and further estimates, but only
where these show that the answer misses something; elsewhere it stands, so that nothing that is
known is given up.
Legend: ``M`` members, ``B`` datasets, ``Q`` quantiles, ``C`` candidates, ``R`` numbers.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from torchmist.checks import visible
from torchmist.ensemble.evidence import Evidence, in_t
from torchmist.ensemble.evidence_features import FAR
from torchmist.models.label_classifiers import TOLD_SIZES
from torchmist.models.settled_neighbours import SETTLED_VIEWS
from torchmist.models.variates import SUMS
from torchmist.quantile_head import blended_quantiles, blending_network, to_nats

__all__ = [
    "OTHERS",
    "Correction",
    "enough",
    "kept_within",
    "no_label",
    "what_others_say",
    "with_row",
]

OTHERS = 4
"""Numbers of :func:`what_others_say`."""
_MARGIN, _SHARE = 0.05, 0.05  # nats, and of the answer, by which more must be said
_USUAL = 400.0  # rows
_PARTS = 4  # of what settled neighbours say: by 3 and by 8 of all rows, of halves, of quarters
_APART, _SEEN = 0.03, 0.6  # nats, and of what is said, by which these differ; share of an answer
_SIZES_AND_ANSWER = 6
_WIDTH = 64
_FIRST = 2.0  # logit of the share of the answer, at first


class Correction(nn.Module):
    """Quantiles that correct an answer: ``CANDIDATES`` further estimates, and ``SEEN`` numbers
    that its networks read beside them and the answer.

    Args:
        members: of the arbiter.
        quantiles: of the arbiter.

    ``learns`` is set while its networks are fitted, and while that is collected from which they
    learn: all that :meth:`candidates` shows. They are asked only where it is :meth:`trusted`.
    """

    learns = False
    HEEDS_NEIGHBOURS = False  # whether it goes no farther from where neighbours have settled
    CANDIDATES: int
    SEEN: int

    def __init__(self, members: int, quantiles: int) -> None:
        super().__init__()
        read = _SIZES_AND_ANSWER + self.CANDIDATES + self.SEEN
        self.members = nn.ModuleList(
            blending_network(read, _WIDTH, 1 + self.CANDIDATES, quantiles) for _ in range(members)
        )
        for member in self.members:
            nn.init.constant_(member[-1].bias[:1], _FIRST)  # type: ignore[index]

    def candidates(self, evidence: Evidence, answer: Tensor) -> Tensor:
        """Values of ``t`` ``[B, C]``, NaN of those that do not go beyond the ``answer``
        ``[B, Q]``."""
        raise NotImplementedError

    def seen(self, evidence: Evidence, candidates: Tensor, middle: Tensor) -> Tensor:
        """What the networks read beside the ``candidates``, ``[B, SEEN]``, where there are some;
        ``middle`` ``[B, 1]``: the mean of the answer in ``t``."""
        raise NotImplementedError

    def read(self, evidence: Evidence, answer: Tensor, candidates: Tensor) -> Tensor:
        """What the networks read, ``[B, R]``, 0 of what does not go beyond the ``answer``
        ``[B, Q]``."""
        middle = answer.mean(-1, keepdim=True)
        seen = self.seen(evidence, candidates, middle)
        seen = seen * ~candidates.isnan().all(-1, keepdim=True)
        beyond = (candidates - middle).nan_to_num(0.0)
        return torch.cat([_sizes_and_answer(evidence, answer), beyond, seen], -1)

    def trusted(self, evidence: Evidence, answer: Tensor) -> Tensor:
        """Of which datasets the networks are asked, ``[B]`` bool, among those from which they
        learn: of all, unless a part leaves some ``answer`` ``[B, Q]`` to stand."""
        return torch.ones(len(answer), dtype=torch.bool, device=answer.device)

    def may_go_on(self, evidence: Evidence, answer: Tensor) -> Tensor:
        """From which ``answer`` ``[B, Q]`` it may go on whatever is found for it alone, ``[B]``
        bool: from all, unless a part can tell."""
        return torch.ones(len(answer), dtype=torch.bool, device=answer.device)

    def learn_scale(self, evidence: Evidence) -> None:
        """Let the networks see all at the scale that it has in this ``evidence``, which trains
        them: as it is, unless a part reads numbers of other sizes."""

    def reads(self, rows: tuple[int, int], columns: tuple[int, int]) -> bool:
        """Whether it may be asked of datasets of so many ``rows`` and ``columns`` of a side, each
        from the fewest to the most: else what it would read need not be found."""
        return True

    def taught(self, each: Tensor) -> Tensor:
        """The answer ``[M, B, Q]`` from which a step of the fit goes on: as it is, unless a part is
        to learn from answers of other quality as well."""
        return each

    def limited(self, found: Tensor, answer: Tensor, candidates: Tensor) -> Tensor:
        """Quantiles ``[M, B, Q]`` that are ``found`` beside the ``answer`` ``[B, Q]`` and the
        ``candidates`` ``[B, C]``, as far as they may go: as they are, unless a part limits them."""
        return found

    def floor(self, evidence: Evidence) -> Tensor | None:
        """Nats ``[B, 1]`` below which no quantile goes, where it goes on; None for none."""
        return None

    @staticmethod
    def may_say_more(x: Tensor, y: Tensor) -> Tensor:
        """Of which datasets ``[B, N, dx]`` and ``[B, N, dy]`` it may say more than some answer,
        ``[B]`` bool: of all, unless a part can tell at once."""
        return torch.ones(len(x), dtype=torch.bool, device=x.device)

    def forward(
        self, each: Tensor, evidence: Evidence, run: Callable[[nn.Module, Tensor], Tensor]
    ) -> Tensor:
        """Quantiles of ``t`` of every member, ``[M, B, Q]``, from those of the answer, ``each``.

        ``run``: how a network is applied to what it sees.
        """
        if self.learns and torch.is_grad_enabled():
            each = self.taught(each)
        answer = each.mean(0)
        candidates = self.candidates(evidence, answer)
        stays = candidates.isnan().all(-1)
        if not self.learns:
            stays = stays | ~self.trusted(evidence, answer)
            if visible(stays.all()):  # and no network changes that
                return each
        read = self.read(evidence, answer, candidates).clamp(-FAR, FAR)
        blend = torch.cat([answer.mean(-1, keepdim=True), candidates], -1)
        found = torch.stack([blended_quantiles(run(m, read), blend) for m in self.members])
        floor = self.floor(evidence)
        if floor is not None:
            found = torch.maximum(found, in_t(floor))
        if not self.learns:
            found = self.limited(found, answer, candidates)
            if self.HEEDS_NEIGHBOURS:
                found = _no_farther_from_settled(found, answer, evidence)
        return torch.where(stays[:, None], each, found)

    def goes_on(self, evidence: Evidence, answer: Tensor) -> Tensor:
        """From which ``answer`` ``[B, Q]`` it goes on, ``[B]`` bool."""
        more = ~self.candidates(evidence, answer).isnan().all(-1)
        return more & self.trusted(evidence, answer)

    def says_more(self, each: Tensor, evidence: Evidence) -> Tensor:
        """Where it corrects the quantiles ``each`` ``[M, B, Q]``: ``[B]`` bool."""
        return ~self.candidates(evidence, each.mean(0)).isnan().all(-1)


def enough(nats: Tensor) -> Tensor:
    """What must be said to say more than ``nats``."""
    return (1 + _SHARE) * nats + _MARGIN


def with_row(quantiles: Tensor, place: int, found: Tensor) -> Tensor:
    """``quantiles`` ``[B, Q]`` with those ``found`` ``[Q]`` of the dataset at that ``place``."""
    at = torch.tensor([place], device=quantiles.device)
    return quantiles.index_put((at,), found[None])


def no_label(evidence: Evidence) -> Tensor:
    """Where neither side is a label, ``[B, 1]`` bool."""
    _, _, entropy, _ = evidence.told.split(TOLD_SIZES, -1)
    absent: Tensor = entropy == 0
    return absent


def kept_within(found: Tensor, lowest: Tensor, highest: Tensor) -> Tensor:
    """Quantiles ``[M, B, Q]`` moved alike, so that their mean over members and quantiles lies
    between those ends ``[B]``."""
    own = found.mean((0, -1))
    shift = own.clamp(lowest, highest) - own
    return found + shift[:, None]


def _no_farther_from_settled(found: Tensor, answer: Tensor, evidence: Evidence) -> Tensor:
    """Quantiles ``[M, B, Q]`` whose middle goes from that of the ``answer`` ``[B, Q]`` at most to
    the far end of what neighbours say, where they say the same of all rows, halves and quarters in
    some view, and most of the answer."""
    said = evidence.settled.unflatten(-1, (-1, SETTLED_VIEWS))[:, :_PARTS]
    low, high = said.amin(1), said.amax(1)
    most = _SEEN * to_nats(answer).mean(-1, keepdim=True)
    settled = (high - low < _APART + _APART * said[:, 0]) & (low > 0) & (low >= most)
    middle, some = answer.mean(-1), settled.any(-1)
    lowest = in_t(low.masked_fill(~settled, torch.inf).amin(-1).nan_to_num(posinf=0.0))
    highest = in_t(high.masked_fill(~settled, 0.0).amax(-1))
    kept = kept_within(found, torch.minimum(middle, lowest), torch.maximum(middle, highest))
    return torch.where(some[:, None], kept, found)


def _sizes_and_answer(evidence: Evidence, answer: Tensor) -> Tensor:
    """Logs of N and of the columns of both sides, the mean of the ``answer`` ``[B, Q]`` in ``t``
    and how far its outer quantiles lie from it, ``[B, 6]``."""
    middle = answer.mean(-1, keepdim=True)
    n, d = evidence.sizes[:, :1].to(middle.dtype), evidence.sizes[:, 1:].to(middle.dtype)
    sizes = [(n / _USUAL).log(), d.amax(-1, keepdim=True).log(), d.amin(-1, keepdim=True).log()]
    own = [middle, answer[:, 1:2] - middle, answer[:, -2:-1] - middle]
    return torch.cat([*sizes, *own], -1)


def what_others_say(evidence: Evidence) -> Tensor:
    """The ``t`` of the medians of both networks, and of the most that neighbours and kernels, and
    neighbours and bounds of variates, say: ``[B, OTHERS]``."""
    networks = [q.median(-1, keepdim=True).values for q in (evidence.plain, evidence.local)]
    near = [evidence.opinions, evidence.variates[:, : -len(SUMS)]]
    return in_t(torch.cat([*networks, *(v.amax(-1, keepdim=True) for v in near)], -1))
