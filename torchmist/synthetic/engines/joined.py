r"""Joined: several independent pairs side by side, of any other engines, whose information adds up.

.. math:: X = (X_1, \dots, X_m), \quad Y = (Y_1, \dots, Y_m), \quad I(X;Y) = \sum_k I(X_k;Y_k)

Some parts are of one side alone: what the other does not know, with a structure of its own. Columns
are shuffled or turned. Legend: ``B`` datasets, ``N`` samples, ``dx``, ``dy`` columns.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from torchmist.synthetic.engines.atoms import Atoms
from torchmist.synthetic.engines.codes import Codes
from torchmist.synthetic.engines.codes_frames import Rotation, draw_rotation
from torchmist.synthetic.engines.codes_random import Random
from torchmist.synthetic.engines.directions import Directions
from torchmist.synthetic.engines.family import Family, check_sizes
from torchmist.synthetic.engines.functions import Functions
from torchmist.synthetic.engines.lifts import Lifts
from torchmist.synthetic.engines.spectra import Spectra

__all__ = ["Joined", "JoinedParameters"]

_PARTS: tuple[tuple[Family[Any], float], ...] = (
    (Codes(), 0.3), (Lifts(), 0.2), (Functions(), 0.2), (Directions(), 0.15), (Atoms(), 0.1),
    (Spectra(), 0.05),
)  # fmt: skip
_MOST = 5
_ALONE = 0.3  # share of the parts of one side that the other does not know
_TURNED = 0.3


@dataclass(frozen=True)
class JoinedParameters:
    """The pairs, as their engines and parameters, and which of them both sides show, ``tied``; the
    ``turns`` and the ``orders`` of the columns of both sides."""

    parts: tuple[tuple[Family[Any], Any], ...]
    tied: tuple[bool, ...]
    turns: tuple[Rotation, Rotation]
    orders: tuple[Tensor, Tensor]


class Joined(Family[JoinedParameters]):
    """One to five independent pairs side by side."""

    name = "joined"

    def draw(self, batch: int, dx: int, dy: int, *, generator: torch.Generator) -> JoinedParameters:
        """Draw the parameters of ``batch`` distributions of ``dx`` and ``dy`` columns."""
        check_sizes(batch=batch, dx=dx, dy=dy)
        random = Random(batch, generator)
        u = random.choices(4)
        count = min(dx, dy, 1 + int(u[0] ** 0.7 * _MOST))
        alike = u[1] < 0.5  # all parts are of one engine
        widths = [_split(random, d, count) for d in (dx, dy)]
        chosen = _choose(u[2])
        parts, tied = [], []
        for a, b in zip(*widths):
            v = random.choices(2)
            family = chosen if alike else _choose(v[0])
            parts.append((family, family.draw(batch, a, b, generator=generator)))
            tied.append(v[1] >= _ALONE or count == 1)
        turns = [
            draw_rotation(random, d, random.coin(_TURNED if d > 1 else 0.0, 1, 1)) for d in (dx, dy)
        ]
        orders = [random.permutation(d) for d in (dx, dy)]
        return JoinedParameters(
            tuple(parts), tuple(tied), (turns[0], turns[1]), (orders[0], orders[1])
        )

    def sample_from(
        self, parameters: JoinedParameters, n: int, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw ``n`` rows of each distribution: X ``[B, N, dx]`` and Y ``[B, N, dy]``, float32."""
        p = parameters
        columns: tuple[list[Tensor], list[Tensor]] = ([], [])
        for (family, law), both in zip(p.parts, p.tied):
            x, y = family.sample_from(law, n, generator=generator)
            if not both:  # other rows of the same law
                _, y = family.sample_from(law, n, generator=generator)
            for found, side in zip(columns, (x, y)):
                found.append(side)
        sides = [
            turn(torch.cat(found, -1))[..., order]
            for found, turn, order in zip(columns, p.turns, p.orders)
        ]
        return sides[0], sides[1]

    def information(
        self, parameters: JoinedParameters, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return I(X;Y) in nats and its standard error, both ``[B]`` float64."""
        found = [
            family.information(law, generator=generator)
            for (family, law), both in zip(parameters.parts, parameters.tied)
            if both
        ]
        if not found:
            zero = torch.zeros_like(parameters.turns[0].signs[:, 0, 0], dtype=torch.float64)
            return zero, zero
        mi, error = (torch.stack(values) for values in zip(*found))
        return mi.sum(0), error.square().sum(0).sqrt()


def _choose(u: float) -> Family[Any]:
    """The engine at the quantile ``u`` of their shares."""
    ends = itertools.accumulate(share for _, share in _PARTS)
    return next((family for (family, _), end in zip(_PARTS, ends) if u < end), _PARTS[-1][0])


def _split(random: Random, d: int, count: int) -> list[int]:
    """``d`` columns as ``count`` parts of at least one each: equal ones in half of the calls."""
    u = random.choices(1 + count)
    if u[0] < 0.5:
        return [d * (k + 1) // count - d * k // count for k in range(count)]
    ends = sorted(int(v * (d - count + 1)) for v in u[2:])
    return [b - a + 1 for a, b in zip([0, *ends], [*ends, d - count])]
