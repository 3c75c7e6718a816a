r"""What is left of an answer where variates repeat each other
(``torchmist.models.repeated_variates``).

Legend: ``B`` datasets, ``Q`` quantiles, ``C`` candidates, ``R`` numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchmist.ensemble.correction import (
    OTHERS,
    Correction,
    enough,
    no_label,
    what_others_say,
)
from torchmist.ensemble.evidence import Evidence, in_t
from torchmist.models.repeated_variates import repeated_information
from torchmist.quantile_head import to_nats

__all__ = ["RepeatCorrection"]


class RepeatCorrection(Correction):
    """Quantiles that go back where the answer counts what variates repeat."""

    CANDIDATES = 2
    SEEN = 3 + OTHERS

    def candidates(self, evidence: Evidence, answer: Tensor) -> Tensor:
        """See :meth:`Correction.candidates`: what variates say once, and what is new on either
        side.

        They go beyond an answer that is no more than what all variates share, and more than what is
        new on either side: one that is above both knows of something else. Labels are left to
        others, whose columns repeat each other by themselves.
        """
        linear, either, once, _, _ = evidence.repeated.split(1, -1)
        middle = to_nats(answer).mean(-1, keepdim=True)
        less = (middle > enough(either)) & (middle < enough(linear))
        less = less & no_label(evidence)
        return in_t(torch.cat([once, either], -1)).masked_fill(~less, torch.nan)

    def seen(self, evidence: Evidence, candidates: Tensor, middle: Tensor) -> Tensor:
        """See :meth:`Correction.seen`: of the variates, what both networks say and the most that
        neighbours and bounds do."""
        linear, _, _, number, new = evidence.repeated.split(1, -1)
        sizes = [number.log1p(), new / number.clamp(min=1)]
        others = what_others_say(evidence) - middle
        return torch.cat([in_t(linear) - middle, *sizes, others], -1)

    @staticmethod
    def may_say_more(x: Tensor, y: Tensor) -> Tensor:
        """See :meth:`Correction.may_say_more`."""
        found = repeated_information(x, y)
        return (found.linear > enough(found.either)).squeeze(-1)
