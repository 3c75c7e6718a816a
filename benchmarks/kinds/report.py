"""Cells, lines, the table and the picture of the kinds, from their records.

Evaluation only. Legend: a cell is one kind at one size, over all seeds; errors in nats.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmarks.kinds.baselines import BASELINES
from benchmarks.kinds.registry import KINDS
from benchmarks.kinds.run import Appended
from benchmarks.pages import markdown

__all__ = ["Cell", "cells", "draw", "line", "summary", "table"]

SILENT = 0.1
"""How far outside of the interval, in nats, a truth without a warning is a silent failure."""

Row = dict[str, str]


@dataclass(frozen=True)
class Cell:
    """One kind at one size: means over ``seeds`` draws, in nats; ``silent`` is a number of draws.

    ``baselines``: mean absolute errors by name, nan where one does not apply.
    """

    kind: str
    n: int
    seeds: int
    truth: float
    bias: float
    error: float
    cover: float
    silent: int
    baselines: dict[str, float]

    @property
    def best(self) -> float:
        """The error of plug-in tables where they apply, else of the neighbours."""
        plug_in = self.baselines["plug-in"]
        return self.baselines["neighbours"] if math.isnan(plug_in) else plug_in

    @property
    def behind(self) -> bool:
        """Behind :attr:`best` by more than 10 % and 0.03 nats, or without an estimate."""
        return math.isnan(self.error) or self.error > max(1.1 * self.best, self.best + 0.03)

    @property
    def shown(self) -> bool:
        """Whether a sample of this size can show the kind."""
        return KINDS[self.kind].shown(self.n)


def _mean(values: Iterable[float]) -> float:
    known = [v for v in values if not math.isnan(v)]
    return sum(known) / len(known) if known else math.nan


def _is_silent(row: Row) -> bool:
    truth, low, high = (float(row[c]) for c in ("truth", "low", "high"))
    inside = low - SILENT <= truth <= high + SILENT  # False without an estimate
    return not inside and int(row["warnings"]) == 0


def _cell(kind: str, n: int, ours: list[Row], theirs: list[Row]) -> Cell:
    errors = [float(r["estimate"]) - float(r["truth"]) for r in ours]
    off = {
        name: _mean(
            abs(float(r["estimate"]) - float(r["truth"])) for r in theirs if r["baseline"] == name
        )
        for name in BASELINES
    }
    inside = [float(r["low"]) <= float(r["truth"]) <= float(r["high"]) for r in ours]
    return Cell(
        kind, n, len(ours), _mean(float(r["truth"]) for r in ours), _mean(errors),
        _mean(map(abs, errors)), sum(inside) / len(inside), sum(map(_is_silent, ours)), off,
    )  # fmt: skip


def cells(ours: Appended, theirs: Appended, version: str) -> list[Cell]:
    """The cells that are recorded for the weights of ``version``, in the order of the registry."""
    groups: dict[tuple[str, int], tuple[list[Row], list[Row]]] = {}
    for row in ours:
        if row["version"] == version and row["kind"] in KINDS:
            groups.setdefault((row["kind"], int(row["n"])), ([], []))[0].append(row)
    for row in theirs:
        if (key := (row["kind"], int(row["n"]))) in groups:
            groups[key][1].append(row)
    order = {name: place for place, name in enumerate(KINDS)}
    found = sorted(groups.items(), key=lambda g: (order[g[0][0]], g[0][1]))
    return [_cell(kind, n, *rows) for (kind, n), rows in found]


def line(cell: Cell) -> str:
    """One cell as a line of text."""
    off = "  ".join(f"{name} {value:5.3f}" for name, value in cell.baselines.items())
    return (
        f"{cell.kind:42s} n={cell.n:5d}  truth {cell.truth:6.3f}  bias {cell.bias:+7.3f}  "
        f"|error| {cell.error:6.3f}  ({off})  cover {cell.cover:4.2f}  "
        f"silent {cell.silent}/{cell.seeds}"
    )


def _line_of(name: str, part: Sequence[Cell]) -> tuple[str, ...]:
    draws = sum(c.seeds for c in part)
    return (
        name, str(len(part)), f"{_mean(c.error for c in part):.3f}",
        f"{_mean(c.best for c in part):.3f}",
        f"{100 * sum(c.behind for c in part) / len(part):.0f} %",
        f"{sum(c.cover * c.seeds for c in part) / draws:.2f}",
        f"{100 * sum(c.silent for c in part) / draws:.1f} %",
    )  # fmt: skip


SUMMARY = (
    "cells", "number", "mean error", "best neighbour baseline", "behind it", "coverage of 90 %",
    "silent failures",
)  # fmt: skip


def summary(found: Sequence[Cell]) -> list[tuple[str, ...]]:
    """Lines under :data:`SUMMARY`: what a sample can show, by size too, and what it cannot."""
    shown = [c for c in found if c.shown]
    parts = {"a sample can show": shown}
    for n in sorted({c.n for c in shown}):
        parts[f"of these, n = {n:,}"] = [c for c in shown if c.n == n]
    parts["beyond the sample"] = [c for c in found if not c.shown]
    parts["all"] = list(found)
    return [_line_of(name, part) for name, part in parts.items() if part]


def table(found: Sequence[Cell], model: str) -> str:
    """The page of tables: the summary, and a row for each cell by theme; Markdown."""
    text = (
        f"Kinds of data with known mutual information, `{model}`; made by `python -m "
        "benchmarks.kinds`, for evaluation only. Errors are means of absolute errors over the "
        "seeds, in nats. Behind: by more than 10 % and 0.03 nats. A silent failure: the truth is "
        "more than 0.1 nats outside of the 90 % interval and there is no warning. *: beyond "
        "what a sample of this size can show.\n\n"
    )
    text += markdown(list(SUMMARY), [list(row) for row in summary(found)])
    head = ["kind", "n", "truth", "bias", "error", *BASELINES, "coverage", "silent"]
    for theme in dict.fromkeys(KINDS[c.kind].theme for c in found):
        rows = [
            [
                c.kind + ("" if c.shown else " *"), f"{c.n:,}", f"{c.truth:.3f}", f"{c.bias:+.3f}",
                f"{c.error:.3f}",
                *("" if math.isnan(v) else f"{v:.3f}" for v in c.baselines.values()),
                f"{c.cover:.2f}", f"{c.silent} of {c.seeds}",
            ]
            for c in found
            if KINDS[c.kind].theme == theme
        ]  # fmt: skip
        text += f"\n## {theme.capitalize()}\n\n" + markdown(head, rows)
    return text


def draw(found: Sequence[Cell], model: str, path: Path) -> None:
    """Error, beside the best neighbour baseline, and coverage of each kind and size; a PNG."""
    names = list(dict.fromkeys(c.kind for c in found))
    sizes = sorted({c.n for c in found})
    figure = Figure(figsize=(11, 1.6 + 0.24 * len(names)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[3, 2])
    shades = [str(s) for s in np.linspace(0.6, 0.0, len(sizes))]
    for place, n in enumerate(sizes):
        offset = 0.5 * ((place + 0.5) / len(sizes) - 0.5)
        part = [c for c in found if c.n == n]
        rows = np.array([names.index(c.kind) + offset for c in part])
        best = np.array([c.best for c in part]).clip(1e-3)
        error = np.array([c.error for c in part]).clip(1e-3)
        left.scatter(best, rows, s=16, marker="|", color="#2a9d4b")
        colours = ["#c0392b" if c.behind else "#0b5fa5" for c in part]
        left.scatter(error, rows, s=6 + 8 * place, color=colours, alpha=0.8)
        right.scatter([c.cover for c in part], rows, s=14, color=shades[place], label=f"n = {n:,}")
    left.set(xscale="log", xlabel="mean |error|, nats", title=model)
    left.set_yticks(range(len(names)), names, fontsize=7)
    left.set_ylim(len(names) - 0.3, -0.7)
    right.axvline(0.9, color="#808080", linewidth=0.8)
    right.set(xlabel="coverage of 90 % intervals", xlim=(-0.05, 1.05))
    marks = [
        Line2D([], [], linestyle="", marker=m, color=c, label=text)
        for m, c, text in (
            ("o", "#0b5fa5", "ours, larger n larger"), ("o", "#c0392b", "ours, behind"),
            ("|", "#2a9d4b", "neighbours or tables"),
        )
    ]  # fmt: skip
    figure.legend(handles=marks, loc="outside lower left", fontsize=8, ncols=3)
    figure.legend(
        *right.get_legend_handles_labels(), loc="outside lower right", fontsize=8, ncols=4
    )
    for each in (left, right):
        each.grid(alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
