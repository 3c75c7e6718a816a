r"""Answers for rows in clusters on both sides, in parts (``torchmist.models.separate_clusters``).

Legend: ``B`` datasets, ``Q`` quantiles, ``M`` rows, ``d`` columns, ``k`` clusters.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from torchmist.discrete.contingency import count_pairs
from torchmist.discrete.table_posterior import table_quantiles
from torchmist.ensemble.correction import enough, with_row
from torchmist.models.separate_clusters import Parted, parted_by_clusters

__all__ = ["Answer", "asked_in_clusters"]

_OVERLAP = 0.1  # of what they say, that the places of a side may tell of its clusters

Answer = Callable[[Tensor, Tensor, None], Tensor]
"""What is said of both sides ``[B, M, d]``: quantiles ``[B, Q]`` in nats."""


def asked_in_clusters(
    quantiles: Tensor, levels: Tensor, x: Tensor, y: Tensor, mask: Tensor | None, answer: Answer
) -> Tensor:
    """``quantiles`` ``[B, Q]`` of ``[B, N, dx]`` and ``[B, N, dy]`` at ``levels`` ``[Q]``, raised
    to the sum of what clusters share and what places within them do, less what the places of a side
    tell of its clusters, where that is more; lowered to that sum, and what places share with the
    clusters of the other side, where clusters of both sides share nearly all of it.

    ``mask``: ``[B, N]`` bool, True for real samples; ``answer``: says what both parts share.
    """
    for place, (one, other) in parted_by_clusters(x, y, mask):
        own = quantiles[place]
        clusters = _of_clusters(one, other, levels, answer)
        within, changed = answer(one.place, other.place, None)[0], own
        if bool((clusters + within).mean() > enough(own.mean())):
            changed = _raised(own, clusters + within, (one, other), answer)
        elif bool(own.mean() > enough((clusters + within).mean())):
            changed = _lowered(own, clusters, within, (one, other), answer)
        if changed is not own:
            quantiles = with_row(quantiles, place, changed)
    return quantiles


def _raised(own: Tensor, found: Tensor, sides: tuple[Parted, Parted], answer: Answer) -> Tensor:
    """``own`` quantiles ``[Q]``, raised to those ``found`` in parts less the overlap of these."""
    overlap = _overlap(sides, answer)
    sure = bool(overlap < _OVERLAP * found.mean())
    found = found - overlap
    return torch.maximum(own, found) if sure and bool(found.mean() > enough(own.mean())) else own


def _lowered(
    own: Tensor, clusters: Tensor, within: Tensor, sides: tuple[Parted, Parted], answer: Answer
) -> Tensor:
    """``own`` quantiles ``[Q]``, lowered to the sum of what ``clusters`` of both sides share and of
    all that places share, where that is little of it."""
    if any(side.cluster is None for side in sides):
        return own
    beside = within + _across(*sides, answer)
    found = clusters + beside
    sure = bool(beside.mean() < _OVERLAP * found.mean())
    return torch.minimum(own, found) if sure and bool(own.mean() > enough(found.mean())) else own


def _of_clusters(one: Parted, other: Parted, levels: Tensor, answer: Answer) -> Tensor:
    """Quantiles ``[Q]`` in nats of what the clusters of both sides share, or those of one side with
    the columns of the other."""
    labels = [side.cluster for side in (one, other) if side.cluster is not None]
    if len(labels) == 2:
        table = count_pairs(*(label.cpu().numpy() for label in labels))
        return table_quantiles(table, levels.double().cpu()).to(levels)
    columns = one.columns if one.cluster is None else other.columns
    return answer(_one_hot(labels[0], columns), columns, None)[0]


def _across(one: Parted, other: Parted, answer: Answer) -> Tensor:
    """Quantiles ``[Q]`` in nats of what the clusters of each side share with the places of the
    other."""
    shared = [
        answer(_one_hot(side.cluster, away.place), away.place, None)[0]
        for side, away in ((one, other), (other, one))
        if side.cluster is not None
    ]
    return torch.stack(shared).clamp(min=0).sum(0)


def _overlap(sides: tuple[Parted, Parted], answer: Answer) -> Tensor:
    """The least that the places of one of the ``sides`` tell of its clusters, in nats."""
    with torch.no_grad():
        told = [
            answer(_one_hot(cluster, place), place.detach(), None).mean()
            for _, cluster, place in sides
            if cluster is not None
        ]
        return torch.stack(told).amin().clamp(min=0)


def _one_hot(label: Tensor, like: Tensor) -> Tensor:
    return F.one_hot(label).to(like)[None]
