r"""What several regimes say beside an answer, each parted from the others
(``torchmist.models.regimes``).

Legend: ``B`` datasets, ``Q`` quantiles, ``C`` candidates, ``R`` numbers.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from torchmist.ensemble.correction import OTHERS, Correction, enough, what_others_say
from torchmist.ensemble.evidence import Evidence, in_t
from torchmist.models.regimes import CONTRASTED, Regimes, regime_information
from torchmist.quantile_head import to_nats

__all__ = ["RegimeCorrection"]

_LEAST, _GAIN = 0.05, 0.02  # nats, and nats a row by which regimes must know rows better than one
_MOST, _BORNE = 0.7, 0.85  # share of an answer that is said, and of that which the bound bears out
_SINGLE = 0.5  # share of an answer that a single regime says, from which most of it is not enough
_ERROR = 2.0  # nats, times the root of the rows
_HIGH = math.log(CONTRASTED) - 0.7  # nats: a bound that is higher may be held by its rows alone


class RegimeCorrection(Correction):
    """Quantiles that go on where regimes say more, or most of an answer that networks, neighbours
    and variates bear out: if these blur regimes, a mixture of too few may do so as well."""

    CANDIDATES = 2
    SEEN = 4 + OTHERS

    def candidates(self, evidence: Evidence, answer: Tensor) -> Tensor:
        """See :meth:`Correction.candidates`: what the mixture says, and the bound by its ratios,
        where the first is more than the answer, and the second not far below unless it is at its
        highest.

        Most of an answer is enough if it is not above all that others say: what pairs, products or
        components gave is left to stand.
        """
        found = _found(evidence)
        middle = to_nats(answer).mean(-1, keepdim=True)
        others = to_nats(what_others_say(evidence).amax(-1, keepdim=True))
        most = torch.where(middle < enough(others), _MOST * middle, enough(middle))
        more = _parted(found) & (found.nats > most)
        more &= found.bound > (_BORNE * most).clamp(max=_HIGH)
        return in_t(torch.cat([found.nats, found.bound], -1)).masked_fill(~more, torch.nan)

    def trusted(self, evidence: Evidence, answer: Tensor) -> Tensor:
        """See :meth:`Correction.trusted`: where more than the answer is said, or a single regime
        and all columns linearly say less than half of it. Heavy tails are several scales of one
        relation, which nothing blurs."""
        found = _found(evidence)
        middle = to_nats(answer).mean(-1, keepdim=True)
        single = torch.maximum(found.one, evidence.linear)
        out: Tensor = (found.nats > enough(middle)) | (single < _SINGLE * middle)
        return out.squeeze(-1)

    def seen(self, evidence: Evidence, candidates: Tensor, middle: Tensor) -> Tensor:
        """See :meth:`Correction.seen`."""
        found = _found(evidence)
        single = [in_t(side) - middle for side in (found.one, evidence.linear)]
        others = what_others_say(evidence) - middle
        sizes = [found.gain.clamp(min=0).log1p(), found.number.log()]
        return torch.cat([*single, *sizes, others], -1).nan_to_num(neginf=0.0)

    def floor(self, evidence: Evidence) -> Tensor:
        """See :meth:`Correction.floor`: the bound, less two standard errors of its mean."""
        bound = _found(evidence).bound
        return bound - _ERROR / evidence.sizes[:, :1].clamp(max=2 * CONTRASTED).sqrt()

    @staticmethod
    def may_say_more(x: Tensor, y: Tensor) -> Tensor:
        """See :meth:`Correction.may_say_more`."""
        return _parted(regime_information(x, y)).squeeze(-1)


def _parted(found: Regimes) -> Tensor:
    """Where several regimes say more than a single one, and know the rows better, ``[B, 1]``."""
    least = enough(found.one.clamp(min=_LEAST))
    more = (found.nats > least) & (found.bound > (_BORNE * least).clamp(max=_HIGH))
    return more & (found.gain > _GAIN)


def _found(evidence: Evidence) -> Regimes:
    """What mixtures say, by name."""
    return Regimes(*evidence.regimes.split(1, -1))
