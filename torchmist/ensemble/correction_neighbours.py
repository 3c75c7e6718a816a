r"""What neighbours among all rows say beside an answer (``torchmist.models.settled_neighbours``).

Legend: ``B`` datasets, ``Q`` quantiles, ``V`` views, ``C`` candidates, ``R`` numbers.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from torchmist.ensemble.correction import OTHERS, Correction, what_others_say
from torchmist.ensemble.evidence import Evidence, in_t
from torchmist.models.local import OPINIONS, SCALES
from torchmist.models.settled_neighbours import FEWEST_ROWS, SETTLED_VIEWS, Settled
from torchmist.quantile_head import quantile_levels, to_nats

__all__ = ["NeighbourCorrection"]

_ALIKE = [view * OPINIONS + SCALES for view in range(SETTLED_VIEWS)]  # opinions of the same views
_AS_IT_IS = 1 / 3  # share of the answers from which it learns unchanged
_WIDTHS = (math.log(0.025), math.log(0.5))  # of the others, deviations in t
_LONG = 512  # rows, from which it is asked
_NEAR_SHARE = 0.1  # of an answer, and the margin, within which networks are of its opinion
_SEEN_SHARE = 0.6  # of an answer, from which neighbours have seen most of it, up to
_MARGIN = 0.05  # nats, of both


class NeighbourCorrection(Correction):
    """Quantiles that go on where neighbours have settled near the answer."""

    CANDIDATES = 2 * SETTLED_VIEWS
    SEEN = 4 * SETTLED_VIEWS + OTHERS

    def candidates(self, evidence: Evidence, answer: Tensor) -> Tensor:
        """See :meth:`Correction.candidates`: what neighbours say in each view, and where they go if
        the next doubling of the rows adds what the last one did.

        They are left out of short samples, and where they say far less than the answer:
        what they do not see at all is steady as well.
        """
        found = _found(evidence)
        ahead = found.near + (found.near - found.half).detach().clamp(min=0)
        middle = to_nats(answer).mean(-1, keepdim=True)
        seen = found.near.amax(-1, keepdim=True) > _SEEN_SHARE * middle - _MARGIN
        seen = seen & (evidence.sizes[:, :1] >= FEWEST_ROWS)
        return in_t(torch.cat([found.near, ahead], -1)).masked_fill(~seen, torch.nan)

    def reads(self, rows: tuple[int, int], columns: tuple[int, int]) -> bool:
        """See :meth:`Correction.reads`: from 512 rows on, and while it learns."""
        return self.learns or rows[1] >= _LONG

    def trusted(self, evidence: Evidence, answer: Tensor) -> Tensor:
        """See :meth:`Correction.trusted`: from 512 rows on, where a network is not of the answer's
        opinion. Data on which both are is like what trained them, and there the answer is nearer;
        in fewer rows too little has settled to tell."""
        middle = to_nats(answer).mean(-1, keepdim=True)
        medians = [q.median(-1, keepdim=True).values for q in (evidence.plain, evidence.local)]
        apart = (torch.cat(medians, -1) - middle).abs().amax(-1, keepdim=True)
        odd = apart > _NEAR_SHARE * middle + _MARGIN
        return (odd & (evidence.sizes[:, :1] >= _LONG)).squeeze(-1)

    def may_go_on(self, evidence: Evidence, answer: Tensor) -> Tensor:
        """See :meth:`Correction.may_go_on`: where it is trusted."""
        return self.trusted(evidence, answer)

    def taught(self, each: Tensor) -> Tensor:
        """See :meth:`Correction.taught`: two of three answers are off by as much as they say, of a
        width from a fortieth to half of a unit of ``t``.

        On draws like those that trained both networks they know best, and nothing would be learned
        of what neighbours are worth beside an answer to data of another kind.
        """
        kept = torch.rand(each.shape[1], 1, dtype=torch.float32) < _AS_IT_IS
        width = (
            torch.empty(each.shape[1], 1, dtype=torch.float32)
            .uniform_(*_WIDTHS)
            .exp()
            .masked_fill(kept, 0.0)
        )
        off = torch.randn_like(width) + torch.special.ndtri(quantile_levels(each.shape[-1]))
        out: Tensor = each + (width * off).to(each)
        return out

    def seen(self, evidence: Evidence, candidates: Tensor, middle: Tensor) -> Tensor:
        """See :meth:`Correction.seen`: how the estimates rise with the rows and fall with the
        neighbours, and what others say."""
        t = Settled(*map(in_t, _found(evidence)))
        steps = [t.near - t.half, t.half - t.quarter, t.quarter - t.eighth, t.near - t.broad]
        return torch.cat([*steps, what_others_say(evidence) - middle], -1)

    @staticmethod
    def may_say_more(x: Tensor, y: Tensor) -> Tensor:
        """See :meth:`Correction.may_say_more`."""
        return torch.full((len(x),), x.shape[1] >= FEWEST_ROWS, device=x.device)


def _found(evidence: Evidence) -> Settled:
    """What neighbours say, by name, with the gradient of what they say among fewer rows."""
    found = Settled(*evidence.settled.split(SETTLED_VIEWS, -1))
    alike = evidence.opinions[:, _ALIKE]
    return found._replace(near=found.near + alike - alike.detach())
