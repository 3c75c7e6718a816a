"""Fit an arbiter, and its doubt, to what two networks said of draws.

The members are trained first. Then, for every family of the draws, arbiters without it: what these
say of that family shows how far an arbiter is off on data of a new kind, and how the disagreement
of its members tells. The doubt learns from it, and from draws of known families that trained
nothing. Legend: ``B`` datasets, ``M`` members, ``Q`` quantiles.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from torchmist.arbiter import Arbiter
from torchmist.arbiter_fit import (
    DOUBT_STEPS,
    Data,
    Schedule,
    evidence_of,
    fresh_schedule,
    member_quantiles,
    rows_of,
    strange,
    train_doubt,
    train_members,
)
from torchmist.losses import pinball_losses
from torchmist.models.variates import SUMS
from torchmist.quantile_head import from_nats
from training.stream import FAMILIES

__all__ = ["Data", "fit", "inherit", "thinned", "with_rare_ones"]

_LEAST = -0.19  # nats
_HIDDEN, _ONE_IN = 0.3, 4  # of t above all that is said, and how many of such draws are kept
_ENOUGH = 128  # rows, from which that is no matter of chance
_RARELY = -4.0  # the logarithm of the share of a new candidate, at first
_MET = 3  # times that each draw of a family counts which the parent has met
_NEW_RATE, _NEW_APART = 1e-2, 1.0  # of members that learn to read more
_RARE = 0.02  # least share of a family, below which its draws are repeated


def _judged(t: Tensor, mi: Tensor, levels: Tensor) -> tuple[float, float]:
    """Mean pinball loss of quantiles ``[B, Q]`` of ``t``, and the coverage of the interval between
    the second and the second last (87.5 % of 24)."""
    truth = from_nats(mi)
    loss = pinball_losses(t, truth, levels).mean()
    inside = (t[:, 1] <= truth) & (truth <= t[:, -2])
    return float(loss), float(inside.float().mean())


def thinned(data: Data) -> Data:
    """Draws, with one in four of those whose information nothing shows.

    An arbiter that meets much of what no sample can show takes every sample for one that hides
    something, and what is found for a part of the whole. Such draws are rare here: of at least 128
    rows, with a truth far above the estimates of both networks, of neighbours, and between variates
    (near copies are left as they are: to be above all estimates is what they are for).
    """
    opinions = [data["plain"].median(-1, keepdim=True).values,
            data["local"].median(-1, keepdim=True).values, data["opinions"], data["linear"],
            data["variates"][:, : -len(SUMS)]]  # fmt: skip
    most = torch.cat([from_nats(v.clamp(min=_LEAST)) for v in opinions], -1).amax(-1)
    hidden = from_nats(data["mi"]) - most > _HIDDEN
    hidden &= (data["sizes"][:, 0] >= _ENOUGH) & (data["family"] != FAMILIES.index("copies"))
    return rows_of(data, ~hidden | (hidden.cumsum(0) % _ONE_IN == 0))


def with_rare_ones(data: Data) -> Data:
    """Draws, with those of rare families repeated: near copies and the like would be given up for
    a little of what is common."""
    _, place, counts = data["family"].unique(return_inverse=True, return_counts=True)
    return _repeated(data, (_RARE * len(place) / counts).round().clamp(min=1).long()[place])


def _repeated(data: Data, times: Tensor) -> Data:
    """Each draw as many times as ``times`` ``[B]`` says."""
    return {name: values.repeat_interleave(times, 0) for name, values in data.items()}


@torch.no_grad()
def inherit(arbiter: Arbiter, parent: Arbiter, read: Tensor) -> dict[str, Tensor]:
    """Let ``arbiter`` start at the weights of ``parent``, which reads the first part of what it
    reads and chooses among the first of its candidates; return which numbers of a member's weights
    are new, by their names.

    What is new counts for nothing at first, and is seen as it lies in ``read`` ``[B, R]``; new
    candidates have small shares.

    Raises:
        ValueError: if the sizes of both differ elsewhere.
    """
    sizes = [{**a.sizes(), "matched": None} for a in (arbiter, parent)]
    if sizes[0] != sizes[1]:
        raise ValueError(f"expected a parent of sizes {arbiter.sizes()}, got {parent.sizes()}")
    known, candidates = len(parent.mean), parent.candidates
    arbiter.standardise(read)
    arbiter.mean[:known], arbiter.scale[:known] = parent.mean, parent.scale
    arbiter.doubt.load_state_dict(parent.doubt.state_dict())
    for own, old in zip(arbiter.members, parent.members):
        state = old.state_dict()
        new = {name: torch.zeros_like(value) for name, value in state.items()}
        for values, columns, rows in ((state, 0.0, (0.0, _RARELY)), (new, 1.0, (1.0, 1.0))):
            more = len(read[0]) - known
            values["0.weight"] = F.pad(values["0.weight"], (0, more), value=columns)
            for name, row in zip(("4.weight", "4.bias"), rows):
                first, last = values[name].tensor_split([candidates])
                added = torch.full((arbiter.candidates - candidates, *first.shape[1:]), row)
                values[name] = torch.cat([first, added, last])
        own.load_state_dict(state)
    return new


def fit(
    arbiter: Arbiter, data: Data, levels: Tensor, *, epochs: int = 50, seed: int = 0,
    doubt_steps: int = DOUBT_STEPS, parent: Arbiter | None = None, known: Sequence[int] = (),
) -> dict[str, float]:  # fmt: skip
    """Fit an arbiter to draws; return losses in ``t`` and coverages.

    They are those of the draws that trained nothing and, as ``strange``, of every family by an
    arbiter that lacks it; of the members alone and of the whole arbiter. ``datasets`` are the
    different ones that trained. With a ``parent`` its members learn what they read for the first
    time and stay as they are elsewhere, with its doubt; nothing is ``strange`` then. Draws of the
    families that it has met, their numbers ``known``, count three times each.
    """
    train, held = rows_of(data, data["check"] < 1), rows_of(data, data["check"] > 0)
    read, schedule, new = arbiter.read(evidence_of(train)), fresh_schedule(epochs), None
    if parent is None:
        arbiter.standardise(read)
    else:
        new = inherit(arbiter, parent, read)
        schedule = Schedule(epochs, fresh=False, rate=_NEW_RATE, decay=0.0, apart=_NEW_APART)
    met = torch.isin(train["family"], torch.tensor(known, dtype=train["family"].dtype))
    taught = with_rare_ones(_repeated(train, torch.where(met, _MET, 1)))
    steps = train_members(arbiter, taught, levels, schedule, seed, free=new)
    found = {"datasets": float(len(train["mi"])), "steps": float(steps)}
    for name in ("plain", "local"):
        t = from_nats(held[name].clamp(min=_LEAST))
        found[name], found[f"{name}_coverage"] = _judged(t, held["mi"], levels)
    answers = [member_quantiles(arbiter, held)]
    if parent is None:
        answers += strange(arbiter, train, levels, fresh_schedule(max(1, epochs // 5)))
    learned = [rows_of(answer, slice(0, None, 2)) for answer in answers]
    asked = [rows_of(answer, slice(1, None, 2)) for answer in answers]
    _report(found, "members", lambda each: each.mean(0), asked, levels)
    if parent is None:
        train_doubt(arbiter, learned[0], learned[1:], levels, doubt_steps)
    _report(found, "arbiter", arbiter.doubt, asked, levels)
    return found


@torch.no_grad()
def _report(
    found: dict[str, float], name: str, answer: Callable[[Tensor], Tensor], asked: list[Data],
    levels: Tensor,
) -> None:  # fmt: skip
    """Add the loss and the coverage of an ``answer`` of all members ``[M, B, Q]``: on known draws,
    the first ones ``asked``, and on those of strange families, the others."""
    for kind, parts in (("", asked[:1]), ("_strange", asked[1:])):
        if parts:
            t = torch.cat([answer(part["each"].transpose(0, 1)) for part in parts])
            mi = torch.cat([part["mi"] for part in parts])
            found[name + kind], found[f"{name}{kind}_coverage"] = _judged(t, mi, levels)
