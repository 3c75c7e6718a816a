r"""What a network that knows canonical laws alone says beside an answer.

Gaussian, Student and uniform additive pairs of as many columns on both sides are what the field
tests estimators with. In few rows only having met them tells how their correlations are made, or
that their noise is bounded; a network that has met nothing else (``mist-paper-v1``) tells it, and
is wrong on all other data. Legend: ``B`` datasets, ``Q`` quantiles, ``C`` candidates, ``R``
numbers.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor

from torchmist.ensemble.correction import (
    OTHERS,
    Correction,
    enough,
    kept_within,
    what_others_say,
)
from torchmist.ensemble.evidence import Evidence, in_t
from torchmist.ensemble.evidence_features import MARKS, NUMBERS, evidence_numbers, marks
from torchmist.models.standardised import Standardised
from torchmist.quantile_head import to_nats

__all__ = ["CanonicalCorrection"]

Size = TypeVar("Size", int, Tensor)
_ROWS = 640  # at most, and
_COLUMNS = (2, 32)  # of either side, as many on both, of which the network is asked
_REACH = 3.0  # times how far the answer's outer quantiles lie from its middle
_ERRORS, _ROUNDING = 2.0, 0.02  # of the Gaussian information, and nats beside it
_PLAIN = 8  # rows for each column, from which that information is known


class CanonicalCorrection(Correction, Standardised):
    """Quantiles that go on where the answer leaves room for what canonical laws would have: towards
    that, and no farther. On data that is neither, as of many classes in few rows, the networks
    would leave both behind."""

    CANDIDATES = 1
    SEEN = MARKS + 2 + OTHERS + NUMBERS

    def __init__(self, members: int, quantiles: int) -> None:
        super().__init__(members, quantiles)
        self.keep_scale(NUMBERS)

    def learn_scale(self, evidence: Evidence) -> None:
        """See :meth:`Correction.learn_scale`: of all that the members of the arbiter read."""
        self.standardise(evidence_numbers(evidence))

    def candidates(self, evidence: Evidence, answer: Tensor) -> Tensor:
        """See :meth:`Correction.candidates`: the median of the network, unless it lies three times
        as far from the middle of the answer as its outer quantiles, variates repeat each other
        (:class:`~torchmist.models.repeated_variates.Repeated`), or the answer is that of a plain
        Gaussian sample (:func:`_is_plain`) and it is not: all of these rule the laws out."""
        median = in_t(evidence.recognised).median(-1, keepdim=True).values
        middle = answer.mean(-1, keepdim=True)
        low = middle + _REACH * (answer[:, 1:2] - middle)
        high = middle + _REACH * (answer[:, -2:-1] - middle)
        known = _is_plain(evidence, median) | ~_is_plain(evidence, middle)
        known = known & _may_be_canonical(evidence)
        return median.masked_fill(~known | (median < low) | (median > high), torch.nan)

    def may_go_on(self, evidence: Evidence, answer: Tensor) -> Tensor:
        """See :meth:`Correction.may_go_on`: of such sizes, where no variates repeat each other."""
        return _may_be_canonical(evidence).squeeze(-1)

    def limited(self, found: Tensor, answer: Tensor, candidates: Tensor) -> Tensor:
        """See :meth:`Correction.limited`: the middle of all members stays between that of the
        answer and the candidate."""
        middle = answer.mean(-1, keepdim=True)
        ends = torch.cat([middle, middle.where(candidates.isnan(), candidates)], -1)
        return kept_within(found, ends.amin(-1), ends.amax(-1))

    def reads(self, rows: tuple[int, int], columns: tuple[int, int]) -> bool:
        """See :meth:`Correction.reads`: up to 640 rows, as many columns on both sides, 2 to 32."""
        return bool(_knows(rows[0], *columns))

    def seen(self, evidence: Evidence, candidates: Tensor, middle: Tensor) -> Tensor:
        """See :meth:`Correction.seen`: quantiles of the network, how wide they are, what all
        columns share linearly, what others say, and all that tells other laws from canonical
        ones."""
        own = in_t(evidence.recognised)
        marked = marks(own)
        width = marked[:, :1] - marked[:, -1:]
        linear = in_t(evidence.linear) - middle
        others = what_others_say(evidence) - middle
        numbers = self.standardised(evidence_numbers(evidence))
        return torch.cat([marked - middle, width, linear, others, numbers], -1)

    @staticmethod
    def may_say_more(x: Tensor, y: Tensor) -> Tensor:
        """See :meth:`Correction.may_say_more`."""
        known = bool(_knows(x.shape[1], x.shape[-1], y.shape[-1]))
        return torch.full((len(x),), known, device=x.device)


def _may_be_canonical(evidence: Evidence) -> Tensor:
    """Of which datasets the network is asked and whose variates do not repeat each other,
    ``[B, 1]`` bool."""
    shared, either = evidence.repeated[:, :1], evidence.repeated[:, 1:2]
    known: Tensor = _knows(*evidence.sizes.split(1, -1)) & (shared <= enough(either))
    return known


def _is_plain(evidence: Evidence, t: Tensor) -> Tensor:
    """Where ``t`` ``[B, 1]`` is what all columns share linearly, up to two standard errors of that,
    and the sample is large enough to say so, ``[B, 1]`` bool.

    Of as many pairs as columns, alike, of correlation r, the variance of the information is
    ``d r^2 / N``: pairs of unlike correlations have less.
    """
    n, dx, dy = evidence.sizes.to(t.dtype).split(1, -1)
    d, linear = torch.minimum(dx, dy), evidence.linear.clamp(min=0)
    error = (-d * torch.expm1(-2 * linear / d) / n).sqrt()
    near = (to_nats(t) - linear).abs() < _ERRORS * (error + _ROUNDING)
    plain: Tensor = near & (n >= _PLAIN * d)
    return plain


def _knows(rows: Size, dx: Size, dy: Size) -> Size:
    """Whether the network is asked of such sizes: of one dataset, or of each of ``[B, 1]``."""
    return (rows <= _ROWS) & (dx == dy) & (dx >= _COLUMNS[0]) & (dx <= _COLUMNS[1])
