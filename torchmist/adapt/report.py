"""What an adaptation measured, and its picture."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from torchmist.adapt.flows import FlowReport

__all__ = ["AdaptReport", "Held", "loss_or_no_gain"]

_GAIN, _LOSS = 0.97, 1.05  # error after over before: at most, of all and of each part


@dataclass(frozen=True)
class Held:
    """Estimates of one model on held-out datasets: means and 90 % intervals, in nats."""

    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    def error(self, truth: tuple[float, ...]) -> float:
        """Mean absolute error in nats."""
        return sum(abs(a - b) for a, b in zip(self.mean, truth)) / len(truth)

    def part(self, rows: Sequence[int]) -> Held:
        """The same for some of the datasets."""
        return Held(*(tuple(v[i] for i in rows) for v in (self.mean, self.low, self.high)))

    def coverage(self, truth: tuple[float, ...]) -> float:
        """Share of intervals that hold the truth."""
        held = [a <= t <= b for a, t, b in zip(self.low, truth, self.high)]
        return sum(held) / len(truth)


@dataclass(frozen=True)
class AdaptReport:
    """What an adaptation measured on held-out samples of the user, whose true MI is known.

    ``truth``: of each held-out dataset in nats; ``kind``: whether it depends through "clusters" or
    "slices" of the samples; ``n``: its samples; ``before``, ``after``: the estimates of base and
    adapted weights; ``helped``: whether the adapted weights were returned, and ``why`` not;
    ``datasets``: that were learned from; ``steps``, ``seconds``: of all; ``flow_x``, ``flow_y``: of
    the flows, ``None`` for class labels.
    """

    truth: tuple[float, ...]
    kind: tuple[str, ...]
    n: tuple[int, ...]
    before: Held
    after: Held
    helped: bool
    why: str
    datasets: int
    steps: int
    seconds: float
    flow_x: FlowReport | None
    flow_y: FlowReport | None

    @property
    def error_before(self) -> float:
        """Mean absolute error of the base weights, nats."""
        return self.before.error(self.truth)

    @property
    def error_after(self) -> float:
        """Mean absolute error of the adapted weights, nats."""
        return self.after.error(self.truth)

    def errors(self, part: str | int) -> tuple[float, float]:
        """Mean absolute errors before and after on datasets of one kind or of ``n`` samples, nats.

        Raises:
            ValueError: if there are none.
        """
        rows = [i for i, known in enumerate(zip(self.kind, self.n)) if part in known]
        if not rows:
            raise ValueError(f"expected one of {self.parts}, got {part!r}")
        truth = tuple(self.truth[i] for i in rows)
        return self.before.part(rows).error(truth), self.after.part(rows).error(truth)

    @property
    def parts(self) -> tuple[str | int, ...]:
        """The kinds and the numbers of samples of the datasets."""
        return *dict.fromkeys(self.kind), *sorted(set(self.n))

    def __str__(self) -> str:
        lines = ["adapted weights" if self.helped else f"the base weights: {self.why}"]
        if self.truth:
            cover = [100 * v.coverage(self.truth) for v in (self.before, self.after)]
            each = (
                f"{part if isinstance(part, str) else f'n = {part:,}'}: {before:.3f}, {after:.3f}"
                for part in self.parts
                for before, after in (self.errors(part),)
            )
            lines.append(
                f"on {len(self.truth)} held-out datasets the mean absolute error is "
                f"{self.error_before:.3f} nats before and {self.error_after:.3f} after "
                f"({'; '.join(each)}), 90 % intervals cover {cover[0]:.0f} % and {cover[1]:.0f} %"
            )
        lines.append(f"{self.datasets} datasets were learned from, {self.seconds:.0f} s in all")
        for side, flow in (("x", self.flow_x), ("y", self.flow_y)):
            if flow is not None and flow.misfit:
                lines.append(f"the flow of {side} is left out: {flow.misfit}")
        return "; ".join(lines)

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Estimates with their intervals against the truth, before and after; needs matplotlib."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(8, 4), layout="constrained")
        panels = figure.subplots(1, 2, sharex=True, sharey=True)
        for axes, name, held in zip(panels, ("before", "after"), (self.before, self.after)):
            spread = [
                [max(0.0, m - v) for m, v in zip(held.mean, held.low)],
                [max(0.0, v - m) for m, v in zip(held.mean, held.high)],
            ]
            axes.errorbar(self.truth, held.mean, spread, fmt="o", markersize=4, alpha=0.7)
            top = 1.05 * max(0.1, *self.truth)
            axes.plot([0, top], [0, top], color="black", linewidth=0.8)
            axes.set(title=f"{name}: error {held.error(self.truth):.3f} nats")
            axes.set(xlabel="exact MI, nats", ylabel="estimate with 90 % interval, nats")
        figure.savefig(path, dpi=120)


def loss_or_no_gain(report: AdaptReport) -> str:
    """Why the adapted weights are not to be taken; empty where their error fell, and rose neither
    on one kind of dataset nor at one size."""
    if not report.truth:
        return "no datasets to judge by; give more time"
    if not report.error_after < _GAIN * report.error_before:
        return (
            f"no gain, the error on held-out datasets is {report.error_after:.3f} nats after and "
            f"{report.error_before:.3f} before"
        )
    for part in report.parts:
        before, after = report.errors(part)
        if not after < _LOSS * before:
            where = part if isinstance(part, str) else f"{part:,} samples"
            return f"the error rises from {before:.3f} to {after:.3f} nats on {where}"
    return ""
