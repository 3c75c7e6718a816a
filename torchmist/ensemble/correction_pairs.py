r"""What pairs and products of columns say beyond the answer of an arbiter.

In few datasets columns go in pairs (``torchmist.models.matched_columns``), or their products show
what no column does (``torchmist.models.column_products``), and say more than the answer.
Legend: ``B`` datasets, ``Q`` quantiles, ``C`` candidates, ``R`` numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchmist.ensemble.correction import Correction, enough
from torchmist.ensemble.evidence import Evidence, in_t
from torchmist.models.column_products import Crossed
from torchmist.models.variates import SHARPNESS_COUNT, SUMS, VARIATE_OPINIONS
from torchmist.quantile_head import to_nats

__all__ = ["PairCorrection"]

_IN_PAIRS = 2


class PairCorrection(Correction):
    """Quantiles that go on where pairs or products of columns say more."""

    CANDIDATES = _IN_PAIRS + VARIATE_OPINIONS
    SEEN = 3 + SHARPNESS_COUNT + 2 + 2

    def candidates(self, evidence: Evidence, answer: Tensor) -> Tensor:
        """See :meth:`Correction.candidates`: those of pairs, and of variates that have products.

        Pairs say more if their sum does, by itself and as it goes beyond what all columns share
        linearly, where the answer is no less than that: clusters are not, whose columns all show
        the same; products if an estimate says more than without them, too. Sums that hold for
        Gaussian variates alone do not count.
        """
        near, linear, pairs = evidence.matched.split(1, -1)
        of_pairs = torch.cat([near, evidence.linear + near - linear], -1)
        of_products, _, kept = Crossed.of(evidence.crossed)
        most = enough(to_nats(answer).mean(-1, keepdim=True))
        believed = (pairs > 0) & (evidence.linear <= most)
        paired = (of_pairs > most).all(-1, keepdim=True) & believed
        more = (of_products > enough(evidence.variates.clamp(min=0))) & (of_products > most)
        shown = more[:, : -len(SUMS)].any(-1, keepdim=True)
        shown = shown & (kept > 0).any(-1, keepdim=True)
        found = [of_pairs, of_products]
        parts = [in_t(v).masked_fill(~some, torch.nan) for v, some in zip(found, (paired, shown))]
        return torch.cat(parts, -1)

    def seen(self, evidence: Evidence, candidates: Tensor, middle: Tensor) -> Tensor:
        """See :meth:`Correction.seen`."""
        paired, shown = (~candidates[:, [0]].isnan(), ~candidates[:, [-1]].isnan())
        _, linear, pairs = evidence.matched.split(1, -1)
        share = pairs / evidence.sizes[:, 1:].amin(-1, keepdim=True)
        of_pairs = torch.cat([in_t(linear) - middle, pairs.log1p(), share], -1) * paired
        _, sharpness, kept = Crossed.of(evidence.crossed)
        of_products = torch.cat([sharpness, kept.log1p()], -1) * shown
        return torch.cat([of_pairs, of_products, paired, shown], -1)
