r"""Decisions: labels that are drawn from, or decided by, what a side is.

.. math:: P(Y = l \mid x) = (1 - \epsilon)\, \mathrm{softmax}_l\, s(x) + \epsilon / L

with scores s that are columns themselves, linear in all or in few of them, of a network, or squared
distances to prototypes, more or less steep: logits and samples, features and annotations, cells of
a map. Then :math:`I = H(Y) - E\,H(Y \mid x)`, a mean over rows. Legend: ``B`` datasets, ``N``
samples, ``d`` columns of the side, ``L`` classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
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

__all__ = ["DecisionParameters", "Decisions"]

_OWN, _LINEAR, _NETWORK = 0.3, 0.65, 0.8  # shares up to which scores are so; then distances
_NOISY, _MOST_NOISE = 0.4, 0.5
_GROUPED = 0.3
_UNEVEN, _UNEVEN_OF_TWO = 1.0, 0.4  # deviations of scores by which classes differ at most
_FEW = 3  # columns that a class depends on, where these are few


@dataclass(frozen=True)
class DecisionParameters:
    """What a side is, and the scores of classes.

    ``centres`` ``[B, C, d]`` of groups of rows; ``kind`` of the scores, 0 to 3; ``weights``
    ``[B, d, L]`` of linear ones; the ``network``, or None; ``prototypes`` ``[B, L, d]``;
    ``steepness``, ``noise`` ``[B, 1, 1]`` and ``bias`` ``[B, 1, L]``; ``bent`` ``[B, 1, 1]``:
    whether columns are shown by their sinh, ``shares``: whether scores are shown by their softmax;
    a rotation of what is shown; ``columns`` of the label, one of two classes or one for each.
    ``swapped``: X and Y change places once sampled.
    """

    centres: Tensor
    kind: int
    weights: Tensor
    network: Network | None
    prototypes: Tensor
    steepness: Tensor
    noise: Tensor
    bias: Tensor
    bent: Tensor
    shares: bool
    turn: Rotation | None
    columns: int
    swapped: bool


class Decisions(Family[DecisionParameters]):
    """A label of as many classes as a side has columns, two for one column, and what it depends on.

    Classes, kinds of scores, and which side is the label are shared by a call.
    """

    name = "decisions"

    def draw(
        self, batch: int, dx: int, dy: int, *, generator: torch.Generator
    ) -> DecisionParameters:
        """Draw the parameters of ``batch`` distributions of ``dx`` and ``dy`` columns."""
        check_sizes(batch=batch, dx=dx, dy=dy)
        random = Random(batch, generator)
        u = random.choices(5)
        swapped = u[0] < 0.5
        d, columns = (dy, dx) if swapped else (dx, dy)
        classes = max(2, columns)
        kind = sum(u[1] >= share for share in (_OWN, _LINEAR, _NETWORK))
        if (kind == 0 and d < classes) or (kind == 2 and classes == 2):  # which would leave one out
            kind = 1
        few = random.uniform(d, classes).argsort(1) < _FEW
        dense = random.coin(0.5, 1, 1) | (torch.tensor(d, device=random.device) <= _FEW)
        weights = random.normal(d, classes) * (few | dense)
        weights = weights / weights.norm(dim=1, keepdim=True)
        network = draw_network(random, d, classes) if kind == 2 else None
        groups = 1 + int(u[2] * 7) if u[3] < _GROUPED else 1
        noise = torch.where(random.coin(_NOISY, 1, 1), _MOST_NOISE * random.uniform(1, 1), 0.0)
        most = _UNEVEN if classes > 2 else _UNEVEN_OF_TWO
        uneven = most * random.coin(0.5, 1, 1) * random.uniform(1, 1)
        return DecisionParameters(
            2 * random.normal(groups, d) * (groups > 1), kind, weights, network,
            random.normal(classes, d), random.log_uniform(0.5, 40.0, 1, 1), noise,
            uneven * random.normal(1, classes), random.coin(0.3, 1, 1),
            kind == 0 and d == classes and u[4] < 0.3,
            draw_rotation(random, d, random.coin(0.3, 1, 1)) if d > 1 else None, columns, swapped,
        )  # fmt: skip

    def sample_from(
        self, parameters: DecisionParameters, n: int, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw ``n`` rows of each distribution: X ``[B, N, dx]`` and Y ``[B, N, dy]``, float32."""
        p = parameters
        z = grouped_rows(p.centres, n, generator)
        scores = _scores(p, z)
        label = drawn_labels(chances_of(scores, p.noise), p.columns, generator)
        x = torch.where(p.bent, z.sinh(), z)
        x = x if p.turn is None else p.turn(x)
        x = scores.softmax(-1) if p.shares else x
        return (label, x) if p.swapped else (x, label)

    def information(
        self, parameters: DecisionParameters, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return I(X;Y) in nats and its standard error, both ``[B]`` float64.

        The error of a mean over the rows of what each tells beside the mean chances of classes.
        """
        p = parameters

        def chances(rows: int) -> Tensor:
            return chances_of(_scores(p, grouped_rows(p.centres, rows, generator)), p.noise)

        width = p.bias.shape[0] * (p.bias.shape[-1] + p.centres.shape[-1])
        _, entropy, left = told_by_rows(chances, width)
        return entropy - left.mean(1), left.std(1) / math.sqrt(left.shape[1])


def _scores(p: DecisionParameters, z: Tensor) -> Tensor:
    """Scores ``[B, n, L]`` of the classes in rows ``[B, n, d]``."""
    classes = p.bias.shape[-1]
    if p.kind == 0:
        scores = z[..., :classes]
    elif p.kind == 1:
        scores = z @ p.weights
    elif p.kind == 2 and p.network is not None:
        scores = p.network(z)
    else:
        scores = -torch.cdist(z, p.prototypes).square() / math.sqrt(2 * z.shape[-1])
    return p.steepness * (scores + p.bias)
