"""The one way from a sample to quantiles, range, route and bound, and from these to one number.

Legend: ``B`` datasets, ``N`` samples, ``d`` columns of one side, ``Q`` quantiles, ``V`` views.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from torchmist.checks import check_level, visible, warn_once
from torchmist.inference.degenerate import without_constant
from torchmist.inference.large_samples import route
from torchmist.inference.views import rotated_view, whitened_view
from torchmist.models.network import QuantileNetwork
from torchmist.samples.sample import Sample

__all__ = ["LOW", "Answer", "Statistic", "answer", "answer_views", "at_most", "average",
           "check_statistic", "reduce_quantiles", "seen_from_all_sides"]  # fmt: skip

Statistic = Literal["mean", "median"] | float
_ELEMENTS = 4_000_000  # of B x N x D in one pass without gradients: bounds the memory of batches

LOW: float = 0.05
"""The quantile that is climbed where information is maximised."""


class Answer(NamedTuple):
    """``quantiles`` ``[B, Q]`` in nats, and the ``sample`` as the network read it."""

    quantiles: Tensor
    sample: Sample


def answer(
    sample: Sample, network: QuantileNetwork, brought: tuple[int, int] | None = None
) -> Answer:
    """What a network says of a sample; warns once of each size outside of the training.

    ``brought``: how many columns of each side the user brought, where a critic or a lift appended
    others, of which nothing is said.

    Columns that are constant in all datasets do not count, and a dataset with a constant side is 0
    without a gradient. Sizes beyond the training take a route of their own
    (``torchmist.inference.large_samples``). Labels bound the values (:func:`at_most`). In float32
    whatever autocast says; without gradients large batches pass in parts.
    """
    x, y, varied = without_constant(sample.x, sample.y, sample.mask)
    b, n, dx, dy = *x.shape, y.shape[2]
    outside: tuple[str, ...] = ()
    graph = torch.compiler.is_compiling()
    if network.trained_range is not None and not graph:
        most = brought or (dx, dy)
        outside = network.trained_range.notes(n, min(dx, most[0]), min(dy, most[1]))
        for note in outside:
            warn_once(f"torchmist: {note}")
    whole = x is sample.x and y is sample.y
    ranked = sample.ranked if whole else None
    seen = sample._replace(x=x, y=y, notes=(*sample.notes, *outside), ranked=ranked)
    size = b if graph or torch.is_grad_enabled() else max(1, _ELEMENTS // (n * (dx + dy)))
    parts = [seen] if size >= b else [seen.pick(slice(k, k + size)) for k in range(0, b, size)]
    with torch.autocast(x.device.type, enabled=False):
        passes = [route(part.x, part.y, network, part.mask, part.ranked) for part in parts]
    quantiles = (passes[0] if len(passes) == 1 else torch.cat(passes)) * varied
    if sample.bound is not None:
        quantiles = at_most(quantiles, sample.bound[:, None])
    return Answer(quantiles, seen)


def at_most(values: Tensor, bound: Tensor) -> Tensor:
    """``min(values, bound)`` with the gradient of ``values`` everywhere.

    A term that stands at its bound must still be able to fall.
    """
    bound = bound.to(values)
    return torch.where(values > bound, bound + (values - values.detach()), values)


def answer_views(
    sample: Sample, views: Sequence[tuple[Tensor, Tensor]], network: QuantileNetwork,
    brought: tuple[int, int] | None = None,
) -> list[Tensor]:  # fmt: skip
    """Quantiles ``[B, Q]`` of each of ``V`` views of both sides, in one pass."""
    return list(answer(sample.seen_as(views), network, brought).quantiles.chunk(len(views)))


def seen_from_all_sides(
    sample: Sample, network: QuantileNetwork, *, turn_y: bool = True
) -> list[Tensor]:
    """Quantiles of the raw, the whitened and a rotated view, each ``[B, Q]``.

    Mutual information is the same in all of them, and what an encoder fakes in one is not there in
    the others. Only the raw one where both sides have one column; ``turn_y=False`` leaves ``y``,
    whose columns may be classes, as it is.
    """
    x, y, mask = sample.x, sample.y, sample.mask
    views = [(x, y)]
    if max(x.shape[-1], y.shape[-1] if turn_y else 1) > 1:
        for turned in (whitened_view, rotated_view):
            views.append((turned(x, mask), turned(y, mask) if turn_y else y))
    return answer_views(sample, views, network)


def check_statistic(statistic: Statistic) -> None:
    """Raise unless ``statistic`` is ``"mean"``, ``"median"`` or a level in (0, 1)."""
    if isinstance(statistic, str):
        if statistic not in ("mean", "median"):
            raise ValueError(
                f"expected statistic 'mean', 'median' or a quantile level in (0, 1), got "
                f"{statistic!r}"
            )
    else:
        check_level(statistic, "statistic")


def reduce_quantiles(quantiles: Tensor, levels: Tensor, statistic: Statistic) -> Tensor:
    """Mean, median or any quantile (linear in the level) of ``[B, Q]`` quantiles, ``[B]``."""
    if statistic == "mean":
        return quantiles.mean(-1)
    level = 0.5 if statistic == "median" else float(statistic)
    count = quantiles.shape[-1]
    place = min(max(level * count - 0.5, 0.0), count - 1.0)
    below = min(int(place), count - 2)
    return torch.lerp(quantiles[:, below], quantiles[:, below + 1], place - below)


def average(mi: Tensor, weight: Tensor | None) -> Tensor:
    """Mean over datasets ``[B]``, weighted if ``weight`` ``[B]`` is given, 0-dim."""
    if weight is None:
        return mi.mean()
    if not isinstance(weight, Tensor):
        raise TypeError(
            f"expected weight to be a torch.Tensor of shape {list(mi.shape)}, got "
            f"{type(weight).__name__}; multiply the term itself by a number"
        )
    if weight.shape != mi.shape:
        raise ValueError(
            f"expected weight of shape {list(mi.shape)}, one for each dataset, got "
            f"{list(weight.shape)}; samples cannot be weighted, leave some out with mask instead"
        )
    weight = weight.to(mi)
    if visible((weight >= 0).all() & (weight.sum() > 0)) is False:
        raise ValueError(
            f"expected weights of at least 0, not all of them 0, got {weight.tolist()[:8]}"
        )
    return (weight * mi).sum() / weight.sum()
