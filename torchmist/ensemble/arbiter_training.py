"""Fit the members of an arbiter, and how wide its intervals are, to evidence of known information.

The same loop trains an arbiter from nothing (``training.arbiter``) and goes on with a trained one
(:func:`torchmist.finetune`, ``torchmist.adapt``): then it starts at its weights, is pulled back to
them, and stops where draws that train nothing are estimated best.
Legend: ``B`` datasets, ``M`` members, ``Q`` quantiles.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from torchmist.ensemble.arbiter import Arbiter
from torchmist.ensemble.evidence import Evidence
from torchmist.models.losses import pinball_loss, quantile_losses
from torchmist.quantile_head import from_nats, to_nats

__all__ = ["DOUBT_STEPS", "Data", "Schedule", "evidence_of", "fresh_schedule", "member_quantiles",
           "rows_of", "strange", "train_interval_width", "train_members"]  # fmt: skip

# of the mean in nats, beside that of its distance in t: long upper tails would draw it up with them
_HUBER = 0.05
DOUBT_STEPS = 400
"""Steps of the training of a doubt."""
_DOUBT_RATE, _DOUBT_BATCH, _DECAY = 2e-3, 512, 1e-2
Data = dict[str, Tensor]
"""Columns of draws by name: the evidence, ``mi`` in nats, ``family``, and ``check``, above 0 where
a draw trains nothing."""


@dataclass(frozen=True)
class Schedule:
    """How members are trained.

    ``fresh``: from new weights, which decay to 0; else from those that they have, to which they
    decay. ``decay`` is relative to the ``rate``; ``warmup`` is a number of steps; ``apart`` is the
    weight of the distance of the mean in ``t``.
    """

    epochs: int
    fresh: bool
    rate: float
    decay: float
    dropout: float = 0.2
    batch: int = 512
    warmup: int = 100
    apart: float = 0.3


def fresh_schedule(epochs: int) -> Schedule:
    """The schedule of an arbiter that is trained from nothing."""
    return Schedule(epochs, fresh=True, rate=2e-3, decay=_DECAY)


def rows_of(data: Data, rows: Tensor | slice) -> Data:
    """Some of the draws."""
    return {name: values[rows] for name, values in data.items()}


def evidence_of(data: Data, rows: Tensor | slice = slice(None)) -> Evidence:
    """The evidence of some of the draws."""
    return Evidence(*(data[name][rows] for name in Evidence._fields))


def _losses(t: Tensor, mi: Tensor, levels: Tensor, weight: float) -> Tensor:
    """Loss of each dataset ``[B]`` of quantiles of ``t`` ``[B, Q]``."""
    quantiles = to_nats(t)
    apart = (from_nats(quantiles.mean(-1).clamp(min=-0.1999)) - from_nats(mi)).abs()
    return quantile_losses(quantiles, mi, levels, mean_weight=_HUBER) + weight * apart


@torch.no_grad()
def _held_loss(arbiter: Arbiter, data: Data, levels: Tensor, apart: float) -> float:
    """Mean loss of the mean of the members' quantiles."""
    t = arbiter.each(evidence_of(data)).mean(0)
    return float(_losses(t, data["mi"], levels, apart).mean())


def train_members(
    arbiter: Arbiter, data: Data, levels: Tensor, schedule: Schedule, seed: int,
    held: Data | None = None, networks: nn.ModuleList | None = None,
) -> int:  # fmt: skip
    """Fit each member to ``data``, with dropout between its layers; return the steps it took.

    Args:
        arbiter: whose members are trained.
        data: the draws.
        levels: of the quantiles, ``[Q]``.
        schedule: how.
        seed: of new weights, batches and dropout.
        held: draws that train nothing: of the weights at the start and after each epoch those are
            kept that estimate them best.
        networks: those of the arbiter that are trained, all by default.
    """

    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        networks = arbiter.networks() if networks is None else networks
        for network in networks if schedule.fresh else ():
            for layer in (network[0], network[2]):  # type: ignore[index]
                layer.reset_parameters()
        steps = schedule.epochs * math.ceil(len(data["mi"]) / schedule.batch)
        descent = _Descent(arbiter, levels, schedule, steps, networks)
        best, kept = math.inf, copy.deepcopy(networks.state_dict())
        for epoch in range(schedule.epochs + 1):
            if (
                held is not None
                and (loss := _held_loss(arbiter, held, levels, schedule.apart)) < best
            ):
                best, kept = loss, copy.deepcopy(networks.state_dict())
            if epoch == schedule.epochs:
                break
            for rows in torch.randperm(len(data["mi"]), generator=generator, device="cpu").split(
                schedule.batch
            ):
                descent.step(rows_of(data, rows))
    if held is not None:
        networks.load_state_dict(kept)
    return steps


class _Descent:
    """Steps of the optimiser of an arbiter's networks."""

    def __init__(
        self, arbiter: Arbiter, levels: Tensor, schedule: Schedule, steps: int,
        networks: nn.ModuleList,
    ) -> None:  # fmt: skip
        self.arbiter, self.levels, self.schedule = arbiter, levels, schedule
        self.trained = set(networks)
        self.weights: list[Tensor] = list(networks.parameters())
        self.origin = [weight.detach().clone() for weight in self.weights]
        decay = schedule.decay if schedule.fresh else 0.0
        self.optimizer = torch.optim.AdamW(self.weights, lr=schedule.rate, weight_decay=decay)

        def share(k: int) -> float:
            return min(1.0, (k + 1) / schedule.warmup) * 0.5 * (1 + math.cos(math.pi * k / steps))

        self.rates = torch.optim.lr_scheduler.LambdaLR(self.optimizer, share)

    def run(self, network: nn.Module, seen: Tensor) -> Tensor:
        """A network with dropout between its layers if it is trained."""
        if network not in self.trained:
            fixed: Tensor = network(seen)
            return fixed
        enter, first, middle, second, leave = network.children()
        hidden = F.dropout(first(enter(seen)), self.schedule.dropout)
        out: Tensor = leave(F.dropout(second(middle(hidden)), self.schedule.dropout))
        return out

    def step(self, data: Data) -> None:
        """One step on these draws, and the pull to where trained weights started."""
        each = self.arbiter.each(evidence_of(data), self.run)
        apart = self.schedule.apart
        loss = torch.stack([_losses(t, data["mi"], self.levels, apart).mean() for t in each]).sum()
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.weights, 1.0)
        self.optimizer.step()
        if not self.schedule.fresh:
            back = self.optimizer.param_groups[0]["lr"] * self.schedule.decay
            with torch.no_grad():
                torch._foreach_lerp_(self.weights, self.origin, back)
        self.rates.step()


@torch.no_grad()
def member_quantiles(arbiter: Arbiter, data: Data) -> Data:
    """What the members say of draws, ``[B, M, Q]``, and the truth ``[B]``."""
    return {"each": arbiter.each(evidence_of(data)).transpose(0, 1), "mi": data["mi"]}


def strange(arbiter: Arbiter, data: Data, levels: Tensor, schedule: Schedule) -> list[Data]:
    """What arbiters that lack one family each, trained on all others, say of that family."""
    out = []
    for family in data["family"].unique().tolist():
        lacks = data["family"] == family
        other = copy.deepcopy(arbiter)
        train_members(other, rows_of(data, ~lacks), levels, schedule, 1 + int(family))
        out.append(member_quantiles(other, rows_of(data, lacks)))
    return out


def train_interval_width(
    arbiter: Arbiter,
    known: Data,
    others: Sequence[Data],
    levels: Tensor,
    steps: int = DOUBT_STEPS,
) -> None:
    """Fit the doubt to draws of ``known`` and of strange families by the pinball loss, half of it
    each; families that were strange count alike.

    Args:
        arbiter: whose doubt is trained.
        known: draws of families that its members were trained on, as :func:`member_quantiles`
            gives them.
        others: those of :func:`strange`, one for each family.
        levels: of the quantiles, ``[Q]``.
        steps: of the optimiser.
    """
    parts = [known, *others]
    weights = [1.0, *[1 / len(others)] * len(others)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        arbiter.doubt.layers[0].reset_parameters()  # type: ignore[operator]
    optimizer = torch.optim.AdamW(arbiter.doubt.parameters(), lr=_DOUBT_RATE, weight_decay=_DECAY)
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        loss = torch.zeros((), device="cpu", dtype=torch.float32)
        for part, weight in zip(parts, weights):
            rows = torch.randint(
                len(part["mi"]), (_DOUBT_BATCH,), generator=generator, device="cpu"
            )
            t = arbiter.doubt(part["each"][rows].transpose(0, 1))
            loss = loss + weight * pinball_loss(t, from_nats(part["mi"][rows]), levels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rates.step()
