"""Markers: in each row few columns stand out, now these, now those, against the like or a label.

What stands out tells of a class or of a place on a ring or a torus: noisy codes with a column for
each class, outputs of a softmax, marker genes, peaks of spectra, bumps that move along a row of
sensors. Items on both sides are tied by a table; given its item each side is normal, before its
columns are bent, so MI is a Monte Carlo mean of exact posterior entropies
(``mixture_information``). A softmax keeps all but what its logits have in common, in which their
means do not differ.

Legend: ``B`` datasets, ``N`` samples, ``K``, ``L`` items, ``dx``, ``dy`` columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from torchmist.synthetic.engines.atoms_tables import sample_table
from torchmist.synthetic.engines.codes_clusters import draw_joint_table, show_label
from torchmist.synthetic.engines.codes_random import Random
from torchmist.synthetic.engines.family import Family, check_sizes
from torchmist.synthetic.engines.markers_side import Marked, draw_marked, draw_numbers
from torchmist.synthetic.engines.mixture_information import (
    parts,
    table_information,
    table_label_information,
)

__all__ = ["MarkerParameters", "Markers"]

_NARROW = 64  # columns of labels, at most
_LABELS, _NUMBERS = 0.2, 0.15  # shares of the calls in which Y is that
_PLACES = 0.45  # of the calls
_MOST_CLASSES, _MOST_PLACES = 64, 256
_INDEPENDENT = 0.08
_DRAWS = 400


@dataclass(frozen=True)
class MarkerParameters:
    """X; Y, or None for a label in ``label_columns`` columns; the joint ``table`` ``[B, K, L]`` of
    items; datasets that are ``independent`` ``[B]``; ``swapped``: X and Y change places once
    sampled."""

    x: Marked
    y: Marked | None
    table: Tensor
    label_columns: int
    independent: Tensor
    swapped: bool


class Markers(Family[MarkerParameters]):
    """Columns that stand out. The kinds of items and of Y are shared by a call."""

    name = "markers"

    def draw(self, batch: int, dx: int, dy: int, *, generator: torch.Generator) -> MarkerParameters:
        """Draw the parameters of ``batch`` distributions of ``dx`` and ``dy`` columns."""
        check_sizes(batch=batch, dx=dx, dy=dy)
        random = Random(batch, generator)
        u = random.choices(5)
        swapped = dx < dy if min(dx, dy) < 3 else u[0] < 0.5
        if swapped:
            dx, dy = dy, dx
        kind = "label" if u[1] < _LABELS and dy <= _NARROW else "marked"
        kind = "numbers" if u[1] > 1 - _NUMBERS else kind
        places = u[2] < _PLACES and kind != "label"
        most = min(_MOST_PLACES, 12 * dx) if places else min(_MOST_CLASSES, 2 * dx)
        k = 2 + int(u[3] ** (0.8 if places else 1.3) * (max(3, most) - 1))
        if places:
            table, independent = _steps(random, k)
        else:
            other = k if u[4] < 0.7 or kind == "label" else 2 + int((u[4] - 0.7) / 0.3 * (k - 1))
            if kind == "label" and dy > 1:
                other, k = dy, max(k, dy)
            table, independent = draw_joint_table(random, k, other, exact=kind == "label")
        items = table.shape[1:]
        x = draw_marked(random, items[0], dx, places=places)
        y: Marked | None = None
        if kind == "numbers":
            y = draw_numbers(random, items[1], dy)
        elif kind == "marked":
            y = draw_marked(random, items[1], dy, places=places)
        return MarkerParameters(x, y, table, dy, independent, swapped)

    def sample_from(
        self, parameters: MarkerParameters, n: int, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw ``n`` rows of each distribution: X ``[B, N, dx]`` and Y ``[B, N, dy]``, float32."""
        p = parameters
        item, other = sample_table(p.table, n, generator=generator)
        x = p.x.sample(item, generator)
        y = show_label(other, p.label_columns) if p.y is None else p.y.sample(other, generator)
        return (y, x) if p.swapped else (x, y)

    def information(
        self, parameters: MarkerParameters, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return I(X;Y) in nats and its standard error, both ``[B]`` float64."""
        p, found = parameters, []
        for part in parts(p.x.means, _DRAWS):
            x, table = p.x.view(part), p.table[part]
            if p.y is None:
                one = table_label_information(x, table, draws=_DRAWS, generator=generator)
            else:
                y = p.y.view(part)
                one = table_information(x, y, table, draws=_DRAWS, generator=generator)
            found.append(one)
        mi, error = (torch.cat(values).masked_fill(p.independent, 0) for values in zip(*found))
        return mi, error


def _steps(random: Random, k: int) -> tuple[Tensor, Tensor]:
    """Tables ``[B, K, K]`` of places on a ring of which Y has moved by steps of a width of its own,
    or to anywhere in some rows; and which of them are products ``[B]``."""
    place = torch.arange(k, device=random.device)
    apart = (place[:, None] - place).abs()
    apart = torch.minimum(apart, k - apart) / k
    width = random.log_uniform(0.3 / k, 0.3, 1, 1)
    even = random.coin(0.5, 1, 1)
    near = torch.where(even, 1e4 * (apart <= width), -0.5 * (apart / width).square())
    given = near.softmax(-1)
    lost = random.uniform(1, 1) ** 4
    independent = random.coin(_INDEPENDENT)
    lost = torch.where(independent[:, None, None], 1.0, lost)
    return ((1 - lost) * given + lost / k) / k, independent
