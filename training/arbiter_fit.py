"""Fit an arbiter, and its doubt, to what two networks said of draws.

The members are trained first. Then, for every family of the draws, arbiters without it: what these
say of that family shows how far an arbiter is off on data of a new kind, and how the disagreement
of its members tells. The doubt learns from it, and from draws of known families that trained
nothing. Legend: ``B`` datasets, ``M`` members, ``Q`` quantiles.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from torchmist.ensemble.arbiter import CORRECTIONS, Arbiter
from torchmist.ensemble.arbiter_training import (
    DOUBT_STEPS,
    Data,
    evidence_of,
    fresh_schedule,
    member_quantiles,
    rows_of,
    strange,
    train_interval_width,
    train_members,
)
from torchmist.ensemble.evidence import in_t
from torchmist.ensemble.evidence_features import evidence_numbers
from torchmist.models.independent_components import FRAMES
from torchmist.models.label_classifiers import TOLD_SIZES
from torchmist.models.label_curves import LabelCurves
from torchmist.models.losses import pinball_losses
from torchmist.models.number_curves import NumberCurves
from torchmist.models.variates import SUMS, VARIATE_OPINIONS
from torchmist.quantile_head import from_nats
from training.stream import FAMILIES

__all__ = ["Data", "fit", "inherit", "thinned", "with_rare_ones"]

_HIDDEN = 0.3  # of t above all that is said
_ENOUGH = 128  # rows, from which that is no matter of chance
_RARE = 0.02  # least share of a family, below which its draws are repeated


def _judged(t: Tensor, mi: Tensor, levels: Tensor) -> tuple[float, float]:
    """Mean pinball loss of quantiles ``[B, Q]`` of ``t``, and the coverage of the interval between
    the second and the second last (87.5 % of 24)."""
    truth = from_nats(mi)
    loss = pinball_losses(t, truth, levels).mean()
    inside = (t[:, 1] <= truth) & (truth <= t[:, -2])
    return float(loss), float(inside.float().mean())


def thinned(data: Data, one_in: int = 4) -> Data:
    """Draws, with ``one_in`` so many of those whose information nothing shows.

    An arbiter that meets much of what no sample can show takes every sample for one that hides
    something, and what is found for a part of the whole. Such draws are rare here: of at least 128
    rows, with a truth far above the estimates of both networks, of neighbours, between variates,
    and from pairs, products and components of columns (near copies are left as they are: to be
    above all estimates is what they are for). What classifiers of labels, regimes, mixtures of
    classes, even functions of directions, classifiers where they are surest and regressions say
    counts as well.
    """
    learned = LabelCurves.of(data["learned"])
    opinions = [data["plain"].median(-1, keepdim=True).values,
            data["local"].median(-1, keepdim=True).values, data["opinions"], data["linear"],
            data["variates"][:, : -len(SUMS)], data["matched"][:, :1],
            data["crossed"][:, : VARIATE_OPINIONS - len(SUMS)],
            data["unmixed"][:, :FRAMES], data["told"][:, : TOLD_SIZES[0]],
            data["regimes"][:, :1], data["crowded"][:, :2].mean(-1, keepdim=True),
            data["folded"][:, :3], learned.bounds, learned.surest,
            NumberCurves.of(data["predicted"]).bounds]  # fmt: skip
    most = torch.cat([in_t(v) for v in opinions], -1).amax(-1)
    hidden = from_nats(data["mi"]) - most > _HIDDEN
    hidden &= (data["sizes"][:, 0] >= _ENOUGH) & (data["family"] != FAMILIES.index("copies"))
    return rows_of(data, ~hidden | (hidden.cumsum(0) % one_in == 0))


def with_rare_ones(data: Data) -> Data:
    """Draws, with those of rare families repeated: near copies and the like would be given up for
    a little of what is common."""
    _, place, counts = data["family"].unique(return_inverse=True, return_counts=True)
    return _repeated(data, (_RARE * len(place) / counts).round().clamp(min=1).long()[place])


def _repeated(data: Data, times: Tensor) -> Data:
    """Each draw as many times as ``times`` ``[B]`` says."""
    return {name: values.repeat_interleave(times, 0) for name, values in data.items()}


def inherit(arbiter: Arbiter, parent: Arbiter) -> None:
    """Let ``arbiter`` have all weights of ``parent`` beside those of what it reads further.

    Raises:
        ValueError: if the sizes of both differ elsewhere.
    """
    sizes = [{**a.sizes(), **dict.fromkeys(CORRECTIONS)} for a in (arbiter, parent)]
    if sizes[0] != sizes[1]:
        raise ValueError(f"expected a parent of sizes {arbiter.sizes()}, got {parent.sizes()}")
    arbiter.load_state_dict({**arbiter.state_dict(), **parent.state_dict()})


def fit(
    arbiter: Arbiter, data: Data, levels: Tensor, *, epochs: int = 50, seed: int = 0,
    doubt_steps: int = DOUBT_STEPS, correction: bool = False, known: Sequence[int] = (),
    met: int = 3,
) -> dict[str, float]:  # fmt: skip
    """Fit an arbiter to draws; return losses in ``t`` and coverages.

    They are those of the draws that trained nothing and, as ``strange``, of every family by an
    arbiter that lacks it; of the members alone and of the whole arbiter. ``datasets`` are the
    different ones that trained.

    Args:
        arbiter: what is fitted.
        data: the draws.
        levels: of the quantiles, ``[Q]``.
        epochs: of the members.
        seed: of new weights, batches and dropout.
        doubt_steps: of the doubt.
        correction: let all stay as it is but the last correction of the members' answer, and fit
            that; nothing is ``strange`` then.
        known: numbers of families whose draws count ``met`` times each.
        met: see ``known``.
    """
    train, held = rows_of(data, data["check"] < 1), rows_of(data, data["check"] > 0)
    networks, schedule = None, fresh_schedule(epochs)
    if correction:
        networks = arbiter.corrections()[-1].members
        arbiter.corrections()[-1].learns = True
        arbiter.corrections()[-1].learn_scale(evidence_of(train))
        schedule = dataclasses.replace(schedule, rate=4e-3, dropout=0.15, batch=256, warmup=50)
    else:
        arbiter.standardise(evidence_numbers(evidence_of(train)))
    often = torch.isin(train["family"], torch.tensor(known, dtype=train["family"].dtype))
    taught = with_rare_ones(_repeated(train, torch.where(often, met, 1)))
    steps = train_members(arbiter, taught, levels, schedule, seed, networks=networks)
    found = {"datasets": float(len(train["mi"])), "steps": float(steps)}
    for name in ("plain", "local"):
        found[name], found[f"{name}_coverage"] = _judged(in_t(held[name]), held["mi"], levels)
    answers = [member_quantiles(arbiter, held)]
    if not correction:
        answers += strange(arbiter, train, levels, fresh_schedule(max(1, epochs // 5)))
    learned = [rows_of(answer, slice(0, None, 2)) for answer in answers]
    asked = [rows_of(answer, slice(1, None, 2)) for answer in answers]
    _report(found, "members", lambda each: each.mean(0), asked, levels)
    if not correction:
        train_interval_width(arbiter, learned[0], learned[1:], levels, doubt_steps)
    _report(found, "arbiter", arbiter.doubt, asked, levels)
    if correction:
        arbiter.corrections()[-1].learns = False
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
