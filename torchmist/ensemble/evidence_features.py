"""Evidence as numbers of about one size, which small networks read.

Legend: ``B`` datasets, ``R`` numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchmist.ensemble.evidence import Evidence, in_t
from torchmist.models.neighbourhood import FEATURE_COUNT, OPINION_COUNT
from torchmist.models.variates import SHARPNESS_COUNT, VARIATE_COUNT, VARIATE_OPINIONS

__all__ = ["FAR", "MARKS", "NUMBERS", "evidence_numbers", "marks"]

MARKS = 4
"""Quantiles of each network that are read."""
_SIZES = 5
NUMBERS = (
    3 * OPINION_COUNT + 2 * MARKS + 4 + _SIZES + FEATURE_COUNT
    + 2 * VARIATE_OPINIONS + VARIATE_COUNT + SHARPNESS_COUNT + 2
)  # fmt: skip
"""How many there are, R."""
FAR = 5.0
"""Deviations: what is farther is taken for it."""


def evidence_numbers(evidence: Evidence) -> Tensor:
    """What both networks, neighbours, kernels, variates and all columns linearly say, how far these
    disagree, local statistics and sizes, ``[B, R]``."""
    t, found = in_t(evidence.opinions), in_t(evidence.variates)
    linear = in_t(evidence.linear)
    own = [in_t(q) for q in (evidence.plain, evidence.local)]
    centres = [q.mean(-1, keepdim=True) for q in own]
    n, dx, dy = evidence.sizes.to(t.dtype).unbind(-1)
    logs = [n.log(), torch.maximum(dx, dy).log(), torch.minimum(dx, dy).log()]
    logs += [(dx + dy).log() - n.log(), n.rsqrt()]
    read = [*map(marks, own), *centres, centres[1] - centres[0], t.std(-1, keepdim=True), t,
            t - centres[0], torch.stack(logs, -1), evidence.features, t - centres[1], found,
            found - centres[1], evidence.correlations, evidence.sharpness, linear,
            linear - centres[1]]  # fmt: skip
    return torch.cat(read, -1)


def marks(quantiles: Tensor) -> Tensor:
    """The outer quantiles but one, and the quartiles, of ``[B, Q]``: ``[B, MARKS]``."""
    quarter = quantiles.shape[-1] // 4
    return quantiles[:, [1, quarter, -1 - quarter, -2]]
