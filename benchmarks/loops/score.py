"""What a record of loops says: chosen settings, means and spreads, verdicts.

A method is *best or tied* where its mean score is not below the best of all other methods by more
than one spread, the root mean square of both standard deviations over seeds. A score that is not
finite (the host diverged) counts as the worst.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.loops.registry import LOOPS
from benchmarks.loops.run import CHOICE

__all__ = ["OURS", "Cell", "Verdict", "cells", "table_of", "verdict"]

OURS = ("plain", "auto", "lift", "goal")
_NUMBERS = ("setting", "seed", "task", "held", "score", "own", "steps", "seconds")


@dataclass(frozen=True)
class Cell:
    """One method in one loop: means over the seeds that are reported."""

    method: str
    score: float
    spread: float
    task: float
    held: float
    own: float
    setting: float
    seeds: int
    steps: float
    seconds: float
    gaps: tuple[float, ...]
    """What the judges found beyond the method's own value, in nats, by seed; NaN without one."""


@dataclass(frozen=True)
class Verdict:
    """A method against all others in a loop."""

    method: str
    best: str
    behind: float
    spread: float
    tied: bool
    above_none: bool | None


def table_of(rows: list[dict[str, str]]) -> pd.DataFrame:
    """A record as a table with numbers."""
    frame = pd.DataFrame(rows)
    for column in _NUMBERS:
        frame[column] = pd.to_numeric(frame[column], errors="coerce")
    return frame


def _cell(method: str, part: pd.DataFrame, compared: str | None) -> Cell:
    score = part["score"].fillna(-math.inf)
    spread = float(score.std(ddof=1)) if len(part) > 1 and np.isfinite(score).all() else 0.0
    gaps = part[compared] - part["own"] if compared else part["own"] * math.nan
    return Cell(
        method, float(score.mean()), spread, float(part["task"].mean()),
        float(part["held"].mean()), float(part["own"].mean()), float(part["setting"].iloc[0]),
        len(part), float(part["steps"].mean()), float(part["seconds"].mean()), tuple(gaps),
    )  # fmt: skip


def cells(frame: pd.DataFrame, loop: str, budget: str) -> dict[str, Cell]:
    """The methods of a loop at a budget, in the order of the record.

    Of several settings of a method that were reported, the last is used: the choice may have
    changed since.
    """
    here = frame[(frame["loop"] == loop) & (frame["budget"] == budget)]
    here = here[~here["seed"].isin(CHOICE)]
    out = {}
    for method, part in here.groupby("method", sort=False):
        last = part[part["setting"] == part["setting"].iloc[-1]]
        out[str(method)] = _cell(str(method), last, LOOPS[loop].compared)
    return out


def verdict(found: dict[str, Cell], method: str) -> Verdict:
    """A method's place among all others; ``found`` as from :func:`cells`."""
    own = found[method]
    others = [c for name, c in found.items() if name != method]
    best = max(others, key=lambda c: c.score, default=own)
    spread = math.sqrt((own.spread**2 + best.spread**2) / 2)
    behind = best.score - own.score
    none = found.get("none")
    above = None
    if none is not None:
        apart = math.sqrt((own.spread**2 + none.spread**2) / 2)
        above = own.score >= none.score - apart
    return Verdict(method, best.method, behind, spread, behind <= spread, above)
