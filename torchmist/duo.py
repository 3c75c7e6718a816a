"""Networks and an arbiter: one that reads pairs of columns, one that reads who is near whom.

The first (``plain``) is close to ideal where the world is Gaussian-like in its columns and silently
wrong elsewhere; the second (``local``) sees clusters, manifolds, waves, interactions and atoms, and
is too high on plain data. The :class:`~torchmist.arbiter.Arbiter` decides between them; in few rows
it may ask a third one (``expert``), which knows canonical laws alone.
Legend: ``B`` datasets, ``N`` samples, ``Q`` quantiles.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor

from torchmist.arbiter import Arbiter
from torchmist.checks import visible
from torchmist.evidence import Evidence
from torchmist.models.crossed import CROSSED_COUNT, crossed_information
from torchmist.models.directions import Through, see_narrow
from torchmist.models.linear import SHARE, linear_information
from torchmist.models.matched import matched_information
from torchmist.models.mist import MIST
from torchmist.models.network import QuantileNetwork
from torchmist.models.regimes import REGIMES_COUNT, regime_information
from torchmist.models.repeated import REPEATED_COUNT, repeated_information
from torchmist.models.settled import SETTLED_COUNT, settled_information
from torchmist.models.told import TOLD_SIZES, told_of_labels
from torchmist.models.unmixed import UNMIXED_COUNT, unmixed_information
from torchmist.models.variates import VARIATE_COUNT, variate_opinions, variates
from torchmist.onward import Onward
from torchmist.quantile_head import quantile_levels
from torchmist.routes import route

__all__ = ["DuoMIST"]


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
        """Quantiles of I(X;Y) in nats, ``[B, Q]``, of ``[B, N, dx]`` and ``[B, N, dy]``."""
        out: Tensor = self.arbiter(self.ask(x, y, mask))
        return out

    def ask(self, x: Tensor, y: Tensor, mask: Tensor | None = None) -> Evidence:
        """What the arbiter is given of ``[B, N, dx]`` and ``[B, N, dy]``."""
        if mask is None:
            n = torch.full((len(x), 1), float(x.shape[1]), device=x.device)
        else:
            n = mask.sum(-1, keepdim=True).float()
        plain = route(x, y, self.plain, mask)
        with torch.autocast(x.device.type, enabled=False):
            through = see_narrow(x, y, mask)
            found = variates(x, y, mask, through=through)
            said, sharpness = variate_opinions(found)
            linear = plain.median(-1, keepdim=True).values
            enough = SHARE * max(x.shape[-1], y.shape[-1])
            if through is not None:
                linear = linear_information(x, y, mask, through)
            elif x.shape[1] >= enough:  # with fewer rows it is what the first network says
                linear = torch.where(n >= enough, linear_information(x, y, mask, None), linear)
            matched, crossed, unmixed, told, repeated, regimes, settled, recognised = self._further(
                x, y, mask, through
            )
        local, around = self.local.with_surroundings(x, y, mask, through=through)
        dims = torch.tensor([[x.shape[-1], y.shape[-1]]], dtype=n.dtype, device=n.device)
        sizes = torch.cat([n, dims.expand(len(n), -1)], -1)
        return Evidence(
            plain, local, around.opinions, around.centre, around.features, said,
            found.correlations[:, :VARIATE_COUNT], sharpness, linear, matched,
            crossed, unmixed, told, repeated, regimes, settled, recognised, sizes,
        )  # fmt: skip

    def _further(
        self, x: Tensor, y: Tensor, mask: Tensor | None, through: tuple[Through, Through] | None
    ) -> list[Tensor]:
        """What is read by what goes on from the answer of the arbiter's members, ``[B, R]`` each,
        from ``matched`` to ``recognised``; 0 of what this arbiter does not read, or not of such
        sizes."""
        arbiter, expert = self.arbiter, cast(MIST, self.expert)
        rows = (x.shape[1] if mask is None else _fewest(mask), x.shape[1])
        columns = (min(x.shape[-1], y.shape[-1]), max(x.shape[-1], y.shape[-1]))
        asked: tuple[tuple[Onward | None, int, Callable[[], tuple[Tensor, ...]]], ...] = (
            (arbiter.further, 3, lambda: matched_information(x, y, mask)),
            (arbiter.further, CROSSED_COUNT, lambda: crossed_information(x, y, mask)),
            (arbiter.unmixing, UNMIXED_COUNT, lambda: unmixed_information(x, y, mask)),
            (arbiter.telling, sum(TOLD_SIZES), lambda: told_of_labels(x, y, mask, through)),
            (arbiter.repeating, REPEATED_COUNT, lambda: repeated_information(x, y, mask)),
            (arbiter.parting, REGIMES_COUNT, lambda: regime_information(x, y, mask)),
            (arbiter.settling, SETTLED_COUNT, lambda: settled_information(x, y, mask)),
            (arbiter.recognising, len(self.levels), lambda: (expert(x, y, mask),)),
        )
        return [
            torch.cat(read(), -1)
            if part is not None and part.reads(rows, columns)
            else torch.zeros(len(x), count, device=x.device)
            for part, count, read in asked
        ]


def _fewest(mask: Tensor) -> int:
    """The fewest rows of a dataset that ``mask`` ``[B, N]`` shows, 1 where that cannot be seen."""
    least = mask.sum(-1).amin()
    return 1 if visible(least > 0) is None else int(least)
