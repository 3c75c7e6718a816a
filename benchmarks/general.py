r"""What general weights must show, in one go: ``python -m benchmarks.general --model mist``.

Writes one record for each cell to ``OUT.csv`` and a summary to ``OUT.json``; ``--model`` is a
registered name, a ``.safetensors`` file, or a ``checkpoint.pt`` of a run (its averaged weights).
The draws have seeds of their own, which neither training nor validation uses.

The cells of Gaussian pairs and classes are those of :mod:`benchmarks.general_cells`.

Legend: ``B`` datasets, ``N`` samples, ``dx``, ``dy`` columns, ``Q`` quantiles.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import torchmist
from benchmarks.evaluate import load
from benchmarks.general_cells import (
    CLASSES,
    SIZES,
    Cell,
    appended_pairs,
    dense_pairs,
    gaussian_classes,
    gaussian_pairs,
    ideal_standard_error,
    plug_in,
    seeded,
)
from benchmarks.pages import markdown, write_table
from benchmarks.records import write_rows
from torchmist.models.network import QuantileNetwork
from torchmist.synthetic.general import GeneralMeta

__all__ = ["Cell", "ideal_standard_error", "main", "plug_in"]

_SHAPES, _BATCH = 250, 8  # of held-out draws of the meta-distribution
_APART = 60  # shapes of independent pairs


def _shape(u: Tensor) -> tuple[int, int, int]:
    """N log-uniform in 16 to 4096, dx and dy in 1 to 64, equal in half of the cases."""
    n = int(16 * (4097 / 16) ** u[0].item())
    dx, dy = (int(65 ** v.item()) for v in u[1:3])
    return n, max(dx, 1), max(dx, 1) if u[3] < 0.5 else max(dy, 1)


@torch.no_grad()
def coverage(network: QuantileNetwork) -> dict[str, Any]:
    """Share of truths below each quantile, of held-out draws of ``GeneralMeta``, and errors.

    The quantiles are those of the network before they are cut at 0, where all independent datasets
    would tie.
    """
    meta = GeneralMeta()
    below, error = [], []
    sizes: list[int] = []
    for index in range(_SHAPES):
        generator = seeded(4, index)
        n, dx, dy = _shape(torch.rand(4, generator=generator))
        batch = meta.sample(_BATCH, n, dx, dy, generator=generator)
        quantiles = network(batch.x, batch.y)
        below.append(batch.mi[:, None] <= quantiles)
        error.append(quantiles.clamp(min=0).mean(-1) - batch.mi)
        sizes += [n] * _BATCH
    under, errors, ns = torch.cat(below).double(), torch.cat(error), torch.tensor(sizes)
    groups = {"all": ns > 0, "16-100": ns < 100, "100-1000": (ns >= 100) & (ns < 1000),
              "1000-4096": ns >= 1000}  # fmt: skip
    out: dict[str, Any] = {"levels": [round(v, 4) for v in network.levels.tolist()]}
    for name, rows in groups.items():
        share = under[rows].mean(0)
        gap = 100 * (share - network.levels)
        out[name] = {
            "datasets": int(rows.sum()),
            "share_below": [round(v, 4) for v in share.tolist()],
            "largest_gap_points": round(gap.abs().max().item(), 2),
            "mae": round(errors[rows].abs().mean().item(), 4),
            "median_error": round(errors[rows].abs().median().item(), 4),
            "bias": round(errors[rows].mean().item(), 4),
        }
    return out


def independence(network: QuantileNetwork) -> dict[str, float]:
    """Means of the mean, the median and the 5 % quantile of independent pairs at n = 256."""
    meta = GeneralMeta(independent=1.0)
    mean, middle, low, size = [], [], [], []
    for index in range(_APART):
        generator = seeded(5, index)
        _, dx, dy = _shape(torch.rand(4, generator=generator))
        batch = meta.sample(_BATCH, 256, dx, dy, generator=generator)
        r = torchmist.estimate(batch.x, batch.y, model=network)
        mean.append(torch.as_tensor(r.mean))
        middle.append(torch.as_tensor(r.median))
        low.append(torch.as_tensor(r.quantile(0.05)))
        size += [dx * dy] * _BATCH
    means, lows, area = torch.cat(mean), torch.cat(low), torch.tensor(size)
    out = {
        "mean": means.mean().item(), "median": torch.cat(middle).mean().item(),
        "q05": lows.mean().item(),
    }  # fmt: skip
    for name, rows in (("up_to_25_pairs", area <= 25), ("more", area > 25)):
        out |= {f"mean_{name}": means[rows].mean().item(), f"q05_{name}": lows[rows].mean().item()}
    return out


def speed(network: QuantileNetwork, repeats: int = 15) -> dict[str, float]:
    """Median milliseconds of one estimate at n = 1000, 5 + 5 columns, in turn with bmi's KSG."""
    from bmi.estimators import KSGEnsembleFirstEstimator

    generator = seeded(6)
    x = torch.randn(1000, 5, generator=generator)
    y = (0.6 * x + 0.8 * torch.randn(1000, 5, generator=generator)).double().numpy()
    a = x.double().numpy()
    ksg = KSGEnsembleFirstEstimator(neighborhoods=(5,))
    calls = (lambda: torchmist.estimate(a, y, model=network), lambda: ksg.estimate(a, y))
    taken: tuple[list[float], list[float]] = ([], [])
    for turn, (call, times) in itertools.product(range(repeats + 1), zip(calls, taken)):
        start = time.perf_counter()
        call()
        if turn:
            times.append(1e3 * (time.perf_counter() - start))
    ours, theirs = (statistics.median(times) for times in taken)
    return {"mist_ms": ours, "ksg_ms": theirs, "ratio": theirs / ours}


def _pooled(cells: list[Cell], key: str, n: int) -> float:
    return float(statistics.mean(getattr(c, key) for c in cells if c.n == n))


def _lines(summary: dict[str, Any]) -> list[tuple[str, str, float]]:
    """What is asked for, how much, and what was measured."""
    g, s = summary["gaussian"], summary["speed"]
    apart, covered = summary["independence"], summary["coverage"]["all"]
    lines = [("MAE at n = 1000 / MAE at n = 256, dx = dy", "<= 0.6", g["mae_ratio"]),
             ("90 % interval width at n = 1000 / at n = 256", "< 1", g["width_ratio"])]  # fmt: skip
    for name in ("1x1", "dx!=dy"):
        for n, ratio in g["mae_over_ideal_se"][name].items():
            lines.append((f"MAE / ideal standard error, {name}, n = {n}", "<= 1.3", ratio))
    for n, ratio in g["mae_over_ideal_se_dense"]["plug-in of ranks"].items():
        what = f"the same, ill-conditioned mixing, n = {n} (plug-in of ranks: {ratio:.2f})"
        lines.append((what, "", g["mae_over_ideal_se_dense"]["mist"][n]))
    for n, ratio in g["mae_over_ideal_se_appended"].items():
        lines.append((f"the same, predictions of Y and squares appended to X, n = {n}", "", ratio))
    lines += [
        ("class labels, MAE at n = 512, nats", "<= 0.06", summary["classes"]["mae"]),
        ("largest gap of quantile coverage, points", "<= 4", covered["largest_gap_points"]),
        ("independent, average of the mean at n = 256, nats", "< 0.03", apart["mean"]),
        ("independent, average of the median at n = 256, nats", "< 0.03", apart["median"]),
        ("independent, 5 % quantile at n = 256, nats", "< 0.01", apart["q05"]),
        ("KSG time / MIST time, n = 1000, 5 + 5", ">= 8", s["ratio"]),
    ]
    return lines


def measure(network: QuantileNetwork) -> tuple[list[Cell], dict[str, Any]]:
    """All cells, and the summary."""
    pairs, dense, appended, classes = (
        part(network) for part in (gaussian_pairs, dense_pairs, appended_pairs, gaussian_classes)
    )
    equal = [c for c in pairs if c.dx == c.dy]
    kinds = {"1x1": [c for c in equal if c.dx == 1], "dx=dy": equal,
             "dx!=dy": [c for c in pairs if c.dx != c.dy]}  # fmt: skip
    ratio = {
        name: {n: _pooled(part, "mae", n) / _pooled(part, "ideal_se", n) for n in SIZES}
        for name, part in kinds.items()
    }
    errors = {"mist": "mae", "plug-in": "plug_in_mae", "plug-in of ranks": "rank_plug_in_mae"}
    hard = {
        name: {n: _pooled(dense, key, n) / _pooled(dense, "ideal_se", n) for n in SIZES}
        for name, key in errors.items()
    }
    lifted = {n: _pooled(appended, "mae", n) / _pooled(appended, "ideal_se", n) for n in SIZES}
    summary = {
        "trained_range": network.provenance.get("trained_range", {}),
        "gaussian": {
            "mae": {n: _pooled(equal, "mae", n) for n in SIZES},
            "width": {n: _pooled(equal, "width", n) for n in SIZES},
            "plug_in_mae": {n: _pooled(equal, "plug_in_mae", n) for n in SIZES},
            "mae_ratio": _pooled(equal, "mae", 1000) / _pooled(equal, "mae", 256),
            "width_ratio": _pooled(equal, "width", 1000) / _pooled(equal, "width", 256),
            "mae_over_ideal_se": ratio,
            "mae_over_ideal_se_dense": hard,
            "mae_over_ideal_se_appended": lifted,
        },
        "classes": {
            "mae": statistics.mean(c.mae for c in classes),
            "mae_by_classes": {
                k: statistics.mean(c.mae for c in classes if c.classes == k) for k in CLASSES
            },
            "bias": statistics.mean(c.bias for c in classes),
        },
        "coverage": coverage(network),
        "independence": independence(network),
        "speed": speed(network),
    }
    return pairs + dense + appended + classes, summary


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="mist")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "general")
    parser.add_argument("--pages", type=Path, nargs="*", default=[], help="put the summary there")
    options = parser.parse_args(arguments)
    start = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        cells, summary = measure(load(options.model))
    summary = {"model": options.model, "threads": torch.get_num_threads(), **summary}
    records = [asdict(cell) for cell in cells]
    write_rows(options.out.with_suffix(".csv"), records, list(records[0]), 5)
    options.out.with_suffix(".json").write_text(json.dumps(summary, indent=1) + "\n")
    rows = [[name, asked, f"{value:.3f}"] for name, asked, value in _lines(summary)]
    for page in options.pages:
        write_table(page, "general", markdown(["", "asked", "measured"], rows))
    for name, asked, value in _lines(summary):
        print(f"{name:<75} asked {asked:>8}   measured {value:.3f}")
    print(f"{len(cells)} cells in {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
