r"""What a regression that still learns says of numbers (``torchmist.models.number_curves``).

Legend: ``B`` datasets, ``Q`` quantiles, ``C`` candidates, ``R`` numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchmist.ensemble.correction import OTHERS, Correction, what_others_say
from torchmist.ensemble.evidence import Evidence, in_t
from torchmist.models.column_products import Crossed
from torchmist.models.number_curves import NumberCurves, may_be_predicted, number_curves
from torchmist.models.variates import SUMS
from torchmist.quantile_head import to_nats

__all__ = ["NumberCurveCorrection"]

_LEAST, _SHARE = 0.05, 0.4  # nats of a bound, and of the answer
_LEARNS = 0.03  # nats by which a doubling of the rows must raise a bound
_HIGHEST = 4  # quantiles
_MANY, _MOST = 6, 0.7  # products, and share of a bound that they show
_PACE = 0.9  # at most, of what a doubling of the rows adds over what the one before did


class NumberCurveCorrection(Correction):
    """Quantiles that go where a regression of numbers is going, as far as that can be told."""

    HEEDS_NEIGHBOURS = True
    CANDIDATES = 5
    SEEN = 9 + OTHERS

    def candidates(self, evidence: Evidence, answer: Tensor) -> Tensor:
        """See :meth:`Correction.candidates`: the better bound of both regressions, the same after
        one more doubling of the rows and after all, and what it would be were all rows told as
        those are that others surround, where the bound stands out of chance, still rises and shows
        more than neighbours, much of the answer and more than many products: of what is seen by
        other means, a curve tells little."""
        found = NumberCurves.of(evidence.predicted)
        better = found.sums[:, :1] > found.bounds[:, :1]
        whole, half, quarter = torch.where(better, found.sums, found.bounds).split(1, -1)
        step = (whole - half).clamp(min=0)
        pace = (step / (half - quarter).clamp(min=1e-3)).clamp(max=_PACE).detach()
        nats = [whole, whole + step, whole + step * pace / (1 - pace), found.dense]
        middle = to_nats(answer).mean(-1, keepdim=True)
        tells = whole > (_SHARE * middle).clamp(min=_LEAST)
        tells = tells & (step > _LEARNS) & (whole > evidence.opinions.amax(-1, keepdim=True))
        tells = tells & ~_shown_by_products(evidence, whole)
        return in_t(torch.cat(nats, -1)).masked_fill(~tells, torch.nan)

    def reads(self, rows: tuple[int, int], columns: tuple[int, int]) -> bool:
        """See :meth:`Correction.reads`."""
        return may_be_predicted(rows[1], columns)

    def limited(self, found: Tensor, answer: Tensor, candidates: Tensor) -> Tensor:
        """See :meth:`Correction.limited`: the highest quantiles do not fall below those of the
        answer, as what has not been learned is not excluded."""
        top = torch.maximum(found[..., -_HIGHEST:], answer[..., -_HIGHEST:])
        return torch.cat([found[..., :-_HIGHEST], top], -1)

    def seen(self, evidence: Evidence, candidates: Tensor, middle: Tensor) -> Tensor:
        """See :meth:`Correction.seen`: both curves, what is linear, how even what is left is, and
        what others say."""
        found = NumberCurves.of(evidence.predicted)
        bounds = in_t(torch.cat([found.bounds, found.sums, found.linear], -1)) - middle
        curved = 4 * (found.bounds[:, :1] - found.bounds[:, 1:2])
        return torch.cat([bounds, curved, 10 * found.even, what_others_say(evidence) - middle], -1)

    @staticmethod
    def may_say_more(x: Tensor, y: Tensor) -> Tensor:
        """See :meth:`Correction.may_say_more`."""
        out: Tensor = NumberCurves.of(number_curves(x, y)).bounds[:, 0] > _LEAST
        return out


def _shown_by_products(evidence: Evidence, nats: Tensor) -> Tensor:
    """Where many products of columns show most of so many ``nats`` ``[B, 1]``, as they do of forms,
    ``[B, 1]`` bool."""
    opinions, _, kept = Crossed.of(evidence.crossed)
    few = opinions[:, : -len(SUMS)].amax(-1, keepdim=True)
    shown: Tensor = (kept[:, :1] >= _MANY) & (few > _MOST * nats)
    return shown
