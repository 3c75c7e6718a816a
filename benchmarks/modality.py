"""Adapted weights on real modalities with known MI: ``python -m benchmarks.modality``.

The modalities are those of :mod:`benchmarks.modality_data`; estimators see sources that the
adaptation did not. Appends to ``benchmarks/results/modality.csv`` and continues
where it stopped; ``--folder`` keeps the adapted weights and the progress of an adaptation. At the
end the tables and the figure in ``docs`` are made anew from all records.
"""

from __future__ import annotations

import argparse
import json
import math
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from torch import Tensor

import torchmist
from benchmarks.estimators import estimator
from benchmarks.modality_data import MODALITIES, Modality, bert
from benchmarks.pages import write_table
from benchmarks.records import Records, exact_name
from benchmarks.tables import markdown
from torchmist.adapt import adapt
from torchmist.weights import save_weights

__all__ = ["main"]

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"
ERRORS = (0.5, 0.3, 0.2, 0.1, 0.05, 0.01)
SIZES = (128, 512, 2048)
COLUMNS = (
    "modality", "n", "error", "seed", "estimator", "truth", "estimate", "low", "high", "seconds",
)  # fmt: skip
_SEED = 90_000_000


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    names = [*sorted(MODALITIES), "bert"]
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="modalities")
    parser.add_argument("--embeddings", type=Path, help="folder of the file for bert")
    parser.add_argument(
        "--estimators", nargs="+", default=["base", "adapted", "KSG"],
        help="base, adapted, or one of bmi: KSG, MINE, InfoNCE",
    )  # fmt: skip
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES))
    parser.add_argument("--seeds", type=int, default=2, help="datasets per size and error")
    parser.add_argument("--base", default="mist", help="weights to adapt")
    parser.add_argument("--budget", type=float, default=300.0, help="seconds of adaptation")
    parser.add_argument("--folder", type=Path, default=Path("runs/modality"))
    parser.add_argument("--out", type=Path, default=HERE / "results")
    parser.add_argument("--docs", type=Path, default=DOCS)
    options = parser.parse_args(arguments)
    warnings.filterwarnings("ignore", message="torchmist: ")
    records = Records(options.out / "modality.csv", COLUMNS, 5)
    for name in options.only:
        modality = bert(options.embeddings) if name == "bert" else MODALITIES[name]()
        if modality is None:
            continue
        for which in options.estimators:
            _fill(records, name, modality, which, options)
    report(pd.DataFrame(list(records)), exact_name(options.base), options.docs)


def _fill(
    records: Records, name: str, modality: Modality, which: str, options: argparse.Namespace
) -> None:
    """The missing records of one estimator on one modality."""
    base = exact_name(options.base)
    label = {"base": base, "adapted": f"{base}, adapted"}.get(which, which)
    call = None
    for n in options.sizes:
        for error in ERRORS:
            for seed in range(options.seeds):
                if records.has(name, n, error, seed, label):
                    continue
                call = call or _estimator(which, name, modality, options)
                x, y, truth = modality.sample(n, error, _SEED + 1000 * seed + n)
                start = time.perf_counter()
                values = call(x, y)
                seconds = time.perf_counter() - start
                records.add(name, n, error, seed, label, truth, *values, seconds)


Interval = Callable[[Tensor, Tensor], tuple[float, float, float]]


def _estimator(which: str, name: str, modality: Modality, options: argparse.Namespace) -> Interval:
    """Mean and interval of an estimator; adapts first where that is asked for."""
    if which not in ("base", "adapted"):
        other, _ = estimator(which)
        return lambda x, y: (
            other(x.double().numpy(), y.double().numpy()).mean, math.nan, math.nan,
        )  # fmt: skip
    model = torchmist.load_pretrained(options.base)
    if which == "adapted":
        base = exact_name(options.base)
        path = options.folder / f"{name}-{base}.safetensors"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            model = adapt(
                modality.x, modality.y, base=options.base, budget=options.budget,
                checkpoint=path.with_suffix(".pt"),
            )  # fmt: skip
            print(model.report, flush=True)
            save_weights(model, path)
            record = options.out / f"adapt-{name}-{base}.json"
            record.write_text(json.dumps(model.evaluation["adapt"]) + "\n")
        model = torchmist.load_pretrained(path)

    def ours(x: Tensor, y: Tensor) -> tuple[float, float, float]:
        r = torchmist.estimate(x, y, model=model)
        low, high = r.interval(0.9)
        return float(r.mean), float(low), float(high)

    return ours


def report(frame: pd.DataFrame, base: str, docs: Path) -> None:
    """Tables between the marks in ``adapt.md``, and ``figures/modality.png``."""
    numbers = ["n", "truth", "estimate", "low", "high", "seconds", "error"]
    frame[numbers] = frame[numbers].astype(float)
    frame["n"] = frame["n"].astype(int)
    others = [v for v in frame["estimator"].unique() if "mist" not in v]
    order = [base, f"{base}, adapted", *others]
    frame = frame[frame["estimator"].isin(order)]
    parts = []
    for name, rows in frame.groupby("modality"):
        parts.append(f"{name}:\n\n{markdown(_table(rows, order))}")
    write_table(docs / "adapt.md", "modality", "\n".join(parts))
    _figure(frame, order[:2], docs / "figures" / "modality.png")
    print("\n".join(parts))


def _table(rows: pd.DataFrame, order: list[str]) -> pd.DataFrame:
    """Mean absolute error, coverage of 90 % intervals, and seconds of an estimate, by n."""
    rows = rows.assign(
        off=(rows["estimate"] - rows["truth"]).abs(),
        covered=((rows["low"] <= rows["truth"]) & (rows["truth"] <= rows["high"])).where(
            rows["low"].notna()
        ),
    )
    out = {}
    for kind, column, scale in (
        ("error", "off", 1),
        ("cover %", "covered", 100),
        ("s", "seconds", 1),
    ):
        means = scale * rows.astype({column: float}).groupby(["estimator", "n"])[column].mean()
        for n, values in means.unstack("estimator").iterrows():
            out[f"{kind}, n {n}"] = values
    table = pd.DataFrame(out)
    table.index.name = None
    return table.reindex([v for v in order if v in table.index])


def _figure(frame: pd.DataFrame, shown: list[str], path: Path) -> None:
    """Estimate against truth, before and, where it was run, after, for each modality."""
    from matplotlib.figure import Figure

    shown = [which for which in shown if (frame["estimator"] == which).any()]
    names = sorted(frame[frame["estimator"].isin(shown)]["modality"].unique())
    figure = Figure(figsize=(4.2 * len(names), 3.8 * len(shown)), layout="constrained")
    panels = figure.subplots(len(shown), len(names), squeeze=False)
    for column, name in enumerate(names):
        for row, which in enumerate(shown):
            axes = panels[row, column]
            part = frame[(frame["modality"] == name) & (frame["estimator"] == which)]
            if part.empty:  # not run
                axes.set_axis_off()
                continue
            for n, points in part.groupby("n"):
                axes.scatter(points["truth"], points["estimate"], s=14, alpha=0.7, label=f"n = {n}")
            top = 1.1 * frame[frame["modality"] == name]["truth"].max()
            axes.plot([0, top], [0, top], color="black", linewidth=0.8)
            axes.set(title=f"{name}, {which}", xlabel="exact MI, nats", ylabel="estimate, nats")
    panels[0, 0].legend(fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    main()
