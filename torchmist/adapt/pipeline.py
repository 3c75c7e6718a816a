"""``adapt``: fit flows, warp the meta-dataset, fine-tune, calibrate, and check that it helped.

Legend: ``N`` samples, ``dx``, ``dy`` columns.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from torchmist.adapt.cells import CellMeta, Pool
from torchmist.adapt.finetune import FineTuner, Source
from torchmist.adapt.flows import Flow, FlowReport, fit_flow
from torchmist.adapt.warp import CanonicalMeta, warp
from torchmist.checks import check_pair
from torchmist.estimate import as_tensor
from torchmist.functional import Model, reduce_quantiles, resolve_model
from torchmist.models.mist import MIST
from torchmist.models.projected import ProjectedMIST, Projection, principal_map
from torchmist.synthetic.general import GeneralMeta

__all__ = ["AdaptReport", "adapt"]

_FEWEST, _MOST = 200, 2048
_PLAIN, _KEPT = 20, 16  # columns up to which all are kept, and principal directions beyond
_PARTITIONS = 48
_DATASETS = 48  # of the validation


@dataclass(frozen=True)
class AdaptReport:
    """What an adaptation measured on held-out samples of the user, whose true MI is known.

    ``error_before``, ``error_after``: mean absolute errors in nats; ``coverage_before``,
    ``coverage_after``: of the 90 % intervals; ``samples``: of each held-out dataset; ``helped``:
    whether the adapted weights were returned.
    """

    error_before: float
    error_after: float
    coverage_before: float
    coverage_after: float
    samples: int
    helped: bool
    steps: int
    seconds: float
    flow_x: FlowReport | None
    flow_y: FlowReport | None

    def __str__(self) -> str:
        verdict = "adapted weights" if self.helped else "no gain: the base weights"
        return (
            f"{verdict}; on {_DATASETS} held-out datasets of {self.samples} samples the mean "
            f"absolute error is {self.error_before:.3f} nats before and {self.error_after:.3f} "
            f"after, 90 % intervals cover {100 * self.coverage_before:.0f} % and "
            f"{100 * self.coverage_after:.0f} %; {self.steps} steps in {self.seconds:.0f} s"
        )


@dataclass(frozen=True)
class _Side:
    """One variable: samples ``[N, d]`` split in three, and whether they are class labels."""

    fit: Tensor
    calibrate: Tensor
    check: Tensor
    labels: bool
    mean: Tensor
    map: Tensor

    @classmethod
    def of(cls, values: Tensor, labels: bool, order: Tensor) -> _Side:
        a, b = int(0.65 * len(order)), int(0.8 * len(order))
        fit = values[order[:a]]
        keep = fit.shape[1] if labels or fit.shape[1] <= _PLAIN else _KEPT
        return cls(fit, values[order[a:b]], values[order[b:]], labels, *principal_map(fit, keep))

    def project(self, samples: Tensor) -> Tensor:
        """What the network sees of samples ``[N, d]``."""
        return (samples - self.mean) @ self.map

    def pool(self, samples: Tensor, seed: int) -> Pool:
        """Projected samples, with cells that are cut in all columns."""
        if self.labels:
            return Pool.of_labels(samples)
        projected = self.project(samples)
        return Pool.of(projected, count=_PARTITIONS, seed=seed, space=samples)


def adapt(
    x: Any, y: Any, *, base: Model = "mist", budget: float = 900.0, seed: int = 0,
    checkpoint: str | os.PathLike[str] | None = None, show: bool = True,
) -> MIST:  # fmt: skip
    """Weights for the kind of data that ``x`` and ``y`` are; uses no pairing of the two.

    A flow is fitted to each side (:func:`fit_flow`). The weights are fine-tuned on datasets whose
    MI is exact: Gaussian pairs warped by the flows, and real and generated samples that depend on
    each other through cells (:class:`CellMeta`); last on real samples that the flows have not
    seen, for calibration. Then base and adapted weights are compared on real samples that neither
    has seen, and the better ones are returned. It is worth its time for structure that the columns
    do not show one by one (images, embeddings, strongly mixed columns); any monotone change of
    single columns is no reason, as estimates do not see it. Of more than 20 columns of a side the
    16 leading principal directions of the data are kept, and the weights learn to make up for the
    rest (:class:`~torchmist.models.projected.ProjectedMIST`).

    Args:
        x: ``[N, dx]`` array or tensor, ``N`` of at least 200; unpaired with ``y``.
        y: ``[M, dy]``; integers are class labels and need no flow.
        base: weights to start from, as in :func:`~torchmist.estimate`.
        budget: seconds for everything.
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
            not positive, or a checkpoint of other data.
    """
    start = time.monotonic()
    if not budget > 0:
        raise ValueError(f"expected a budget of more than 0 seconds, got {budget}; 900 is usual")
    network = copy.deepcopy(resolve_model(base, torch.device("cpu"))).eval()
    sides = _sides(x, y, seed)
    dx, dy = (side.map.shape[1] for side in sides)
    file = _File(checkpoint, sides, seed)

    check = CellMeta(*(s.pool(s.check, seed + 5) for s in sides))
    most = min(512, min(len(s.check) for s in sides))
    whole = CellMeta(*(Pool(s.check, p.partitions) for s, p in zip(sides, (check.x, check.y))))
    before = _validate(network, whole, most, seed)
    spent = 1.3 * (time.monotonic() - start)  # the same again at the end

    flows = [
        None if s.labels else _flow(s.project(s.fit), k, 0.1 * budget, file, seed, show)
        for k, s in zip("xy", sides)
    ]
    tuner = FineTuner(network, _sources(sides, flows, seed), dx, dy, seed=seed + 1)
    real = CellMeta(*(s.pool(s.calibrate, seed + 4) for s in sides))
    last = FineTuner(
        network, [Source(real, 1.0, min(512, min(len(s.calibrate) for s in sides)))], dx, dy,
        seed=seed + 2, rate=5e-5,
    )  # fmt: skip
    left = max(1.0, budget - (time.monotonic() - start) - spent)
    if file.state.get("tuner"):
        tuner.restore(file.state["tuner"])
    tuner.run(0.9 * left, what="adapt", show=show, save=lambda: file.save(tuner=tuner.state()))
    last.model.load_state_dict(tuner.average.state_dict())
    last.average.load_state_dict(tuner.average.state_dict())
    last.run(0.1 * left, what="calibrate", show=show)

    adapted = _behind(last.average, sides).eval().requires_grad_(False)
    after = _validate(adapted, whole, most, seed)
    helped = after[0] < 0.97 * before[0]
    report = AdaptReport(
        before[0], after[0], before[1], after[1], most, helped, tuner.steps + last.steps,
        time.monotonic() - start, *(f.report if f is not None else None for f in flows),
    )  # fmt: skip
    widths = sides[0].fit.shape[1], sides[1].fit.shape[1]
    return _finish(network, adapted if helped else network, base, report, widths, budget, seed)


def _sides(x: Any, y: Any, seed: int) -> tuple[_Side, _Side]:
    """Both variables, checked and split."""
    sides = []
    for index, (name, raw) in enumerate((("x", x), ("y", y))):
        value = as_tensor(raw, name)
        columns = check_pair(value, value, (name, name))[0]
        if len(columns) != 1 or columns.shape[1] < _FEWEST:
            raise ValueError(
                f"expected {name} of shape [N, d] with N of at least {_FEWEST}, got "
                f"{list(value.shape)}; with fewer samples use the base weights"
            )
        generator = torch.Generator().manual_seed(seed + index)
        order = torch.randperm(columns.shape[1], generator=generator)
        sides.append(_Side.of(columns[0].float().cpu(), not value.is_floating_point(), order))
    return sides[0], sides[1]


def _flow(samples: Tensor, side: str, seconds: float, file: _File, seed: int, show: bool) -> Flow:
    """The fitted flow of a side, from the checkpoint if it is there."""
    key = f"flow_{side}"
    if key in file.state:
        flow = Flow(samples, seed, file.state[key]["depth"])
        flow.load_state_dict(file.state[key]["weights"])
        flow.report = FlowReport(**file.state[key]["report"])
        return flow.eval().requires_grad_(False)
    flow = fit_flow(samples, seconds=seconds, seed=seed, show=show)
    assert flow.report is not None
    kept = {
        "weights": flow.state_dict(), "depth": flow.depth,
        "report": dataclasses.asdict(flow.report),
    }  # fmt: skip
    file.save(**{key: kept})
    return flow


def _sources(sides: tuple[_Side, _Side], flows: list[Flow | None], seed: int) -> list[Source]:
    """What the fine-tuning sees."""
    real = [s.pool(s.fit, seed + 2) for s in sides]
    generator = torch.Generator().manual_seed(seed + 3)
    made = []
    for side, flow in zip(sides, flows):
        if flow is None:
            made.append(side.pool(side.fit, seed + 3))
            continue
        latent = torch.randn(2 * _MOST, flow.columns, generator=generator)
        with torch.no_grad():
            made.append(Pool.of(flow(latent), count=_PARTITIONS, seed=seed + 3))
    few = min(len(s.fit) for s in sides)
    sources = [
        Source(CellMeta(*real), 0.45, few),
        Source(CellMeta(*made), 0.2, _MOST),
        Source(GeneralMeta(), 0.15, _MOST),
    ]
    if all(flow is not None for flow in flows):
        sources.append(Source(warp(CanonicalMeta(), *flows), 0.2, _MOST))
    return sources


@torch.no_grad()
def _validate(model: MIST, meta: CellMeta, n: int, seed: int) -> tuple[float, float]:
    """Mean absolute error in nats and coverage of the 90 % intervals."""
    dx, dy = meta.x.samples.shape[1], meta.y.samples.shape[1]
    generator = torch.Generator().manual_seed(seed + 1_000_003)
    errors, held = [], []
    for _ in range(_DATASETS // 8):
        batch = meta.sample(8, n, dx, dy, generator=generator)
        quantiles = model(batch.x, batch.y).clamp(min=0)
        errors.append((quantiles.mean(-1) - batch.mi).abs())
        low, high = (reduce_quantiles(quantiles, model.levels, q) for q in (0.05, 0.95))
        held.append((low <= batch.mi) & (batch.mi <= high))
    return float(torch.cat(errors).mean()), float(torch.cat(held).float().mean())


def _behind(network: MIST, sides: tuple[_Side, _Side]) -> MIST:
    """The network with the maps of both sides in front of it, where there are any."""
    shapes = [s.map.shape for s in sides]
    if all(d == k for d, k in shapes):
        return network
    projection = Projection(shapes[0][0], shapes[1][0], shapes[0][1], shapes[1][1])
    out = ProjectedMIST(network.config, projection)
    kept: dict[str, Tensor] = dict(network.state_dict())
    for name, side in zip("xy", sides):
        kept[f"mean_{name}"], kept[f"map_{name}"] = side.mean, side.map
    out.load_state_dict(kept)
    return out


def _finish(
    base: MIST, model: MIST, name: Model, report: AdaptReport, widths: tuple[int, int],
    budget: float, seed: int,
) -> MIST:  # fmt: skip
    """The model to return, with its provenance and report."""
    provenance = dict(getattr(base, "provenance", {}))
    content = dataclasses.asdict(report)
    if report.helped:
        provenance["trained_range"] = {
            "n": [32, _MOST], "d": [min(widths), max(widths)],
        }  # fmt: skip
        source = os.fspath(name) if not isinstance(name, MIST) else "a module"
        provenance["adapted"] = {
            "from": source, "dx": widths[0], "dy": widths[1], "budget": budget, "seed": seed,
        }  # fmt: skip
    evaluation = {**getattr(base, "evaluation", {}), "adapt": content}
    kept: dict[str, Any] = {"provenance": provenance, "evaluation": evaluation, "report": report}
    for key, value in kept.items():
        setattr(model, key, value)
    return model.eval().requires_grad_(False)


class _File:
    """A checkpoint: flows and fine-tuning, for the data that it was made with."""

    def __init__(
        self, path: str | os.PathLike[str] | None, sides: tuple[_Side, _Side], seed: int
    ) -> None:
        self.path = None if path is None else Path(path)
        digest = hashlib.sha256(str(seed).encode())
        for side in sides:
            digest.update(side.fit.contiguous().numpy().tobytes())
        self.state: dict[str, Any] = {"data": digest.hexdigest()}
        if self.path and self.path.exists():
            state = torch.load(self.path, weights_only=True)
            if state["data"] != self.state["data"]:
                raise ValueError(
                    f"expected {self.path} to be a checkpoint of this data and seed, it is of "
                    f"others; pass another file or remove it"
                )
            self.state = state

    def save(self, **parts: Any) -> None:
        """Add or replace parts, atomically."""
        self.state.update(parts)
        if self.path:
            temporary = self.path.with_name(self.path.name + ".part")
            torch.save(self.state, temporary)
            os.replace(temporary, self.path)
