"""``adapt``: fit flows, collect evidence of datasets like the user's, retrain the arbiter, check.

Legend: ``N`` samples, ``dx``, ``dy`` columns.
"""

from __future__ import annotations

import copy
import dataclasses
import os
from collections.abc import Callable
from typing import Any

import torch

from torchmist.adapt.checkpoint import Checkpoint
from torchmist.adapt.flow_fit import fit_flow, restore_flow
from torchmist.adapt.flows import Flow
from torchmist.adapt.report import AdaptReport, loss_or_no_gain
from torchmist.adapt.sides import SplitSide, both_sides
from torchmist.adapt.sources import KINDS, SIZES, checks, lessons
from torchmist.checks import check_count
from torchmist.ensemble.arbiter import Arbiter
from torchmist.ensemble.arbiter_training import Data
from torchmist.ensemble.duo import DuoMIST
from torchmist.ensemble.held_out import HeldOut
from torchmist.finetuning import Draw, check_budget, collect, reported, resolve_duo, tune
from torchmist.functional import Model
from torchmist.models.network import QuantileNetwork

__all__ = ["adapt"]

# shares of the budget: for each flow, until checked, until learned
_FLOW, _CHECK, _LEARN = 0.06, 0.35, 0.9
_ROUND = len(KINDS) * len(SIZES)  # draws in which every kind and size comes once
_ROUNDS = 4
_KEEPS = "all of the base: order of samples, order and monotone maps of columns, swap of the sides"


def adapt(
    x: Any, y: Any, *, base: Model = "mist", budget: float = 300.0, seed: int = 0,
    checkpoint: str | os.PathLike[str] | None = None, show: bool = True,
) -> DuoMIST:  # fmt: skip
    """Weights for the kind of data that ``x`` and ``y`` are; uses no pairing of the two.

    A flow is fitted to each side (:func:`fit_flow`). What the two networks, neighbours and variates
    of the base say is collected for datasets whose MI is exact: real samples that depend on each
    other through clusters or slices (:class:`CellMeta`), and the meta-dataset warped by the flows
    (:class:`WarpedMeta`). On that the arbiter between them is trained, as by
    :func:`~torchmist.finetune`, and judged on real samples that took no part. All invariances of
    the base are kept, as nothing but the arbiter changes.

    Args:
        x: ``[N, dx]`` array or tensor, ``N`` of at least 200; unpaired with ``y``.
        y: ``[M, dy]``; integers are class labels and need no flow.
        base: weights to start from, as in :func:`~torchmist.estimate`, with an arbiter; a module
            on a GPU is asked there.
        budget: seconds for everything; at least a minute is wise.
        seed: of all draws.
        checkpoint: a file to save the progress to, and to continue from when it exists.
        show: progress bars.

    Returns:
        A frozen ``DuoMIST`` that every function takes as ``model=``, with an :class:`AdaptReport`
        as ``report`` and in its ``evaluation``; keep it with
        :func:`~torchmist.weights.save_weights`. When adaptation did not surely lower the error, or
        may raise it on one kind or size of datasets, those are the base weights; the report says
        why.

    Raises:
        ImportError: without normflows.
        TypeError, ValueError: as :func:`~torchmist.estimate`; for too few samples, a budget that is
            not positive, a side that is constant, one network alone as base, or a checkpoint of
            other data or in no folder.
    """
    check_budget(budget, 300)
    seed = check_count(seed, "seed", 0)
    model, sides = resolve_duo(base, torch.device("cpu")), both_sides(x, y, seed)
    file = Checkpoint(checkpoint, [side.fit for side in sides], seed)

    def evidence(name: str, draws: Callable[[int], Draw | None], share: float) -> Data:
        """Of draws, those of an earlier run first, until a share of the budget is spent."""
        return collect(
            model, draws, list(file.state.get(name, [])), file.start + share * budget, what=name,
            show=show, save=lambda parts: file.save(**{name: list(parts)}),
        )  # fmt: skip

    flows = _flows(file, sides, _FLOW * budget, seed, show)
    judges = checks(sides, seed, _ROUNDS * _ROUND)
    evidence("check", lambda k: judges(k) if k < _ROUND else None, _LEARN)  # each once, if need be
    judge = evidence("check", judges, _CHECK)
    fitting = [f if f and f.report and not f.report.misfit else None for f in flows]
    learn = evidence("learn", lessons(sides, fitting, seed), _LEARN)
    arbiter, steps, why = _learned(model, learn, seed)
    report = _report(model, arbiter, judge, learn, flows, why, steps, file.seconds)
    return reported(model, arbiter, "adapt", report, adapted=_made(base, sides, budget, seed))


def _learned(model: DuoMIST, learn: Data, seed: int) -> tuple[Arbiter, int, str]:
    """An arbiter trained on evidence, its steps, and why it is that of the base if it is."""
    try:
        return *tune(model, learn, seed), ""
    except ValueError as error:  # the budget left no time to learn
        return copy.deepcopy(model.arbiter).cpu(), 0, str(error)


def _made(
    base: Model, sides: tuple[SplitSide, SplitSide], budget: float, seed: int
) -> dict[str, str | float]:
    """How the weights were made, for their header."""
    source = "a module" if isinstance(base, QuantileNetwork) else os.fspath(base)
    dx, dy = (side.fit.shape[1] for side in sides)
    return {"from": source, "dx": dx, "dy": dy, "budget": budget, "seed": seed, "keeps": _KEEPS}


def _flows(
    file: Checkpoint, sides: tuple[SplitSide, SplitSide], seconds: float, seed: int, show: bool
) -> list[Flow | None]:
    """The fitted flow of each side."""
    named = zip(("flow_x", "flow_y"), sides)
    return [_flow(file, name, side, seconds, seed, show) for name, side in named]


def _flow(
    file: Checkpoint, name: str, side: SplitSide, seconds: float, seed: int, show: bool
) -> Flow | None:
    """The fitted flow of a side, from the checkpoint if it is there; none for labels."""
    if side.labels:
        return None
    samples = side.project(side.fit)
    if name in file.state:
        return restore_flow(samples, seed, file.state[name])
    flow = fit_flow(samples, seconds=seconds, seed=seed, show=show)
    file.save(**{name: flow.keep()})
    return flow


def _report(
    model: DuoMIST, arbiter: Arbiter, judge: Data, learn: Data, flows: list[Flow | None], why: str,
    steps: int, seconds: float,
) -> AdaptReport:  # fmt: skip
    """What both arbiters make of the evidence to judge by, and whether the new one is better."""
    both = copy.deepcopy(model.arbiter).cpu(), arbiter
    before, after = (HeldOut.of(model, one, judge) for one in both)
    flow_x, flow_y = (None if flow is None else flow.report for flow in flows)
    report = AdaptReport(
        truth=tuple(judge["mi"].tolist()),
        kind=tuple(KINDS[int(k)] for k in judge["family"]),
        n=tuple(judge["sizes"][:, 0].int().tolist()),
        before=before, after=after, helped=False, why=why,
        datasets=int((learn["check"] == 0).sum()), steps=steps, seconds=seconds,
        flow_x=flow_x, flow_y=flow_y,
    )  # fmt: skip
    why = why or loss_or_no_gain(report)
    return dataclasses.replace(report, helped=not why, why=why)
