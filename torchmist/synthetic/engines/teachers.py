r"""Teachers: labels that a network, a form, waves, prototypes or a tree gives to rows.

.. math:: P(Y = l \mid x) = (1 - \epsilon)\, \mathrm{softmax}_l\, \beta s(x) + \epsilon / L

as :mod:`~torchmist.synthetic.engines.decisions`, but of scores s that few rows do not show whole:
of networks (two classes as well as many), quadratic forms, waves along many directions, the nearest
of several prototypes of each class, or splits of single columns; most labels are certain, so that
what is missing of a classifier's bound is what it has not learned yet. All or a part of the columns
count, which are correlated, grouped or bent. Then :math:`I = H(Y) - E\,H(Y \mid x)`, a mean over
rows. Legend: ``B`` datasets, ``N`` samples, ``d`` columns of the side, ``L`` classes, ``r``
directions, ``c`` prototypes of each class, ``S`` splits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from torchmist.synthetic.engines.class_chances import (
    chances_of,
    drawn_labels,
    grouped_rows,
    told_by_rows,
)
from torchmist.synthetic.engines.codes_frames import Rotation, draw_rotation
from torchmist.synthetic.engines.codes_random import Random
from torchmist.synthetic.engines.family import Family, check_sizes
from torchmist.synthetic.engines.nets import Network, draw_network

__all__ = ["TeacherParameters", "Teachers"]

_PILOT = 512  # rows, by which scores get mean 0 and variance 1
_KINDS = ("network", "form", "waves", "prototypes", "splits", "linear")
_ENDS = (0.36, 0.52, 0.66, 0.80, 0.92, 1.0)  # shares up to which scores are of these kinds
_CERTAIN, _NOISY, _MOST_NOISE = 0.65, 0.4, 0.4
_GROUPED, _CORRELATED, _BENT, _PART = 0.25, 0.5, 0.25, 0.4
_DIRECTIONS, _PROTOTYPES, _SPLITS = 24, 6, 4
_UNEVEN = 0.6  # deviations of scores by which classes differ at most


@dataclass(frozen=True)
class TeacherParameters:
    """What a side is, and who teaches.

    ``centres`` ``[B, C, d]`` of groups of rows; ``counts`` ``[B, 1, d]``: columns that count;
    ``kind`` of the scores; their ``network``; ``directions`` ``[B, d, r]``, ``offsets``
    ``[B, 1, r]`` and ``weights`` ``[B, r, L]`` of forms, waves and what is linear; ``prototypes``
    ``[B, L c, d]``; ``columns`` ``[B, S]``, ``thresholds`` ``[B, 1, S]`` and ``leaves``
    ``[B, 2^S]`` of splits. Scores less their ``middle`` ``[B, 1, L]``, over their ``scale``
    ``[B, 1, 1]``, plus a ``bias`` ``[B, 1, L]``, times the ``steepness`` ``[B, 1, 1]``; then
    ``noise`` ``[B, 1, 1]``. ``bent`` ``[B, 1, 1]``: whether columns are shown by their sinh;
    ``turn``: of what is shown; ``shown``: columns of the label, one of two classes or one for each.
    ``swapped``: X and Y change places once sampled.
    """

    centres: Tensor
    counts: Tensor
    kind: str
    network: Network
    directions: Tensor
    offsets: Tensor
    weights: Tensor
    prototypes: Tensor
    columns: Tensor
    thresholds: Tensor
    leaves: Tensor
    middle: Tensor
    scale: Tensor
    bias: Tensor
    steepness: Tensor
    noise: Tensor
    bent: Tensor
    turn: Rotation | None
    shown: int
    swapped: bool


class Teachers(Family[TeacherParameters]):
    """A label of as many classes as a side has columns, two for one column, that a teacher gives.

    Classes, kinds of scores, and which side is the label are shared by a call.
    """

    name = "teachers"

    def draw(
        self, batch: int, dx: int, dy: int, *, generator: torch.Generator
    ) -> TeacherParameters:
        """Draw the parameters of ``batch`` distributions of ``dx`` and ``dy`` columns."""
        check_sizes(batch=batch, dx=dx, dy=dy)
        random = Random(batch, generator)
        u = random.choices(6)
        swapped = u[0] < 0.5 if dx == dy else dy > dx  # few classes of many columns, as people have
        d, shown = (dy, dx) if swapped else (dx, dy)
        classes = max(2, shown)
        kind = next(name for name, end in zip(_KINDS, _ENDS) if u[1] <= end)
        several, r = 1 + int(u[2] * _PROTOTYPES), 2 + int(u[3] * (_DIRECTIONS - 1))
        splits = 1 + int(u[4] * _SPLITS)
        part = random.coin(_PART, 1, 1) & (random.uniform(1, d).argsort(-1) >= max(2, d // 2))
        counts = (~part).float()
        directions = random.normal(d, r) / counts.sum(-1, keepdim=True).sqrt()
        groups = 1 + int(u[5] * 6) if u[5] < _GROUPED else 1
        certain = random.coin(_CERTAIN, 1, 1)
        noise = _MOST_NOISE * random.uniform(1, 1) * random.coin(_NOISY, 1, 1)
        leaves = random.uniform(2**splits).argsort(-1) + random.integers(0, classes - 1, 1)
        drawn = TeacherParameters(
            random.normal(groups, d) * (groups > 1), counts, kind,
            draw_network(random, d, classes), directions, 2 * math.pi * random.uniform(1, r),
            random.normal(r, classes), random.normal(classes * several, d),
            random.integers(0, d - 1, splits), 0.6 * random.normal(1, splits), leaves % classes,
            torch.zeros_like(noise), torch.ones_like(noise),
            _UNEVEN * random.uniform(1, 1) * random.coin(0.4, 1, 1) * random.normal(1, classes),
            torch.where(certain, 1e3, random.log_uniform(1.0, 40.0, 1, 1)), noise,
            random.coin(_BENT, 1, 1),
            draw_rotation(random, d, random.coin(_CORRELATED, 1, 1)) if d > 1 else None, shown,
            swapped,
        )  # fmt: skip
        pilot = _scores(drawn, grouped_rows(drawn.centres, _PILOT, generator))
        middle = pilot.mean(1, keepdim=True)
        scale = (pilot - middle).std((1, 2), keepdim=True).clamp(min=1e-3)
        return replace(drawn, middle=middle, scale=scale)

    def sample_from(
        self, parameters: TeacherParameters, n: int, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw ``n`` rows of each distribution: X ``[B, N, dx]`` and Y ``[B, N, dy]``, float32."""
        p = parameters
        z = grouped_rows(p.centres, n, generator)
        label = drawn_labels(_chances(p, z), p.shown, generator)
        x = torch.where(p.bent, z.sinh(), z)
        x = x if p.turn is None else p.turn(x)
        return (label, x) if p.swapped else (x, label)

    def information(
        self, parameters: TeacherParameters, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return I(X;Y) in nats and its standard error, both ``[B]`` float64.

        The error is at most that of a mean over the rows.
        """
        p = parameters

        def chances(rows: int) -> Tensor:
            return _chances(p, grouped_rows(p.centres, rows, generator))

        width = p.bias.shape[-1] + p.prototypes.shape[1] + p.centres.shape[-1]
        mean, entropy, left = told_by_rows(chances, len(p.bias) * width)
        shares = mean.clamp(min=1e-12).log().square().mul(mean).sum(-1) - entropy.square()
        most = left.std(1) + shares.clamp(min=0).sqrt()  # of the deviation of one row
        return entropy - left.mean(1), most / math.sqrt(left.shape[1])


def _scores(p: TeacherParameters, z: Tensor) -> Tensor:
    """Scores ``[B, n, L]`` of classes in rows ``[B, n, d]``."""
    classes = p.bias.shape[-1]
    seen = z * p.counts
    if p.kind == "network":
        return p.network(seen)
    if p.kind == "prototypes":
        away: Tensor = torch.cdist(seen, p.prototypes * p.counts)
        nearest: Tensor = away.unflatten(-1, (classes, -1)).amin(-1)
        return -nearest
    if p.kind == "splits":
        at = p.columns[:, None].expand(-1, z.shape[1], -1)
        sides = z.gather(-1, at) > p.thresholds
        place = (sides * 2 ** torch.arange(sides.shape[-1], device=z.device)).sum(-1)
        return F.one_hot(p.leaves.gather(1, place), classes).to(z.dtype)
    along = seen @ p.directions
    if p.kind == "form":
        along = along.square()
    elif p.kind == "waves":
        along = (1.5 * along + p.offsets).cos()
    out: Tensor = along @ p.weights
    return out


def _chances(p: TeacherParameters, z: Tensor) -> Tensor:
    """Chances ``[B, n, L]`` of the classes in rows ``[B, n, d]``."""
    return chances_of(p.steepness * ((_scores(p, z) - p.middle) / p.scale + p.bias), p.noise)
