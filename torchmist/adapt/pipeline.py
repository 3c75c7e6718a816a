"""``adapt``: fit flows, collect evidence of datasets like the user's, retrain the arbiter, check.

Legend: ``N`` samples, ``dx``, ``dy`` columns.
"""

from __future__ import annotations

import copy
import dataclasses
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from torchmist.adapt.checkpoint import Checkpoint
from torchmist.adapt.flow_fit import fit_flow, restore_flow
from torchmist.adapt.flows import Flow
from torchmist.adapt.report import AdaptReport, Held, loss_or_no_gain
from torchmist.adapt.sides import both_sides
from torchmist.adapt.sources import KINDS, SIZES, Sides, checks, lessons
from torchmist.arbiter import Arbiter
from torchmist.arbiter_fit import Data
from torchmist.duo import DuoMIST
from torchmist.finetune import Draw, collect, estimates, resolve_duo, tune, with_arbiter
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
    of the base say is collected for datasets whose MI is exact: real and generated samples that
    depend on each other through clusters or slices (:class:`CellMeta`), and the meta-dataset warped
    by the flows (:class:`WarpedMeta`). On that the arbiter between them is trained, as by
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
        :func:`~torchmist.weights.save_weights`. When adaptation did not lower the error, or raised
        it on one kind or size of datasets, those are the base weights; the report says why.

    Raises:
        ImportError: without normflows.
        TypeError, ValueError: as :func:`~torchmist.estimate`; for too few samples, a budget that is
            not positive, one network alone as base, or a checkpoint of other data.
    """
    if not budget > 0:
        raise ValueError(f"expected a budget of more than 0 seconds, got {budget}; 300 is usual")
    now = time.monotonic()
    model, sides = resolve_duo(base, torch.device("cpu")), both_sides(x, y, seed)
    file = Checkpoint(checkpoint, [side.fit for side in sides], seed)
    run = _Run(model, sides, file, now - file.state.get("seconds", 0.0), budget, seed, show)
    flows = run.flows()
    judge = run.judges()
    learn = run.lessons(flows)
    arbiter, steps, why = _tuned(model, learn, seed)
    report = _report(run, arbiter, judge, learn, steps, flows, why)
    return _finish(run, arbiter, report, base)


@dataclass(frozen=True)
class _Run:
    """An adaptation of ``model`` to ``sides`` that began at ``start``, earlier runs included."""

    model: DuoMIST
    sides: Sides
    file: Checkpoint
    start: float
    budget: float
    seed: int
    show: bool

    @property
    def seconds(self) -> float:
        """That were taken so far."""
        return time.monotonic() - self.start

    def flows(self) -> list[Flow | None]:
        """The fitted flow of each side, from the checkpoint if it is there; none for labels."""
        flows: list[Flow | None] = []
        for name, side in zip(("flow_x", "flow_y"), self.sides):
            samples = side.project(side.fit)
            if side.labels:
                flows.append(None)
            elif name in self.file.state:
                flows.append(restore_flow(samples, self.seed, self.file.state[name]))
            else:
                seconds = _FLOW * self.budget
                flow = fit_flow(samples, seconds=seconds, seed=self.seed, show=self.show)
                self.file.save(**{name: flow.keep()}, seconds=self.seconds)
                flows.append(flow)
        return flows

    def judges(self) -> Data:
        """Evidence to judge by: every kind and size once, and again while there is time."""
        once, often = (checks(self.sides, self.seed, rounds * _ROUND) for rounds in (1, _ROUNDS))
        self._heard("check", once, _LEARN)
        return self._heard("check", often, _CHECK)

    def lessons(self, flows: list[Flow | None]) -> Data:
        """Evidence to learn from and to stop by; of the flows, those that fit are used."""
        fitting = [None if f is None or f.report is None or f.report.misfit else f for f in flows]
        return self._heard("learn", lessons(self.sides, fitting, self.seed), _LEARN)

    def _heard(self, name: str, draws: Callable[[int], Draw | None], share: float) -> Data:
        """The evidence of ``draws``, those of an earlier run first; empty if there was no time."""
        kept: list[Data] = list(self.file.state.get(name, []))

        def save(parts: list[Data]) -> None:
            self.file.save(**{name: list(parts)}, seconds=self.seconds)

        until = self.start + share * self.budget
        collect(self.model, draws, kept, until, what=name, show=self.show, save=save)
        return {key: torch.cat([part[key] for part in kept]) for key in kept[0]} if kept else {}


def _tuned(model: DuoMIST, learn: Data, seed: int) -> tuple[Arbiter, int, str]:
    """The trained arbiter and its steps; or that of the base, and why."""
    try:
        if not learn:
            raise ValueError("the budget left no time to learn")
        return *tune(model, learn, seed), ""
    except ValueError as error:
        return copy.deepcopy(model.arbiter).cpu(), 0, str(error)


def _report(
    run: _Run, arbiter: Arbiter, judge: Data, learn: Data, steps: int, flows: list[Flow | None],
    why: str,
) -> AdaptReport:  # fmt: skip
    """What both arbiters make of the evidence to judge by, and whether the new one is better."""
    truth, kinds, sizes = [], [], []
    before, after = [Held((), (), ())] * 2
    if judge:
        both = (copy.deepcopy(run.model.arbiter).cpu(), arbiter)
        before, after = (
            Held(*(tuple(v.tolist()) for v in estimates(run.model, a, judge))) for a in both
        )
        truth, kinds = judge["mi"].tolist(), [KINDS[int(k)] for k in judge["family"]]
        sizes = judge["sizes"][:, 0].int().tolist()
    count = int((learn["check"] == 0).sum()) if learn else 0
    flow_x, flow_y = (None if flow is None else flow.report for flow in flows)
    report = AdaptReport(
        tuple(truth), tuple(kinds), tuple(sizes), before, after, False, "", count, steps,
        run.seconds, flow_x, flow_y,
    )  # fmt: skip
    why = why or loss_or_no_gain(report)
    return dataclasses.replace(report, helped=not why, why=why)


def _finish(run: _Run, arbiter: Arbiter, report: AdaptReport, base: Model) -> DuoMIST:
    """The model to return, with its provenance and report."""
    model = run.model
    provenance = dict(model.provenance)
    if report.helped:
        source = "a module" if isinstance(base, QuantileNetwork) else os.fspath(base)
        widths = dict(zip(("dx", "dy"), (side.fit.shape[1] for side in run.sides)))
        settings = {"budget": run.budget, "seed": run.seed, "keeps": _KEEPS}
        provenance["adapted"] = {"from": source, **widths, **settings}
    evaluation = {**model.evaluation, "adapt": dataclasses.asdict(report)}
    chosen = arbiter if report.helped else copy.deepcopy(model.arbiter)
    return with_arbiter(model, chosen, provenance=provenance, evaluation=evaluation, report=report)
