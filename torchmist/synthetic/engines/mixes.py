r"""Mixes: independent pairs of one column each, of any laws, whose columns are mixed on both sides.

.. math:: X = A\, (x_1, \dots, x_{d_x}), \quad Y = B\, (y_1, \dots, y_{d_y}), \quad
          I(X;Y) = \sum_k I(x_k; y_k)

with invertible A and B, so that no column shows a pair by itself: recordings of several sources by
several sensors, features after a rotation. Further columns are of one side alone and have the laws
of the pairs. Legend: ``B`` datasets, ``N`` samples, ``m`` pairs, ``dx``, ``dy`` columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from torchmist.synthetic.engines.atoms import Atoms
from torchmist.synthetic.engines.channels import Channels
from torchmist.synthetic.engines.codes_frames import Rotation, draw_rotation
from torchmist.synthetic.engines.codes_random import Random
from torchmist.synthetic.engines.family import Family, check_sizes
from torchmist.synthetic.engines.functions import Functions

__all__ = ["Mix", "MixParameters", "Mixes"]

_PARTS: tuple[Family[Any], ...] = (Channels(), Functions(), Atoms())
_SHARES = (0.55, 0.9)  # up to which an engine is chosen
_LAWS = 3  # different ones of a call, at most
_MIXED, _UNEQUAL = 0.8, 0.5
_BENT = 0.15


@dataclass(frozen=True)
class Mix:
    """An invertible map of columns: a rotation of columns of unlike ``sizes`` ``[B, 1, d]``, and
    one more; then ``bent`` ``[B, 1, 1]`` or not."""

    first: Rotation | None
    sizes: Tensor
    second: Rotation | None
    bent: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Columns ``[B, N, d]`` of those of the pairs."""
        if self.first is None or self.second is None:
            return x
        x = self.second(self.first(x) * self.sizes)
        return torch.where(self.bent, x.asinh(), x)


@dataclass(frozen=True)
class MixParameters:
    """The ``laws`` of pairs, as their engines and parameters, which take turns; how many ``pairs``
    both sides show, of how many ``columns``; and the ``maps`` of both sides."""

    laws: tuple[tuple[Family[Any], Any], ...]
    pairs: int
    columns: tuple[int, int]
    maps: tuple[Mix, Mix]


class Mixes(Family[MixParameters]):
    """Pairs of one column each behind invertible maps of either side.

    Pairs take all columns in half of the calls, and are of one law in half of them, else of two or
    three.
    """

    name = "mixes"

    def draw(self, batch: int, dx: int, dy: int, *, generator: torch.Generator) -> MixParameters:
        """Draw the parameters of ``batch`` distributions of ``dx`` and ``dy`` columns."""
        check_sizes(batch=batch, dx=dx, dy=dy)
        random = Random(batch, generator)
        u = random.choices(4)
        most = min(dx, dy)
        pairs = most if u[0] < 0.5 else 1 + int(u[1] * most)
        count = 1 if u[2] < 0.5 else min(pairs, 2 + int(u[3] * (_LAWS - 1)))
        laws = []
        for v in random.choices(count):
            family = _PARTS[sum(v >= share for share in _SHARES)]
            laws.append((family, family.draw(batch, 1, 1, generator=generator)))
        maps = [_draw_mix(random, d) for d in (dx, dy)]
        return MixParameters(tuple(laws), pairs, (dx, dy), (maps[0], maps[1]))

    def sample_from(
        self, parameters: MixParameters, n: int, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw ``n`` rows of each distribution: X ``[B, N, dx]`` and Y ``[B, N, dy]``, float32."""
        p = parameters
        columns: tuple[list[Tensor], list[Tensor]] = ([], [])
        for k in range(max(p.columns)):
            family, law = p.laws[k % len(p.laws)]
            x, y = family.sample_from(law, n, generator=generator)
            if k >= p.pairs and k < min(p.columns):  # other rows of the same law
                _, y = family.sample_from(law, n, generator=generator)
            for side, column, d in zip(columns, (x, y), p.columns):
                if k < d:
                    side.append(_scaled(column))
        x, y = (mix(torch.cat(side, -1)) for side, mix in zip(columns, p.maps))
        return x, y

    def information(
        self, parameters: MixParameters, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return I(X;Y) in nats and its standard error, both ``[B]`` float64."""
        p = parameters
        found = [family.information(law, generator=generator) for family, law in p.laws]
        times = [len(range(k, p.pairs, len(p.laws))) for k in range(len(p.laws))]
        mi = sum(t * value for t, (value, _) in zip(times, found))
        error = sum((t * e).square() for t, (_, e) in zip(times, found))
        assert isinstance(mi, Tensor) and isinstance(error, Tensor)
        return mi, error.sqrt()


def _draw_mix(random: Random, d: int) -> Mix:
    """A random map of ``d`` columns; a fifth of them leave the columns as they are."""
    used = random.coin(_MIXED, 1, 1)
    unequal = used & random.coin(_UNEQUAL, 1, 1)
    sizes = torch.where(unequal, random.log_uniform(0.3, 3.0, 1, d), 1.0)
    bent = random.coin(_BENT, 1, 1)
    if d == 1:
        return Mix(None, sizes, None, bent)
    return Mix(draw_rotation(random, d, used), sizes, draw_rotation(random, d, unequal), bent)


def _scaled(column: Tensor) -> Tensor:
    """Columns ``[B, N, 1]`` about their median, of mean absolute size 1."""
    column = column - column.median(1, keepdim=True).values
    return column / column.abs().mean(1, keepdim=True).clamp(min=1e-6)
