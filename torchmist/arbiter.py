r"""The arbiter: quantiles of mutual information from what two networks and neighbours say of it.

Its candidates are the medians of both networks, the estimates of neighbours and kernels, those
between cross-fitted variates, what all columns share linearly, what columns share in pairs, and
what the second network measures from. It returns quantiles of
``t = log(I + 0.2)``

.. math:: t_q = \sum_c w_c t_c + a + g_q,

with shares :math:`w` that sum to one, a shift :math:`a` and increasing :math:`g` of median 0, all
decided by small networks from the :class:`Evidence`; the mean of their quantiles counts, so that
what only one of them makes of unusual evidence counts less, and a :class:`~torchmist.doubt.Doubt`
stretches them by how far they disagree. All that is read is free of the order
of samples and columns and of the swap of the sides. Legend: ``B`` datasets, ``Q`` quantiles, ``O``
opinions, ``C`` candidates, ``F`` features.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchmist.doubt import Doubt
from torchmist.models.neighbourhood import FEATURE_COUNT, OPINION_COUNT
from torchmist.models.variates import SHARPNESS_COUNT, VARIATE_COUNT, VARIATE_OPINIONS
from torchmist.quantile_head import from_nats, to_nats

__all__ = ["Arbiter", "Evidence"]

_LEAST = -0.19  # nats
_SIZES = 5
_MARKS = 4  # quantiles of each network that are read
_IN_PAIRS, _OF_PAIRS = 2, 8  # candidates, and all that is read, of pairs of columns
_FAR = 5.0  # deviations: what is farther is taken for it
_NARROW = 3.0  # before training neighbouring quantiles are close


class Evidence(NamedTuple):
    """What an arbiter reads of ``B`` datasets.

    ``plain``, ``local``: quantiles of both networks ``[B, Q]`` in nats; ``opinions``: estimates of
    neighbours and kernels ``[B, O]`` in nats; ``variates`` ``[B, V]``: those between cross-fitted
    functions of both sides, whose ``correlations`` are ``[B, k]``, and ``sharpness`` the logs of
    the bounds' temperatures; ``linear`` ``[B, 1]``: what all columns share were they Gaussian, in
    nats; ``matched`` ``[B, 3]``: what columns share in pairs, by neighbours and were they Gaussian,
    in nats, and how many pairs there are; ``centre`` ``[B]``: the ``t`` that the second network
    measures from; ``features``: means and deviations of its local statistics ``[B, F]``; ``sizes``
    ``[B, 3]``: N, dx and dy.
    """

    plain: Tensor
    local: Tensor
    opinions: Tensor
    centre: Tensor
    features: Tensor
    variates: Tensor
    correlations: Tensor
    sharpness: Tensor
    linear: Tensor
    matched: Tensor
    sizes: Tensor


class Arbiter(nn.Module):
    """Quantiles from the :class:`Evidence`.

    Args:
        width: of the two hidden layers of each network.
        members: networks whose quantiles are averaged.
        quantiles: of both networks whose estimates are read.
        matched: whether pairs of columns are read.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self, width: int = 128, members: int = 4, quantiles: int = 24, matched: bool = False
    ) -> None:
        super().__init__()
        self.width, self.quantiles, self.matched = width, quantiles, matched
        self.candidates = OPINION_COUNT + VARIATE_OPINIONS + 5 + _IN_PAIRS * matched
        read = 3 * OPINION_COUNT + 2 * _MARKS + 4 + _SIZES + FEATURE_COUNT
        read += 2 * VARIATE_OPINIONS + VARIATE_COUNT + SHARPNESS_COUNT + 2 + _OF_PAIRS * matched
        self.register_buffer("mean", torch.zeros(read))
        self.register_buffer("scale", torch.ones(read))
        self.members = nn.ModuleList(
            nn.Sequential(
                nn.Linear(read, width), nn.GELU(), nn.Linear(width, width), nn.GELU(),
                nn.Linear(width, self.candidates + 1 + quantiles),
            )
            for _ in range(members)
        )  # fmt: skip
        for member in self.members:
            nn.init.zeros_(member[-1].weight)  # type: ignore[index]
            nn.init.zeros_(member[-1].bias)  # type: ignore[index]
        self.doubt = Doubt()

    def sizes(self) -> dict[str, int]:
        """The arguments that make an arbiter of the same sizes."""
        sizes = {"width": self.width, "members": len(self.members), "quantiles": self.quantiles}
        return {**sizes, **({"matched": True} if self.matched else {})}

    def read(self, evidence: Evidence) -> Tensor:
        """The evidence as numbers of about one size, ``[B, R]``."""
        t, found = _in_t(evidence.opinions), _in_t(evidence.variates)
        linear = _in_t(evidence.linear)
        own = [_in_t(q) for q in (evidence.plain, evidence.local)]
        quarter = self.quantiles // 4
        marks = [q[:, [1, quarter, -1 - quarter, -2]] for q in own]
        centres = [q.mean(-1, keepdim=True) for q in own]
        n, dx, dy = evidence.sizes.to(t.dtype).unbind(-1)
        logs = [n.log(), torch.maximum(dx, dy).log(), torch.minimum(dx, dy).log()]
        logs += [(dx + dy).log() - n.log(), n.rsqrt()]
        read = [*marks, *centres, centres[1] - centres[0], t.std(-1, keepdim=True), t,
                t - centres[0], torch.stack(logs, -1), evidence.features, t - centres[1], found,
                found - centres[1], evidence.correlations, evidence.sharpness, linear,
                linear - centres[1]]  # fmt: skip
        if self.matched:
            pairs = evidence.matched[:, 2]
            sums = _in_pairs(evidence)
            gain = sums[:, 1:] - linear
            shares = torch.stack([pairs.log1p(), pairs / torch.minimum(dx, dy)], -1)
            read += [sums, sums - centres[1], gain, _in_t(evidence.matched[:, 1:2]), shares]
        return torch.cat(read, -1)

    def standardise(self, read: Tensor) -> None:
        """Let the members see what :meth:`read` gives less the mean and over the deviation of
        ``read`` ``[B, R]``."""
        self.mean.copy_(read.mean(0))
        self.scale.copy_(read.std(0).clamp(min=1e-3))

    def forward(self, evidence: Evidence) -> Tensor:
        """Quantiles ``[B, Q]`` in nats."""
        out: Tensor = to_nats(self.doubt(self.each(evidence)))
        return out

    def seen(self, evidence: Evidence) -> Tensor:
        """The evidence ``[B, R]`` as the members see it: of no pairs, nothing."""
        seen = ((self.read(evidence) - self.mean) / self.scale).clamp(-_FAR, _FAR)
        if self.matched:
            rest, pairs = seen.split([seen.shape[-1] - _OF_PAIRS, _OF_PAIRS], -1)
            seen = torch.cat([rest, pairs * (evidence.matched[:, 2:] > 0)], -1)
        return seen

    def each(
        self, evidence: Evidence, run: Callable[[nn.Module, Tensor], Tensor] | None = None
    ) -> Tensor:
        """Quantiles of ``t`` of every member, ``[M, B, Q]``.

        ``run``: how a member is applied to what it sees, by default as it is.
        """
        seen, candidates = self.seen(evidence), self._candidates(evidence)
        return torch.stack([
            self._quantiles(member(seen) if run is None else run(member, seen), candidates)
            for member in self.members
        ])  # fmt: skip

    def _candidates(self, evidence: Evidence) -> Tensor:
        """Values of ``t`` ``[B, C]`` among which the estimate lies, but for a shift; NaN where
        there is none."""
        plain, local = _in_t(evidence.plain), _in_t(evidence.local)
        candidates = [
            plain.median(-1, keepdim=True).values, local.median(-1, keepdim=True).values,
            _in_t(evidence.opinions), _in_t(evidence.variates), _in_t(evidence.linear),
            evidence.centre[:, None].clamp(-3, 5), local.mean(-1, keepdim=True),
        ]  # fmt: skip
        if self.matched:
            none = evidence.matched[:, 2:] == 0
            candidates.append(_in_pairs(evidence).masked_fill(none, torch.nan))
        return torch.cat(candidates, -1)

    def _quantiles(self, out: Tensor, candidates: Tensor) -> Tensor:
        """Quantiles of ``t`` ``[B, Q]`` of a member's output ``[B, C + 1 + Q]``."""
        logits, shift, gaps = out.split([self.candidates, 1, self.quantiles], -1)
        if self.matched:
            none = candidates.isnan()
            logits, candidates = (
                logits.masked_fill(none, -torch.inf),
                candidates.masked_fill(none, 0.0),
            )
        centre = (logits.softmax(-1) * candidates).sum(-1, keepdim=True) + shift
        steps = F.pad(F.softplus(gaps[:, 1:] - _NARROW).cumsum(-1), (1, 0))
        middle = steps[:, (self.quantiles - 1) // 2 : self.quantiles // 2 + 1]
        quantiles: Tensor = centre + steps - middle.mean(-1, keepdim=True)
        return quantiles


def _in_pairs(evidence: Evidence) -> Tensor:
    """``t`` of the sum over pairs of columns, and of what all columns share linearly with what
    the pairs share beyond that, ``[B, 2]``."""
    near, linear, _ = evidence.matched.split(1, -1)
    return _in_t(torch.cat([near, evidence.linear + near - linear], -1))


def _in_t(nats: Tensor) -> Tensor:
    """``t`` of estimates in nats, which may lie below what it is defined for."""
    return from_nats(nats.clamp(min=_LEAST))
