"""What an adaptation measured, whether that is a gain, and its picture."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch

from torchmist.adapt.flows import FlowReport
from torchmist.ensemble.held_out import HeldOut
from torchmist.figures.blank import blank_figure
from torchmist.figures.intervals import draw_intervals

__all__ = ["AdaptReport", "loss_or_no_gain"]

_GAIN, _LOSS = 0.2, 0.05  # of the error before: what is to be gained, and may be lost on a part
_SURE, _UNSURE = 1.64, 1.0  # standard errors that a gain must exceed, and that a loss may hide in


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
    before: HeldOut
    after: HeldOut
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
        return self.before.error(torch.tensor(self.truth))

    @property
    def error_after(self) -> float:
        """Mean absolute error of the adapted weights, nats."""
        return self.after.error(torch.tensor(self.truth))

    @property
    def parts(self) -> tuple[str | int, ...]:
        """The kinds and the numbers of samples of the datasets."""
        return *dict.fromkeys(self.kind), *sorted(set(self.n))

    def errors(self, part: str | int) -> tuple[float, float]:
        """Mean absolute errors before and after of datasets of one kind or of ``n`` samples, nats.

        Raises:
            ValueError: if there are none.
        """
        before, after, _ = self.compared(part)
        return before, after

    def compared(self, part: str | int | None = None) -> tuple[float, float, float]:
        """:meth:`errors`, those of all datasets without ``part``, and the standard error of their
        difference; both saw the same samples, so it is that of the differences in pairs."""
        rows = torch.tensor([part is None or part in known for known in zip(self.kind, self.n)])
        if not bool(rows.any()):
            raise ValueError(f"expected one of {self.parts}, got {part!r}")
        truth = torch.tensor(self.truth)
        before, after = (held.off(truth)[rows] for held in (self.before, self.after))
        error = float((after - before).std()) / len(before) ** 0.5
        return float(before.mean()), float(after.mean()), error

    def __str__(self) -> str:
        truth = torch.tensor(self.truth)
        cover = [100 * held.coverage(truth) for held in (self.before, self.after)]
        each = []
        for part in self.parts:
            before, after = self.errors(part)
            name = part if isinstance(part, str) else f"n = {part:,}"
            each.append(f"{name}: {before:.3f}, {after:.3f}")
        lines = [
            "adapted weights" if self.helped else f"the base weights: {self.why}",
            f"on {len(truth)} held-out datasets the mean absolute error is "
            f"{self.error_before:.3f} nats before and {self.error_after:.3f} after "
            f"({'; '.join(each)}), 90 % intervals cover {cover[0]:.0f} % and {cover[1]:.0f} %",
            f"{self.datasets} datasets were learned from, {self.seconds:.0f} s in all",
        ]
        for side, flow in (("x", self.flow_x), ("y", self.flow_y)):
            if flow is not None and flow.misfit:
                lines.append(f"the flow of {side} is left out: {flow.misfit}")
        return "; ".join(lines)

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Estimates with their intervals against the truth, before and after; needs matplotlib."""
        figure = blank_figure("a picture of a report", 8, 4)
        panels = figure.subplots(1, 2, sharex=True, sharey=True)
        for axes, name, held in zip(panels, ("before", "after"), (self.before, self.after)):
            draw_intervals(axes, self.truth, held.mean, held.low, held.high)
            axes.set_title(f"{name}: error {held.error(torch.tensor(self.truth)):.3f} nats")
        figure.savefig(path, dpi=120)


def loss_or_no_gain(report: AdaptReport) -> str:
    """Why the adapted weights are not to be taken; empty where they are.

    They are where the error fell by a fifth and more than chance explains (one-sided 95 %), and did
    not rise by more than 5 % on any kind or size of datasets, even one standard error higher. What
    is gained on held-out datasets has to be much, for a user's pairs depend in ways of their own.
    """
    for part in report.parts:
        before, after, error = report.compared(part)
        if not after - before + _UNSURE * error < _LOSS * before:
            where = part if isinstance(part, str) else f"{part:,} samples"
            return (
                f"the error on {where} may rise, it is {before:.3f} nats before and {after:.3f} "
                f"after, +/- {error:.3f}"
            )
    before, after, error = report.compared()
    if not before - after > max(_GAIN * before, _SURE * error):
        return (
            f"no sure gain, the error on held-out datasets is {before:.3f} nats before and "
            f"{after:.3f} after, +/- {error:.3f}"
        )
    return ""
