"""Estimates with their intervals against the exact information, as a panel of a figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["draw_intervals"]


def draw_intervals(
    axes: Any, truth: Sequence[float], mean: Sequence[float], low: Sequence[float],
    high: Sequence[float], label: str | None = None,
) -> None:  # fmt: skip
    """Draw estimates and their 90 % intervals, all in nats, and the line where they are exact.

    Args:
        axes: a panel of matplotlib.
        truth, mean, low, high: the exact information, estimates, and ends of intervals.
        label: of these estimates.
    """
    below = [max(0.0, m - v) for m, v in zip(mean, low)]
    above = [max(0.0, v - m) for m, v in zip(mean, high)]
    axes.errorbar(truth, mean, [below, above], fmt="o", markersize=4, alpha=0.8, label=label)
    axes.axline((0, 0), slope=1, color="black", linewidth=0.8)
    axes.set(xlabel="exact information, nats", ylabel="estimate with 90 % interval, nats")
