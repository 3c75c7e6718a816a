"""Figures from the records of the benchmarks; each returns what it shows as a sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from benchmarks.estimators import LEVELS
from benchmarks.tables import PUBLISHED_BMI40, coverage, only, quantiles

__all__ = ["FIGURES"]

_COLOURS = {
    "mist-v1": "#0b5fa5", "mist-paper-v1": "#35a0e0", "reference": "#e07b00", "KSG": "#2a9d4b",
    "CCA": "#808080", "MINE": "#c0392b", "InfoNCE": "#8e44ad", "NWJ": "#a0703c",
    "mist-duo-v9": "#d0a000", "mist-same-data": "#e573b5",
}  # fmt: skip


def _style(estimator: str) -> dict[str, Any]:
    """Colour and marker of an estimator in every figure."""
    colour = _COLOURS.get(estimator.removesuffix("-bootstrap"), "#00897b")
    dashed = "--" if estimator.endswith("-bootstrap") else "-"
    return {"color": colour, "linestyle": dashed, "marker": "o", "markersize": 3.5}


def _panels(count: int, width: float = 4.6) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(width * count + 1.5, 3.8), layout="constrained")
    return figure, list(np.ravel(figure.subplots(1, count)))


def _finish(figure: Figure, axes: list[Axes], folder: Path, name: str) -> None:
    """Grid, a legend beside the panels, and the files."""
    for each in axes:
        each.grid(alpha=0.3)
    lines = {label: line for each in axes for line, label in zip(*each.get_legend_handles_labels())}
    figure.legend(lines.values(), lines.keys(), loc="outside right upper", fontsize=8)
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / f"{name}.png", dpi=120)
    figure.savefig(folder / f"{name}.svg", metadata={"Date": None})


def _plain(axis_ticks: list[float], axes: Axes, which: str) -> None:
    """Ticks at given values, written as plain numbers, on a logarithmic axis."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_ticks(axis_ticks)
    axis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_minor_formatter(lambda *_: "")


def _whole(frame: pd.DataFrame) -> pd.DataFrame:
    """Successful records of the estimators that were run on every data set."""
    frame = only(frame, bootstrap=False)
    runs = frame.groupby("estimator").size()
    frame = frame[frame["estimator"].isin(runs[runs == runs.max()].index)]
    frame = frame[frame["success"] == 1]
    return frame.assign(absolute=frame["error"].abs(), part=frame["task"].str.split("/").str[0])


def _ranked(values: pd.Series) -> str:
    """Estimators and their numbers, best first."""
    return ", ".join(f"{name} {value:.3g}" for name, value in values.sort_values().items())


def error_by_n(frame: pd.DataFrame, folder: Path) -> str:
    """Error against the number of samples, in and out of the meta-distribution."""
    frame = _whole(frame)
    figure, axes = _panels(2)
    for each, (suite, part) in zip(axes, frame.groupby("part")):
        for name, rows in part.groupby("estimator"):
            line = rows.groupby("n")["absolute"].median()
            each.plot(line.index, line, label=name, **_style(name))
        each.set(xscale="log", yscale="log", xlabel="samples n", ylabel="median |error|, nats",
                 title=suite)  # fmt: skip
        _plain([10, 30, 100, 300, 500], each, "x")
    _finish(figure, axes, folder, "error_by_n")
    few = frame[frame["n"] < 100].groupby("estimator")["absolute"].median()
    many = frame[frame["n"] >= 300].groupby("estimator")["absolute"].median()
    return (
        f"Median absolute error in nats over M_test with n < 100: {_ranked(few)}; with n of 300 "
        f"to 500: {_ranked(many)}."
    )


def error_by_d(frame: pd.DataFrame, folder: Path) -> str:
    """Error against the dimension, for few and for many samples."""
    frame = _whole(frame)
    bins = pd.cut(frame["dx"], [1, 3, 6, 10, 15, 20, 26, 32])
    figure, axes = _panels(2)
    few = frame["n"] < 150
    for each, (title, here) in zip(axes, (("n below 150", few), ("n of 150 to 500", ~few))):
        for name, rows in frame[here].groupby("estimator"):
            cells = rows.groupby(bins.loc[rows.index], observed=True)
            squares = (rows["error"] ** 2).groupby(bins.loc[rows.index], observed=True)
            each.plot(cells["dx"].mean(), squares.mean(), label=name, **_style(name))
        each.set(xscale="log", yscale="log", xlabel="columns on each side d",
                 ylabel="mean squared error, nats²", title=title)  # fmt: skip
        _plain([2, 4, 8, 16, 32], each, "x")
    _finish(figure, axes, folder, "error_by_d")
    large = frame[(frame["dx"] >= 16) & few]
    squares = (large["error"] ** 2).groupby(large["estimator"]).mean()
    against = (
        f"; that of KSG over that of {squares.idxmin()} is {squares['KSG'] / squares.min():.0f}"
    )
    return (
        f"Mean squared error in nats² with 16 columns and more and n < 150: {_ranked(squares)}"
        f"{against if 'KSG' in squares else ''}."
    )


def error_by_truth(frame: pd.DataFrame, folder: Path) -> str:
    """Bias against the true MI."""
    frame = _whole(frame)
    place = pd.cut(frame["truth"], [0, 0.1, 0.3, 1, 3, 10, 30, 1e9])
    figure, axes = _panels(1, 5.6)
    for name, rows in frame.groupby("estimator"):
        cells = rows.groupby(place.loc[rows.index], observed=True)
        axes[0].plot(cells["truth"].median(), cells["error"].median(), label=name, **_style(name))
    axes[0].axhline(0, color="black", linewidth=0.8)
    axes[0].set(xscale="log", xlabel="true MI, nats", ylabel="median error, nats")
    axes[0].set_yscale("symlog", linthresh=0.1)
    _plain([0.03, 0.1, 0.3, 1, 3, 10, 30], axes[0], "x")
    _plain([-30, -10, -3, -1, -0.3, -0.1, 0, 0.1, 0.3, 1], axes[0], "y")
    _finish(figure, axes, folder, "error_by_truth")
    high = frame[frame["truth"] > 3].groupby("estimator")["error"].median()
    text = ", ".join(f"{name} {value:+.2f}" for name, value in high.items())
    return f"Median error in nats where the truth exceeds 3 nats: {text}."


def reliability(frame: pd.DataFrame, folder: Path) -> str:
    """Share of truths below each quantile."""
    frame = quantiles(frame[frame["success"] == 1])
    frame = frame.assign(part=frame["task"].str.split("/").str[0])
    figure, axes = _panels(2, 4.2)
    for each, (suite, part) in zip(axes, frame.groupby("part")):
        each.plot([0, 1], [0, 1], color="black", linewidth=0.8)
        for name, rows in part.groupby("estimator"):
            below = [(rows["truth"] <= rows[f"q{100 * q:g}"]).mean() for q in LEVELS]
            each.plot(LEVELS, below, label=name, **_style(name))
        each.set(xlabel="quantile level", ylabel="share of truths below", title=suite)
        each.set_aspect("equal")
    _finish(figure, axes, folder, "reliability")
    gaps = coverage(frame).filter(like="mean gap")
    text = "; ".join(
        f"{n} {' and '.join(f'{g:.1f}' for g in row)}" for n, *row in gaps.itertuples()
    )
    return (
        "On the diagonal the quantiles are calibrated. Mean distance of the coverage of central "
        f"intervals from their levels, in points, IMD and OoMD: {text}."
    )


def bmi40_by_n(frame: pd.DataFrame, folder: Path) -> str:
    """Mean absolute error on BMI-40 against n, with published numbers as hollow markers."""
    top = 2.0
    frame = only(frame[frame["success"] == 1], bootstrap=False)
    frame = frame.assign(absolute=frame["error"].abs())
    figure, axes = _panels(1, 5.6)
    tasks = frame.groupby(["estimator", "n"])["task"].nunique()
    lines = frame.groupby(["estimator", "n", "task"])["absolute"].mean()
    means = lines.groupby(["estimator", "n"]).mean()[tasks == frame["task"].nunique()]
    known = frame[frame["q50"].notna()]
    known = known.assign(absolute=(known["q50"] - known["truth"]).abs())
    medians = known.groupby(["estimator", "n", "task"])["absolute"].mean()
    medians = medians.groupby(["estimator", "n"]).mean()[tasks == frame["task"].nunique()]
    above = []
    for name, line in means.groupby("estimator"):
        line = line.droplevel("estimator")
        if line.min() > top:
            above.append(str(name))
            continue
        axes[0].plot(line.index, line, label=name, **_style(name))
        if name in medians.index:
            style = {**_style(name), "linestyle": ":"}
            axes[0].plot(medians[name].index, medians[name], label=f"{name}, median", **style)
    for marker, (name, points) in zip("sDv^<>Ph", PUBLISHED_BMI40.items()):
        axes[0].plot(list(points), list(points.values()), marker, mfc="none", mec="#444444",
                     markersize=5, label=name.split(",")[0].removesuffix(" (published)")
                     + " (published)")  # fmt: skip
    axes[0].set(xscale="log", yscale="log", xlabel="samples n", ylabel="mean |error|, nats")
    axes[0].set_ylim(0.02, top)
    _plain([64, 128, 256, 512, 1000, 5000, 10_000], axes[0], "x")
    _plain([0.05, 0.1, 0.2, 0.5, 1, 2], axes[0], "y")
    _finish(figure, axes, folder, "bmi40_by_n")
    sizes = sorted(frame["n"].unique())
    size = 256 if 256 in sizes else sizes[0]
    at = means[means.index.get_level_values("n") == size].droplevel("n")
    return (
        f"Mean absolute error in nats over the 40 tasks at n = {size}: {_ranked(at)}. Nothing is "
        "published below 1,000 samples."
        + (f" Above the picture: {', '.join(above)}." if above else "")
    )


def dimensions(frame: pd.DataFrame, folder: Path) -> str:
    """Small networks trained on one dimension against one trained on all."""
    figure, axes = _panels(1, 5.6)
    mean = frame.groupby(["trained", "d"])["mse"].mean().unstack("trained")
    mixes = [c for c in mean if "-" in c]
    singles = sorted((c for c in mean if "-" not in c), key=int)
    for shade, name in zip(np.linspace(0.75, 0.2, len(singles)), singles):
        axes[0].plot(mean.index, mean[name], color=str(shade), marker="o", markersize=3,
                     linewidth=1, label=f"trained on d = {name}")  # fmt: skip
    for name in mixes:
        axes[0].plot(mean.index, mean[name], color="#0b5fa5", marker="o",
                     label=f"trained on d of {name}")  # fmt: skip
    axes[0].set(xscale="log", yscale="log", xlabel="columns on each side d of the test data",
                ylabel="mean squared error, nats²")  # fmt: skip
    _plain([float(d) for d in mean.index], axes[0], "x")
    _finish(figure, axes, folder, "dimensions")
    own = {d: mean.loc[d, str(d)] / mean.loc[d, mixes[0]] for d in mean.index if str(d) in singles}
    text = ", ".join(f"{ratio:.2f} at d = {d}" for d, ratio in own.items())
    return (
        "MSE of a network trained on that dimension alone over that of one trained on all, after "
        f"the same number of steps: {text} (above 1: the mix is better)."
    )


def digits(frame: pd.DataFrame, folder: Path) -> str:
    """Rules that mutual information obeys, on real images."""
    figure, axes = _panels(3, 4.4)
    seen = frame[frame["rule"] == "visible"].assign(rows=lambda f: f["case"].astype(int))
    line = seen.groupby(["estimator", "rows"])["estimate"].mean().unstack("estimator")
    for name in line:
        axes[0].plot(line.index, line[name], label=name, **_style(str(name)))
    axes[0].set(xlabel="visible rows of the second view", ylabel="estimate, nats")
    processed = frame[frame["rule"] == "processed"]
    wide = processed.groupby(["estimator", "case"], sort=False)["estimate"].mean().unstack("case")
    share = wide.div(wide["as it is"], axis=0).drop(columns="as it is")
    for offset, (name, row) in enumerate(share.iterrows()):
        places = np.arange(len(row)) + 0.16 * (offset - (len(share) - 1) / 2)
        style = {**_style(str(name)), "linestyle": ""}
        axes[1].plot(row, places, **style)
    axes[1].axvline(1, color="black", linewidth=0.8)
    axes[1].set_yticks(range(share.shape[1]), [c.replace(" ", "\n", 1) for c in share.columns])
    axes[1].set(xlabel="I(f(X);Y) / I(X;Y), at most 1", xlim=(0, None))
    added = frame[frame["rule"] == "added"].pivot_table("estimate", ["estimator", "seed"], "case")
    ratio = 2 * added["both"] / (added["first"] + added["second"])
    mean, low, high = (getattr(ratio.groupby("estimator"), how)() for how in ("mean", "min", "max"))
    for place, name in enumerate(mean.index):
        style = {**_style(str(name)), "linestyle": ""}
        spread = [[mean[name] - low[name]], [high[name] - mean[name]]]
        axes[2].errorbar(mean[name], place, xerr=spread, capsize=3, **style)
    axes[2].axvline(2, color="black", linewidth=0.8)
    axes[2].set_yticks(range(len(mean)), list(mean.index))
    axes[2].set(xlabel="two independent digits over one, 2 is right")
    _finish(figure, axes, folder, "digits")
    steps = line.diff().iloc[1:]
    falls = ", ".join(f"{name} {int((steps[name] < 0).sum())} of {len(steps)}" for name in steps)
    over = ", ".join(f"{name} {value:.2f}" for name, value in share.max(1).items())
    twice = ", ".join(f"{name} {value:.2f}" for name, value in mean.items())
    return (
        f"Steps at which more pixels lower the mean estimate: {falls}. Largest I(f(X);Y) / I(X;Y): "
        f"{over}. Information of two digits over that of one: {twice}."
    )


def speed(frame: pd.DataFrame, folder: Path) -> str:
    """Milliseconds per estimate against N and against D, with fitted exponents."""
    frame = frame[frame["success"] == 1]
    figure, axes = _panels(2)
    notes: dict[str, list[str]] = {}
    plans = (
        ("n", frame[frame["dx"] == 5], 1000, [64, 256, 1000, 4000, 20_000],
         "samples n (5 columns on each side)", "N"),
        ("dx", frame[frame["n"] == 1000], 8, [2, 4, 8, 16, 32, 64],
         "columns on each side d (1,000 samples)", "D"),
    )  # fmt: skip
    for each, (by, part, start, ticks, label, letter) in zip(axes, plans):
        for name, rows in part.groupby("estimator"):
            line = 1e3 * rows.groupby(by)["seconds"].median()
            each.plot(line.index, line, label=name, **_style(name))
            tail = line[line.index >= start]
            if len(tail) > 1:
                power = np.polyfit(np.log(tail.index), np.log(tail), 1)[0]
                notes.setdefault(name, []).append(f"{letter}^{power:.2f}")
        each.set(xscale="log", yscale="log", xlabel=label, ylabel="milliseconds per estimate")
        _plain([float(t) for t in ticks], each, "x")
        each.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        each.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        each.yaxis.set_minor_formatter(lambda *_: "")
    _finish(figure, axes, folder, "speed")
    text = "; ".join(f"{name} {' and '.join(powers)}" for name, powers in notes.items())
    return f"Growth of the time, fitted from n = 1,000 and from d = 8 on: {text}."


Draw = Callable[[pd.DataFrame, Path], str]
FIGURES: dict[str, tuple[str, str, Draw]] = {
    "error_by_n": ("Error against the number of samples", "m_test", error_by_n),
    "error_by_d": ("Error against the dimension", "m_test", error_by_d),
    "error_by_truth": ("Bias against the true mutual information", "m_test", error_by_truth),
    "reliability": ("Calibration of the quantiles", "m_test", reliability),
    "bmi40_by_n": ("BMI-40 against the number of samples", "bmi40", bmi40_by_n),
    "dimensions": ("Training on one dimension and on many", "dimensions", dimensions),
    "digits": ("Self-consistency on scikit-learn digits", "digits", digits),
    "speed": ("Time of an estimate", "speed", speed),
}
"""Name to title, the records that it reads, and the function that draws it."""
