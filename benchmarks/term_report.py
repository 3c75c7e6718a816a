"""Tables of the benchmarks of the term, from their records: ``python -m benchmarks.term_report``.

Puts the tables ``conflict``, ``gradient``, ``gradient_sizes``, ``gradient_gaussian``,
``head_to_head`` and ``step_cost`` between ``<!-- begin table NAME -->`` and ``<!-- end table NAME
-->`` in the pages given (by default ``docs/frozen_or_lift.md`` and ``docs/loss_benchmarks.md``).
Rows of the weights ``--model`` are used, and those of rivals, which have none.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from benchmarks.head_to_head import CHOICE
from benchmarks.records import exact_name
from benchmarks.report import write_tables
from benchmarks.tables import markdown

__all__ = ["TABLES", "main"]

RESULTS = Path(__file__).parent / "results"
DOCS = Path(__file__).parent.parent / "docs"


def conflict(frame: pd.DataFrame) -> str:
    """Error, probe, audit and agreement by task and term, means over seeds."""
    rows = {}
    for (task, d, lam, term), part in frame.groupby(["task", "d", "lam", "term"], sort=False):
        mean = part.mean(numeric_only=True)
        held = f"{part['agrees'].sum():.0f} of {len(part)}" if term.startswith("mist") else ""
        rows[f"{task}, d {d}, lam {lam:g}: {term}"] = {
            "task error": mean["distortion"],
            "optimum": mean["optimum"],
            "probe R²": mean["probe_r2"],
            "estimate": mean["estimate"],
            "KSG": mean["ksg"],
            "fresh critic": mean["critic"],
            "audit agrees": held,
            "runs": len(part),
            "steps": "/".join(str(n) for n in part["steps"].unique()),
            "seconds": mean["seconds"],
        }
    return markdown(pd.DataFrame.from_dict(rows, orient="index"), 2)


def _medians(part: pd.DataFrame) -> dict[str, float]:
    middle = part.median(numeric_only=True)
    return {
        "cosine": middle["cosine"],
        "relative error": middle["error"],
        "cosine, 16 batches": middle["cosine_16"],
        "relative error, 16 batches": middle["error_16"],
        "ms": middle["milliseconds"],
    }


def gradient(frame: pd.DataFrame) -> str:
    """Medians over the cells in which the rivals were measured."""
    cell = ["family", "d", "n", "mi", "seed"]
    shared = frame[~frame["estimator"].str.startswith("mist")][cell].drop_duplicates()
    rows = {
        str(name): _medians(part)
        for name, part in frame.merge(shared, on=cell).groupby("estimator", sort=False)
    }
    return markdown(pd.DataFrame.from_dict(rows, orient="index"), 3)


def gradient_sizes(frame: pd.DataFrame) -> str:
    """Our medians by family, by n at d <= 8, and by d at n = 256."""
    ours = frame[frame["estimator"] == "mist"]
    narrow, middle = ours[ours["d"] <= 8], ours[ours["n"] == 256]
    both = narrow[narrow["n"] == 256]
    rows = {"n = 256, d up to 8": _medians(both)}
    rows |= {f"the same, {family}": _medians(p) for family, p in both.groupby("family")}
    rows |= {f"the same, {mi:g} nats": _medians(p) for mi, p in both.groupby("mi")}
    rows |= {f"d up to 8, n = {n}": _medians(p) for n, p in narrow.groupby("n") if n != 256}
    rows |= {f"n = 256, d = {d}": _medians(p) for d, p in middle.groupby("d")}
    return markdown(pd.DataFrame.from_dict(rows, orient="index"), 3)


def gradient_gaussian(frame: pd.DataFrame) -> str:
    """Relative errors on Gaussian channels beside those of maximum likelihood, which is log-det."""
    chosen = frame[(frame["family"] == "gaussian") & (frame["n"] == 256)]
    names = {"log-det": "maximum likelihood", "log-det of ranks": "the same of ranks"}
    names |= {"mist": "mist", "mist-auto": "mist, as a term that is added"}
    errors = {
        f"{label}{batches}": chosen[chosen["estimator"] == name].groupby(["d", "mi"])[key].median()
        for key, batches in (("error", ""), ("error_16", ", 16 batches"))
        for name, label in names.items()
    }
    out = pd.DataFrame(errors).dropna()
    out.index = pd.Index([f"d = {d}, {mi:g} nats" for d, mi in out.index])
    return markdown(out, 2)


def head_to_head(frame: pd.DataFrame) -> str:
    """Means, spreads and the learning rates chosen on other seeds; the best of a task in bold."""
    parts = []
    for seconds, part in frame[~frame["seed"].isin(CHOICE)].groupby("seconds"):
        cells = part.groupby(["method", "task"], sort=False)["score"].agg(
            mean="mean", spread=lambda scores: scores.std(ddof=0)
        )
        cells["rate"] = part.groupby(["method", "task"], sort=False)["rate"].first()
        best = cells["mean"].groupby("task").max()
        rows: dict[str, dict[str, str]] = {}
        for (method, task), (mean, spread, rate) in cells.iterrows():
            text = f"{mean:.3f} ± {spread:.3f}"
            text = f"**{text}**" if mean == best[task] else text
            rows.setdefault(method, {})[task] = f"{text} ({rate:g})"
        table = pd.DataFrame.from_dict(rows, orient="index").sort_index(axis=1).fillna("-")
        parts.append(f"{seconds} seconds, {part['seed'].nunique()} seeds:\n\n{markdown(table)}")
    return "\n".join(parts)


def step_cost(frame: pd.DataFrame) -> str:
    """Milliseconds, and megabytes kept for the backward pass, by batch and width."""
    rows = {
        f"batch {batch}, z {dz}, y 8": {
            r.term: f"{r.milliseconds:.1f} ms ({r.ratio_to_club:.2f}), {r.megabytes:.1f} MB"
            for r in part.itertuples()
        }
        for (batch, dz), part in frame.groupby(["batch", "dz"])
    }
    return markdown(pd.DataFrame.from_dict(rows, orient="index"))


TABLES = {
    "conflict": ("conflict", conflict),
    "gradient": ("gradient_quality", gradient),
    "gradient_sizes": ("gradient_quality", gradient_sizes),
    "gradient_gaussian": ("gradient_quality", gradient_gaussian),
    "head_to_head": ("head_to_head", head_to_head),
    "step_cost": ("step_cost", step_cost),
}
"""Name to the record that a table reads and the function that makes it."""


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="mist-fast", help="name or path of the weights")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument(
        "--pages", nargs="*", type=Path,
        default=[DOCS / "frozen_or_lift.md", DOCS / "loss_benchmarks.md"],
    )  # fmt: skip
    options = parser.parse_args(arguments)
    texts = {}
    for name, (record, table) in TABLES.items():
        path = options.results / f"{record}.csv"
        if path.is_file():
            frame = pd.read_csv(path)
            frame = frame[frame["model"].isin([exact_name(options.model), "-"])]
            if len(frame):
                texts[name] = table(frame)
                print(f"{name}\n\n{texts[name]}")
    for page in options.pages:
        write_tables(page, texts)


if __name__ == "__main__":
    main()
