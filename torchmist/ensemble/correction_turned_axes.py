r"""What the arbiter says of turned axes beside an answer, where columns exclude each other
(``torchmist.models.turned_axes``).

Legend: ``B`` datasets, ``Q`` quantiles, ``C`` candidates, ``R`` numbers.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from torchmist.ensemble.correction import OTHERS, Correction, what_others_say
from torchmist.ensemble.evidence import Evidence, in_t
from torchmist.ensemble.evidence_features import MARKS, marks
from torchmist.models.turned_axes import (
    EXCLUDE,
    FEWEST_COLUMNS,
    FEWEST_ROWS,
    MOST_COLUMNS,
    exclusion,
)

__all__ = ["TURNED_COUNT", "Turned", "TurnedAxesCorrection", "excluding"]

_BESIDE = (2, 1, 1, 1)
TURNED_COUNT = sum(_BESIDE)
"""Numbers of :class:`Turned` beside its ``Q`` quantiles."""


class Turned(NamedTuple):
    """``exclusion`` ``[B, 2]``: the larger and the smaller of both sides; the most that neighbours
    and kernels (``near``) and the medians of both networks (``plain``, ``local``) say of turned
    sides, ``[B, 1]``, and the quantiles of the arbiter's members, ``answer`` ``[B, Q]``, in nats;
    0 where the columns of neither side exclude each other."""

    exclusion: Tensor
    near: Tensor
    plain: Tensor
    local: Tensor
    answer: Tensor


def excluding(x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
    """:func:`~torchmist.models.turned_axes.exclusion` of both sides, the larger first, ``[B, 2]``;
    0 where it is not told."""
    if not _told(x.shape[1], (x.shape[-1], y.shape[-1])):
        return torch.zeros(len(x), 2, device=x.device, dtype=torch.float32)
    found = torch.stack([exclusion(side, mask) for side in (x, y)], -1)
    if mask is not None:
        found = found * (mask.sum(-1, keepdim=True) >= FEWEST_ROWS)
    return found.sort(-1, descending=True).values


class TurnedAxesCorrection(Correction):
    """Quantiles that go on where the columns of a side exclude each other."""

    HEEDS_NEIGHBOURS = True
    CANDIDATES = 2
    SEEN = 2 + MARKS + 3 + OTHERS

    def candidates(self, evidence: Evidence, answer: Tensor) -> Tensor:
        """See :meth:`Correction.candidates`: the mean of what is said of turned axes, and what
        neighbours say there."""
        found = _found(evidence)
        own = in_t(found.answer).mean(-1, keepdim=True)
        excludes = found.exclusion[:, :1] > EXCLUDE
        return torch.cat([own, in_t(found.near)], -1).masked_fill(~excludes, torch.nan)

    def reads(self, rows: tuple[int, int], columns: tuple[int, int]) -> bool:
        """See :meth:`Correction.reads`: from 64 rows on, of 3 to 64 columns of a side."""
        return _told(rows[1], columns)

    def seen(self, evidence: Evidence, candidates: Tensor, middle: Tensor) -> Tensor:
        """See :meth:`Correction.seen`: how much columns exclude each other, how sure the answer of
        turned axes is and what it is made of, and what others say."""
        found = _found(evidence)
        of_turned = [in_t(v) - middle for v in (found.near, found.plain, found.local)]
        others = what_others_say(evidence) - middle
        marked = marks(in_t(found.answer)) - middle
        return torch.cat([found.exclusion, marked, *of_turned, others], -1)

    @staticmethod
    def may_say_more(x: Tensor, y: Tensor) -> Tensor:
        """See :meth:`Correction.may_say_more`."""
        return excluding(x, y)[:, 0] > EXCLUDE


def _told(rows: int, columns: tuple[int, int]) -> bool:
    """Whether it is told of so many rows and columns of both sides."""
    return rows >= FEWEST_ROWS and FEWEST_COLUMNS <= max(columns) <= MOST_COLUMNS


def _found(evidence: Evidence) -> Turned:
    """What is read, by name."""
    quantiles = evidence.turned.shape[-1] - TURNED_COUNT
    return Turned(*evidence.turned.split((*_BESIDE, quantiles), -1))
