"""Codes: X and Y are noisy views of a random item, or Y is a label of it.

The items are a few clusters tied by a table (``codes_clusters``), or thousands of points of a
source seen through random networks (``codes_manifolds``). Densities are mixtures with known
components, so MI is a Monte Carlo mean with a known error in any number of columns, and the maps
need not be injective (``mixture_information``).

Legend: ``B`` datasets, ``N`` samples, ``dx``, ``dy`` columns.
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
from torchmist.synthetic.engines.codes_manifolds import (
    Code,
    ManifoldParameters,
    draw_manifolds,
    manifolds_information,
    sample_codes,
)
from torchmist.synthetic.engines.codes_random import Random
from torchmist.synthetic.engines.family import Family, check_sizes

__all__ = ["CodeParameters", "Codes"]

_MOST_LABELS = 32  # columns of a one-hot label
_LABELS = 0.4  # share of calls in which Y is a label, where the sizes allow it
_WIDE = 32  # columns from which a side can look like embeddings
_EMBEDDINGS, _EMBEDDINGS_NARROW = 1 / 3, 0.1
_CLUSTERS = 0.6  # share of clusters among the other calls


@dataclass(frozen=True)
class CodeParameters:
    """Clusters or manifolds; ``swapped``: X and Y change places once sampled."""

    law: ClusterParameters | ManifoldParameters[Code]
    swapped: bool


class Codes(Family[CodeParameters]):
    """Noisy views of a random item, and labels of it.

    The kind of a call is shared by its datasets: embeddings of a few classes (a third of the calls
    that are wide), clusters on both sides or against a label, manifolds on both sides or against a
    label. A tenth of the datasets are independent.
    """

    name = "codes"

    def draw(self, batch: int, dx: int, dy: int, *, generator: torch.Generator) -> CodeParameters:
        """Draw the parameters of ``batch`` distributions of ``dx`` and ``dy`` columns."""
        check_sizes(batch=batch, dx=dx, dy=dy)
        random = Random(batch, generator)
        u = random.choices(4)
        label = u[0] < _LABELS and min(dx, dy) <= _MOST_LABELS
        swapped = dy > _MOST_LABELS if label and max(dx, dy) > _MOST_LABELS else u[1] < 0.5
        if swapped:
            dx, dy = dy, dx
        share = _EMBEDDINGS if max(dx, dy) >= _WIDE else _EMBEDDINGS_NARROW
        embedding = u[2] < share
        law: ClusterParameters | ManifoldParameters[Code]
        if embedding or u[3] < _CLUSTERS:
            law = draw_clusters(random, dx, dy, label=label, embedding=embedding)
        else:
            law = draw_manifolds(random, dx, dy, label=label)
        return CodeParameters(law, swapped)

    def sample_from(
        self, parameters: CodeParameters, n: int, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw ``n`` rows of each distribution: X ``[B, N, dx]`` and Y ``[B, N, dy]``, float32."""
        law = parameters.law
        if isinstance(law, ClusterParameters):
            x, y = sample_pair(law, n, generator)
        else:
            x, y = sample_codes(law, n, generator)
        return (y, x) if parameters.swapped else (x, y)

    def information(
        self, parameters: CodeParameters, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return I(X;Y) in nats and its standard error, both ``[B]`` float64."""
        law = parameters.law
        if isinstance(law, ClusterParameters):
            return clusters_information(law, generator)
        return manifolds_information(law, generator)
