"""Tables and trade-off pictures of the loops, from their record."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.loops.registry import LOOPS, Loop
from benchmarks.loops.score import OURS, Cell, cells, table_of, verdict
from benchmarks.pages import has_table, markdown, write_table

__all__ = ["draw", "gap_table", "loop_table", "verdict_table", "write"]

_COLOURS = {
    "none": "#444444", "plain": "#35a0e0", "auto": "#5c6bc0", "lift": "#0b5fa5",
    "goal": "#00126b", "CLUB": "#e07b00", "MINE": "#c0392b", "InfoNCE": "#8e44ad",
    "HSIC": "#2a9d4b", "dCor": "#8bc34a", "reversal": "#a0703c", "VIB": "#d81b60",
    "mixture": "#00897b", "VICReg": "#d4a017", "Barlow": "#ff7043",
}  # fmt: skip
_DOCS = Path(__file__).parent.parent.parent / "docs" / "loops.md"


def _text(value: float, digits: int = 2) -> str:
    return "-" if not math.isfinite(value) else f"{value:.{digits}f}"


def loop_table(loop: Loop, found: dict[str, Cell]) -> str:
    """The methods of a loop, best first; the best score and what ties with it in bold."""
    rows = []
    for cell in sorted(found.values(), key=lambda c: -c.score):
        score = f"{_text(cell.score, 3)} ± {_text(cell.spread, 3)}"
        if verdict(found, cell.method).tied:
            score = f"**{score}**"
        gap = sum(cell.gaps) / len(cell.gaps)
        beyond = f"{gap:+.2f}" if math.isfinite(gap) else "-"
        rows.append([
            cell.method, score, _text(cell.task, 3), _text(cell.held, 3), _text(cell.own), beyond,
            f"{cell.setting:g}", f"{cell.steps:.0f}", f"{cell.seconds:.1f}", str(cell.seeds),
        ])  # fmt: skip
    head = [
        "method", "score", f"task ({loop.units[0]})", f"held ({loop.units[1]})", "own value",
        "judge less own", "setting", "steps", "seconds", "seeds",
    ]  # fmt: skip
    return markdown(head, rows)


def verdict_table(frame: pd.DataFrame, budget: str) -> str:
    """A line a loop: what leads, and how each method of this library stands."""
    rows = []
    count = {name: [0, 0, 0] for name in OURS}
    for name in LOOPS:
        found = cells(frame, name, budget)
        rivals = {k: c for k, c in found.items() if k not in OURS}
        if not rivals:
            continue
        best = max(rivals.values(), key=lambda c: c.score)
        row = [name, f"{best.method} {_text(best.score)}"]
        row.append(_text(found["none"].score) if "none" in found else "-")
        for ours in OURS:
            if ours not in found:
                row.append("-")
                continue
            v = verdict({**rivals, ours: found[ours]}, ours)
            word = "best" if v.behind <= 0 else "tied" if v.tied else f"behind by {v.behind:.2f}"
            word += "" if v.above_none is not False else ", below none"
            row.append(f"{_text(found[ours].score)} ({word})")
            count[ours][0] += v.tied
            count[ours][1] += v.above_none is False
            count[ours][2] += 1
        rows.append(row)
    last = ["best or tied; below none", "", ""]
    last += [
        f"{tied} of {of}; {below}" if of else "-" for tied, below, of in (count[o] for o in OURS)
    ]
    return markdown(["loop", "best rival", "none", *OURS], [*rows, last])


def gap_table(frame: pd.DataFrame, budget: str) -> str:
    """What judges found beyond each method's own value: the mean, and the runs above .1 nats.

    Loops that maximise count the runs in which both are apart by more than .3 nats.
    """
    names = ("plain", "auto", "lift", "goal", "CLUB", "MINE", "InfoNCE")
    rows = []
    for name, loop in LOOPS.items():
        found = cells(frame, name, budget)
        row = [name]
        for method in names:
            gaps = found[method].gaps if method in found else ()
            if not gaps or not all(map(math.isfinite, gaps)):
                row.append("-")
                continue
            joined = loop.direction == "join"
            beyond = sum(abs(g) > 0.3 if joined else g > 0.1 for g in gaps)
            row.append(f"{sum(gaps) / len(gaps):+.2f} ({beyond} of {len(gaps)})")
        if any(cell != "-" for cell in row[1:]):
            rows.append(row)
    return markdown(["loop", *names], rows)


def _budgets(frame: pd.DataFrame) -> list[str]:
    """Equal steps first, then seconds."""
    return sorted(frame["budget"].unique(), key=lambda b: (b != "steps", b))


def draw(frame: pd.DataFrame, loop: Loop, path: Path) -> None:
    """What a loop wants against what it should not hold, every setting and seed at equal steps.

    Small markers are single runs, large ones the means over the seeds that are reported.
    """
    here = frame[(frame["loop"] == loop.name) & (frame["budget"] == "steps")]
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes: Axes = figure.subplots()
    found = cells(frame, loop.name, "steps")
    for method, part in here.groupby("method", sort=False):
        colour = _COLOURS.get(str(method), "#999999")
        axes.scatter(part["held"], part["task"], s=12, color=colour, alpha=0.45, linewidths=0)
        if str(method) in found:
            cell = found[str(method)]
            marker = "D" if method in OURS else "o"
            axes.scatter(cell.held, cell.task, s=60, color=colour, marker=marker, label=str(method))
    axes.set(xlabel=f"held: {loop.units[1]}", ylabel=f"task: {loop.units[0]}", title=loop.title)
    axes.title.set_fontsize(9)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def write(rows: list[dict[str, str]], out: Path) -> None:
    """``tables/loops.md``, the pictures, and the tables of ``docs/loops.md`` that have marks."""
    if not rows:
        return
    frame = table_of(rows)
    parts = ["# Loops\n\nMade by `python -m benchmarks.loops --report`; see docs/loops.md.\n"]
    named: dict[str, str] = {}
    for budget in _budgets(frame):
        word = "equal steps" if budget == "steps" else f"equal seconds ({budget})"
        table = verdict_table(frame, budget)
        named["loops_steps" if budget == "steps" else "loops_seconds"] = table
        parts.append(f"## Verdicts at {word}\n\n{table}\n")
        if budget == "steps":
            named["loops_gaps"] = gap_table(frame, budget)
            parts.append(f"## Judges less own values at equal steps\n\n{named['loops_gaps']}\n")
        print(f"{word}\n{table}")
    for name, loop in LOOPS.items():
        for budget in _budgets(frame):
            found = cells(frame, name, budget)
            if found:
                table = loop_table(loop, found)
                if budget == "steps":
                    named[f"loops_{name}"] = table
                word = "equal steps" if budget == "steps" else budget
                parts.append(f"## {name}: {loop.title}, {word}\n\n{table}\n")
        if (frame["loop"] == name).any():
            draw(frame, loop, out / "figures" / f"loops-{name}.png")
    page = out / "tables" / "loops.md"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("\n".join(parts))
    if out == Path(__file__).parent.parent and _DOCS.is_file():
        for key, table in named.items():
            if has_table(_DOCS, key):
                write_table(_DOCS, key, table)
