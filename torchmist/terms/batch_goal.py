"""A term that knows which way it is driven, from one batch alone: no state, nothing that learns.

An encoder that is trained against a frozen network learns what this network does not see. What
holds it is a second opinion that moves every sample. The gradient of a guarded term is that of the
information of two Gaussian processes (:mod:`torchmist.terms.gaussian_process`; where two codes are
joined, of their pairs against moved rows, :mod:`torchmist.terms.paired_codes`), and a tenth of that
of the value, for what such a kernel is too coarse to see. It uses all samples: of more than 256 it
is the mean over as few equal parts as hold 256 at most.

The value is, when minimising, a soft maximum of the network (mean of the raw and the whitened view,
the raw one alone where a side has more than 32 columns) and of a kernel estimate
(:mod:`torchmist.terms.kernel_floor`) on one such part; when maximising, a soft minimum of a low
quantile of the network over three views (raw, whitened, rotated). The entropy of labels bounds it.

:class:`torchmist.terms.goal.Goal` shares both and adds a critic. Legend: ``B`` datasets, ``N``
samples, ``d`` columns of one side, ``K`` parts of ``m`` samples, ``V`` views, ``Q`` quantiles.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from torchmist.checks import visible
from torchmist.inference.degenerate import (
    fewest_samples,
    live_datasets,
    touching_zero,
    warn_nothing,
    why_nothing,
)
from torchmist.inference.quantiles import (
    Statistic,
    answer_views,
    at_most,
    reduce_quantiles,
    seen_from_all_sides,
)
from torchmist.inference.views import whitened_view
from torchmist.models.network import QuantileNetwork
from torchmist.numerics.uncompiled import outside_graphs
from torchmist.numerics.vmapped import vmapped
from torchmist.samples.sample import Sample
from torchmist.terms.gaussian_process import PLAIN, SHARP, Pull, kernel_pull, written
from torchmist.terms.kernel_floor import column_floor
from torchmist.terms.memory_bank import weighed
from torchmist.terms.paired_codes import paired_pull

__all__ = ["ROWS", "Pursued", "Told", "all_live", "check_pursued", "dealt",
           "guarded_information", "part_shares", "parts_mean", "pull_at", "pulled", "pulled_at",
           "pursued", "soft_extreme"]  # fmt: skip

Pursued = Literal["minimize", "maximize"]
Told = Pursued | Literal["auto"] | None
"""What a term is told of the way it is driven; ``"auto"``: nothing."""

ROWS = 256
"""Most samples of a kernel estimate and of a pair of processes."""
_PAIRS = 64  # fewest samples whose pairs are told from moved rows; of fewer, chance pulls too much
_SHARE = 0.1  # of the value's own gradient beside that of the processes
_SOFT = 0.05  # nats: opinions that are nearer to each other than this share the gradient
_WIDEST = 32  # columns of a side that is whitened when minimising: of more the batch tells little


def check_pursued(goal: Told) -> None:
    """Raise ``ValueError`` unless ``goal`` is a :data:`Told`."""
    if goal not in ("auto", None, "minimize", "maximize"):
        raise ValueError(
            f"expected goal 'auto', 'minimize' (the term is added to the loss), 'maximize' (it is "
            f"subtracted) or None (the derivative of the value), got {goal!r}"
        )


def pursued(goal: Told) -> Pursued | None:
    """The direction that a term was told, None of ``"auto"`` and of None."""
    return None if goal == "auto" else goal


def all_live(live: Tensor, goal: Pursued | None) -> bool:
    """Whether all of ``live`` ``[B]`` are True, or that cannot be seen.

    Raises:
        RuntimeError: where ``torch.func.vmap`` hides it and there is a ``goal``.
    """
    seen = visible(live.all())
    if goal is not None and vmapped(seen, live):
        raise RuntimeError(
            f"expected goal={goal!r} outside of torch.func.vmap, got values that it hides; pass a "
            f"batch of datasets [B, N, d] as it is, or goal='auto'"
        )
    return seen is not False


def soft_extreme(opinions: Tensor, goal: Pursued) -> Tensor:
    """Soft maximum or minimum over the first axis: between the mean and the extreme."""
    sign = 1.0 if goal == "minimize" else -1.0
    whole = (sign * opinions / _SOFT).logsumexp(0) - math.log(len(opinions))
    return sign * _SOFT * whole


def pulled(value: Tensor, information: Tensor) -> Tensor:
    """``value`` ``[B]`` with the gradient of ``information`` ``[B]`` and a share of its own."""
    return weighed(value, _SHARE) + (information - information.detach())


def pulled_at(x: Tensor, y: Tensor, mask: Tensor | None, goal: Pursued) -> Tensor:
    """The information ``[B]`` of :func:`pull_at`, with its gradient in both sides."""
    return written(x, y, mask, partial(pull_at, goal=goal))


def pull_at(
    x: Tensor, y: Tensor, mask: Tensor | None, needed: tuple[bool, bool], goal: Pursued
) -> Pull:
    """The information of ``[B, N, dx]`` and ``[B, N, dy]`` whose gradient pulls, and its gradients
    in the sides that are ``needed``.

    When maximising the processes see finer, as a broad kernel would rest too early. Where both
    sides have a gradient then, so that two codes are joined, and 64 samples or more count, it is
    that of their pairs against moved rows, which neither larger codes nor chance can raise.
    """
    if goal == "minimize":
        return kernel_pull(x, y, mask, needed, PLAIN)
    if x.shape[1] < _PAIRS or not all(needed):
        return kernel_pull(x, y, mask, needed, SHARP)
    paired = paired_pull(x, y, mask)
    if mask is None:
        return paired
    enough = mask.sum(-1) >= _PAIRS
    if visible(enough.all()):
        return paired
    other = kernel_pull(x, y, mask, needed, SHARP)
    value = torch.where(enough, paired.information, other.information)
    return Pull(value, *(_chosen(enough, a, b) for a, b in zip(paired[1:], other[1:])))


def _chosen(of_first: Tensor, first: Tensor | None, second: Tensor | None) -> Tensor | None:
    """Datasets ``[B, N, d]`` of the first where ``of_first`` ``[B]``, of the second elsewhere."""
    if first is None or second is None:
        return None
    return torch.where(of_first[:, None, None], first, second)


@outside_graphs
def guarded_information(
    sample: Sample, network: QuantileNetwork, goal: Pursued, *, statistic: Statistic, plain: bool
) -> Tensor:
    """The value of each dataset, ``[B]`` nats in float32, with the gradient of the pull.

    Datasets of fewer samples than the network was trained on, or with a constant side, are 0 with
    a zero gradient, and a warning says so once.

    Raises:
        RuntimeError: under ``torch.func.vmap``.

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
        if all_live(live, goal):
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
    x, y, mask = dealt(sample.x, sample.y, sample.mask)
    if goal == "minimize":
        quantiles = answer_views(sample, _views(sample, plain), network)
        each = [reduce_quantiles(q, network.levels, statistic) for q in quantiles]
        some = None if mask is None else mask[:, 0]
        opinions = [torch.stack(each).mean(0), column_floor(x[:, 0], y[:, 0], some)]
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
    return pulled(value, parts_mean(each_part.view(x.shape[:2]), mask))


def _views(sample: Sample, plain: bool) -> list[tuple[Tensor, Tensor]]:
    """The raw view of both sides, and the whitened one where it is another."""
    x, y, mask = sample.x, sample.y, sample.mask
    widest = max(x.shape[-1], 1 if plain else y.shape[-1])
    views = [(x, y)]
    if 1 < widest <= _WIDEST:
        views.append((whitened_view(x, mask), y if plain else whitened_view(y, mask)))
    return views


def dealt(x: Tensor, y: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """Both sides ``[B, K, m, d]`` and the mask ``[B, K, m]``: samples are dealt like cards into as
    few equal parts as hold no more than :data:`ROWS` each."""
    (b, n), parts = x.shape[:2], -(-x.shape[1] // ROWS)
    lacking = -n % parts
    if lacking:
        x, y = (F.pad(side, (0, 0, 0, lacking)) for side in (x, y))
        mask = torch.ones(b, n, dtype=torch.bool, device=x.device) if mask is None else mask
        mask = F.pad(mask, (0, lacking))
    x, y = (side.unflatten(1, (-1, parts)).transpose(1, 2) for side in (x, y))
    return x, y, None if mask is None else mask.unflatten(1, (-1, parts)).transpose(1, 2)


def parts_mean(values: Tensor, mask: Tensor | None) -> Tensor:
    """Mean ``[B]`` over parts ``[B, K]``, each by its samples in ``mask`` ``[B, K, m]``."""
    return (values * part_shares(values, mask)).sum(1)


def part_shares(values: Tensor, mask: Tensor | None) -> Tensor:
    """The share ``[B, K]`` that each part has in a mean over the samples of all."""
    if mask is None:
        return torch.full_like(values, 1 / values.shape[1])
    counts = mask.sum(-1)
    return (counts / counts.sum(1, keepdim=True).clamp(min=1)).to(values)
