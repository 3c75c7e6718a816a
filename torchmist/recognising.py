r"""What a network that knows canonical laws alone says beside an answer.

Gaussian, Student and uniform additive pairs of as many columns on both sides are what the field
tests estimators with. In few rows only having met them tells how their correlations are made, or
that their noise is bounded; a network that has met nothing else (``mist-paper-v1``) tells it, and
is wrong on all other data. Legend: ``B`` datasets, ``Q`` quantiles, ``C`` candidates, ``R``
numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchmist.evidence import Evidence, in_t
from torchmist.evidence_numbers import NUMBERS, evidence_numbers
from torchmist.onward import OTHERS, Onward, enough, what_others_say

__all__ = ["Recognising"]

_ROWS = 640  # at most, and
_COLUMNS = (2, 32)  # of either side, as many on both, of which the network is asked
_REACH = 3.0  # times how far the answer's outer quantiles lie from its middle
_MARKS = 4  # quantiles of the network that are read


class Recognising(Onward):
    """Quantiles that go on where the answer leaves room for what canonical laws would have."""

    CANDIDATES = 1
    SEEN = _MARKS + 2 + OTHERS + NUMBERS
    mean: Tensor
    scale: Tensor

    def __init__(self, members: int, quantiles: int) -> None:
        super().__init__(members, quantiles)
        self.register_buffer("mean", torch.zeros(NUMBERS))
        self.register_buffer("scale", torch.ones(NUMBERS))

    def standardise(self, evidence: Evidence) -> None:
        """See :meth:`Onward.standardise`: all that the members of the arbiter read."""
        read = evidence_numbers(evidence)
        self.mean.copy_(read.mean(0))
        self.scale.copy_(read.std(0).clamp(min=1e-3))

    def candidates(self, evidence: Evidence, answer: Tensor) -> Tensor:
        """See :meth:`Onward.candidates`: the median of the network, unless it lies three times as
        far from the middle of the answer as its outer quantiles, or variates repeat each other
        (:class:`~torchmist.models.repeated.Repeated`): both rule the laws out."""
        median = in_t(evidence.recognised).median(-1, keepdim=True).values
        middle = answer.mean(-1, keepdim=True)
        low = middle + _REACH * (answer[:, 1:2] - middle)
        high = middle + _REACH * (answer[:, -2:-1] - middle)
        n, sides = evidence.sizes[:, :1], evidence.sizes[:, 1:]
        known = (n <= _ROWS) & (sides[:, :1] == sides[:, 1:])
        known &= (sides[:, :1] >= _COLUMNS[0]) & (sides[:, :1] <= _COLUMNS[1])
        shared, either = evidence.repeated[:, :1], evidence.repeated[:, 1:2]
        known &= shared <= enough(either)
        return median.masked_fill(~known | (median < low) | (median > high), torch.nan)

    def reads(self, rows: tuple[int, int], columns: tuple[int, int]) -> bool:
        """See :meth:`Onward.reads`: up to 640 rows, as many columns on both sides, 2 to 32."""
        return rows[0] <= _ROWS and columns[0] == columns[1] and _in_reach(columns[0])

    def seen(self, evidence: Evidence, candidates: Tensor, middle: Tensor) -> Tensor:
        """See :meth:`Onward.seen`: quantiles of the network, how wide they are, what all columns
        share linearly, what others say, and all that tells other laws from canonical ones."""
        own = in_t(evidence.recognised)
        quarter = own.shape[-1] // 4
        marks = own[:, [1, quarter, -1 - quarter, -2]]
        width = marks[:, :1] - marks[:, -1:]
        linear = in_t(evidence.linear) - middle
        others = what_others_say(evidence) - middle
        numbers = (evidence_numbers(evidence) - self.mean) / self.scale
        return torch.cat([marks - middle, width, linear, others, numbers], -1)

    @staticmethod
    def may_say_more(x: Tensor, y: Tensor) -> Tensor:
        """See :meth:`Onward.may_say_more`."""
        few = x.shape[1] <= _ROWS and x.shape[-1] == y.shape[-1] and _in_reach(x.shape[-1])
        return torch.full((len(x),), few, device=x.device)


def _in_reach(columns: int) -> bool:
    return _COLUMNS[0] <= columns <= _COLUMNS[1]
