"""Fit an arbiter, and its doubt, to what two networks said of draws.

The members are trained first. Then, for every family of the draws, arbiters without it: what these
say of that family shows how far an arbiter is off on data of a new kind, and how the disagreement
of its members tells. The doubt learns from it, and from draws of known families that trained
nothing. Legend: ``B`` datasets, ``M`` members, ``Q`` quantiles.
"""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from torchmist.arbiter import Arbiter, Evidence
from torchmist.doubt import Doubt
from torchmist.heads import from_nats, to_nats
from torchmist.losses import pinball_loss, pinball_losses, quantile_losses

__all__ = ["Data", "evidence", "fit", "rows", "said", "train_doubt", "train_members"]

_RATE, _BATCH, _DROPOUT, _DECAY = 2e-3, 512, 0.2, 1e-2
_WARMUP = 100  # steps
_DOUBT_STEPS = 400
# of the mean in nats, and of its distance in t: long upper tails would draw the mean up with them
_HUBER, _APART = 0.05, 0.3
_LEAST = -0.19  # nats
Data = dict[str, Tensor]
"""Columns of draws by name: the evidence, ``mi`` in nats, ``family``, and ``check``, 1 where a draw
trains nothing."""


def rows(data: Data, at: Tensor | slice) -> Data:
    """The draws at places, or where a mask is True."""
    return {name: values[at] for name, values in data.items()}


def evidence(data: Data) -> Evidence:
    """What an arbiter reads of these draws."""
    return Evidence(*(data[name] for name in Evidence._fields))


def _run(member: nn.Module, seen: Tensor) -> Tensor:
    """A member with dropout between its layers."""
    enter, first, middle, second, leave = member.children()
    hidden = F.dropout(first(enter(seen)), _DROPOUT)
    out: Tensor = leave(F.dropout(second(middle(hidden)), _DROPOUT))
    return out


def _losses(t: Tensor, mi: Tensor, levels: Tensor) -> Tensor:
    """Loss of each dataset ``[B]`` of quantiles of ``t`` ``[B, Q]``."""
    quantiles = to_nats(t)
    apart = (from_nats(quantiles.mean(-1).clamp(min=-0.1999)) - from_nats(mi)).abs()
    return quantile_losses(quantiles, mi, levels, mean_weight=_HUBER) + _APART * apart


def train_members(arbiter: Arbiter, data: Data, levels: Tensor, epochs: int, seed: int) -> int:
    """Fit each member to ``data``, with dropout between its layers; return the steps it took."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for member in arbiter.members:
            for layer in (member[0], member[2]):  # type: ignore[index]
                layer.reset_parameters()
        optimizer = torch.optim.AdamW(arbiter.members.parameters(), lr=_RATE, weight_decay=_DECAY)
        total = epochs * math.ceil(len(data["mi"]) / _BATCH)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer,
            lambda k: min(1.0, (k + 1) / _WARMUP) * 0.5 * (1 + math.cos(math.pi * k / total)),
        )
        for _ in range(epochs):
            for at in torch.randperm(len(data["mi"]), generator=generator).split(_BATCH):
                part = rows(data, at)
                each = arbiter.each(evidence(part), _run)
                loss = sum(_losses(t, part["mi"], levels).mean() for t in each)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[union-attr]
                nn.utils.clip_grad_norm_(arbiter.members.parameters(), 1.0)
                optimizer.step()
                schedule.step()
    return total


@torch.no_grad()
def said(arbiter: Arbiter, data: Data) -> Data:
    """What the members say of draws, ``[B, M, Q]``, and the truth ``[B]``."""
    return {"each": arbiter.each(evidence(data)).transpose(0, 1), "mi": data["mi"]}


def _strange(arbiter: Arbiter, data: Data, levels: Tensor, epochs: int) -> list[Data]:
    """What arbiters that lack one family each, trained a fifth as long, say of that family."""
    out = []
    for family in data["family"].unique().tolist():
        lacks = data["family"] == family
        other = copy.deepcopy(arbiter)
        train_members(other, rows(data, ~lacks), levels, max(1, epochs // 5), 1 + int(family))
        out.append(said(other, rows(data, lacks)))
    return out


def train_doubt(
    doubt: Doubt, known: Data, strange: list[Data], levels: Tensor, steps: int = _DOUBT_STEPS
) -> None:
    """Fit the doubt to draws of known and of strange families by the pinball loss, half of it each;
    families that were strange count alike."""
    parts = [known, *strange]
    weights = [1.0, *[1 / len(strange)] * len(strange)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        doubt.layers[0].reset_parameters()  # type: ignore[operator]
    optimizer = torch.optim.AdamW(doubt.parameters(), lr=_RATE, weight_decay=_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        loss = torch.zeros(())
        for part, weight in zip(parts, weights):
            some = rows(part, torch.randint(len(part["mi"]), (_BATCH,), generator=generator))
            t = doubt(some["each"].transpose(0, 1))
            loss = loss + weight * pinball_loss(t, from_nats(some["mi"]), levels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


def _judged(t: Tensor, mi: Tensor, levels: Tensor) -> tuple[float, float]:
    """Mean pinball loss of quantiles ``[B, Q]`` of ``t``, and the coverage of the interval between
    the second and the second last (87.5 % of 24)."""
    truth = from_nats(mi)
    loss = pinball_losses(t, truth, levels).mean()
    inside = (t[:, 1] <= truth) & (truth <= t[:, -2])
    return float(loss), float(inside.float().mean())


def fit(
    arbiter: Arbiter, data: Data, levels: Tensor, *, epochs: int = 50, seed: int = 0,
    doubt_steps: int = _DOUBT_STEPS,
) -> dict[str, float]:  # fmt: skip
    """Fit an arbiter to draws; return losses in ``t`` and coverages.

    They are those of the draws that trained nothing and, as ``strange``, of every family by an
    arbiter that lacks it; of the members alone and of the whole arbiter.
    """
    train, held = rows(data, data["check"] < 1), rows(data, data["check"] > 0)
    arbiter.standardise(arbiter.read(evidence(train)))
    steps = train_members(arbiter, train, levels, epochs, seed)
    found = {"datasets": float(len(train["mi"])), "steps": float(steps)}
    for name in ("plain", "local"):
        t = from_nats(held[name].clamp(min=_LEAST))
        found[name], found[f"{name}_coverage"] = _judged(t, held["mi"], levels)
    known, strange = said(arbiter, held), _strange(arbiter, train, levels, epochs)
    learned = [rows(part, slice(0, None, 2)) for part in (known, *strange)]
    asked = [rows(part, slice(1, None, 2)) for part in (known, *strange)]
    for name in ("members", "arbiter"):
        if name == "arbiter":
            train_doubt(arbiter.doubt, learned[0], learned[1:], levels, doubt_steps)
        for kind, parts in (("", asked[:1]), ("_strange", asked[1:])):
            every = {key: torch.cat([part[key] for part in parts]) for key in parts[0]}
            with torch.no_grad():
                t = arbiter.doubt(every["each"].transpose(0, 1))
            loss, coverage = _judged(t, every["mi"], levels)
            found[name + kind], found[f"{name}{kind}_coverage"] = loss, coverage
    return found
