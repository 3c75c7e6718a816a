"""A term that knows which way it is driven, from one batch alone: no state, nothing that learns.

An encoder that is trained against a frozen network learns what this network does not see. What
holds it is a second opinion that moves every sample. The gradient of a guarded term is that of the
information of two Gaussian processes (:mod:`torchmist.pull`; where two codes are joined, of their
pairs against moved rows, :mod:`torchmist.paired`), and a tenth of that of the value, for what such
a kernel is too coarse to see. It uses all samples: of more than 256 it is the mean over as few
equal parts as hold 256 at most.

The value is, when minimising, a soft maximum of the network (mean of the raw and the whitened view,
the raw one alone where a side has more than 32 columns) and of a kernel estimate
(:mod:`torchmist.floor`) on one such part; when maximising, a soft minimum of a low quantile of the
network over three views (raw, whitened, rotated). The entropy of labels bounds it.

:class:`torchmist.goals.Goal` shares both and adds a critic. Legend: ``B`` datasets, ``N`` samples,
``d`` columns of one side, ``K`` parts of ``m`` samples, ``V`` views, ``Q`` quantiles.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from torchmist.checks import visible
from torchmist.copula import normal_scores
from torchmist.degenerate import (
    fewest_samples,
    live_datasets,
    touching_zero,
    warn_nothing,
    why_nothing,
)
from torchmist.eager import outside_graphs
from torchmist.floor import kernel_floor
from torchmist.memory import weighed
from torchmist.models.network import QuantileNetwork
from torchmist.paired import paired_information
from torchmist.pull import PLAIN, SHARP, kernel_information
from torchmist.quantiles import (
    Statistic,
    answer_views,
    at_most,
    reduce_quantiles,
    seen_from_all_sides,
)
from torchmist.sample import Sample
from torchmist.views import whitened_view

__all__ = ["ROWS", "Pursued", "check_pursued", "guarded_information", "pulled", "pulled_at",
           "soft_extreme"]  # fmt: skip

Pursued = Literal["minimize", "maximize"]

ROWS = 256
"""Most samples of a kernel estimate and of a pair of processes."""
_PAIRS = 64  # fewest samples whose pairs are told from moved rows; of fewer, chance pulls too much
_SHARE = 0.1  # of the value's own gradient beside that of the processes
_SOFT = 0.05  # nats: opinions that are nearer to each other than this share the gradient
_WIDEST = 32  # columns of a side that is whitened when minimising: of more the batch tells little


def check_pursued(goal: Pursued | None) -> None:
    """Raise ``ValueError`` unless ``goal`` is None, ``"minimize"`` or ``"maximize"``."""
    if goal not in (None, "minimize", "maximize"):
        raise ValueError(
            f"expected goal None, 'minimize' (the term is added to the loss) or 'maximize' (it is "
            f"subtracted), got {goal!r}"
        )


def soft_extreme(opinions: Tensor, goal: Pursued) -> Tensor:
    """Soft maximum or minimum over the first axis: between the mean and the extreme."""
    sign = 1.0 if goal == "minimize" else -1.0
    whole = (sign * opinions / _SOFT).logsumexp(0) - math.log(len(opinions))
    return sign * _SOFT * whole


def pulled(value: Tensor, information: Tensor) -> Tensor:
    """``value`` ``[B]`` with the gradient of ``information`` ``[B]`` and a share of its own."""
    return weighed(value, _SHARE) + (information - information.detach())


def pulled_at(x: Tensor, y: Tensor, mask: Tensor | None, goal: Pursued) -> Tensor:
    """The information ``[B]`` of ``[B, N, dx]`` and ``[B, N, dy]`` whose gradient pulls.

    When maximising the processes see finer, as a broad kernel would rest too early. Where both
    sides have a gradient then, so that two codes are joined, and 64 samples or more count, it is
    that of their pairs against moved rows, which neither larger codes nor chance can raise.
    """
    if goal == "minimize":
        return kernel_information(x, y, mask, PLAIN)
    if x.shape[1] < _PAIRS or not (x.requires_grad and y.requires_grad):
        return kernel_information(x, y, mask, SHARP)
    paired = paired_information(x, y, mask)
    if mask is None:
        return paired
    enough = mask.sum(-1) >= _PAIRS
    if visible(enough.all()):
        return paired
    return torch.where(enough, paired, kernel_information(x, y, mask, SHARP))


@outside_graphs
def guarded_information(
    sample: Sample, network: QuantileNetwork, goal: Pursued, *, statistic: Statistic, plain: bool
) -> Tensor:
    """The value of each dataset, ``[B]`` nats in float32, with the gradient of the pull.

    Datasets of fewer samples than the network was trained on, or with a constant side, are 0 with
    a zero gradient, and a warning says so once.

    Args:
        sample: both sides; labels on that of ``x`` alone change places with ``y``.
        network: the frozen network.
        goal: ``"minimize"`` or ``"maximize"``.
        statistic: of the network's quantiles.
        plain: whether the columns of ``y`` are classes.
    """
    if sample.labels == (True, False):
        sample = sample._replace(x=sample.y, y=sample.x, labels=(False, True), ranked=None)
        plain = True
    least = fewest_samples(network.trained_range, True)
    with torch.autocast(sample.x.device.type, enabled=False):
        sample = sample._replace(x=sample.x.float(), y=sample.y.float(), ranked=None)
        x, y, mask = sample.x, sample.y, sample.mask
        live = live_datasets(x, y, mask, least) & (x.shape[1] >= least)
        if visible(live.all()) is not False:
            return _information(sample, network, goal, statistic, plain)
        warn_nothing(why_nothing(x, y, mask, least))
        nothing = touching_zero((x, y), x.device).expand(len(live))
        if not bool(live.any()):
            return nothing
        found = _information(sample.pick(live), network, goal, statistic, plain)
        return nothing.masked_scatter(live, found)


def _information(
    sample: Sample, network: QuantileNetwork, goal: Pursued, statistic: Statistic, plain: bool
) -> Tensor:
    """The value ``[B]`` of datasets that hold something to estimate, with the pull's gradient."""
    x, y, mask = _dealt(sample)
    if goal == "minimize":
        quantiles = answer_views(sample, _views(sample, plain), network)
        each = [reduce_quantiles(q, network.levels, statistic) for q in quantiles]
        some = None if mask is None else mask[:, 0]
        a, b = (normal_scores(side[:, 0], some) for side in (x, y))
        opinions = [torch.stack(each).mean(0), kernel_floor(a, b, some)]
    else:
        quantiles = seen_from_all_sides(sample, network, turn_y=not plain)
        opinions = [reduce_quantiles(q, network.levels, statistic) for q in quantiles]
    value = soft_extreme(torch.stack(opinions), goal)
    if sample.bound is not None:
        value = at_most(value, sample.bound)
    if not (torch.is_grad_enabled() and (x.requires_grad or y.requires_grad)):
        return value
    some = None if mask is None else mask.flatten(0, 1)
    each_part = pulled_at(x.flatten(0, 1), y.flatten(0, 1), some, goal)
    information = each_part.view(x.shape[:2])
    if mask is None:
        return pulled(value, information.mean(1))
    counts = mask.sum(-1)
    return pulled(value, (information * counts / counts.sum(1, keepdim=True)).sum(1))


def _views(sample: Sample, plain: bool) -> list[tuple[Tensor, Tensor]]:
    """The raw view of both sides, and the whitened one where it is another."""
    x, y, mask = sample.x, sample.y, sample.mask
    widest = max(x.shape[-1], 1 if plain else y.shape[-1])
    views = [(x, y)]
    if 1 < widest <= _WIDEST:
        views.append((whitened_view(x, mask), y if plain else whitened_view(y, mask)))
    return views


def _dealt(sample: Sample) -> tuple[Tensor, Tensor, Tensor | None]:
    """Both sides ``[B, K, m, d]`` and the mask ``[B, K, m]``: samples are dealt like cards into as
    few equal parts as hold no more than :data:`ROWS` each."""
    x, y, mask = sample.x, sample.y, sample.mask
    (b, n), parts = x.shape[:2], -(-x.shape[1] // ROWS)
    lacking = -n % parts
    if lacking:
        x, y = (F.pad(side, (0, 0, 0, lacking)) for side in (x, y))
        mask = torch.ones(b, n, dtype=torch.bool, device=x.device) if mask is None else mask
        mask = F.pad(mask, (0, lacking))
    x, y = (side.view(b, -1, parts, side.shape[-1]).transpose(1, 2) for side in (x, y))
    return x, y, None if mask is None else mask.view(b, -1, parts).transpose(1, 2)
