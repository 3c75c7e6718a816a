"""Tuning of counts: how rates of columns follow a source or change between clusters.

Legend: ``B`` datasets, ``M`` items, ``q`` columns of a source, ``d`` columns.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from torchmist.synthetic.engines.codes_manifolds import widen
from torchmist.synthetic.engines.codes_random import Random
from torchmist.synthetic.engines.nets import random_map
from torchmist.synthetic.engines.spikes_counts import Counts

__all__ = ["draw_counts", "draw_profiles", "draw_tuning"]

_STRENGTH = (0.7, 5.0)  # changes of a log rate, of many columns; more of few
_BOUND = 4.0  # of changes of a log rate
_EVENTS, _TRIALS = (0.1, 30.0), (0.1, 2.0)  # mean counts of a column, and odds
_SEEN = 2.0  # events of a row in all its columns, at least
_MOST_EVENTS, _LEAST = 150.0, 1e-5
_SURE = 0.9999  # chance of a trial, at most


def draw_tuning(random: Random, source: Tensor, d: int) -> Tensor:
    """Smooth functions ``[B, M, d]`` of a source ``[B, M, q]``, of mean 0 and variance about 1.

    Half of the datasets have bumps, of widths and at places of their own, the others random maps.
    """
    smooth = random_map(random, source, d)
    place = random.integers(0, source.shape[1] - 1, d)[..., None]
    centre = source.gather(1, place.expand(-1, -1, source.shape[-1]))
    width = random.log_uniform(0.2, 1.5, 1, 1) * torch.exp(0.4 * random.normal(1, d))
    near = (source @ centre.mT) - 0.5 * source.square().sum(-1, keepdim=True)
    near = near - 0.5 * centre.square().sum(-1)[:, None]
    bumps = _standard((near / width.square()).exp())
    return torch.where(random.coin(0.5, 1, 1), bumps, smooth)


def draw_profiles(random: Random, clusters: int, d: int) -> Tensor:
    """What clusters add to the log rates of columns ``[B, K, d]``: normal numbers, or a few columns
    that stand out in each."""
    share = random.log_uniform(0.05, 0.5, 1, 1)
    few = (random.uniform(clusters, d) < share) / share.sqrt()
    return torch.where(random.coin(0.4, 1, 1), few, random.normal(clusters, d))


def draw_counts(random: Random, tuning: Tensor, *, blur: bool) -> Counts:
    """Random columns of counts whose log rates follow ``tuning`` ``[B, M, d]``.

    Kinds of columns, over-dispersion and losses are shared by a call. With ``blur``, tuning is so
    weak that several items look alike.
    """
    d = tuning.shape[-1]
    u = random.choices(4)
    events = d if u[0] < 0.5 else 0 if u[0] < 0.85 else int(u[1] * (d + 1))
    grow = d ** (0.4 * random.uniform(1, 1).square())
    strength = random.log_uniform(*_STRENGTH, 1, 1) * (1 + 1 / d) / grow
    silent = random.uniform(1, 1) * random.coin(0.4, 1, 1)
    told = (random.uniform(1, d) >= 0.95 * silent) | (torch.arange(d, device=random.device) == 0)
    logs = tuning * strength * torch.exp(0.5 * random.normal(1, d)) * told
    logs = _BOUND * (logs / _BOUND).tanh()  # no rate is that of next to no item
    rates = _draw_rates(random, d, events)
    if blur:
        probe = rates(logs)
        logs = logs / widen(random, [(_stable(probe, events), torch.ones_like(probe[:, :1]))])
    shape = random.log_uniform(0.5, 10.0, 1, 1) if u[2] < 0.2 and events else None
    kept = 1 - 0.8 * random.uniform(1, 1) if u[3] < 0.2 else None
    scale = torch.where(random.coin(0.5, 1, 1), 0, random.integers(1, 2, 1, 1))
    trials = torch.where(random.coin(0.7, 1, 1), 1.0, 2.0)
    order = random.permutation(d)
    return Counts(rates(logs), events, trials, shape, kept, scale, order)


def _draw_rates(random: Random, d: int, events: int) -> Callable[[Tensor], Tensor]:
    """What makes rates ``[B, M, d]`` of log rates, whose means over the items are drawn here.

    Chances of a trial are those of any event at all in half of the datasets, else logistic.
    """
    (low, high), (rare, often) = _EVENTS, _TRIALS
    low, rare = (min(high / 20, max(least, _SEEN / d)) for least in (low, rare))
    level = random.log_uniform(low, high, 1, 1).expand(-1, -1, d)
    odds = random.log_uniform(rare, often, 1, 1).expand(-1, -1, d)
    base = torch.cat([level[..., :events], odds[..., events:]], -1)
    base = base * torch.exp(1.2 * random.uniform(1, 1) * random.normal(1, d))
    any_event = random.coin(0.5, 1, 1)

    def rates(logs: Tensor) -> Tensor:
        change = (logs - logs.amax(1, keepdim=True)).exp()
        rate = (base * change / change.mean(1, keepdim=True)).clamp(_LEAST, _MOST_EVENTS)
        odds = rate[..., events:]
        chance = torch.where(any_event, -torch.expm1(-odds), odds / (1 + odds))
        return torch.cat([rate[..., :events], chance.clamp(max=_SURE)], -1)

    return rates


def _stable(rates: Tensor, events: int) -> Tensor:
    """Functions of the rates that are seen with a noise of about 1."""
    chance = rates[..., events:].clamp(max=1)
    return 2 * torch.cat([rates[..., :events].sqrt(), chance.sqrt().asin()], -1)


def _standard(values: Tensor) -> Tensor:
    values = values - values.mean(1, keepdim=True)
    return values / values.square().mean(1, keepdim=True).sqrt().clamp(min=1e-3)
