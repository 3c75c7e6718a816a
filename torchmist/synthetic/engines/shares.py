r"""Shares: pairs of other engines of which a side is shown as shares of a whole.

A side of d - 1 columns, standardised and turned into the d log ratios that add up to nothing, is
shown as their softmax or its logarithm: chances of classes, compositions, budgets, reads of genes.
Both are one to one, so the information is that of the pair. Legend: ``B`` datasets, ``N`` samples,
``dx``, ``dy`` columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from torchmist.synthetic.engines.codes import Codes
from torchmist.synthetic.engines.codes_random import Random
from torchmist.synthetic.engines.family import Family, check_sizes
from torchmist.synthetic.engines.functions import Functions
from torchmist.synthetic.engines.lifts import Lifts
from torchmist.synthetic.engines.spread import Spread

__all__ = ["ShareParameters", "Shares"]

_LAWS: tuple[tuple[Family[Any], float], ...] = (
    (Spread(), 0.5), (Codes(), 0.2), (Functions(), 0.15), (Lifts(), 0.15)
)  # fmt: skip
_STEEP = (0.3, 5.0)  # deviation of the log ratios
_BOTH = 0.6  # of the calls in which both sides are shares


@dataclass(frozen=True)
class ShareParameters:
    """The pair, as its engine and parameters; which sides are ``shown`` as shares; of each its
    deviation ``steep`` ``[B, 1, 1]`` and whether logarithms are ``logged`` ``[B, 1, 1]``."""

    law: Family[Any]
    parameters: Any
    shown: tuple[bool, bool]
    steep: tuple[Tensor, Tensor]
    logged: tuple[Tensor, Tensor]


class Shares(Family[ShareParameters]):
    """Shares of a whole. The law behind them is shared by a call."""

    name = "shares"

    def draw(self, batch: int, dx: int, dy: int, *, generator: torch.Generator) -> ShareParameters:
        """Draw the parameters of ``batch`` distributions of ``dx`` and ``dy`` columns."""
        check_sizes(batch=batch, dx=dx, dy=dy)
        random = Random(batch, generator)
        u = random.choices(3)
        weights = torch.tensor([weight for _, weight in _LAWS]).cumsum(0)
        law = _LAWS[int((weights < u[0] * weights[-1]).sum())][0]
        both = u[1] < _BOTH
        shown = (dx > 1 and (both or u[2] < 0.5), dy > 1 and (both or u[2] >= 0.5))
        sizes = [d - of_whole for d, of_whole in zip((dx, dy), shown)]
        steep = [random.log_uniform(*_STEEP, 1, 1) for _ in range(2)]
        logged = [random.coin(0.3, 1, 1) for _ in range(2)]
        parameters = law.draw(batch, *sizes, generator=generator)
        return ShareParameters(law, parameters, shown, (steep[0], steep[1]), (logged[0], logged[1]))

    def sample_from(
        self, parameters: ShareParameters, n: int, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw ``n`` rows of each distribution: X ``[B, N, dx]`` and Y ``[B, N, dy]``, float32."""
        p = parameters
        pair = p.law.sample_from(p.parameters, n, generator=generator)
        sides = [
            _shares(side, steep, logged) if shown else side
            for side, shown, steep, logged in zip(pair, p.shown, p.steep, p.logged)
        ]
        return sides[0], sides[1]

    def information(
        self, parameters: ShareParameters, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return I(X;Y) in nats and its standard error, both ``[B]`` float64: the pair's."""
        return parameters.law.information(parameters.parameters, generator=generator)


def _shares(side: Tensor, steep: Tensor, logged: Tensor) -> Tensor:
    """Columns ``[B, N, d - 1]`` as shares of a whole, or their logarithms, ``[B, N, d]``."""
    free = min(1, side.shape[1] - 1)
    scale = side.std(1, keepdim=True, correction=free).clamp(min=1e-6)
    columns = (side - side.mean(1, keepdim=True)) / scale
    logs = (steep * columns @ _contrasts(side.shape[-1] + 1).to(side)).log_softmax(-1)
    return torch.where(logged, logs, logs.exp())


def _contrasts(d: int) -> Tensor:
    """An orthonormal basis ``[d - 1, d]`` of what adds up to 0, which treats columns much alike."""
    place = torch.arange(d, dtype=torch.float64) + 0.5
    waves = torch.cos(torch.pi / d * torch.arange(1, d, dtype=torch.float64)[:, None] * place)
    out: Tensor = (2 / d) ** 0.5 * waves
    return out
