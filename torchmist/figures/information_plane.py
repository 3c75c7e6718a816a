"""The picture of an information plane; needs matplotlib."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from torchmist.figures.blank import blank_figure

if TYPE_CHECKING:
    from torchmist.planes import PlaneRecord

__all__ = ["plane_figure"]


def plane_figure(
    records: Sequence[PlaneRecord],
    layers: Sequence[str],
    choice: str,
    path: str | os.PathLike[str] | None = None,
) -> Any:
    """I(T;Y) over I(X;T) in nats, one path a layer; ``choice`` names the noise or the bins.

    Raises:
        ValueError: for no records.
        ImportError: without matplotlib.
    """
    if not records:
        raise ValueError("expected records to draw, got none; call measure first")
    figure = blank_figure("an information plane", 5.6, 4.2)
    axes = figure.subplots()
    for k, name in enumerate(layers):
        own = [r for r in records if r.layer == name]
        x, y = [r.input for r in own], [r.target for r in own]
        color = f"C{k % 10}"
        axes.plot(x, y, color=color, lw=0.8, alpha=0.6, label=name)
        for a, b, shade in zip(x, y, np.linspace(0.25, 1, len(own))):
            axes.plot([a], [b], "o", color=color, ms=5, alpha=float(shade))
        last = own[-1]
        across = _bar(last.input, last.input_low, last.input_high)
        up = _bar(last.target, last.target_low, last.target_high)
        axes.errorbar(x[-1], y[-1], xerr=across, yerr=up, color=color, capsize=2, lw=1)
        axes.annotate(f"{last.epoch:g}", (x[-1], y[-1]), xytext=(4, 4), textcoords="offset points",
                      fontsize=8)  # fmt: skip
    axes.set(xlabel=f"I(X;T), nats ({choice})", ylabel="I(T;Y), nats")
    axes.legend(title="layer", fontsize=8)
    if path is not None:
        figure.savefig(path, dpi=130)
    return figure


def _bar(value: float, low: float, high: float) -> list[list[float]]:
    """Lengths of an error bar below and above; none above where the interval is open."""
    above = high - value if np.isfinite(high) else 0.0
    return [[max(0.0, value - low)], [max(0.0, above)]]
