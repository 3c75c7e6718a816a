r"""What mixtures of many classes say beside an answer (``torchmist.models.latent_classes``).

Legend: ``B`` datasets, ``Q`` quantiles, ``C`` candidates, ``R`` numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchmist.ensemble.correction import OTHERS, Correction, enough, what_others_say
from torchmist.ensemble.evidence import Evidence, in_t
from torchmist.models.folds import FOLDS
from torchmist.models.latent_classes import CONTRASTED, LatentClasses, class_information, sought
from torchmist.quantile_head import to_nats

__all__ = ["LatentClassCorrection"]

_LEAST, _GAIN = 0.1, 0.05  # nats, and nats a row by which classes must know rows better
_BORNE = 0.3  # share of what is said that rows left out and the bound bear out
_ERROR = 2.0  # nats, times the root of the rows
_USUAL = 30.0  # rows of a class


class LatentClassCorrection(Correction):
    """Quantiles that go on where many classes say more."""

    HEEDS_NEIGHBOURS = True
    CANDIDATES = 3
    SEEN = 5 + OTHERS

    def candidates(self, evidence: Evidence, answer: Tensor) -> Tensor:
        """See :meth:`Correction.candidates`: the mean of what is said of rows left out and of those
        that mixtures were fitted to, the first alone, and the bound, where the mean is more than
        the answer."""
        found = _found(evidence)
        said = _said(found)
        more = _told(found) & (said > enough(to_nats(answer).mean(-1, keepdim=True)))
        return in_t(torch.cat([said, found.nats, found.bound], -1)).masked_fill(~more, torch.nan)

    def reads(self, rows: tuple[int, int], columns: tuple[int, int]) -> bool:
        """See :meth:`Correction.reads`."""
        return sought(rows[1], columns)

    def seen(self, evidence: Evidence, candidates: Tensor, middle: Tensor) -> Tensor:
        """See :meth:`Correction.seen`."""
        found = _found(evidence)
        said = [in_t(v) - middle for v in (found.own, evidence.linear)]
        number = found.number.clamp(min=1)
        sizes = [number.log(), (evidence.sizes[:, :1] / (_USUAL * number)).log()]
        gain = found.gain.clamp(min=0).log1p()
        others = what_others_say(evidence) - middle
        return torch.cat([*said, *sizes, gain, others], -1)

    def floor(self, evidence: Evidence) -> Tensor:
        """See :meth:`Correction.floor`: the bound, less two standard errors of its mean."""
        rows = evidence.sizes[:, :1].clamp(max=FOLDS * CONTRASTED)
        return _found(evidence).bound - _ERROR / rows.sqrt()

    @staticmethod
    def may_say_more(x: Tensor, y: Tensor) -> Tensor:
        """See :meth:`Correction.may_say_more`."""
        return _told(class_information(x, y)).squeeze(-1)


def _said(found: LatentClasses) -> Tensor:
    """What mixtures say, ``[B, 1]`` in nats: rows left out show too little of it, and those that
    mixtures were fitted to too much."""
    return (found.nats + found.own) / 2


def _told(found: LatentClasses) -> Tensor:
    """Where classes say something that rows left out bear out, ``[B, 1]``."""
    said = _said(found)
    borne = torch.minimum(found.nats, found.bound) > _BORNE * said
    return borne & (said > _LEAST) & (found.gain > _GAIN)


def _found(evidence: Evidence) -> LatentClasses:
    """What mixtures say, by name."""
    return LatentClasses(*evidence.crowded.split(1, -1))
