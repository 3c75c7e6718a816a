"""``finetune``: go on training the weights on datasets of known information.

The networks of a :class:`~torchmist.ensemble.duo.DuoMIST` stay as they are: what they, neighbours
and variates say of the datasets is collected once, and the arbiter between them is trained on it.
So an estimate keeps all its invariances: the order of samples and of columns, monotone maps of
columns, and the swap of the sides. Legend: ``B`` datasets, ``N`` samples, ``d`` columns.
"""

from __future__ import annotations

import copy
import dataclasses
import os
import time
from collections.abc import Callable, Iterable, Iterator
from numbers import Real
from typing import Any, NamedTuple

import torch
from torch import Tensor

from torchmist.checks import check_count, check_pair, check_tensors
from torchmist.ensemble.arbiter import Arbiter
from torchmist.ensemble.arbiter_training import Data, Schedule, rows_of, train_members
from torchmist.ensemble.duo import DuoMIST
from torchmist.ensemble.held_out import HeldOut
from torchmist.ensemble.training_pace import Pace
from torchmist.functional import Model, resolve_model
from torchmist.inference.degenerate import without_constant
from torchmist.progress import clock

__all__ = ["Draw", "FinetuneReport", "check_budget", "collect", "finetune", "hear", "reported",
           "resolve_duo", "tune"]  # fmt: skip

Batch = tuple[Tensor, Tensor, Tensor]
_SCHEDULE = Schedule(epochs=30, fresh=False, rate=1e-3, decay=3.0, batch=64, warmup=20)
_FEWEST = 40  # datasets to learn from
_HELD = 0.95  # of the 90 % intervals on datasets that train nothing: those of a user are known less
_WIDTHS = tuple(0.05 * k for k in range(21))  # logarithms of what stretches intervals, in turn
_SHARES = (1.0, 0.75, 0.5, 0.25, 0.0)  # of trained weights in the average with the base, in turn
_RISE = 1.02  # error after over before that no family may exceed
_END: Any = object()  # of the batches
_TUNE = 0.9  # of the budget, after which all that was collected is to be learned


class Draw(NamedTuple):
    """Datasets ``x`` ``[B, N, dx]``, ``y`` ``[B, N, dy]`` of ``mi`` ``[B]`` nats; ``family``: of
    what kind they are; ``check``: 0 to learn from, 1 to stop by, 2 to judge by."""

    x: Tensor
    y: Tensor
    mi: Tensor
    family: int = 0
    check: int = 0


@dataclasses.dataclass(frozen=True)
class FinetuneReport:
    """Mean absolute errors in nats and coverage of 90 % intervals on datasets that took no part.

    ``datasets``: that were learned from; ``helped``: whether the tuned weights were returned.
    """

    datasets: int
    error_before: float
    error_after: float
    coverage_before: float
    coverage_after: float
    helped: bool
    seconds: float

    def __str__(self) -> str:
        verdict = "fine-tuned weights" if self.helped else "no gain: the weights as they were"
        return (
            f"{verdict}; from {self.datasets} datasets in {self.seconds:.0f} s; on others the mean "
            f"absolute error is {self.error_before:.3f} nats before and {self.error_after:.3f} "
            f"after, 90 % intervals cover {100 * self.coverage_before:.0f} % and "
            f"{100 * self.coverage_after:.0f} %"
        )


def check_budget(budget: float, usual: float) -> None:
    """Raise unless ``budget`` is a positive number of seconds; ``usual``: one that errors name."""
    if isinstance(budget, bool) or not isinstance(budget, Real):
        raise TypeError(
            f"expected a budget in seconds, got {type(budget).__name__}; {usual:g} is usual"
        )
    if not budget > 0:
        raise ValueError(
            f"expected a budget of more than 0 seconds, got {budget}; {usual:g} is usual"
        )


def resolve_duo(model: Model, device: torch.device) -> DuoMIST:
    """The weights of a name, a path or a module, which must have an arbiter.

    Raises:
        ValueError: for one network alone.
    """
    network = resolve_model(model, device)
    if not isinstance(network, DuoMIST):
        what = type(model).__name__ if isinstance(model, torch.nn.Module) else os.fspath(model)
        raise ValueError(
            f"expected weights with an arbiter, which is what is trained, got {what}, one network "
            f"alone; pass 'mist'"
        )
    return network


def reported(
    model: DuoMIST, arbiter: Arbiter, name: str, report: Any, **provenance: Any
) -> DuoMIST:
    """The same networks with another arbiter if the report says that it ``helped``, frozen.

    ``report`` is set on it and, by ``name``, in its ``evaluation``; ``provenance`` is added to that
    of the model if the arbiter is another one.
    """
    chosen = arbiter if report.helped else copy.deepcopy(model.arbiter)
    out = DuoMIST(model.plain, model.local, chosen, model.names, model.expert)
    out = out.to(model.levels.device)
    out.provenance = {**model.provenance, **(provenance if report.helped else {})}
    out.evaluation = {**model.evaluation, name: dataclasses.asdict(report)}
    out.report = report
    return out.eval().requires_grad_(False)


@torch.no_grad()
def hear(model: DuoMIST, draw: Draw, batch: int = 0) -> Data:
    """The evidence and the truth of datasets, on the CPU; ``batch``: what errors number them.

    Raises:
        TypeError, ValueError: as :func:`~torchmist.mist_mi` for ``x`` and ``y``, and for ``mi`` of
            another shape, not finite, or below 0.
    """
    check_tensors(arrays="", x=draw.x, y=draw.y)
    x, y = check_pair(draw.x, draw.y, ("x", "y"))
    mi = torch.as_tensor(draw.mi, dtype=torch.float32).detach().cpu()
    if mi.shape != (len(x),):
        raise ValueError(
            f"expected mi of shape [{len(x)}], the information of each dataset in nats, got shape "
            f"{list(mi.shape)}"
        )
    wrong = (~(mi.isfinite() & (mi >= 0))).nonzero().flatten().tolist()
    if wrong:
        raise ValueError(
            f"expected mi of at least 0 nats, finite, got {float(mi[wrong[0]])} as "
            f"mi[{wrong[0]}] of batch {batch} ({len(wrong)} of its {len(mi)} are so); leave those "
            f"datasets out"
        )
    a, b, _ = without_constant(*(side.float().to(model.levels.device) for side in (x, y)))
    found = {name: value.cpu() for name, value in model.ask(a, b)._asdict().items()}
    marks = {"family": draw.family, "check": draw.check}
    return {**found, "mi": mi, **{k: torch.full_like(mi, float(v)) for k, v in marks.items()}}


def collect(
    model: DuoMIST, draws: Callable[[int], Draw | None], kept: list[Data], until: float, *,
    what: str = "collect", show: bool = True, save: Callable[[list[Data]], None] | None = None,
) -> Data:  # fmt: skip
    """Hear of ``draws(k)`` for ``k`` from ``len(kept)`` on, and return all that was heard.

    Args:
        model: what is asked.
        draws: the datasets of each step, ``None`` where there are no more.
        kept: what was heard so far, to which the rest is appended; if it is empty, of one draw
            whatever the time.
        until: ``time.monotonic()`` to stop at.
        what: the label of the progress bar.
        show: whether there is one.
        save: called with ``kept`` every half minute, at the end, and at an interruption.
    """
    saved = time.monotonic()
    try:
        for now in clock(until, show, what, least=0 if kept else 1):
            draw = draws(len(kept))
            if draw is None:
                break
            kept.append(hear(model, draw, len(kept)))
            if save is not None and now - saved > 30:
                save(kept)
                saved = now
    finally:
        if save is not None:
            save(kept)
    return {name: torch.cat([part[name] for part in kept]) for name in kept[0]} if kept else {}


def tune(model: DuoMIST, data: Data, seed: int = 0) -> tuple[Arbiter, int]:
    """The arbiter of ``model``, trained on from its weights, on the CPU; and the steps it took.

    Its members learn from the draws with ``check`` 0; of the weights that they go through, those
    are kept that are best on draws with ``check`` 1, and averaged with those of ``model`` where
    they are worse there on one family. Then its doubt widens all intervals, if need be, until 95 %
    of the 90 % intervals hold there.

    Raises:
        ValueError: for fewer than 40 datasets to learn from, or none to stop by.
    """
    train, held = rows_of(data, data["check"] == 0), rows_of(data, data["check"] == 1)
    if len(train["mi"]) < _FEWEST or not len(held["mi"]):
        raise ValueError(
            f"expected at least {_FEWEST} datasets to learn from and some to stop by, got "
            f"{len(train['mi'])} and {len(held['mi'])}; give more of them or more time"
        )
    base = copy.deepcopy(model.arbiter).cpu()
    arbiter = copy.deepcopy(base).requires_grad_(True)
    steps = train_members(arbiter, train, model.levels.cpu(), _SCHEDULE, seed, held)
    arbiter.requires_grad_(False)
    _blend(model, base, arbiter, held)
    _widen(model, arbiter, held)
    return arbiter, steps


def _blend(model: DuoMIST, base: Arbiter, arbiter: Arbiter, held: Data) -> None:
    """Average the weights with those of ``base`` until the error rises on no family of ``held``."""
    families = [rows_of(held, held["family"] == k) for k in held["family"].unique()]

    def errors(one: Arbiter) -> list[float]:
        return [HeldOut.of(model, one, part).error(part["mi"]) for part in families]

    before = errors(base)
    start = [p.clone() for p in base.networks().parameters()]
    tuned = [p.clone() for p in arbiter.networks().parameters()]
    for share in _SHARES:
        for weight, a, b in zip(arbiter.networks().parameters(), start, tuned):
            weight.copy_(torch.lerp(a, b, share))
        if all(error <= _RISE * old for error, old in zip(errors(arbiter), before)):
            break


def _widen(model: DuoMIST, arbiter: Arbiter, held: Data) -> None:
    """Let the doubt widen all intervals until 95 % of the 90 % intervals hold."""
    bias = arbiter.doubt.layers[-1].bias
    assert isinstance(bias, Tensor)
    start = bias.clone()
    for width in _WIDTHS:
        bias.copy_(start + width)
        if HeldOut.of(model, arbiter, held).coverage(held["mi"]) >= _HELD:
            break


def _batches(source: Iterable[Batch] | Callable[[], Batch]) -> Iterator[Batch]:
    if not callable(source):
        yield from source
        return
    while True:
        yield source()


def _draw(batch: Any, step: int) -> Draw:
    """The batch of a step with what it is for."""
    if not isinstance(batch, (tuple, list)) or len(batch) != 3:
        got = f" of {len(batch)}" if isinstance(batch, (tuple, list)) else ""
        raise TypeError(
            f"expected batches (x, y, mi) from source, got {type(batch).__name__}{got}; x and y "
            f"are datasets [B, N, d], mi [B] their information in nats"
        )
    x, y, mi = batch
    place = step % 8
    return Draw(x, y, mi, check=0 if place < 5 else min(place - 4, 2))


def finetune(
    model: Model, source: Iterable[Batch] | Callable[[], Batch], *, budget: float = 120.0,
    seed: int = 0, show: bool = True,
) -> DuoMIST:  # fmt: skip
    """Weights that are trained on with datasets of known information: simulators, channels.

    The information must be known exactly, or nearly: weights learn its error as well. Sizes
    (samples, columns) should be those of the data that the weights are for. Of eight batches five
    are learned from, one says when to stop, and two judge; where the error on these does not fall,
    the weights are returned as they were.

    Args:
        model: a registered name, a path, or a module with an arbiter; it is left as it is.
        source: gives ``(x, y, mi)``, by iteration until it ends or by calls: ``x``
            ``[B, N, dx]``, ``y`` ``[B, N, dy]``, ``mi`` ``[B]`` in nats. Sizes may differ between
            batches; of datasets of one batch, none is known to the network as such.
        budget: seconds for everything. Collecting leaves as many as the training will take, which
            is about as long where batches are small, but not before seven batches are there.
        seed: of the training.
        show: a progress bar.

    Returns:
        A frozen ``DuoMIST`` that every function takes as ``model=``, with a
        :class:`FinetuneReport` as ``report``; keep it with
        :func:`~torchmist.weights.save_weights`.

    Raises:
        TypeError, ValueError: as :func:`~torchmist.mist_mi` for the datasets; for ``mi`` of another
            shape or below 0, too few batches, one network alone as ``model``, or no budget.

    Example:
        >>> import math
        >>> def channel():  # y = x + noise: I = log(1 + 1 / s^2) / 2 nats
        ...     s = torch.rand(8, 1, 1) + 0.3
        ...     x = torch.randn(8, 64, 1)
        ...     return x, x + s * torch.randn(8, 64, 1), 0.5 * torch.log1p(s.flatten() ** -2)
        >>> model = finetune("mist", [channel() for _ in range(16)], show=False)
        >>> model.report.datasets
        80
    """
    start = time.monotonic()
    check_budget(budget, 120)
    seed = check_count(seed, "seed", 0)
    if not callable(source) and not isinstance(source, Iterable):
        raise TypeError(
            f"expected source to give batches (x, y, mi) by iteration or by calls, got "
            f"{type(source).__name__}; pass a list of them, or a function that makes one"
        )
    duo = resolve_duo(model, torch.device("cpu"))
    data = _collected(duo, source, budget, start + _TUNE * budget, show)
    arbiter, _ = tune(duo, data, seed)
    judged = rows_of(data, data["check"] == 2)
    both = [HeldOut.of(duo, one, judged) for one in (copy.deepcopy(duo.arbiter).cpu(), arbiter)]
    before, after = (held.error(judged["mi"]) for held in both)
    covered = [held.coverage(judged["mi"]) for held in both]
    report = FinetuneReport(
        int((data["check"] == 0).sum()), before, after, covered[0], covered[1], after < before,
        time.monotonic() - start,
    )  # fmt: skip
    return reported(duo, arbiter, "finetune", report)


def _collected(
    duo: DuoMIST, source: Iterable[Batch] | Callable[[], Batch], budget: float, until: float,
    show: bool,
) -> Data:  # fmt: skip
    """What is heard of the batches of ``source``, so that all is learned at about ``until``: of
    eight, five to learn from, one to stop by and two to judge by."""
    kept: list[Data] = []
    batches, pace = _batches(source), Pace(duo, _SCHEDULE, until)

    def draws(step: int) -> Draw | None:
        batch = _END if pace.over(kept, 7, _FEWEST) else next(batches, _END)
        return None if batch is _END else _draw(batch, step)

    data = collect(duo, draws, kept, until, what="finetune", show=show)
    if not kept:
        raise ValueError(
            "expected at least 7 batches of datasets, got a source that gives none; pass a list of "
            "them, a function that makes one, or an iterator that was not used up before"
        )
    if len(kept) < 7:
        raise ValueError(
            f"expected at least 7 batches of datasets, got {len(kept)} in {budget:g} seconds; give "
            f"more of them or more time"
        )
    return data
