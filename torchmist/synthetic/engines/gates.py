r"""Gates: pairs that only a part of the rows, columns or entries shows.

Behind a hidden gate, both sides of a row, or of a group of its columns, belong together with some
probability, and else are those of strangers (``gates_strangers``). Behind visible gates, entries
are shown or replaced by a constant: missing, dropped or sparse ones (``gates_masks``). With groups
g of canonical Gaussian pairs, whose masks M are shared by the columns of a group,

.. math:: I(X;Y) = I(M;M') + \sum_g P(\text{both sides show } g)\, I_g,

or the columns show common sources, and each has a gate of its own (``gates_factors``). All other
columns are noise behind gates or echoes of their side's own, and all are mixed or bent
(``channels_columns``). Legend: ``B`` datasets, ``N`` samples, ``K`` pairs, ``G`` groups, ``dx``,
``dy`` columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from torchmist.synthetic.engines.channels_columns import Side, draw_side
from torchmist.synthetic.engines.codes_random import Random
from torchmist.synthetic.engines.family import Family, check_sizes
from torchmist.synthetic.engines.gates_factors import Factors, draw_factors
from torchmist.synthetic.engines.gates_masks import Masks, Sparse, draw_masks, draw_sparse
from torchmist.synthetic.engines.gates_strangers import stranger_information
from torchmist.synthetic.general.canonical import draw_correlations

__all__ = ["GateParameters", "Gates", "Pairs"]

_FACTORS, _SPARSE = 0.22, 0.13  # shares of calls
_STRANGERS, _MASKED = 0.6, 0.55  # shares of datasets
_LEAST = 0.1  # probability of true pairs
_STRONG = 1.5  # times the information of ``draw_correlations``
_FAR = 4.0  # a constant below or above all values
_INDEPENDENT = 0.1


@dataclass(frozen=True)
class Pairs:
    """Canonical ``correlations`` ``[B, K]``, the ``group`` of each ``[K]``, the ``share`` of the
    rows ``[B, G]`` in which the pairs of a group are true ones; the ``masks``, whose couples are
    the groups."""

    correlations: Tensor
    group: Tensor
    share: Tensor
    masks: Masks | Sparse

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Columns ``[B, N, K]`` of unit variance of either side, as if all were shown."""
        batch, pairs = self.correlations.shape
        x, noise = torch.randn((2, batch, n, pairs), generator=generator, device=self.share.device)
        shape = (batch, n, self.share.shape[1])
        u = torch.rand(shape, generator=generator, device=self.share.device)
        true = (u < self.share.float()[:, None]).index_select(-1, self.group)
        signal, rest = (
            value.float()[:, None]
            for value in (self.correlations, (1 - self.correlations.square()).sqrt())
        )
        return x, torch.where(true, signal * x + rest * noise, noise)

    def information(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """I(X;Y) in nats and its standard error, which is 0, both ``[B]`` float64."""
        each = stranger_information(self.correlations, self.group, self.share)
        mi = (self.masks.both * each).sum(-1) + self.masks.information()
        return mi, torch.zeros_like(mi)


@dataclass(frozen=True)
class GateParameters:
    """What both sides show, ``core``; the ``fillers`` ``[B, 1, d]`` of hidden entries, and the
    ``sides``; datasets that are ``independent`` ``[B]``."""

    core: Pairs | Factors
    fillers: tuple[Tensor, Tensor]
    sides: tuple[Side, Side]
    independent: Tensor


class Gates(Family[GateParameters]):
    """Pairs among strangers, missing entries and sparse codes, in any number of columns.

    A call has pairs in one group, in groups of one pair, or in between; or factors. A tenth of the
    datasets are independent.
    """

    name = "gates"

    def draw(self, batch: int, dx: int, dy: int, *, generator: torch.Generator) -> GateParameters:
        """Draw the parameters of ``batch`` distributions of ``dx`` and ``dy`` columns."""
        check_sizes(batch=batch, dx=dx, dy=dy)
        random = Random(batch, generator)
        u = random.choices(4)
        most = min(dx, dy)
        pairs = most if u[1] < 0.5 else 1 + int(u[2] * most)
        core: Pairs | Factors
        shown: tuple[int, int]
        if u[0] < _FACTORS:
            shown = (dx, dy) if u[1] < 0.6 else (1 + int(u[2] * dx), 1 + int(u[3] * dy))
            places = tuple(torch.arange(d, device=random.device) for d in (dx, dy))
            everywhere = torch.ones(batch, dtype=torch.bool, device=random.device)
            masks = draw_masks(random, most, (dx, dy), (places[0], places[1]), everywhere)
            core, free = draw_factors(random, shown, masks), ~everywhere
        elif u[0] < _FACTORS + _SPARSE and pairs > 1:
            shown = pairs, pairs
            core, free = _draw_sparse_pairs(random, pairs, (dx, dy))
        else:
            shown = pairs, pairs
            core, free = _draw_pairs(random, pairs, (dx, dy))
        fillers = [_draw_filler(random, d) for d in (dx, dy)]
        sides = [draw_side(random, c, d, free) for c, d in zip(shown, (dx, dy))]
        independent = random.coin(_INDEPENDENT)
        return GateParameters(core, (fillers[0], fillers[1]), (sides[0], sides[1]), independent)

    def sample_from(
        self, parameters: GateParameters, n: int, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw ``n`` rows of each distribution: X ``[B, N, dx]`` and Y ``[B, N, dy]``, float32."""
        p = parameters
        columns = p.core.sample(n, generator)
        masks = p.core.masks.sample(n, generator)
        sides = []
        for z, mask, filler, side in zip(columns, masks, p.fillers, p.sides):
            extra = mask.shape[-1] - z.shape[-1]
            noise = torch.randn((*z.shape[:-1], extra), generator=generator, device=z.device)
            entries = torch.where(mask, torch.cat([z, noise], -1), filler)
            sides.append(side(entries, generator))
        x, y = sides
        order = torch.randperm(n, generator=generator, device=x.device)
        return x, torch.where(p.independent[:, None, None], y[:, order], y)

    def information(
        self, parameters: GateParameters, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return I(X;Y) in nats and its standard error, both ``[B]`` float64; the error is 0 but
        for factors."""
        mi, error = parameters.core.information(generator)
        independent = parameters.independent
        return mi.masked_fill(independent, 0), error.masked_fill(independent, 0)


def _draw_pairs(random: Random, pairs: int, d: tuple[int, int]) -> tuple[Pairs, Tensor]:
    """Random pairs in groups, and which datasets ``[B]`` have no masks.

    There is one group in a third of the calls, and one pair in each in another third. Noise columns
    share the gates of the groups in half of the calls.
    """
    u = random.choices(4)
    groups = 1 if u[0] < 1 / 3 else pairs if u[0] < 2 / 3 else 1 + int(u[1] * pairs)
    place = torch.arange(pairs, device=random.device)
    group = place % groups if u[2] < 0.5 else place * groups // pairs
    correlations = draw_correlations(
        random.batch, pairs, pairs, generator=random.generator, scale=_STRONG
    )
    masked = random.coin(_MASKED)
    shared = u[3] < 0.5
    gates = [groups if shared else groups + width - pairs for width in d]
    places = []
    for width in d:
        extra = torch.arange(width - pairs, device=random.device)
        places.append(torch.cat([group, extra % groups if shared else groups + extra]))
    masks = draw_masks(random, groups, (gates[0], gates[1]), (places[0], places[1]), masked)
    return Pairs(correlations, group, _draw_share(random, groups), masks), ~masked


def _draw_sparse_pairs(random: Random, pairs: int, d: tuple[int, int]) -> tuple[Pairs, Tensor]:
    """Random pairs of which a few are active in a row, and that no dataset is without masks."""
    correlations = draw_correlations(
        random.batch, pairs, pairs, generator=random.generator, scale=_STRONG
    )
    group = torch.arange(pairs, device=random.device)
    core = Pairs(correlations, group, _draw_share(random, pairs), draw_sparse(random, pairs, d))
    return core, torch.zeros(random.batch, dtype=torch.bool, device=random.device)


def _draw_share(random: Random, groups: int) -> Tensor:
    """Shares of true pairs ``[B, groups]`` float64: 1, one for all groups, or of each group."""
    share = _LEAST + (1 - _LEAST) * random.uniform(groups).double()
    share = torch.where(random.coin(0.6, 1), share[:, :1], share)
    return torch.where(random.coin(_STRANGERS, 1), share, 1.0)


def _draw_filler(random: Random, d: int) -> Tensor:
    """Constants ``[B, 1, d]`` of hidden entries: the mean, one below or above all values, or any of
    each column."""
    kind = random.integers(0, 3, 1, 1)
    filler = torch.where(kind == 0, 0.0, random.normal(1, d))
    return torch.where(kind == 1, -_FAR, torch.where(kind == 2, _FAR, filler))
