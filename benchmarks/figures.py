"""Figures from the records of :mod:`benchmarks.run`; each returns what it shows as a sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from benchmarks.estimators import LEVELS

__all__ = ["FIGURES"]


def _save(figure: Figure, folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for kind in ("png", "svg"):
        figure.savefig(folder / f"{name}.{kind}", dpi=120)


def _lines(frame: pd.DataFrame, by: str, folder: Path, name: str, label: str, value: str) -> None:
    """Median absolute error of each estimator against one column, on logarithmic axes."""
    figure = Figure(figsize=(5.4, 3.8), layout="constrained")
    axes = figure.subplots()
    for estimator, part in frame.groupby("estimator"):
        line = part.groupby(by, observed=True)[value].median()
        axes.plot(
            line.index.astype(float), line.to_numpy(), marker="o", markersize=3, label=estimator
        )
    axes.set(xscale="log", yscale="log", xlabel=label, ylabel="median |error|, nats")
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    _save(figure, folder, name)


def _best(frame: pd.DataFrame) -> str:
    medians = frame.groupby("estimator")["absolute"].median().sort_values()
    return ", ".join(f"{name} {value:.3f}" for name, value in medians.items())


def error_by_n(frame: pd.DataFrame, folder: Path) -> str:
    """Error against the number of samples."""
    _lines(frame, "n", folder, "error_by_n", "samples n", "absolute")
    return f"Median absolute error over all data sets of M_test, nats: {_best(frame)}."


def error_by_d(frame: pd.DataFrame, folder: Path) -> str:
    """Error against the dimension."""
    _lines(frame, "dx", folder, "error_by_d", "columns on each side d", "absolute")
    large = frame[frame["dx"] >= 24]
    return f"With 24 columns and more the median absolute errors are, in nats: {_best(large)}."


def error_by_truth(frame: pd.DataFrame, folder: Path) -> str:
    """Bias against the true MI."""
    figure = Figure(figsize=(5.4, 3.8), layout="constrained")
    axes = figure.subplots()
    edges = [0, 0.1, 0.3, 1, 3, 10, 30, 1e9]
    place = pd.cut(frame["truth"], edges)
    notes = []
    for estimator, part in frame.groupby("estimator"):
        cells = part.groupby(place.loc[part.index], observed=True)
        axes.plot(
            cells["truth"].median(), cells["error"].median(), marker="o", markersize=3,
            label=str(estimator),
        )  # fmt: skip
        high = part.loc[part["truth"] > 3, "error"].median()
        notes.append(f"{estimator} {high:+.2f}")
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set(xscale="log", xlabel="true MI, nats", ylabel="median error, nats")
    axes.set_yscale("symlog", linthresh=0.1)
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    _save(figure, folder, "error_by_truth")
    return f"Median error where the truth exceeds 3 nats: {', '.join(notes)}."


def calibration(frame: pd.DataFrame, folder: Path) -> str:
    """Share of truths below each quantile."""
    names = [f"q{100 * level:g}" for level in LEVELS]
    frame = frame.dropna(subset=names)
    figure = Figure(figsize=(4.2, 3.9), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="black", linewidth=0.8)
    notes = []
    for estimator, part in frame.groupby("estimator"):
        below = [(part["truth"] <= part[name]).mean() for name in names]
        axes.plot(LEVELS, below, marker="o", markersize=3, label=str(estimator))
        held = ((part["truth"] >= part["q5"]) & (part["truth"] <= part["q95"])).mean()
        pinball = [
            np.maximum(q * (part["truth"] - part[n]), (q - 1) * (part["truth"] - part[n])).mean()
            for q, n in zip(LEVELS, names)
        ]
        crps = (
            2 * np.trapezoid(pinball, LEVELS)
            if hasattr(np, "trapezoid")
            else 2 * np.trapz(pinball, LEVELS)
        )
        notes.append(f"{estimator} {100 * held:.0f} % (CRPS {crps:.3f} nats)")
    axes.set(xlabel="quantile level", ylabel="share of truths below the quantile")
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    _save(figure, folder, "calibration")
    return f"Coverage of the 90 % intervals on M_test: {', '.join(notes)}."


def speed(frame: pd.DataFrame, folder: Path) -> str:
    """Seconds against N at five columns on each side, with the fitted exponent."""
    part = frame[frame["dx"] == 5]
    figure = Figure(figsize=(5.4, 3.8), layout="constrained")
    axes = figure.subplots()
    notes = []
    for estimator, rows in part.groupby("estimator"):
        line = rows.groupby("n")["seconds"].median() * 1e3
        axes.plot(line.index, line.to_numpy(), marker="o", markersize=3, label=str(estimator))
        tail = line[line.index >= 1000]
        exponent = np.polyfit(np.log(tail.index), np.log(tail), 1)[0] if len(tail) > 1 else np.nan
        notes.append(f"{estimator} N^{exponent:.2f}")
    axes.set(xscale="log", yscale="log", xlabel="samples n", ylabel="milliseconds per estimate")
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    _save(figure, folder, "speed")
    return f"Growth of the time from 1,000 samples on: {', '.join(notes)}."


FIGURES = {
    "error_by_n": ("m_test", error_by_n),
    "error_by_d": ("m_test", error_by_d),
    "error_by_truth": ("m_test", error_by_truth),
    "calibration": ("m_test", calibration),
    "speed": ("speed", speed),
}
"""Name to the suite that a figure reads and the function that draws it."""
