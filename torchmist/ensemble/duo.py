"""Networks and an arbiter: one that reads pairs of columns, one that reads who is near whom.

The first (``plain``) is close to ideal where the world is Gaussian-like in its columns and silently
wrong elsewhere; the second (``local``) sees clusters, manifolds, waves, interactions and atoms, and
is too high on plain data. The :class:`~torchmist.ensemble.arbiter.Arbiter` decides between them; in
few rows it may ask a third one (``expert``), which knows canonical laws alone.
Legend: ``B`` datasets, ``N`` samples, ``Q`` quantiles.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from torchmist.checks import visible
from torchmist.ensemble.arbiter import Arbiter
from torchmist.ensemble.asked_again import (
    asked_along_directions,
    asked_in_other_columns,
    asked_of_trees,
)
from torchmist.ensemble.correction import Correction
from torchmist.ensemble.correction_turned_axes import TURNED_COUNT, excluding
from torchmist.ensemble.evidence import Evidence
from torchmist.ensemble.within_clusters import asked_in_clusters
from torchmist.inference.large_samples import route
from torchmist.models.column_products import CROSSED_COUNT, crossed_information
from torchmist.models.directions import Through, see_narrow
from torchmist.models.even_directions import EVEN_COUNT, even_information
from torchmist.models.independent_components import UNMIXED_COUNT, unmixed_information
from torchmist.models.label_classifiers import TOLD_SIZES, told_of_labels
from torchmist.models.label_curves import CURVE_COUNT, label_curves
from torchmist.models.latent_classes import CLASSES_COUNT, class_information
from torchmist.models.lengths import with_lengths
from torchmist.models.linear import SHARE, linear_information
from torchmist.models.manifold_dimensions import DIMENSION_COUNT, manifold_dimensions
from torchmist.models.matched_columns import matched_information
from torchmist.models.mist import MIST
from torchmist.models.network import QuantileNetwork
from torchmist.models.number_curves import NUMBER_COUNT, number_curves
from torchmist.models.rare import mostly_rare, repaired
from torchmist.models.regimes import REGIMES_COUNT, regime_information
from torchmist.models.repeated_variates import REPEATED_COUNT, repeated_information
from torchmist.models.settled_neighbours import SETTLED_COUNT, settled_information
from torchmist.models.small_directions import has_small_directions
from torchmist.models.turned_axes import EXCLUDE, turned
from torchmist.models.variates import SUMS, VARIATE_COUNT, variate_opinions, variates
from torchmist.numerics.sharing import sharing
from torchmist.numerics.vmapped import vmapped
from torchmist.quantile_head import OFFSET, quantile_levels, to_nats

__all__ = ["DuoMIST"]

_Find = Callable[[Tensor | None], tuple[Tensor, ...]]
_FOLDS = 8  # of wide sides with few rows, as arbiters have learned from
_MANY = 1024  # rows, from which neighbours among all of them are asked for their own correction


class DuoMIST(QuantileNetwork):
    """Two :class:`~torchmist.models.mist.MIST` and an :class:`Arbiter` between them.

    Args:
        plain: network that reads pairs of columns.
        local: network with local statistics.
        arbiter: what decides between them.
        names: registered names of the networks, by which a file of the arbiter refers to them.
        expert: network that knows canonical laws alone, where the arbiter reads one.

    Raises:
        ValueError: if the arbiter reads an expert and there is none, or the other way round.
    """

    def __init__(
        self, plain: MIST, local: MIST, arbiter: Arbiter, names: tuple[str, ...],
        expert: MIST | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if (expert is None) != (arbiter.recognising is None):
            raise ValueError(
                f"expected an expert where the arbiter reads one, and none elsewhere, got "
                f"{type(expert).__name__} for an arbiter of {arbiter.sizes()}"
            )
        self.names = names
        self.plain, self.local, self.arbiter, self.expert = plain, local, arbiter, expert
        self.register_buffer("levels", quantile_levels(arbiter.quantiles), persistent=False)

    def forward(self, x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
        """Quantiles of I(X;Y) in nats, ``[B, Q]``, of ``[B, N, dx]`` and ``[B, N, dy]``.

        What chance says of rare columns is taken off. Sides of small directions are asked along
        their principal axes as well, rounded columns with their ties spread, those of fast waves
        with the phases of these, those that say more by the order within their rows by that, rows
        in clusters in parts, both sides along directions that the other goes with, and those that
        trees tell more of by these, but in graphs and under transforms, which cannot see whether
        there are any: to ask all datasets anew would take several times as long.

        Raises:
            RuntimeError: under ``torch.func.vmap``, of which its neighbours know nothing.
        """
        if any(vmapped(visible(side.any()), side) for side in (x, y)):
            raise RuntimeError(
                "expected weights with an arbiter, as mist has, outside of torch.func.vmap, got "
                "values that it hides; pass a batch of datasets [B, N, d] as it is, or "
                "model='mist-fast'"
            )
        with sharing():
            return self._corrected(x, y, mask)

    def _corrected(self, x: Tensor, y: Tensor, mask: Tensor | None) -> Tensor:
        """See :meth:`forward`."""
        out = self._answer(x, y, mask)
        small = [has_small_directions(side, mask) for side in (x, y)]
        if visible((small[0] | small[1]).any()):
            out = self._along_axes(out, x, y, mask, small)
        with torch.autocast(x.device.type, enabled=False):
            out = asked_in_other_columns(out, x, y, mask, self._answer)
            out = asked_in_clusters(out, self.levels, x, y, mask, self._answer)
            out = asked_along_directions(out, self.levels, x, y, mask, self._answer)
            out = asked_of_trees(out, self.levels, x, y, mask, self._answer)
        some = mostly_rare(x, y, mask)
        return self._less_chance(out, x, y, mask, some) if visible(some.any()) else out

    def _along_axes(
        self, quantiles: Tensor, x: Tensor, y: Tensor, mask: Tensor | None, small: list[Tensor]
    ) -> Tensor:
        """``quantiles`` ``[B, Q]``, or those of the same sides along their principal axes where
        these have ``small`` ``[B]`` directions and surely share more: where all but the least of
        these quantiles lie above the mean of those, and so does what neighbours or bounds say of
        functions along the axes, on rows that these were not fitted to."""
        place = (small[0] | small[1]).nonzero()[:, 0]
        shown = None if mask is None else mask[place]
        a, b = (
            torch.where(some[place, None, None], turned(side[place], shown).to(side), side[place])
            for side, some in zip((x, y), small)
        )
        before = quantiles[place]
        middle = before.mean(-1)
        a, b, through = _narrow(a, b, shown)
        evidence = self._of_members(a, b, shown, through)
        borne = evidence.variates[:, : -len(SUMS)].amax(-1) > middle
        if visible(borne.any()) is False:  # what else they say does not count
            return quantiles
        found = self._decided(evidence, a, b, shown, through)
        more = (found[:, 1] > middle) & borne
        return quantiles.index_put((place,), torch.where(more[:, None], found, before))

    def _less_chance(
        self, quantiles: Tensor, x: Tensor, y: Tensor, mask: Tensor | None, some: Tensor
    ) -> Tensor:
        """``quantiles`` ``[B, Q]``, of ``some`` ``[B]`` without what is said of the same sides in
        other pairs."""
        with torch.no_grad():
            a, b, shown = x[some], y[some], None if mask is None else mask[some]
            said = [self._answer(a, other, shown).mean(-1) for other in repaired(a, b, shown)]
            chance = torch.stack(said).mean(0).clamp(min=0).to(quantiles)
            shift = torch.zeros_like(quantiles[:, 0]).index_put((some,), chance)
        return (quantiles - shift[:, None]).clamp(min=-OFFSET)

    def ask(self, x: Tensor, y: Tensor, mask: Tensor | None = None) -> Evidence:
        """All that the arbiter is given of ``[B, N, dx]`` and ``[B, N, dy]``; of rare columns,
        :meth:`forward` takes off what it says of other pairs."""
        x, y, through = _narrow(x, y, mask)
        evidence = self._of_members(x, y, mask, through)
        with torch.autocast(x.device.type, enabled=False):
            read = self._read(x, y, mask, through)
            found = {name: torch.cat(find(None), -1) for name, (_, find) in read.items()}
        return evidence._replace(**found)

    def _answer(self, x: Tensor, y: Tensor, mask: Tensor | None) -> Tensor:
        """Quantiles ``[B, Q]`` of the arbiter."""
        x, y, through = _narrow(x, y, mask)
        return self._decided(self._of_members(x, y, mask, through), x, y, mask, through)

    def _decided(
        self, evidence: Evidence, x: Tensor, y: Tensor, mask: Tensor | None,
        through: tuple[Through, Through] | None,
    ) -> Tensor:  # fmt: skip
        """Quantiles ``[B, Q]`` of the arbiter from the ``evidence`` of its members; what a
        correction reads is found when it is asked, where it may go on."""
        unread = self._read(x, y, mask, through)

        def found(names: list[str], evidence: Evidence, answer: Tensor) -> Evidence:
            with torch.autocast(x.device.type, enabled=False):
                read = {name: torch.cat(unread.pop(name)[1](answer), -1) for name in names}
            return evidence._replace(**read)

        def complete(part: Correction, evidence: Evidence, answer: Tensor) -> Evidence:
            own = [name for name, (reader, _) in unread.items() if reader is part]
            if own and visible(part.may_go_on(evidence, answer).any()) is not False:
                evidence = found(own, evidence, answer)
            heeds = part.HEEDS_NEIGHBOURS and "settled" in unread and x.shape[1] < _MANY
            if heeds and visible(part.goes_on(evidence, answer).any()) is not False:
                evidence = found(["settled"], evidence, answer)
            return evidence

        out: Tensor = self.arbiter(evidence, complete)
        return out

    def _of_members(
        self, x: Tensor, y: Tensor, mask: Tensor | None, through: tuple[Through, Through] | None
    ) -> Evidence:
        """What the arbiter's members are given, and 0 of all that corrections read."""
        if mask is None:
            n = torch.full((len(x), 1), float(x.shape[1]), device=x.device, dtype=torch.float32)
        else:
            n = mask.sum(-1, keepdim=True).float()
        plain = route(x, y, self.plain, mask, folds=_FOLDS)
        with torch.autocast(x.device.type, enabled=False):
            found = variates(x, y, mask, through=through)
            said, sharpness = variate_opinions(found)
            linear = plain.median(-1, keepdim=True).values
            enough = SHARE * max(x.shape[-1], y.shape[-1])
            if through is not None:
                linear = linear_information(x, y, mask, through)
            elif x.shape[1] >= enough:  # with fewer rows it is what the first network says
                linear = torch.where(n >= enough, linear_information(x, y, mask, None), linear)
        local, around = self.local.with_surroundings(x, y, mask, through=through)
        dims = torch.tensor([[x.shape[-1], y.shape[-1]]], dtype=n.dtype, device=n.device)
        sizes = torch.cat([n, dims.expand(len(n), -1)], -1)
        correlations = found.correlations[:, :VARIATE_COUNT]
        further = {
            k: torch.zeros(len(x), v, device=x.device, dtype=torch.float32)
            for k, v in self._counts().items()
        }
        return Evidence(
            plain, local, around.opinions, around.centre, around.features, said, correlations,
            sharpness, linear, sizes=sizes, **further,
        )  # fmt: skip

    def _counts(self) -> dict[str, int]:
        """How many numbers of each kind are read by what goes on."""
        quantiles = len(self.levels)
        return {
            "matched": 3, "crossed": CROSSED_COUNT, "unmixed": UNMIXED_COUNT,
            "told": sum(TOLD_SIZES), "repeated": REPEATED_COUNT, "regimes": REGIMES_COUNT,
            "settled": SETTLED_COUNT, "recognised": quantiles, "turned": TURNED_COUNT + quantiles,
            "crowded": CLASSES_COUNT, "folded": EVEN_COUNT,
            "curved": DIMENSION_COUNT, "learned": CURVE_COUNT, "predicted": NUMBER_COUNT,
        }  # fmt: skip

    def _read(
        self, x: Tensor, y: Tensor, mask: Tensor | None, through: tuple[Through, Through] | None
    ) -> dict[str, tuple[Correction, _Find]]:
        """What reads each of the numbers of further evidence, and how they are found, ``[B, R]`` in
        parts: nothing of what this arbiter does not read, or not of such sizes."""
        arbiter, expert = self.arbiter, cast(MIST, self.expert)
        rows = (x.shape[1] if mask is None else _fewest(mask), x.shape[1])
        columns = (min(x.shape[-1], y.shape[-1]), max(x.shape[-1], y.shape[-1]))
        asked: dict[str, tuple[Correction | None, _Find]] = {
            "matched": (arbiter.further, lambda _: matched_information(x, y, mask)),
            "crossed": (arbiter.further, lambda _: crossed_information(x, y, mask)),
            "unmixed": (arbiter.unmixing, lambda _: unmixed_information(x, y, mask)),
            "told": (arbiter.telling, lambda _: told_of_labels(x, y, mask, through)),
            "repeated": (arbiter.repeating, lambda _: repeated_information(x, y, mask)),
            "regimes": (arbiter.parting, lambda _: regime_information(x, y, mask)),
            "settled": (arbiter.settling, lambda _: settled_information(x, y, mask)),
            "recognised": (arbiter.recognising, lambda _: (expert(x, y, mask),)),
            "turned": (arbiter.turning, lambda _: (self._turned(x, y, mask),)),
            "crowded": (arbiter.crowding, lambda t: class_information(x, y, mask, known=_nats(t))),
            "folded": (arbiter.folding, lambda _: even_information(x, y, mask)),
            "curved": (arbiter.curving, lambda _: manifold_dimensions(x, y, mask)),
            "learned": (arbiter.learning, lambda _: (label_curves(x, y, mask),)),
            "predicted": (arbiter.predicting, lambda _: (number_curves(x, y, mask),)),
        }
        return {
            name: (part, find)
            for name, (part, find) in asked.items()
            if part is not None and part.reads(rows, columns)
        }

    def _turned(self, x: Tensor, y: Tensor, mask: Tensor | None) -> Tensor:
        """What :class:`~torchmist.ensemble.correction_turned_axes.Turned` has, ``[B, T]``: the
        members of the arbiter are asked anew of those datasets alone whose columns exclude each
        other."""
        exclusion = excluding(x, y, mask)
        some = exclusion[:, 0] > EXCLUDE
        seen = visible(some.any()) is not None  # else all of them are asked
        if seen and not bool(some.any()):
            return F.pad(exclusion, (0, self._counts()["turned"] - exclusion.shape[-1]))
        place = some.nonzero()[:, 0] if seen else torch.arange(len(x), device=x.device)
        shown = None if mask is None else mask[place]
        a, b = (turned(side[place], shown) for side in (x, y))
        evidence = self._of_members(a, b, shown, see_narrow(a, b, shown))
        most = evidence.opinions.amax(-1, keepdim=True)
        medians = [v.median(-1, keepdim=True).values for v in (evidence.plain, evidence.local)]
        found = torch.cat([most, *medians, self.arbiter.first(evidence)], -1)
        whole = found.new_zeros(len(x), found.shape[-1]).index_copy(0, place, found)
        return torch.cat([exclusion, whole.where(some[:, None], 0.0)], -1)


def _narrow(
    x: Tensor, y: Tensor, mask: Tensor | None
) -> tuple[Tensor, Tensor, tuple[Through, Through] | None]:
    """Both sides as members read them, and seen through directions where they are wide."""
    with torch.autocast(x.device.type, enabled=False):
        x, y = with_lengths(x, y, mask)
        return x, y, see_narrow(x, y, mask)


def _nats(answer: Tensor | None) -> Callable[[], Tensor] | None:
    """How an ``answer`` ``[B, Q]`` in ``t`` is told in nats ``[B]``; None where there is none."""
    return None if answer is None else lambda: to_nats(answer).mean(-1)


def _fewest(mask: Tensor) -> int:
    """The fewest rows of a dataset that ``mask`` ``[B, N]`` shows, 1 where that cannot be seen."""
    least = mask.sum(-1).amin()
    return 1 if visible(least > 0) is None else int(least)
