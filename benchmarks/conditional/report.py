"""Cells and tables of the laws, from their records.

Evaluation only. Legend: a cell is one law at one size, over all seeds; errors in nats.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.conditional.decompositions import DECOMPOSITIONS
from benchmarks.conditional.registry import LAWS, THEMES
from benchmarks.conditional.run import DIRECT, RIVAL, TERM
from benchmarks.kinds.report import SILENT
from benchmarks.pages import markdown
from benchmarks.records import Records

__all__ = ["Cell", "cells", "line", "tables"]

Row = dict[str, str]
Key = tuple[str, int, int]


def _number(row: Row, column: str) -> float:
    return float(row[column])


def _mean(values: Iterable[float]) -> float:
    known = [v for v in values if not math.isnan(v)]
    return sum(known) / len(known) if known else math.nan


@dataclass(frozen=True)
class Cell:
    """One law at one size: the rows of each method, of all seeds."""

    law: str
    n: int
    rows: dict[str, list[Row]]

    @property
    def truth(self) -> float:
        return _mean(_number(row, "truth") for row in self.rows[DIRECT])

    def mean(self, method: str, column: str = "estimate") -> float:
        """Over the seeds; nan without any."""
        return _mean(_number(row, column) for row in self.rows.get(method, []))

    def error(self, method: str) -> float:
        """The mean absolute error over the seeds."""
        rows = self.rows.get(method, [])
        return _mean(abs(_number(row, "estimate") - _number(row, "truth")) for row in rows)

    @property
    def covered(self) -> int:
        """How many of the 90 % intervals hold the truth."""
        return sum(
            _number(r, "low") <= _number(r, "truth") <= _number(r, "high")
            for r in self.rows[DIRECT]
        )

    @property
    def silent(self) -> int:
        """How many truths lie 0.1 nats outside of the interval without a warning."""
        return sum(
            not _number(r, "low") - SILENT <= _number(r, "truth") <= _number(r, "high") + SILENT
            and int(r["warnings"]) == 0
            for r in self.rows[DIRECT]
        )

    @property
    def behind(self) -> bool:
        """Behind the neighbours by more than 10 % and 0.03 nats."""
        theirs = self.error(RIVAL)
        return self.error(DIRECT) > max(1.1 * theirs, theirs + 0.03)

    @property
    def ahead(self) -> bool:
        """Ahead of the neighbours by as much."""
        ours = self.error(DIRECT)
        return self.error(RIVAL) > max(1.1 * ours, ours + 0.03)


def cells(records: Records, model: str, term: str) -> list[Cell]:
    """The cells recorded for these weights, in the order of the registry."""
    of = {RIVAL: "", TERM: term}
    found: dict[tuple[str, int], dict[str, list[Row]]] = {}
    for row in records:
        if row["case"] in LAWS and row["weights"] == of.get(row["method"], model):
            cell = found.setdefault((row["case"], int(row["n"])), {})
            cell.setdefault(row["method"], []).append(row)
    order = {name: place for place, name in enumerate(LAWS)}
    whole = [Cell(*key, rows) for key, rows in found.items() if DIRECT in rows]
    return sorted(whole, key=lambda cell: (order[cell.law], cell.n))


def line(cell: Cell) -> str:
    """One cell as a line of text."""
    return (
        f"{cell.law:40s} n={cell.n:5d}  truth {cell.truth:6.3f}  "
        f"estimate {cell.mean(DIRECT):6.3f}  "
        f"({cell.mean(DIRECT, 'low'):.3f} to {cell.mean(DIRECT, 'high'):.3f}, "
        f"covered {cell.covered} of {len(cell.rows[DIRECT])})  "
        f"term {cell.mean(TERM):6.3f}  neighbours {cell.mean(RIVAL):6.3f}  "
        f"errors {cell.error(DIRECT):.3f}, {cell.error(RIVAL):.3f}"
    )


def _summary(found: Sequence[Cell]) -> str:
    """By what is given and by size."""
    parts: dict[str, list[Cell]] = {
        theme: [c for c in found if LAWS[c.law].theme == theme] for theme in THEMES
    }
    parts["truth 0"] = [c for c in found if c.truth == 0]
    for n in sorted({c.n for c in found}):
        parts[f"n = {n:,}"] = [c for c in found if c.n == n]
    parts["**all**"] = list(found)
    rows = []
    for name, part in parts.items():
        if not part:
            continue
        draws = sum(len(c.rows[DIRECT]) for c in part)
        rows.append([
            name, f"{len(part)}", *(f"{_mean(c.error(m) for c in part):.3f}"
                                    for m in (DIRECT, TERM, RIVAL)),
            f"{sum(c.ahead for c in part)}", f"{sum(c.behind for c in part)}",
            f"{100 * sum(c.covered for c in part) / draws:.0f} %",
            f"{sum(c.silent for c in part)} of {draws}",
        ])  # fmt: skip
    head = [
        "given", "cells", "mean error", "of the term", "of neighbours", "ahead", "behind",
        "90 % intervals cover", "silent",
    ]  # fmt: skip
    return markdown(head, rows)


def _cases(found: Sequence[Cell]) -> str:
    rows = []
    for c in found:
        better = "neighbours" if c.behind else "torchmist" if c.ahead else ""
        rows.append([
            f"{LAWS[c.law].theme}: {c.law}", f"{c.n:,}", f"{c.truth:.3f}", f"{c.mean(DIRECT):.3f}",
            f"{c.mean(DIRECT, 'low'):.3f} to {c.mean(DIRECT, 'high'):.3f}",
            f"{c.covered} of {len(c.rows[DIRECT])}", f"{c.mean(TERM):.3f}", f"{c.mean(RIVAL):.3f}",
            f"{c.error(DIRECT):.3f}", f"{c.error(RIVAL):.3f}", better,
        ])  # fmt: skip
    head = [
        "given: law", "n", "truth", "estimate", "90 % interval", "covered", "term", "neighbours",
        "error", "of neighbours", "better",
    ]  # fmt: skip
    return markdown(head, rows)


def _agree(a: Row, b: Row) -> bool:
    """Whether two intervals overlap."""
    return max(_number(a, "low"), _number(b, "low")) <= min(_number(a, "high"), _number(b, "high"))


def _routes(found: Sequence[Cell]) -> str:
    """How far other ways are from the direct estimate of the same sample."""
    rows = []
    for name in DECOMPOSITIONS:
        pairs = []
        for cell in found:
            direct = {row["seed"]: row for row in cell.rows[DIRECT]}
            pairs += [(direct[r["seed"]], r, cell) for r in cell.rows.get(name, [])]
        if not pairs:
            continue
        apart = [(c, a) for a, b, c in pairs if not _agree(a, b)]
        gaps = [abs(_number(a, "estimate") - _number(b, "estimate")) for a, b, _ in pairs]
        sides = [direct_row for direct_row, _, _ in pairs], [other for _, other, _ in pairs]
        errors = [
            _mean(abs(_number(row, "estimate") - _number(row, "truth")) for row in side)
            for side in sides
        ]
        where = ", ".join(dict.fromkeys(f"{c.law} ({c.n:,})" for c, _ in apart))
        rows.append([
            name, f"{len(pairs)}", f"{len(pairs) - len(apart)}", f"{_mean(gaps):.3f}",
            f"{errors[0]:.3f}", f"{errors[1]:.3f}", where,
        ])  # fmt: skip
    head = [
        "other way", "samples", "intervals agree", "mean gap", "error of the direct one",
        "of the other way", "apart",
    ]  # fmt: skip
    return markdown(head, rows)


def tables(found: Sequence[Cell]) -> dict[str, str]:
    """Markdown tables by the name of their marks on the page."""
    return {
        "conditional_summary": _summary(found),
        "conditional_cases": _cases(found),
        "conditional_routes": _routes(found),
    }
