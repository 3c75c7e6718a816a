"""Adapted weights on real modalities with known MI: ``python -m benchmarks.modality``.

X is a real sample of a class, Y another real sample whose class is that of X after each of its
bits went through a binary symmetric channel with error ``e``. The sources of X and of Y are
disjoint, so that they share nothing else and I(X;Y) = bits (log 2 - H(e)) exactly. Estimators see
sources that the adaptation did not. Appends to ``benchmarks/results/modality.csv`` and continues
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
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn

import torchmist
from benchmarks.estimators import estimator
from benchmarks.pages import write_table
from benchmarks.records import Records, exact_name
from benchmarks.tables import markdown
from torchmist.adapt import adapt
from torchmist.weights import save_weights

__all__ = ["MODALITIES", "Modality", "main"]

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"
ERRORS = (0.5, 0.3, 0.2, 0.1, 0.05, 0.01)
SIZES = (128, 512, 2048)
COLUMNS = (
    "modality", "n", "error", "seed", "estimator", "truth", "estimate", "low", "high", "seconds",
)  # fmt: skip
_ADAPT, _SEED = 1500, 90_000_000


@dataclass(frozen=True)
class Modality:
    """Samples to adapt to ``[1500, d]``, and draws of both sides by class.

    ``draw(side, labels, generator)`` gives one held-out sample of each label ``[N]``.
    """

    bits: int
    x: Tensor
    y: Tensor
    draw: Callable[[int, Tensor, torch.Generator], Tensor]

    def sample(self, n: int, error: float, seed: int) -> tuple[Tensor, Tensor, float]:
        """X, Y and the true MI in nats."""
        g = torch.Generator().manual_seed(seed)
        bits = torch.rand(n, self.bits, generator=g) < 0.5
        flipped = bits ^ (torch.rand(n, self.bits, generator=g) < error)
        place = 2 ** torch.arange(self.bits)
        x, y = (self.draw(k, (b * place).sum(-1), g) for k, b in enumerate((bits, flipped)))
        noise = -sum(p * math.log(p) for p in (error, 1 - error))
        return x, y, self.bits * (math.log(2) - noise)


def _move(images: Tensor, generator: torch.Generator) -> Tensor:
    """Images ``[N, 64]`` turned and shifted a little, so that no two draws are the same."""
    n = len(images)
    angle, shift = (
        scale * (2 * torch.rand(n, k, generator=generator) - 1)
        for scale, k in ((0.15, 1), (0.1, 2))
    )
    cos, sin = angle.cos(), angle.sin()
    matrix = torch.stack([cos, -sin, shift[:, :1], sin, cos, shift[:, 1:]], -1).view(n, 2, 3)
    grid = nn.functional.affine_grid(matrix, [n, 1, 8, 8], align_corners=False)
    moved = nn.functional.grid_sample(images.view(n, 1, 8, 8), grid, align_corners=False)
    return moved.flatten(1) + 0.02 * torch.randn(n, 64, generator=generator)


def _by_class(data: Tensor, labels: Tensor, classes: int) -> list[list[Tensor]]:
    """Held-out samples of each class for X and for Y: the halves of the last 40 %."""
    out: list[list[Tensor]] = [[], []]
    for k in range(classes):
        rows = data[labels == k]
        held = rows[int(0.6 * len(rows)) :]
        out[0].append(held[::2])
        out[1].append(held[1::2])
    return out


def _modality(
    data: Tensor, labels: Tensor, bits: int, change: Callable[[Tensor, torch.Generator], Tensor]
) -> Modality:
    """Adaptation samples from the first 60 % of each class, draws from the rest."""
    classes = 2**bits
    held = _by_class(data, labels, classes)
    first = torch.cat(
        [rows[: int(0.6 * len(rows))] for rows in (data[labels == k] for k in range(classes))]
    )

    def draw(side: int, wanted: Tensor, generator: torch.Generator) -> Tensor:
        u = torch.rand(len(wanted), generator=generator)
        rows = [held[side][k][int(v * len(held[side][k]))] for k, v in zip(wanted.tolist(), u)]
        return change(torch.stack(rows), generator)

    g = torch.Generator().manual_seed(7)
    x, y = (change(first[torch.randint(len(first), (_ADAPT,), generator=g)], g) for _ in range(2))
    return Modality(bits, x, y, draw)


def digits() -> Modality:
    """Handwritten digits 0 to 7 (scikit-learn), 64 pixels."""
    from sklearn.datasets import load_digits

    source = load_digits()
    data, labels = torch.tensor(source.data / 16).float(), torch.tensor(source.target)
    return _modality(data, labels, 3, _move)


def embeddings() -> Modality:
    """The 32 features of a small network that was trained on the adaptation part of the digits."""
    from sklearn.datasets import load_digits

    source = load_digits()
    data, labels = torch.tensor(source.data / 16).float(), torch.tensor(source.target)
    first = torch.cat(
        [(labels == k).nonzero()[: int(0.6 * (labels == k).sum()), 0] for k in range(10)]
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        body = nn.Sequential(nn.Linear(64, 64), nn.GELU(), nn.Linear(64, 32), nn.GELU())
        net = nn.Sequential(body, nn.Linear(32, 10))
    optimizer, g = torch.optim.Adam(net.parameters(), 2e-3), torch.Generator().manual_seed(0)
    for _ in range(600):
        rows = first[torch.randint(len(first), (128,), generator=g)]
        loss = nn.functional.cross_entropy(net(_move(data[rows], g)), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    body.requires_grad_(False)
    return _modality(data, labels, 3, lambda images, g: body(_move(images, g)))


def table() -> Modality:
    """Breast cancer (scikit-learn): 30 columns, of which ten are rounded and five binary."""
    from sklearn.datasets import load_breast_cancer

    source = load_breast_cancer()
    data, labels = torch.tensor(source.data).float(), torch.tensor(source.target)
    data = (data - data.mean(0)) / data.std(0)

    def change(rows: Tensor, generator: torch.Generator) -> Tensor:
        out = rows + 0.05 * torch.randn(rows.shape, generator=generator)
        out[:, 10:20] = (2 * out[:, 10:20]).round()
        out[:, 25:] = (out[:, 25:] > 0).float()
        return out

    return _modality(data, labels, 1, change)


MODALITIES = {"digits": digits, "embeddings": embeddings, "table": table}


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    names = sorted(MODALITIES)
    parser.add_argument("--modality", nargs="+", choices=names, default=names)
    parser.add_argument(
        "--estimators", nargs="+", default=["base", "adapted", "KSG"],
        help="base, adapted, or one of bmi: KSG, MINE, InfoNCE",
    )  # fmt: skip
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES))
    parser.add_argument("--seeds", type=int, default=3, help="datasets per size and error")
    parser.add_argument("--base", default="mist-fast", help="weights to adapt")
    parser.add_argument("--budget", type=float, default=900.0, help="seconds of adaptation")
    parser.add_argument("--folder", type=Path, default=Path("runs/modality"))
    parser.add_argument("--out", type=Path, default=HERE / "results")
    parser.add_argument("--docs", type=Path, default=DOCS)
    options = parser.parse_args(arguments)
    warnings.filterwarnings("ignore", message="torchmist: ")
    records = Records(options.out / "modality.csv", COLUMNS, 5)
    for name in options.modality:
        modality = MODALITIES[name]()
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
        held=((rows["low"] <= rows["truth"]) & (rows["truth"] <= rows["high"])).where(
            rows["low"].notna()
        ),
    )
    out = {}
    for kind, column, scale in (("error", "off", 1), ("cover %", "held", 100), ("s", "seconds", 1)):
        means = scale * rows.astype({column: float}).groupby(["estimator", "n"])[column].mean()
        for n, values in means.unstack("estimator").iterrows():
            out[f"{kind}, n {n}"] = values
    table = pd.DataFrame(out)
    table.index.name = None
    return table.reindex([v for v in order if v in table.index])


def _figure(frame: pd.DataFrame, shown: list[str], path: Path) -> None:
    """Estimate against truth, before and after, for each modality."""
    from matplotlib.figure import Figure

    names = sorted(frame[frame["estimator"].isin(shown)]["modality"].unique())
    figure = Figure(figsize=(4.2 * len(names), 7.6), layout="constrained")
    panels = figure.subplots(2, len(names), squeeze=False)
    for column, name in enumerate(names):
        for row, which in enumerate(shown):
            axes = panels[row, column]
            part = frame[(frame["modality"] == name) & (frame["estimator"] == which)]
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
