r"""What a classifier that still learns says of a label (``torchmist.models.label_curves``).

Legend: ``B`` datasets, ``Q`` quantiles, ``C`` candidates, ``R`` numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchmist.ensemble.correction import OTHERS, Correction, what_others_say
from torchmist.ensemble.evidence import Evidence, in_t
from torchmist.models.label_curves import LabelCurves, label_curves, may_be_learned
from torchmist.quantile_head import to_nats

__all__ = ["LabelCurveCorrection"]

_LEAST, _SHARE = 0.02, 0.4  # nats of a bound, and of the answer
_HIGHEST = 4  # quantiles
_PACE = 0.9  # at most, of what a doubling of the rows adds over what the one before did


class LabelCurveCorrection(Correction):
    """Quantiles that go where a classifier of a label is going, and as far as it is sure."""

    CANDIDATES = 6
    SEEN = 7 + OTHERS

    def candidates(self, evidence: Evidence, answer: Tensor) -> Tensor:
        """See :meth:`Correction.candidates`: the bound of the classifier, the same after one more
        doubling of the rows and after all, what it would be were all rows as sure as the surest
        are, and the entropy of the label, where the bound stands out of chance and shows much of
        the answer: of what is seen by other means alone, a curve tells little."""
        found = LabelCurves.of(evidence.learned)
        whole, half, quarter = found.bounds.split(1, -1)
        step = (whole - half).clamp(min=0)
        pace = (step / (half - quarter).clamp(min=1e-3)).clamp(max=_PACE).detach()
        nats = [whole, whole + step, whole + step * pace / (1 - pace), found.surest, found.entropy]
        middle = to_nats(answer).mean(-1, keepdim=True)
        tells = whole > (_SHARE * middle).clamp(min=_LEAST)
        return in_t(torch.cat(nats, -1)).masked_fill(~tells, torch.nan)

    def reads(self, rows: tuple[int, int], columns: tuple[int, int]) -> bool:
        """See :meth:`Correction.reads`."""
        return may_be_learned(rows[1], columns)

    def limited(self, found: Tensor, answer: Tensor, candidates: Tensor) -> Tensor:
        """See :meth:`Correction.limited`: the highest quantiles do not fall below those of the
        answer, as what has not been learned is not excluded."""
        top = torch.maximum(found[..., -_HIGHEST:], answer[..., -_HIGHEST:])
        return torch.cat([found[..., :-_HIGHEST], top], -1)

    def seen(self, evidence: Evidence, candidates: Tensor, middle: Tensor) -> Tensor:
        """See :meth:`Correction.seen`: how often the classifier errs, its temperature, the rows of
        a class, and what others say."""
        found = LabelCurves.of(evidence.learned)
        numbers = [10 * found.errors, 10 * found.slips, found.sharpness, found.rows]
        return torch.cat([*numbers, what_others_say(evidence) - middle], -1)

    @staticmethod
    def may_say_more(x: Tensor, y: Tensor) -> Tensor:
        """See :meth:`Correction.may_say_more`."""
        out: Tensor = LabelCurves.of(label_curves(x, y)).bounds[:, 0] > _LEAST
        return out
