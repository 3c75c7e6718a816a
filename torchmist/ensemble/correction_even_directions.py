r"""What even functions of few directions say beside an answer
(``torchmist.models.even_directions``).

Legend: ``B`` datasets, ``Q`` quantiles, ``C`` candidates, ``R`` numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchmist.ensemble.correction import OTHERS, Correction, enough, what_others_say
from torchmist.ensemble.evidence import Evidence, in_t
from torchmist.models.even_directions import EvenDirections, even_information, many_columns
from torchmist.quantile_head import to_nats

__all__ = ["EvenDirectionCorrection"]

_LEAST = 0.05  # nats
_ERROR = 2.0  # nats, times the root of the rows


class EvenDirectionCorrection(Correction):
    """Quantiles that go on where a column shows more of few directions of the other side."""

    HEEDS_NEIGHBOURS = True
    CANDIDATES = 3
    SEEN = 3 + OTHERS

    def candidates(self, evidence: Evidence, answer: Tensor) -> Tensor:
        """See :meth:`Correction.candidates`: what a column shares with one direction, with a form
        of a few, and the sum over columns, where one of the first two is more than the answer."""
        found = _found(evidence)
        more = _most(found) > enough(to_nats(answer).mean(-1, keepdim=True))
        return in_t(torch.cat([found.one, found.form, found.sum], -1)).masked_fill(~more, torch.nan)

    def reads(self, rows: tuple[int, int], columns: tuple[int, int]) -> bool:
        """See :meth:`Correction.reads`."""
        return many_columns(rows[1], columns[1])

    def seen(self, evidence: Evidence, candidates: Tensor, middle: Tensor) -> Tensor:
        """See :meth:`Correction.seen`."""
        found = _found(evidence)
        sizes = [found.sure.clamp(min=1).log(), found.number.clamp(min=1).log()]
        others = what_others_say(evidence) - middle
        return torch.cat([*sizes, in_t(evidence.linear) - middle, others], -1)

    def floor(self, evidence: Evidence) -> Tensor:
        """See :meth:`Correction.floor`: the more of what a column shares with a direction and with
        a form, less two standard errors of their means."""
        return _most(_found(evidence)) - _ERROR / evidence.sizes[:, :1].sqrt()

    @staticmethod
    def may_say_more(x: Tensor, y: Tensor) -> Tensor:
        """See :meth:`Correction.may_say_more`."""
        return _most(even_information(x, y)).squeeze(-1) > _LEAST


def _most(found: EvenDirections) -> Tensor:
    """What a column shares with the other side at least, in nats, ``[B, 1]``."""
    return torch.maximum(found.one, found.form)


def _found(evidence: Evidence) -> EvenDirections:
    """What is read, by name."""
    return EvenDirections(*evidence.folded.split(1, -1))
