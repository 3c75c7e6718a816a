"""Markdown tables from the records of :mod:`benchmarks.run`; every number is computed here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks import pages
from benchmarks.estimators import BASELINES, LEVELS

__all__ = [
    "PUBLISHED_BMI40", "PUBLISHED_M_TEST", "bmi40", "bootstrap", "coverage", "crps", "extended",
    "m_test", "markdown", "only", "paired", "quantiles", "read", "samples_needed", "symmetry",
]  # fmt: skip

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
_CELLS = [(s, k) for s in ("IMD", "OoMD") for k in _RANGES]
_NOMINAL = (0.5, 0.8, 0.9, 0.95)
_SEEN = ("normal-dense-base", "student-dense-base")


def read(folder: Path, suite: str) -> pd.DataFrame:
    """Records, with their errors in nats where a truth is known; empty if there are none."""
    path = folder / f"{suite}.csv"
    if not path.is_file():
        return pd.DataFrame()
    frame = pd.read_csv(path)
    if "truth" in frame:
        frame["error"] = frame["estimate"] - frame["truth"]
    return frame


def markdown(frame: pd.DataFrame, digits: int = 3) -> str:
    """A frame as a Markdown table; missing numbers are dashes."""

    def text(value: object) -> str:
        if isinstance(value, float):
            return "-" if np.isnan(value) else f"{value:.{digits}g}"
        return str(value)

    rows = zip(frame.index, frame.itertuples(index=False))
    lines = [[str(index), *map(text, row)] for index, row in rows]
    return pages.markdown(["", *map(str, frame.columns)], lines)


def bmi40(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Mean absolute error over the 40 tasks by n, with the published ones; and task by task.

    A task counts by the mean over its seeds. Failures of an estimator count as an estimate of 0.
    Estimators with quantiles also have a row for their median, which is the point estimate of least
    absolute error.
    """
    known = frame[frame["q50"].notna()]
    medians = known.assign(
        estimator=known["estimator"] + ", median", error=known["q50"] - known["truth"]
    )
    frame = pd.concat([frame, medians])
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
    plain = by_task[~by_task.index.get_level_values("estimator").str.endswith(", median")]
    return table, plain.unstack(["estimator", "n"])


def _is_baseline(name: str) -> bool:
    """Whether a row is none of ours: another library's, published, or the published network."""
    base = name.removesuffix("-bootstrap")
    return base in (*BASELINES, "reference") or base.endswith("(published)")


def only(frame: pd.DataFrame, bootstrap: bool) -> pd.DataFrame:
    """The records of estimators with, or without, a bootstrap."""
    return frame[frame["estimator"].str.endswith("-bootstrap") == bootstrap]


def paired(frame: pd.DataFrame, names: tuple[str, ...]) -> pd.DataFrame:
    """The records of the data sets on which all of ``names`` were run, of all estimators."""
    keys = ["task", "n", "seed"]
    here = frame[frame["estimator"].isin(names)].groupby(keys)["estimator"].nunique()
    chosen = here[here == len(names)].index
    return frame[pd.MultiIndex.from_frame(frame[keys]).isin(chosen)]


def _placed(frame: pd.DataFrame) -> pd.DataFrame:
    """Records of M_test with their suite (IMD, OoMD) and range of n."""
    edges = [low for low, _ in _RANGES.values()] + [501]
    key = pd.cut(frame["n"], edges, right=False, labels=list(_RANGES))
    return frame.assign(part=frame["task"].str.split("/").str[0], key=key)


def m_test(frame: pd.DataFrame, published: bool = True) -> pd.DataFrame:
    """MSE in nats² by suite and range of n, and what the best baseline has times as much.

    Runs that fail are left out and counted; estimators that were not run on every data set are
    left out of it.
    """
    runs = frame.groupby("estimator").size()
    frame = frame[frame["estimator"].isin(runs[runs == runs.max()].index)]
    good = frame["success"] == 1
    cells = _placed(frame[good])
    cells = cells.assign(square=cells["error"] ** 2)
    table = cells.groupby(["estimator", "part", "key"], observed=True)["square"].mean()
    wide = table.unstack(["part", "key"]).reindex(columns=pd.MultiIndex.from_tuples(_CELLS))
    wide.columns = [f"{s} n {k}" for s, k in _CELLS]
    failed = frame[~good].groupby("estimator").size()
    if published:
        wide = pd.concat([pd.DataFrame(PUBLISHED_M_TEST, index=wide.columns).T, wide])
    best = wide[[_is_baseline(name) for name in wide.index]].min()
    ours = [name for name in wide.index if not _is_baseline(name)]
    theirs = [name for name in wide.index if _is_baseline(name)]
    rows = {f"{e} ({failed[e]} fail)" if e in failed else e: wide.loc[e] for e in [*theirs, *ours]}
    rows |= {f"best baseline / {name}": best / wide.loc[name] for name in ours if len(theirs)}
    return pd.DataFrame(rows).T


def bootstrap(frame: pd.DataFrame) -> pd.DataFrame:
    """The paper's protocol: over resamples of each data set, then the mean over data sets.

    Squared bias, variance and their sum, in nats², and the coverage of the 95 % percentile
    interval.
    """
    part = _placed(frame[(frame["success"] == 1) & frame["resampled_mean"].notna()])
    part = part.assign(
        square=(part["resampled_mean"] - part["truth"]) ** 2,
        covered=100 * ((part["truth"] >= part["q2.5"]) & (part["truth"] <= part["q97.5"])),
    )
    means = part.groupby(["estimator", "part"])[["square", "resampled_variance", "covered"]].mean()
    out = pd.DataFrame(
        {
            "bias²": means["square"],
            "variance": means["resampled_variance"],
            "MSE": means["square"] + means["resampled_variance"],
            "coverage of 95 %, %": means["covered"],
        }
    ).unstack("part")
    out = out.swaplevel(axis=1).sort_index(axis=1, level=0, sort_remaining=False)
    out.columns = [f"{suite} {what}" for suite, what in out.columns]
    return out


def quantiles(frame: pd.DataFrame) -> pd.DataFrame:
    """The records that hold quantiles at all levels."""
    return frame.dropna(subset=[f"q{100 * level:g}" for level in LEVELS])


def crps(frame: pd.DataFrame) -> pd.Series:
    """Continuous ranked probability score of each record in nats: twice the pinball loss.

    Integrated over the level by trapezoids, flat beyond the outermost levels.
    """
    levels = np.array(LEVELS)
    q = frame[[f"q{100 * level:g}" for level in LEVELS]].to_numpy()
    error = frame["truth"].to_numpy()[:, None] - q
    loss = np.maximum(levels * error, (levels - 1) * error)
    edges = np.concatenate([[0], (levels[1:] + levels[:-1]) / 2, [1]])
    return pd.Series(2 * loss @ np.diff(edges), frame.index)


def coverage(frame: pd.DataFrame) -> pd.DataFrame:
    """Share of truths within central intervals, in percent, its mean distance from the nominal
    level in points, and the CRPS in nats, by suite."""
    frame = quantiles(frame)
    frame = frame.assign(part=frame["task"].str.split("/").str[0], crps=crps(frame))
    rows: dict[str, dict[str, float]] = {}
    for (estimator, suite), part in frame.groupby(["estimator", "part"]):
        row = rows.setdefault(str(estimator), {})
        gaps = []
        for level in _NOMINAL:
            low, high = (part[f"q{50 * (1 + sign * level):g}"] for sign in (-1, 1))
            share = 100 * ((part["truth"] >= low) & (part["truth"] <= high)).mean()
            gaps.append(abs(share - 100 * level))
            row[f"{suite} {100 * level:g} %"] = share
        row[f"{suite} mean gap, points"] = float(np.mean(gaps))
        row[f"{suite} CRPS, nats"] = part["crps"].mean()
    return pd.DataFrame(rows).T


def samples_needed(frame: pd.DataFrame) -> pd.DataFrame:
    """With how many samples each estimator has the median error that the best baseline has at n.

    Medians over all families at each n of M_test; between those n, linear in both logarithms.
    A dash: more than 500.
    """
    frame = frame[frame["success"] == 1]
    medians = frame.groupby(["n", "estimator"])["error"].agg(lambda e: e.abs().median()).unstack()
    baselines = [name for name in medians if _is_baseline(str(name))]
    rows: dict[str, dict[str, float]] = {}
    for n in (medians.index[np.abs(medians.index - at).argmin()] for at in (100, 200, 300, 500)):
        target = medians.loc[n, baselines].min()
        title = f"best baseline at n = {n}: {target:.3f} nats"
        for name in medians:
            rows.setdefault(str(name), {})[title] = _reached(medians[name].dropna(), target)
    return pd.DataFrame(rows).T


def _reached(curve: pd.Series, target: float) -> float:
    """The n from which the running minimum of a curve of errors is at most ``target``."""
    n, error = curve.index.to_numpy(float), np.minimum.accumulate(curve.to_numpy())
    if error[-1] > target:
        return np.nan
    first = int(np.argmax(error <= target))
    if first == 0:
        return float(n[0])
    share = np.log(error[first - 1] / target) / np.log(error[first - 1] / error[first])
    return float(np.exp(np.log(n[first - 1]) + share * np.log(n[first] / n[first - 1])))


def extended(frame: pd.DataFrame) -> pd.DataFrame:
    """Median absolute error in nats: family of M_train or not, by size and dimension.

    ``seen``: 10 to 500 samples and 2 to 32 columns on each side, as in the paper's training.
    """
    frame = frame[frame["success"] == 1]
    family = np.where(frame["task"].isin(_SEEN), "seen family", "unseen family")
    size = np.where(frame["n"] <= 500, "seen n", "unseen n")
    dim = np.where(frame["dx"] <= 32, "seen d", "unseen d")
    place = [pd.Series(v, frame.index, name=k) for k, v in
             (("family", family), ("size", size), ("dim", dim))]  # fmt: skip
    wide = frame["error"].abs().groupby([frame["estimator"], *place]).median()
    table = wide.unstack(["family", "size", "dim"]).sort_index(axis=1)
    table.columns = [", ".join(c) for c in table.columns]
    return table


def symmetry(frame: pd.DataFrame) -> pd.DataFrame:
    """Median and largest move of the estimate, in nats, under changes that leave MI alone."""
    frame = frame[frame["success"] == 1]
    change = frame["task"].str.split("/").str[1].rename("change")
    key = [frame["estimator"], frame["seed"], change]
    values = frame["estimate"].groupby(key).first().unstack("change")
    moved = values.sub(values["as drawn"], axis=0).abs().drop(columns="as drawn")
    table = moved.groupby("estimator").agg(["median", "max"])
    table.columns = [f"{c}, {how}" for c, how in table.columns]
    return table
