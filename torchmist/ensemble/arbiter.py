r"""The arbiter: quantiles of mutual information from what networks and neighbours say of it.

Its candidates are the medians of both networks, the estimates of neighbours and kernels, those
between cross-fitted variates, what all columns share linearly, and what the second network measures
from. It returns quantiles of ``t = log(I + 0.2)``

.. math:: t_q = \sum_c w_c t_c + a + g_q,

with shares :math:`w` that sum to one, a shift :math:`a` and increasing :math:`g` of median 0, all
decided by small networks from the :class:`Evidence`; the mean of their quantiles counts, so that
what only one of them makes of unusual evidence counts less, and a
:class:`~torchmist.ensemble.interval_width.IntervalWidth` stretches them by how far they disagree.
From there, corrections (``torchmist.ensemble.correction``) go on, in this order:

* where pairs or products of columns say more, a :class:`PairCorrection`;
* where independent components do, a :class:`ComponentCorrection`;
* where classifiers of a label do, a :class:`ClassifierCorrection`;
* where variates repeat each other, a :class:`RepeatCorrection`;
* where several regimes say more, a :class:`RegimeCorrection`;
* where neighbours have settled, a :class:`NeighbourCorrection`;
* where few rows may be of canonical laws, a :class:`CanonicalCorrection`;
* where the columns of a side exclude each other, a :class:`TurnedAxesCorrection`;
* where many classes say more, a :class:`LatentClassCorrection`;
* where even functions of few directions do, an :class:`EvenDirectionCorrection`;
* where both sides are of fewer dimensions than columns, a :class:`ManifoldCorrection`;
* where a classifier of a label still learns, a :class:`LabelCurveCorrection`;
* where a regression of numbers does, a :class:`NumberCurveCorrection`.

All that is read is free of the order of samples and columns and of the swap of the sides. Legend:
``B`` datasets, ``Q`` quantiles, ``C`` candidates.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from torchmist.ensemble.correction import Correction
from torchmist.ensemble.correction_canonical import CanonicalCorrection
from torchmist.ensemble.correction_classifiers import ClassifierCorrection
from torchmist.ensemble.correction_components import ComponentCorrection
from torchmist.ensemble.correction_even_directions import EvenDirectionCorrection
from torchmist.ensemble.correction_label_curves import LabelCurveCorrection
from torchmist.ensemble.correction_latent_classes import LatentClassCorrection
from torchmist.ensemble.correction_manifolds import ManifoldCorrection
from torchmist.ensemble.correction_neighbours import NeighbourCorrection
from torchmist.ensemble.correction_number_curves import NumberCurveCorrection
from torchmist.ensemble.correction_pairs import PairCorrection
from torchmist.ensemble.correction_regimes import RegimeCorrection
from torchmist.ensemble.correction_repeats import RepeatCorrection
from torchmist.ensemble.correction_turned_axes import TurnedAxesCorrection
from torchmist.ensemble.evidence import Evidence, in_t
from torchmist.ensemble.evidence_features import FAR, NUMBERS, evidence_numbers
from torchmist.ensemble.interval_width import IntervalWidth
from torchmist.models.neighbourhood import OPINION_COUNT
from torchmist.models.standardised import Standardised
from torchmist.models.variates import VARIATE_OPINIONS
from torchmist.quantile_head import blended_quantiles, blending_network, to_nats

__all__ = ["CORRECTIONS", "Arbiter", "Complete"]

Complete = Callable[[Correction, Evidence, Tensor], Evidence]
"""What gives a correction the evidence that it reads beside an answer ``[B, Q]`` in ``t``."""
CORRECTIONS = (
    "further", "unmixed", "told", "repeated", "regimes", "settled", "recognised", "turned",
    "crowded", "folded", "curved", "learned", "predicted",
)  # fmt: skip
"""Arguments of :class:`Arbiter`: the corrections of its answer, one after the other."""


class Arbiter(Standardised):
    """Quantiles from the :class:`Evidence`.

    Args:
        width: of the two hidden layers of each network.
        members: networks whose quantiles are averaged.
        quantiles: of both networks whose estimates are read.
        further: whether pairs and products of columns are read where they say more.
        unmixed: whether independent components are read where they say more than all of that.
        told: whether classifiers of a label are read where they say more.
        repeated: whether what variates say once is read where it is less.
        regimes: whether mixtures of several regimes are read where they say more.
        settled: whether neighbours among all rows are read.
        recognised: whether a network that knows canonical laws alone is read.
        turned: whether turned axes are read where columns of a side exclude each other.
        crowded: whether mixtures of many classes are read where they say more.
        folded: whether even functions of few directions are read where they say more.
        curved: whether dimensions of both sides are read where they are fewer than columns.
        learned: whether a classifier of a label is asked how fast it learns.
        predicted: whether a regression of numbers is.
    """

    def __init__(
        self, width: int = 128, members: int = 4, quantiles: int = 24, further: bool = False,
        unmixed: bool = False, told: bool = False, repeated: bool = False,
        regimes: bool = False, settled: bool = False, recognised: bool = False,
        turned: bool = False, crowded: bool = False, folded: bool = False,
        curved: bool = False, learned: bool = False, predicted: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.width, self.quantiles = width, quantiles
        self.candidates = OPINION_COUNT + VARIATE_OPINIONS + 5
        self.keep_scale(NUMBERS)
        self.members = nn.ModuleList(
            blending_network(NUMBERS, width, self.candidates, quantiles) for _ in range(members)
        )
        # names of these are keys of released weights, and older than those of their classes
        self.doubt = IntervalWidth()
        self.further = PairCorrection(members, quantiles) if further else None
        self.unmixing = ComponentCorrection(members, quantiles) if unmixed else None
        self.telling = ClassifierCorrection(members, quantiles) if told else None
        self.repeating = RepeatCorrection(members, quantiles) if repeated else None
        self.parting = RegimeCorrection(members, quantiles) if regimes else None
        self.settling = NeighbourCorrection(members, quantiles) if settled else None
        self.recognising = CanonicalCorrection(members, quantiles) if recognised else None
        self.turning = TurnedAxesCorrection(members, quantiles) if turned else None
        self.crowding = LatentClassCorrection(members, quantiles) if crowded else None
        self.folding = EvenDirectionCorrection(members, quantiles) if folded else None
        self.curving = ManifoldCorrection(members, quantiles) if curved else None
        self.learning = LabelCurveCorrection(members, quantiles) if learned else None
        self.predicting = NumberCurveCorrection(members, quantiles) if predicted else None

    def corrections(self) -> list[Correction]:
        """The corrections of its members' answer, in order."""
        return [part for part in self._parts() if part is not None]

    def _parts(self) -> tuple[Correction | None, ...]:
        """The corrections, as :data:`CORRECTIONS` names them."""
        first = (self.further, self.unmixing, self.telling, self.repeating, self.parting)
        then = (self.settling, self.recognising, self.turning, self.crowding)
        last = (self.folding, self.curving, self.learning, self.predicting)
        return *first, *then, *last

    def networks(self) -> nn.ModuleList:
        """All small networks: its own members and those of its corrections."""
        return nn.ModuleList(
            [*self.members, *(m for part in self.corrections() for m in part.members)]
        )

    def sizes(self) -> dict[str, int]:
        """The arguments that make an arbiter of the same sizes."""
        sizes = {"width": self.width, "members": len(self.members), "quantiles": self.quantiles}
        parts = zip(CORRECTIONS, self._parts(), strict=True)
        return {**sizes, **{name: True for name, part in parts if part is not None}}

    def forward(self, evidence: Evidence, complete: Complete | None = None) -> Tensor:
        """Quantiles ``[B, Q]`` in nats; ``complete``: see :meth:`each`."""
        out: Tensor = to_nats(self.doubt(self.each(evidence, complete=complete)))
        return out

    def each(
        self, evidence: Evidence, run: Callable[[nn.Module, Tensor], Tensor] | None = None,
        complete: Complete | None = None,
    ) -> Tensor:  # fmt: skip
        """Quantiles of ``t`` of every member, ``[M, B, Q]``.

        ``run``: how a network is applied to what it sees, by default as it is; ``complete``: gives
        each correction what it reads, by default as the evidence has it.
        """
        run = _as_it_is if run is None else run
        each = self._answers(evidence, run)
        for part in self.corrections():
            if complete is not None:
                evidence = complete(part, evidence, each.mean(0))
            each = part(each, evidence, run)
        return each

    def says_more(self, evidence: Evidence) -> Tensor:
        """Where the last correction says more than all before it, ``[B]`` bool."""
        told = torch.zeros(len(evidence.sizes), dtype=torch.bool, device=evidence.sizes.device)
        each = self._answers(evidence, _as_it_is)
        for part in self.corrections():
            told = part.says_more(each, evidence)
            each = part(each, evidence, _as_it_is)
        return told

    def first(self, evidence: Evidence) -> Tensor:
        """Quantiles ``[B, Q]`` in nats of its members alone, before any correction."""
        return to_nats(self._answers(evidence, _as_it_is).mean(0))

    def _answers(self, evidence: Evidence, run: Callable[[nn.Module, Tensor], Tensor]) -> Tensor:
        """Quantiles of ``t`` of every member before anything further is read, ``[M, B, Q]``."""
        seen = self.standardised(evidence_numbers(evidence)).clamp(-FAR, FAR)
        candidates = self._candidates(evidence)
        return torch.stack([blended_quantiles(run(m, seen), candidates) for m in self.members])

    def _candidates(self, evidence: Evidence) -> Tensor:
        """Values of ``t`` ``[B, C]`` among which the estimate lies, but for a shift."""
        plain, local = in_t(evidence.plain), in_t(evidence.local)
        candidates = [
            plain.median(-1, keepdim=True).values, local.median(-1, keepdim=True).values,
            in_t(evidence.opinions), in_t(evidence.variates), in_t(evidence.linear),
            evidence.centre[:, None].clamp(-3, 5), local.mean(-1, keepdim=True),
        ]  # fmt: skip
        return torch.cat(candidates, -1)


def _as_it_is(network: nn.Module, seen: Tensor) -> Tensor:
    out: Tensor = network(seen)
    return out
