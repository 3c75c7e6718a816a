r"""What several regimes say beyond an answer, each parted from the others
(``torchmist.models.regimes``).

Legend: ``B`` datasets, ``Q`` quantiles, ``C`` candidates, ``R`` numbers.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from torchmist.evidence import Evidence, in_t
from torchmist.models.regimes import CONTRASTED, Regimes, regime_information
from torchmist.onward import (
    OTHERS,
    SIZES_AND_ANSWER,
    Onward,
    enough,
    sizes_and_answer,
    what_others_say,
)
from torchmist.quantile_head import to_nats

__all__ = ["Parting"]

_LEAST, _GAIN = 0.05, 0.02  # nats, and nats a row by which regimes must know rows better than one
_ERROR = 2.0  # nats, times the root of the rows
_HIGH = math.log(CONTRASTED) - 0.7  # nats: a bound that is higher may be held by its rows alone


class Parting(Onward):
    """Quantiles that go on where regimes say more."""

    CANDIDATES = 2
    READ = CANDIDATES + SIZES_AND_ANSWER + 4 + OTHERS

    def candidates(self, evidence: Evidence, answer: Tensor) -> Tensor:
        """See :meth:`Onward.candidates`: what the mixture says, and the bound by its ratios, where
        the first is above the answer, and the second as well unless it is at its highest."""
        found = Regimes(*evidence.regimes.split(1, -1))
        most = enough(to_nats(answer).mean(-1, keepdim=True))
        more = _parted(found) & (found.nats > most) & (found.bound > most.clamp(max=_HIGH))
        return in_t(torch.cat([found.nats, found.bound], -1)).masked_fill(~more, torch.nan)

    def read(self, evidence: Evidence, candidates: Tensor, answer: Tensor) -> Tensor:
        """See :meth:`Onward.read`."""
        middle = answer.mean(-1, keepdim=True)
        found = Regimes(*evidence.regimes.split(1, -1))
        single = [in_t(side) - middle for side in (found.one, evidence.linear)]
        others = what_others_say(evidence) - middle
        sizes = [found.gain.clamp(min=0).log1p(), found.number.log()]
        seen = torch.cat([*single, *sizes, others], -1).nan_to_num(neginf=0.0)
        seen = seen * ~candidates[:, [0]].isnan()
        beyond = (candidates - middle).nan_to_num(0.0)
        return torch.cat([sizes_and_answer(evidence, answer), beyond, seen], -1)

    def floor(self, evidence: Evidence) -> Tensor:
        """See :meth:`Onward.floor`: the bound, less two standard errors of its mean."""
        bound = Regimes(*evidence.regimes.split(1, -1)).bound
        return bound - _ERROR / evidence.sizes[:, :1].clamp(max=2 * CONTRASTED).sqrt()

    @staticmethod
    def may_say_more(x: Tensor, y: Tensor) -> Tensor:
        """See :meth:`Onward.may_say_more`."""
        return _parted(regime_information(x, y)).squeeze(-1)


def _parted(found: Regimes) -> Tensor:
    """Where several regimes say more than a single one, and know the rows better, ``[B, 1]``."""
    least = enough(found.one.clamp(min=_LEAST))
    more = (found.nats > least) & (found.bound > least.clamp(max=_HIGH))
    return more & (found.gain > _GAIN)
