"""Many classes: dozens to hundreds of clusters on both sides, or against their labels.

As the clusters of :mod:`torchmist.synthetic.engines.codes_clusters`, of which a side has more than
any few directions tell apart: identities, words, species. Legend: ``B`` datasets, ``N`` samples,
``dx``, ``dy`` columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from torchmist.synthetic.engines.codes_clusters import (
    ClusterParameters,
    clusters_information,
    draw_clusters,
    sample_pair,
)
from torchmist.synthetic.engines.codes_random import Random
from torchmist.synthetic.engines.family import Family, check_sizes

__all__ = ["ClassParameters", "Classes"]

_FEWEST, _MOST = 16, 256
_LABELS = 0.7  # share of calls in which Y is a label, where a side has as many columns
_SKEW = 2.0  # of the number of clusters towards few


@dataclass(frozen=True)
class ClassParameters:
    """The clusters; ``swapped``: X and Y change places once sampled."""

    law: ClusterParameters
    swapped: bool


class Classes(Family[ClassParameters]):
    """Sixteen to 256 clusters; a label is shown as one-hot columns, as many as there are."""

    name = "classes"

    def draw(self, batch: int, dx: int, dy: int, *, generator: torch.Generator) -> ClassParameters:
        """Draw the parameters of ``batch`` distributions of ``dx`` and ``dy`` columns."""
        check_sizes(batch=batch, dx=dx, dy=dy)
        random = Random(batch, generator)
        u = random.choices(4)
        able = [_FEWEST <= d <= _MOST for d in (dx, dy)]
        label = any(able) and u[0] < _LABELS
        swapped = (able[0] and (not able[1] or u[1] < 0.5)) if label else u[1] < 0.5
        if swapped:
            dx, dy = dy, dx
        most = _FEWEST + int(u[2] ** _SKEW * (_MOST - _FEWEST))
        fewest = dy if label else _FEWEST
        law = draw_clusters(
            random, dx, dy, label=label, embedding=False, clusters=(fewest, max(most, fewest))
        )
        return ClassParameters(law, swapped)

    def sample_from(
        self, parameters: ClassParameters, n: int, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw ``n`` rows of each distribution: X ``[B, N, dx]`` and Y ``[B, N, dy]``, float32."""
        x, y = sample_pair(parameters.law, n, generator)
        return (y, x) if parameters.swapped else (x, y)

    def information(
        self, parameters: ClassParameters, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return I(X;Y) in nats and its standard error, both ``[B]`` float64."""
        return clusters_information(parameters.law, generator)
