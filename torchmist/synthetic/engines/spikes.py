"""Spikes: counts and binary columns of a random item, against counts, numbers or labels of it.

Items are a few clusters tied by a table, or hundreds of points of a source of one to three
dimensions that rates follow: spike counts of populations, bags of words, fingerprints, genotypes,
clicks. Given the item all columns are independent with known laws (``spikes_counts``), so MI is a
Monte Carlo mean of exact posterior entropies (``mixture_information``).

Legend: ``B`` datasets, ``N`` samples, ``M`` items or ``K``, ``L`` clusters, ``dx``, ``dy`` columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from torchmist.synthetic.engines.atoms_tables import sample_table
from torchmist.synthetic.engines.codes_clusters import draw_joint_table, show_label
from torchmist.synthetic.engines.codes_manifolds import draw_labels, draw_source, widen
from torchmist.synthetic.engines.codes_random import Random
from torchmist.synthetic.engines.family import Family, check_sizes
from torchmist.synthetic.engines.mixture_information import (
    parts,
    table_information,
    table_label_information,
    view_label_information,
    views_information,
)
from torchmist.synthetic.engines.mixture_views import NormalView
from torchmist.synthetic.engines.nets import random_map
from torchmist.synthetic.engines.spikes_counts import Counts
from torchmist.synthetic.engines.spikes_tuning import draw_counts, draw_profiles, draw_tuning

__all__ = ["Numbers", "SpikeParameters", "Spikes"]

_NARROW = 32  # columns of numbers and of labels, at most
_LABELS, _NUMBERS = 0.25, 0.35  # shares of the calls in which Y is that, where it may be
_CLUSTERS, _MOST_CLUSTERS = 0.4, 24
_ITEMS = (256, 384, 512)  # of a source of one, two and three dimensions
_CELLS = 1 << 18  # items times columns of a side
_INDEPENDENT = 0.1
_DRAWS = 400
_NOISE = (0.03, 1.5)
_APART = (1.0, 12.0)  # of clusters as numbers


@dataclass(frozen=True)
class Numbers:
    """Normal columns: ``means`` ``[B, M, d]`` of the items and ``scale`` ``[B, 1, d]``."""

    means: Tensor
    scale: Tensor

    def sample(self, item: Tensor, generator: torch.Generator) -> Tensor:
        """Columns ``[B, N, d]`` of the items ``[B, N]``."""
        index = item[..., None].expand(-1, -1, self.means.shape[-1])
        noise = torch.randn(index.shape, generator=generator, device=index.device)
        return self.means.gather(1, index) + self.scale * noise

    def view(self, part: slice = slice(None)) -> NormalView:
        """Draws and log densities of some of the datasets."""
        return NormalView(self.means[part], self.scale[part])


@dataclass(frozen=True)
class SpikeParameters:
    """X; Y, or None for a label in ``label_columns`` columns; the joint ``table`` ``[B, K, L]`` of
    clusters, or None where both sides show the same of ``M`` items; ``labels`` of these
    ``[B, M]`` int64 in 0 to ``classes - 1``; datasets that are ``independent`` ``[B]``;
    ``swapped``: X and Y change places once sampled."""

    x: Counts
    y: Counts | Numbers | None
    table: Tensor | None
    labels: Tensor
    classes: int
    label_columns: int
    independent: Tensor
    swapped: bool


class Spikes(Family[SpikeParameters]):
    """Counts of a random item. The kinds of items and of Y are shared by a call."""

    name = "spikes"

    def draw(self, batch: int, dx: int, dy: int, *, generator: torch.Generator) -> SpikeParameters:
        """Draw the parameters of ``batch`` distributions of ``dx`` and ``dy`` columns."""
        check_sizes(batch=batch, dx=dx, dy=dy)
        random = Random(batch, generator)
        u = random.choices(3)
        kind = "counts"
        if min(dx, dy) <= _NARROW:
            kind = "label" if u[0] < _LABELS else "numbers" if u[0] < _LABELS + _NUMBERS else kind
        swapped = u[1] < 0.5
        if kind != "counts" and max(dx, dy) > _NARROW:
            swapped = dy > _NARROW
        if swapped:
            dx, dy = dy, dx
        make = _draw_clusters if u[2] < _CLUSTERS else _draw_items
        return make(random, dx, dy, kind, swapped)

    def sample_from(
        self, parameters: SpikeParameters, n: int, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw ``n`` rows of each distribution: X ``[B, N, dx]`` and Y ``[B, N, dy]``, float32."""
        p, batch = parameters, len(parameters.independent)
        device = p.independent.device
        if p.table is not None:
            item, other = sample_table(p.table, n, generator=generator)
        else:
            items = p.x.rates.shape[1]
            item = torch.randint(items, (batch, n), generator=generator, device=device)
            other = item
        order = torch.randperm(n, generator=generator, device=device)
        other = torch.where(p.independent[:, None], other[:, order], other)
        x = p.x.sample(item, generator)
        if p.y is not None:
            y = p.y.sample(other, generator)
        else:
            label = other if p.table is not None else p.labels.gather(1, other)
            y = show_label(label, p.label_columns)
        return (y, x) if p.swapped else (x, y)

    def information(
        self, parameters: SpikeParameters, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return I(X;Y) in nats and its standard error, both ``[B]`` float64."""
        p, found = parameters, []
        for part in parts(p.x.rates, _DRAWS):
            x, y = p.x.view(part), None if p.y is None else p.y.view(part)
            if p.table is not None and y is None:
                one = table_label_information(x, p.table[part], draws=_DRAWS, generator=generator)
            elif p.table is not None and y is not None:
                one = table_information(x, y, p.table[part], draws=_DRAWS, generator=generator)
            elif y is not None:
                one = views_information(x, y, draws=_DRAWS, generator=generator)
            else:
                one = view_label_information(
                    x, p.labels[part], classes=p.classes, draws=_DRAWS, generator=generator
                )
            found.append(one)
        mi, error = (torch.cat(values).masked_fill(p.independent, 0) for values in zip(*found))
        return mi, error


def _draw_clusters(random: Random, dx: int, dy: int, kind: str, swapped: bool) -> SpikeParameters:
    """Clusters on both sides; labels in ``dy`` columns are one-hot."""
    u = random.choices(3)
    k = 2 + int(u[0] ** 1.5 * (_MOST_CLUSTERS - 1))
    other = 2 + int(u[1] ** 1.5 * (_MOST_CLUSTERS - 1)) if u[2] < 0.4 else k
    if kind == "label":
        other = dy if dy > 1 else min(other, 12)
        k = max(k, other)
    table, independent = draw_joint_table(random, k, other, exact=kind == "label")
    x = draw_counts(random, draw_profiles(random, k, dx), blur=False)
    y: Counts | Numbers | None = None
    if kind == "counts":
        y = draw_counts(random, draw_profiles(random, other, dy), blur=False)
    elif kind == "numbers":
        apart = random.log_uniform(*_APART, 1, 1)
        scale = torch.exp(0.3 * random.normal(1, dy))
        y = Numbers(apart * random.normal(other, dy), scale)
    labels = torch.zeros(random.batch, 1, dtype=torch.int64, device=random.device)
    return SpikeParameters(x, y, table, labels, other, dy, independent, swapped)


def _draw_items(random: Random, dx: int, dy: int, kind: str, swapped: bool) -> SpikeParameters:
    """Points of a source. Numbers and counts of Y are so noisy that several look alike: a sample
    cannot tell the points from a continuum."""
    u = random.choices(2)
    dims = 1 + int(u[0] * 3)
    items = max(192, min(_ITEMS[dims - 1], _CELLS // max(dx, dy)))
    source = draw_source(random, items, dims)
    x = draw_counts(random, draw_tuning(random, source, dx), blur=False)
    y: Counts | Numbers | None = None
    classes = dy if dy > 1 else 2 + int(u[1] ** 2 * 10)
    labels = torch.zeros(random.batch, 1, dtype=torch.int64, device=random.device)
    if kind == "counts":
        y = draw_counts(random, draw_tuning(random, source, dy), blur=True)
    elif kind == "numbers":
        y = _draw_numbers(random, source, dy)
    else:
        labels = draw_labels(random, source, classes)
    independent = random.coin(_INDEPENDENT)
    return SpikeParameters(x, y, None, labels, classes, dy, independent, swapped)


def _draw_numbers(random: Random, source: Tensor, d: int) -> Numbers:
    """The source itself, angles by their cosines and sines, or random maps of it, with noise."""
    shown = source[..., torch.arange(d, device=source.device) % source.shape[-1]]
    means = torch.where(random.coin(0.5, 1, 1), shown, random_map(random, source, d))
    scale = random.log_uniform(*_NOISE, 1, 1) * torch.exp(0.3 * random.normal(1, d))
    return Numbers(means, scale * widen(random, [(means, scale)]))
