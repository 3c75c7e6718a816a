r"""What is left of an answer where both sides are of fewer dimensions than columns
(``torchmist.models.manifold_dimensions``).

Legend: ``B`` datasets, ``Q`` quantiles, ``C`` candidates, ``R`` numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchmist.ensemble.correction import (
    OTHERS,
    Correction,
    enough,
    kept_within,
    no_label,
    what_others_say,
)
from torchmist.ensemble.evidence import Evidence, in_t
from torchmist.models.manifold_dimensions import (
    DIMENSION_COUNT,
    ManifoldDimensions,
    manifold_dimensions,
    measured,
)
from torchmist.quantile_head import to_nats

__all__ = ["ManifoldCorrection"]

_FEWER = 0.8  # share of the dimensions of normal columns, below which sides are curved
_ABOVE = 1.25  # times what all columns share linearly, up to which an answer may count it
_LEAST, _TINY = 0.1, 0.02  # nats beside that, and of a share
_MOST_ROWS = 2560  # of the draws from which it learned


class ManifoldCorrection(Correction):
    """Quantiles that go back where the answer counts more than the dimensions of both sides."""

    HEEDS_NEIGHBOURS = True
    CANDIDATES = 3
    SEEN = DIMENSION_COUNT + 4 + OTHERS

    def candidates(self, evidence: Evidence, answer: Tensor) -> Tensor:
        """See :meth:`Correction.candidates`: what all columns share linearly times the dimensions
        of either side over those of normal columns, and what variates say once, if anything.

        They go beyond an answer that is more than the larger of the first two and may count what
        is linear: one far above it knows of something else. Labels are left to others.
        """
        found = _found(evidence)
        linear = evidence.linear.clamp(min=0)
        middle = to_nats(answer).mean(-1, keepdim=True)
        curved = (found.most > 0) & (found.most < _FEWER)
        less = (middle > enough(linear * found.most)) & _may_count_linear(evidence, middle)
        less = curved & less & no_label(evidence)
        shared, _, once, _, _ = evidence.repeated.split(1, -1)
        once = once.masked_fill(shared <= 0, torch.nan)  # not sought, or nothing beyond chance
        nats = torch.cat([linear * found.most, linear * found.least, once], -1)
        return in_t(nats).masked_fill(~less, torch.nan)

    def may_go_on(self, evidence: Evidence, answer: Tensor) -> Tensor:
        """See :meth:`Correction.may_go_on`: where the answer is of neither a label nor too little
        or too much to count what is linear."""
        middle = to_nats(answer).mean(-1, keepdim=True)
        some = (middle > enough(torch.zeros_like(middle))) & _may_count_linear(evidence, middle)
        return (some & no_label(evidence)).squeeze(-1)

    def limited(self, found: Tensor, answer: Tensor, candidates: Tensor) -> Tensor:
        """See :meth:`Correction.limited`: the middle of all members stays between that of the
        answer and the least candidate."""
        middle = answer.mean(-1)
        least = candidates.nan_to_num(torch.inf).amin(-1)
        return kept_within(found, torch.minimum(least, middle), middle)

    def reads(self, rows: tuple[int, int], columns: tuple[int, int]) -> bool:
        """See :meth:`Correction.reads`: up to the most rows of the draws that it learned from."""
        return measured(rows[1], columns) and rows[1] <= _MOST_ROWS

    def seen(self, evidence: Evidence, candidates: Tensor, middle: Tensor) -> Tensor:
        """See :meth:`Correction.seen`: the dimensions, what is linear and what of it is new,
        and what others say."""
        found = torch.cat(_found(evidence), -1).clamp(min=_TINY).log()
        linear, either, once, _, _ = evidence.repeated.split(1, -1)
        said = [evidence.linear, linear, either, once]
        others = what_others_say(evidence) - middle
        return torch.cat([found, *(in_t(v) - middle for v in said), others], -1)

    @staticmethod
    def may_say_more(x: Tensor, y: Tensor) -> Tensor:
        """See :meth:`Correction.may_say_more`."""
        most = manifold_dimensions(x, y).most.squeeze(-1)
        return (most > 0) & (most < _FEWER)


def _may_count_linear(evidence: Evidence, middle: Tensor) -> Tensor:
    """Where the ``middle`` ``[B, 1]`` of an answer, in nats, is not far above what is linear,
    ``[B, 1]`` bool."""
    return middle < _ABOVE * evidence.linear.clamp(min=0) + _LEAST


def _found(evidence: Evidence) -> ManifoldDimensions:
    """Dimensions, by name."""
    return ManifoldDimensions(*evidence.curved.split(1, -1))
