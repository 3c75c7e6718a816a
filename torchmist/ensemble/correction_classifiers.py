r"""What classifiers of a label say beyond an answer (``torchmist.models.label_classifiers``).

Legend: ``B`` datasets, ``Q`` quantiles, ``C`` candidates, ``R`` numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchmist.ensemble.correction import Correction, enough
from torchmist.ensemble.evidence import Evidence, in_t
from torchmist.models.label_classifiers import TOLD_SIZES, told_of_labels
from torchmist.quantile_head import to_nats

__all__ = ["ClassifierCorrection"]

_LEAST, _ERROR = 0.05, 2.0  # nats, and times the root of the rows


class ClassifierCorrection(Correction):
    """Quantiles that go on where a classifier of a label shows more."""

    CANDIDATES = TOLD_SIZES[0] + 1
    SEEN = TOLD_SIZES[1] + 1

    def candidates(self, evidence: Evidence, answer: Tensor) -> Tensor:
        """See :meth:`Correction.candidates`: the bounds of the classifiers and the entropy of the
        label, where one of the bounds is above the answer."""
        bounds, _, entropy, _ = evidence.told.split(TOLD_SIZES, -1)
        most = enough(to_nats(answer).mean(-1, keepdim=True))
        more = (bounds > most).any(-1, keepdim=True)
        return in_t(torch.cat([bounds, entropy], -1)).masked_fill(~more, torch.nan)

    def seen(self, evidence: Evidence, candidates: Tensor, middle: Tensor) -> Tensor:
        """See :meth:`Correction.seen`."""
        _, sharpness, _, rows = evidence.told.split(TOLD_SIZES, -1)
        return torch.cat([sharpness, rows], -1)

    def floor(self, evidence: Evidence) -> Tensor:
        """See :meth:`Correction.floor`: the higher bound, less two standard errors of its mean."""
        bounds, _, _, _ = evidence.told.split(TOLD_SIZES, -1)
        out: Tensor = bounds.amax(-1, keepdim=True) - _ERROR / evidence.sizes[:, :1].sqrt()
        return out

    @staticmethod
    def may_say_more(x: Tensor, y: Tensor) -> Tensor:
        """See :meth:`Correction.may_say_more`."""
        return (told_of_labels(x, y).bounds > _LEAST).any(-1)
