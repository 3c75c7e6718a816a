"""``adapt``: fit flows, warp the meta-dataset, fine-tune, calibrate, and check that it helped.

Legend: ``N`` samples, ``dx``, ``dy`` columns.
"""

from __future__ import annotations

import copy
import dataclasses
import os
import time
from typing import Any

import torch
from torch import Tensor

from torchmist.adapt.cells import CellMeta, Pool
from torchmist.adapt.checkpoint import Checkpoint
from torchmist.adapt.finetune import CorrectionTuner, FineTuner, Source, Tuner, draw_batch
from torchmist.adapt.flows import Flow, fit_flow, restore_flow
from torchmist.adapt.partitions import MISPLACED, misplaced
from torchmist.adapt.report import AdaptReport, Held
from torchmist.adapt.sides import Side, behind, both_sides, in_front
from torchmist.adapt.warp import CanonicalMeta, warp
from torchmist.functional import Model, reduce_quantiles, resolve_model
from torchmist.models.cell_correction import WIDTH_SIZES
from torchmist.models.mist import MIST
from torchmist.models.network import QuantileNetwork
from torchmist.models.projected import ProjectedMIST
from torchmist.synthetic import Batch
from torchmist.synthetic.general import GeneralMeta

__all__ = ["adapt"]

_MOST = 2048
_DATASETS, _TOGETHER = 48, 8  # of either kind in the validation, and in one forward pass
_CALIBRATE = 96  # datasets of either kind that say how wide intervals are
_BATCHES = 8  # that say how to scale what the correction reads
_HELD = 0.95  # of the 90 % intervals, as samples of a user are of a law known less than this one
_WIDTHS = tuple(0.7 * 1.1**k for k in range(13))  # of the intervals, tried in turn
_GAIN, _LOSS = 0.97, 1.05  # error after over before: at most, of all and of each part
_FLOW, _CORRECT = 0.04, 0.85  # share of the budget for each flow; of the rest, for the correction


def adapt(
    x: Any, y: Any, *, base: Model = "mist-fast", budget: float = 900.0, seed: int = 0,
    checkpoint: str | os.PathLike[str] | None = None, show: bool = True,
) -> MIST:  # fmt: skip
    """Weights for the kind of data that ``x`` and ``y`` are; uses no pairing of the two.

    A flow is fitted to each side (:func:`fit_flow`). The weights are fine-tuned on datasets whose
    MI is exact: the meta-dataset warped by the flows (:func:`warp`), and real and generated samples
    that depend on each other through clusters or slices (:class:`CellMeta`); last a correction is
    trained, also on real samples that the flows have not seen. Then base and adapted weights are
    compared on real samples that neither has seen, and the adapted ones are returned if their error
    is lower, and higher on neither clusters nor slices and at no number of samples. It is worth its
    time for structure that the columns do not show one by one (images, embeddings, strongly mixed
    columns); any monotone change of single columns is no reason, as estimates do not see it. Of
    more than 20 columns of a side the 16 leading principal directions of the data are kept, and the
    weights learn to make up for the rest (:class:`~torchmist.models.projected.ProjectedMIST`).

    Args:
        x: ``[N, dx]`` array or tensor, ``N`` of at least 200; unpaired with ``y``.
        y: ``[M, dy]``; integers are class labels and need no flow.
        base: weights to start from, as in :func:`~torchmist.estimate`.
        budget: seconds for everything, of which the checks need some; at least a minute is wise.
        seed: of all draws.
        checkpoint: a file to save the progress to, and to continue from when it exists.
        show: progress bars.

    Returns:
        A frozen ``MIST`` that every function takes as ``model=``, with an :class:`AdaptReport` as
        ``report`` and in its ``provenance``; keep it with :func:`~torchmist.weights.save_weights`.
        When adaptation did not lower the error, the base weights.

    Raises:
        ImportError: without normflows.
        TypeError, ValueError: as :func:`~torchmist.estimate`; for too few samples, a budget that is
            not positive, adapted weights as base, or a checkpoint of other data.
    """
    start = time.monotonic()
    if not budget > 0:
        raise ValueError(f"expected a budget of more than 0 seconds, got {budget}; 900 is usual")
    network = copy.deepcopy(resolve_model(base, torch.device("cpu"))).eval()
    if not isinstance(network, MIST) or network.config.local:
        raise ValueError(
            f"expected one network without local statistics as base, got {type(network).__name__}; "
            f"pass base='mist-fast'"
        )
    if isinstance(network, ProjectedMIST):
        raise ValueError(
            "expected general weights as base, got adapted ones; pass those that they came from"
        )
    sides = both_sides(x, y, seed)
    file = Checkpoint(checkpoint, [s.fit for s in sides], seed)

    whole = {kind: _whole(meta, sides) for kind, meta in _cells(sides, "check", seed + 5).items()}
    held_out = [batch for meta in whole.values() for batch in _held_out(meta, _DATASETS, seed)]
    truth = tuple(torch.cat([batch.mi for batch in held_out]).tolist())
    before = _held(network, held_out)

    flows = [
        None if s.labels else _flow(s.project(s.fit), k, _FLOW * budget, file, seed, show)
        for k, s in zip("xy", sides)
    ]
    begin = behind(network, sides, seed)
    tuner, last = _tuners(begin, sides, flows, seed)
    tried = held_out[: len(WIDTH_SIZES)]
    taken = []
    for _ in range(2):  # the first one is slower
        checked = time.monotonic()
        _held(in_front(begin, sides), tried)
        taken.append(time.monotonic() - checked)
    to_come = len(whole) * (_DATASETS + _CALIBRATE)
    reserve = min(taken) * (to_come / (len(tried) * _TOGETHER) + 1)
    earlier = file.state.get("seconds", 0.0)  # of flows in an earlier run
    spent = earlier + sum(file.state[k]["seconds"] for k in ("tuner", "last") if k in file.state)
    left = max(1.0, budget - (time.monotonic() - start) - earlier - reserve)
    file.save(seconds=sum(f.report.seconds for f in flows if f is not None and f.report))

    for one, name, share in ((tuner, "tuner", 1 - _CORRECT), (last, "last", _CORRECT)):
        if name == "last":
            one.start_from(tuner.average)
        if name in file.state:
            one.restore(file.state[name])
        what = "adapt" if name == "tuner" else "correct"
        one.run(share * left, what=what, show=show, save=_saver(file, name, one))

    adapted = in_front(last.average, sides)
    imperfect = [_imperfect(meta, sides, seed + 7) for meta in whole.values()]
    _widen(adapted, [_held_out(meta, _CALIBRATE, seed + 7) for meta in imperfect])
    report = AdaptReport(
        truth, tuple(kind for kind in whole for _ in range(_DATASETS)),
        tuple(b.x.shape[1] for b in held_out for _ in range(_TOGETHER)), before,
        _held(adapted, held_out), False, tuner.steps + last.steps,
        spent + time.monotonic() - start, *(f.report if f is not None else None for f in flows),
    )  # fmt: skip
    helped = _helped(report)
    report = dataclasses.replace(report, helped=helped)
    widths = sides[0].fit.shape[1], sides[1].fit.shape[1]
    return _finish(network, adapted if helped else network, base, report, widths, budget, seed)


def _cells(sides: tuple[Side, Side], part: str, seed: int) -> dict[str, CellMeta]:
    """Datasets of a ``part`` of the samples of both sides, through clusters or through slices."""
    samples = [getattr(s, part) for s in sides]
    clusters = (s.pool(z, seed) for s, z in zip(sides, samples))
    slices = (s.sliced(z, seed) for s, z in zip(sides, samples))
    return {"clusters": CellMeta(*clusters), "slices": CellMeta(*slices)}


def _whole(cells: CellMeta, sides: tuple[Side, Side]) -> CellMeta:
    """The same of the samples of the check as they came, not projected."""
    pools = zip(sides, (cells.x, cells.y))
    return CellMeta(*(Pool(side.check, pool.partitions) for side, pool in pools))


def _helped(report: AdaptReport) -> bool:
    """Whether the error fell, and rose on neither kind of dataset and at no size."""
    each = (report.errors(part) for part in report.parts)
    fell = report.error_after < _GAIN * report.error_before
    return fell and all(after < _LOSS * before for before, after in each)


def _flow(
    samples: Tensor, side: str, seconds: float, file: Checkpoint, seed: int, show: bool
) -> Flow:
    """The fitted flow of a side, from the checkpoint if it is there."""
    key = f"flow_{side}"
    if key in file.state:
        return restore_flow(samples, seed, file.state[key])
    flow = fit_flow(samples, seconds=seconds, seed=seed, show=show)
    file.save(**{key: flow.keep()})
    return flow


def _tuners(
    begin: ProjectedMIST, sides: tuple[Side, Side], flows: list[Flow | None], seed: int
) -> tuple[FineTuner, CorrectionTuner]:
    """The fine-tuning, and the correction after it, which also sees samples of its own."""
    kx, ky = (s.map.shape[1] for s in sides)
    sources = _sources(sides, flows, seed)
    unseen = _cells(sides, "calibrate", seed + 4)
    every = [
        Source(unseen["clusters"], 0.55, _MOST), Source(unseen["slices"], 0.25, _MOST), *sources,
    ]  # fmt: skip
    generator = torch.Generator().manual_seed(seed + 6)
    batches = [draw_batch(every, kx, ky, generator) for _ in range(_BATCHES)]
    with torch.no_grad():
        said = [begin.correction.read(batch.x, batch.y) for batch in batches]
    begin.correction.standardise(torch.cat(said))
    return (
        FineTuner(begin, sources, kx, ky, seed=seed + 1),
        CorrectionTuner(begin, every, kx, ky, seed=seed + 2),
    )


def _sources(sides: tuple[Side, Side], flows: list[Flow | None], seed: int) -> list[Source]:
    """What the fine-tuning sees."""
    real = _cells(sides, "fit", seed + 2)
    generator = torch.Generator().manual_seed(seed + 3)
    made = []
    for side, flow in zip(sides, flows):
        if flow is None:
            made.append(side.pool(side.fit, seed + 3))
            continue
        latent = torch.randn(2 * _MOST, flow.columns, generator=generator)
        with torch.no_grad():
            made.append(side.generated(flow(latent), seed + 3))
    sources = [
        Source(real["clusters"], 0.5, _MOST), Source(real["slices"], 0.25, _MOST),
        Source(CellMeta(*made), 0.15, _MOST),
    ]  # fmt: skip
    if all(flow is not None for flow in flows):
        sources.append(Source(warp(CanonicalMeta(), *flows), 0.05, _MOST))
        sources.append(Source(warp(GeneralMeta(), *flows), 0.05, _MOST))
    return sources


def _saver(file: Checkpoint, name: str, tuner: Tuner) -> Any:
    return lambda: file.save(**{name: tuner.state()})


def _held_out(meta: CellMeta, count: int, seed: int) -> list[Batch]:
    """``count`` datasets that no weights were trained on, of all sizes in turn."""
    dx, dy = meta.x.samples.shape[1], meta.y.samples.shape[1]
    generator = torch.Generator().manual_seed(seed + 1_000_003)
    return [
        meta.sample(_TOGETHER, WIDTH_SIZES[k % len(WIDTH_SIZES)], dx, dy, generator=generator)
        for k in range(count // _TOGETHER)
    ]


@torch.no_grad()
def _held(model: MIST, batches: list[Batch]) -> Held:
    """Estimates of held-out datasets."""
    quantiles = torch.cat([model(batch.x, batch.y) for batch in batches]).clamp(min=0)
    values = (reduce_quantiles(quantiles, model.levels, s) for s in ("mean", 0.05, 0.95))
    return Held(*(tuple(v.tolist()) for v in values))


def _imperfect(cells: CellMeta, sides: tuple[Side, Side], seed: int) -> CellMeta:
    """The same with up to a tenth of the samples in cells that are not those of neighbours.

    Labels stay as they are. Nothing is trained on so many.
    """
    generator = torch.Generator().manual_seed(seed)
    pools = []
    for side, pool in zip(sides, (cells.x, cells.y)):
        shares = MISPLACED * torch.rand(len(pool.partitions), generator=generator)
        parts = zip(pool.partitions, shares.tolist())
        kept = tuple(p if side.labels else misplaced(p, v, generator) for p, v in parts)
        pools.append(Pool(pool.samples, kept))
    return CellMeta(*pools)


@torch.no_grad()
def _widen(model: ProjectedMIST, kinds: list[list[Batch]]) -> None:
    """Widen (or narrow) the quantiles at each size until enough 90 % intervals hold.

    A share of ``_HELD`` is enough, in each of the ``kinds`` of datasets.
    """
    for place, size in enumerate(WIDTH_SIZES):
        some = [[b for b in batches if b.x.shape[1] == size] for batches in kinds]
        read = [_read(model, batches) for batches in some if batches]
        for width in _WIDTHS if read else ():
            model.correction.width[place] = width
            if all(_hold(model, *of_kind) for of_kind in read):
                break


def _read(model: ProjectedMIST, batches: list[Batch]) -> tuple[Tensor, Tensor, Tensor]:
    """What the correction reads of datasets, the quantiles before it, and the truth."""
    parts = zip(*((*model.read(b.x, b.y), b.mi) for b in batches))
    said, quantiles, mi = (torch.cat(part) for part in parts)
    return said, quantiles, mi


def _hold(model: ProjectedMIST, said: Tensor, quantiles: Tensor, mi: Tensor) -> bool:
    """Whether enough 90 % intervals hold the truth."""
    corrected = model.correction.correct(said, quantiles).clamp(min=0)
    low, high = (reduce_quantiles(corrected, model.levels, s) for s in (0.05, 0.95))
    return int(((low <= mi) & (mi <= high)).sum()) >= int(_HELD * (len(mi) + 1))


def _finish(
    base: MIST, model: MIST, name: Model, report: AdaptReport, widths: tuple[int, int],
    budget: float, seed: int,
) -> MIST:  # fmt: skip
    """The model to return, with its provenance and report."""
    provenance = dict(getattr(base, "provenance", {}))
    if report.helped:
        provenance["trained_range"] = {
            "n": [32, _MOST], "d": [min(widths), max(widths)],
        }  # fmt: skip
        source = "a module" if isinstance(name, QuantileNetwork) else os.fspath(name)
        provenance["adapted"] = {
            "from": source, "dx": widths[0], "dy": widths[1], "budget": budget, "seed": seed,
        }  # fmt: skip
    evaluation = {**getattr(base, "evaluation", {}), "adapt": dataclasses.asdict(report)}
    kept: dict[str, Any] = {"provenance": provenance, "evaluation": evaluation, "report": report}
    for key, value in kept.items():
        setattr(model, key, value)
    return model.eval().requires_grad_(False)
