"""Markdown tables from the records of :mod:`benchmarks.run`; every number is computed here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

__all__ = ["PUBLISHED_BMI40", "PUBLISHED_M_TEST", "bmi40", "m_test", "markdown", "read"]

PUBLISHED_M_TEST = {
    "MIST (published)": (3.1, 0.34, 0.28, 8.0, 7.3, 8.8),
    "MIST-QR (published)": (3.1, 0.31, 0.12, 9.5, 9.9, 10.0),
}
"""arXiv 2511.18945, on its own draw of M_test: IMD and OoMD for n in 10-100, 100-300, 300-500."""

PUBLISHED_BMI40 = {
    "ALICE Base, 85 M parameters (published)": {1000: 0.092, 5000: 0.063, 10_000: 0.060},
    "ALICE Small, 19 M (published)": {1000: 0.101, 5000: 0.103, 10_000: 0.104},
    "InfoAtlas (published)": {1000: 0.253, 5000: 0.271, 10_000: 0.276},
    "MINDE-C (published)": {1000: 0.353, 5000: 0.070, 10_000: 0.065},
    "KSG (published)": {1000: 0.288, 5000: 0.240, 10_000: 0.219},
    "CCA (published)": {1000: 0.195, 5000: 0.192, 10_000: 0.181},
    "MINE (published)": {1000: 0.248, 5000: 0.117, 10_000: 0.108},
    "InfoNCE (published)": {1000: 0.887, 5000: 0.123, 10_000: 0.083},
}
"""Mean absolute error in nats over the 40 tasks, as printed in the ALICE paper, table 2."""

_RANGES = {"10-100": (10, 100), "100-300": (100, 300), "300-500": (300, 501)}


def read(folder: Path, suite: str) -> pd.DataFrame:
    """The records of a suite with their errors in nats; empty if it was not run."""
    path = folder / f"{suite}.csv"
    if not path.is_file():
        return pd.DataFrame()
    frame = pd.read_csv(path)
    frame["error"] = frame["estimate"] - frame["truth"]
    return frame


def markdown(frame: pd.DataFrame, digits: int = 3) -> str:
    """A frame as a Markdown table; missing numbers are dashes."""

    def text(value: object) -> str:
        if isinstance(value, float):
            return "-" if np.isnan(value) else f"{value:.{digits}g}"
        return str(value)

    lines = ["| | " + " | ".join(str(c) for c in frame.columns) + " |"]
    lines.append("|---" * (frame.shape[1] + 1) + "|")
    lines += [
        f"| {index} | " + " | ".join(text(v) for v in row) + " |"
        for index, row in zip(frame.index, frame.itertuples(index=False))
    ]
    return "\n".join(lines) + "\n"


def bmi40(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Mean absolute error over the 40 tasks by n, with the published ones; and task by task.

    A task counts by the mean over its seeds. Failures of an estimator count as an estimate of 0.
    """
    values = frame.assign(
        absolute=frame["error"].where(frame["success"] == 1, -frame["truth"]).abs()
    )
    by_task = values.groupby(["estimator", "n", "task"])["absolute"].mean()
    complete = by_task.groupby(["estimator", "n"]).agg(["mean", "size"])
    whole = complete["mean"].where(complete["size"] == 40).unstack("n")
    failures = values[values["success"] == 0].groupby("estimator").size()
    whole.index = [f"{e} ({failures[e]} failures)" if e in failures else e for e in whole.index]
    published = pd.DataFrame(PUBLISHED_BMI40).T
    table = pd.concat([whole, published]).sort_index(axis=1)
    table.columns = [f"n = {int(n)}" for n in table.columns]
    return table, by_task.unstack(["estimator", "n"])


def m_test(frame: pd.DataFrame) -> pd.DataFrame:
    """MSE in nats^2 by suite and range of n; runs that fail are left out and counted."""
    suite = frame["task"].str.split("/").str[0]
    key = pd.cut(
        frame["n"], [low for low, _ in _RANGES.values()] + [501], right=False, labels=list(_RANGES)
    )
    good = frame["success"] == 1
    cells = frame[good].assign(suite=suite, key=key, square=frame["error"] ** 2)
    table = cells.groupby(["estimator", "suite", "key"], observed=True)["square"].mean()
    wide = table.unstack(["suite", "key"])
    order = [(s, k) for s in ("IMD", "OoMD") for k in _RANGES]
    wide = wide.reindex(columns=pd.MultiIndex.from_tuples(order))
    published = pd.DataFrame(PUBLISHED_M_TEST, index=wide.columns).T
    out = pd.concat([wide, published])
    out.columns = [f"{s} n {k}" for s, k in order]
    failed = frame[~good].groupby("estimator").size()
    out.index = [f"{e} ({failed[e]} fail)" if e in failed else e for e in out.index]
    return out
