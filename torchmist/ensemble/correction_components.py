r"""What independent components of both sides say beyond an answer
(``torchmist.models.independent_components``).

Legend: ``B`` datasets, ``Q`` quantiles, ``F`` frames, ``C`` candidates, ``R`` numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchmist.ensemble.correction import Correction, enough
from torchmist.ensemble.evidence import Evidence, in_t
from torchmist.models.independent_components import FRAMES, unmixed_information
from torchmist.models.linear import linear_information
from torchmist.quantile_head import to_nats

__all__ = ["ComponentCorrection"]

_LEAST = 0.05  # nats
_TIED = 3.0  # times that counts what sizes share: a part of what components do


class ComponentCorrection(Correction):
    """Quantiles that go on where components in pairs say more."""

    CANDIDATES = 3 * FRAMES
    SEEN = 3 * FRAMES + 1

    def candidates(self, evidence: Evidence, answer: Tensor) -> Tensor:
        """See :meth:`Correction.candidates`: of each frame, the sum over its pairs; what all
        columns share linearly with what the pairs share beyond that; and the lower of both less
        three times what the sizes of components share.

        They say more if the last does, where the answer is no less than what all columns share
        linearly: that of clusters and manifolds is, whose components are not independent.
        """
        sums = _sums(evidence.unmixed, evidence.linear)
        most = enough(to_nats(answer).mean(-1, keepdim=True))
        more = (sums[-1] > most).any(-1, keepdim=True) & (evidence.linear <= most)
        return in_t(torch.cat(sums, -1)).masked_fill(~more, torch.nan)

    def may_go_on(self, evidence: Evidence, answer: Tensor) -> Tensor:
        """See :meth:`Correction.may_go_on`: where the answer is no less than what is linear."""
        return (evidence.linear <= enough(to_nats(answer).mean(-1, keepdim=True))).squeeze(-1)

    def seen(self, evidence: Evidence, candidates: Tensor, middle: Tensor) -> Tensor:
        """See :meth:`Correction.seen`."""
        _, linear, tied, pairs = evidence.unmixed.split(FRAMES, -1)
        share = pairs / evidence.sizes[:, 1:].amax(-1, keepdim=True)
        above = in_t(evidence.linear) - middle
        return torch.cat([in_t(linear) - middle, tied.log1p(), share, above], -1)

    @staticmethod
    def may_say_more(x: Tensor, y: Tensor) -> Tensor:
        """See :meth:`Correction.may_say_more`."""
        unmixed = unmixed_information(x, y)
        if not unmixed.pairs.any():
            return torch.zeros(len(x), dtype=torch.bool, device=x.device)
        linear = linear_information(x, y, None, None)
        sums = _sums(torch.cat(unmixed, -1), linear)
        return (sums[-1] > linear.clamp(min=_LEAST)).any(-1)


def _sums(unmixed: Tensor, linear: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What :meth:`ComponentCorrection.candidates` says of each frame, ``[B, F]`` each, in nats."""
    near, of_pairs, tied, _ = unmixed.split(FRAMES, -1)
    beyond = linear + near - of_pairs
    return near, beyond, torch.minimum(near, beyond) - _TIED * tied
