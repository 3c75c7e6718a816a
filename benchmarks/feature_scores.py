r"""Scores of features beside those of scikit-learn: ``python -m benchmarks.feature_scores``.

Features are drawn given one target, by laws whose mutual information with it is known: the law of a
feature is a matrix of masses over fine cells given the target, and
:math:`I = \sum_y w_y \sum_x M_{yx} \log [M_{yx} / \sum_y w_y M_{yx}]`. Of 1,000 features of 1,000
rows, seven tenths are noise; 50 features have 100,000 rows. Both methods see the same columns in
the same run on one thread; scikit-learn is told which columns are discrete.

Columns of the record: ``suite`` (target and size), ``seed``, ``method``, ``seconds`` (of the
processor), ``error`` (mean absolute, nats, over all features), one error for each kind of feature,
and ``top20`` (share of the 20 features of highest truth that are among the 20 of highest score).
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from benchmarks.pages import markdown, write_table
from benchmarks.records import write_rows

__all__ = ["Feature", "features", "fill_page", "law_mi", "main", "methods", "table"]

Array = NDArray[Any]
RECORD = Path(__file__).parent / "results/feature_scores.csv"
PAGE = Path(__file__).parent.parent / "docs/feature_selection.md"
KINDS = ("gaussian", "wave", "discrete", "mixed", "noise")
TARGETS = ("numbers", "classes")
_NODES, _CELLS = 256, 1024
_LONG_SEEDS = 3  # tables of 100,000 rows
_CLASSES = (0.5, 0.3, 0.2)


@dataclass(frozen=True)
class Feature:
    """A law of a feature given the target: its kind, its MI in nats, and how it is drawn."""

    kind: str
    mi: float
    draw: Callable[[Array, np.random.Generator], Array]
    discrete: bool


def law_mi(masses: Array, weights: Array) -> float:
    """MI in nats of a feature of conditional ``masses`` ``[Y, X]`` given targets of ``weights``."""
    whole = weights @ masses
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(masses > 0, masses * np.log(masses / whole), 0.0)
    return float(weights @ logs.sum(1))


def _normal_masses(mean: Array, spread: Array) -> Array:
    """Masses ``[Y, X]`` of normal laws in cells that hold all of them."""
    low, high = (mean - 6 * spread).min(), (mean + 6 * spread).max()
    edges = np.linspace(low, high, _CELLS + 1)
    masses: Array = np.diff(ndtr((edges - mean[:, None]) / spread[:, None]), axis=1)
    return masses


def _nodes(target: str) -> tuple[Array, Array]:
    """Values of the target and their weights: normal numbers, or three classes."""
    if target == "classes":
        return np.arange(3), np.array(_CLASSES)
    return ndtri((np.arange(_NODES) + 0.5) / _NODES), np.full(_NODES, 1 / _NODES)


def _curve(target: str, kind: str, g: np.random.Generator) -> tuple[Any, float]:
    """A function of the target and the spread of the noise about it."""
    if target == "classes":
        level = g.normal(size=3)
        level -= level.mean()
        return (lambda y: level[y.astype(int)]), float(np.exp(g.uniform(-0.7, 2.5)))
    if kind == "wave":
        periods, phase = g.uniform(0.7, 2.5), g.uniform(0, 6.3)
        return (lambda y: np.sin(2 * np.pi * periods * ndtr(y) + phase)), g.uniform(0.1, 1.2)
    return (lambda y: y), float(np.exp(g.uniform(-1.2, 3.0)))


def _noise(target: str, g: np.random.Generator) -> Feature:
    return Feature("noise", 0.0, lambda y, r: r.normal(size=len(y)), False)


def _number(target: str, kind: str, g: np.random.Generator) -> Feature:
    curve, spread = _curve(target, kind, g)
    y, w = _nodes(target)
    if target == "classes" and kind == "wave":  # two humps, whose distance the class tells
        apart = np.abs(g.normal(size=3)) * 2
        scale = g.uniform(0.4, 1.5)
        sides = [_normal_masses(np.r_[-apart, apart], np.full(6, scale))]
        masses = (sides[0][:3] + sides[0][3:]) / 2

        def humps(v: Array, r: np.random.Generator) -> Array:
            sign = r.choice([-1, 1], len(v))
            x: Array = sign * apart[v.astype(int)] + scale * r.normal(size=len(v))
            return x

        return Feature(kind, law_mi(masses, w), humps, False)
    masses = _normal_masses(curve(y), np.full(len(y), spread))
    return Feature(
        kind, law_mi(masses, w), lambda v, r: curve(v) + spread * r.normal(size=len(v)), False
    )


def _discrete(target: str, g: np.random.Generator) -> Feature:
    """Labels that bands of a noisy function of the target are named at random."""
    curve, spread = _curve(target, "gaussian", g)
    y, w = _nodes(target)
    count = int(g.integers(2, 9))
    scale = np.sqrt((w @ curve(y) ** 2) - (w @ curve(y)) ** 2 + spread**2)
    cuts = np.sort(g.normal(size=count - 1)) * scale
    name = g.permutation(count)
    masses = np.diff(
        np.c_[np.zeros(len(y)), ndtr((cuts - curve(y)[:, None]) / spread), np.ones(len(y))]
    )

    def draw(v: Array, r: np.random.Generator) -> Array:
        labels: Array = name[np.searchsorted(cuts, curve(v) + spread * r.normal(size=len(v)))]
        return labels

    return Feature("discrete", law_mi(masses, w), draw, True)


def _mixed(target: str, g: np.random.Generator) -> Feature:
    """A number that is 0 below a limit, or at random."""
    curve, spread = _curve(target, "gaussian", g)
    y, w = _nodes(target)
    masses = _normal_masses(curve(y), np.full(len(y), spread))
    if g.random() < 0.5:
        share = g.uniform(0.2, 0.8)

        def draw(v: Array, r: np.random.Generator) -> Array:
            x: Array = curve(v) + spread * r.normal(size=len(v))
            return np.where(r.random(len(v)) < share, 0.0, x)

        return Feature("mixed", (1 - share) * law_mi(masses, w), draw, False)
    cut = int(g.integers(_CELLS // 3, 2 * _CELLS // 3))
    low, high = (curve(y) - 6 * spread).min(), (curve(y) + 6 * spread).max()
    limit = low + (high - low) * cut / _CELLS
    masses = np.c_[masses[:, :cut].sum(1), masses[:, cut:]]

    def limited(v: Array, r: np.random.Generator) -> Array:
        x: Array = np.maximum(curve(v) + spread * r.normal(size=len(v)), limit)
        return x

    return Feature("mixed", law_mi(masses, w), limited, False)


def features(target: str, count: int, noise: float, seed: int) -> list[Feature]:
    """``count`` features: a share ``noise`` of them without information, the rest of all kinds."""
    g = np.random.default_rng(seed)
    makers = (
        lambda: _number(target, "gaussian", g), lambda: _number(target, "wave", g),
        lambda: _discrete(target, g), lambda: _mixed(target, g),
    )  # fmt: skip
    some = count - round(noise * count)
    return [makers[k % 4]() if k < some else _noise(target, g) for k in range(count)]


def draw_table(target: str, laws: list[Feature], n: int, seed: int) -> tuple[Array, Array]:
    """``X`` ``[N, F]`` and the target ``[N]``."""
    g = np.random.default_rng(seed + 1)
    y = g.choice(3, n, p=_CLASSES) if target == "classes" else g.normal(size=n)
    return np.stack([law.draw(y, g) for law in laws], -1).astype(float), y


def methods(names: list[str], target: str, mask: Array) -> dict[str, Callable[..., Array]]:
    """What scores ``(X, y)``, by name."""
    from sklearn.feature_selection import mutual_info_classif, mutual_info_regression

    from torchmist.sklearn import mutual_info

    theirs = mutual_info_classif if target == "classes" else mutual_info_regression
    out: dict[str, Callable[..., Array]] = {
        "scikit-learn": lambda x, y: theirs(
            x, y, discrete_features=mask[: x.shape[1]], random_state=0
        )
    }
    for name in names:
        out[name] = lambda x, y, name=name: mutual_info(x, y, model=name)
    return out


def measure(suite: str, seed: int, names: list[str]) -> list[dict[str, Any]]:
    """Rows of the record of one suite ``TARGET FxN`` and seed."""
    target, size = suite.split()
    count, n = map(int, size.split("x"))
    laws = features(target, count, 0.7 if count >= 1000 else 0.2, 1000 * seed + 17)
    x, y = draw_table(target, laws, n, seed)
    truth = np.array([law.mi for law in laws])
    kinds = np.array([law.kind for law in laws])
    rows = []
    for name, score in methods(names, target, np.array([law.discrete for law in laws])).items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            score(x[:200, :5], y[:200])  # what is loaded once
            begin = time.process_time()
            found = score(x, y)
        seconds = time.process_time() - begin
        error = np.abs(found - truth)
        best = set(np.argsort(-truth)[:20])
        row = {
            "suite": suite, "seed": seed, "method": name, "seconds": round(seconds, 3),
            "error": round(float(error.mean()), 5),
        }  # fmt: skip
        row |= {kind: round(float(error[kinds == kind].mean()), 5) for kind in KINDS}
        row["top20"] = round(len(best & set(np.argsort(-found)[:20])) / 20, 3)
        rows.append(row)
        print(*row.values(), flush=True)
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """The record as a table in Markdown: means over the seeds of each suite and method."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["suite"], row["method"]), []).append(row)
    names = ("seconds", "error", *KINDS, "top20")
    head = ["target, features x rows", "method", "draws", "seconds", "error, nats", *KINDS,
            "top 20 found"]  # fmt: skip
    lines = []
    for (suite, method), found in groups.items():
        means = [np.mean([float(row[name]) for row in found]) for name in names]
        cells = [f"{means[0]:.2g}", *(f"{v:.4f}" for v in means[1:-1]), f"{100 * means[-1]:.0f} %"]
        lines.append([suite, method, str(len(found)), *cells])
    return markdown(head, lines)


def fill_page(record: Path = RECORD, page: Path = PAGE) -> None:
    """Put the table of ``record`` between the marks of ``page``."""
    with record.open(newline="") as file:
        write_table(page, "feature_scores", table(list(csv.DictReader(file))))


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=10, help="of tables of 1,000 features")
    parser.add_argument("--out", type=Path, default=RECORD)
    parser.add_argument("--only", help="one suite, such as 'numbers 1000x1000'")
    parser.add_argument("--models", default="mist-pairs", help="names, separated by commas")
    parser.add_argument("--page", action="store_true", help="fill the page from the record alone")
    options = parser.parse_args(arguments)
    if options.page:
        fill_page(options.out)
        return 0
    suites = [f"{t} {s}" for t in TARGETS for s in ("1000x1000", "50x100000", "100x1000")]
    if options.only is not None and options.only not in suites:
        print(f"expected --only to be one of {suites}, got {options.only!r}", file=sys.stderr)
        return 2
    torch.set_num_threads(1)
    names = options.models.split(",")
    rows: list[dict[str, Any]] = []
    for target in TARGETS:
        for size, seeds in (("1000x1000", options.seeds), ("50x100000", _LONG_SEEDS)):
            suite = f"{target} {size}"
            if options.only in (None, suite):
                for seed in range(seeds):
                    rows += measure(suite, seed, names)
                    write_rows(options.out, rows, list(rows[0]), 17)
        suite = f"{target} 100x1000"
        if options.only in (None, suite):
            rows += measure(suite, 100, [*names, "mist-fast", "mist"])
            write_rows(options.out, rows, list(rows[0]), 17)
    return 0


if __name__ == "__main__":
    sys.exit(main())
