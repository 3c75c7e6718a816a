"""Self-consistency on real images: ``python -m benchmarks.digits --estimators mist KSG``.

The truth is unknown, but it has to obey rules (after Song and Ermon, ICLR 2020). X and Y are two
views of one scikit-learn digit, averaged over pairs of columns (8 rows of 4 pixels) and blurred by
independent noise, so that I(X;Y) is finite:

* ``visible``: of Y the first ``t`` rows are seen; the information may only grow with ``t``;
* ``processed``: X is reduced by a function; the information may only shrink;
* ``added``: X and Y each hold one or two independent digits; two hold twice the information.

Records go to ``benchmarks/results/digits.csv``. Estimators of the same version that are in it are
left out, those of other versions done anew.
"""

from __future__ import annotations

import argparse
import csv
import math
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from tqdm import tqdm

from benchmarks.estimators import estimator, record_name
from benchmarks.records import write_rows
from benchmarks.run import RESULTS

__all__ = ["COLUMNS", "PROCESSED", "cases", "main", "views"]

COLUMNS = ("rule", "case", "seed", "estimator", "version", "estimate")
_SAMPLES, _SEEDS, _NOISE = 500, 5, 2.0  # pixels range from 0 to 16

Array = NDArray[np.float64]


def _coarse(x: Array) -> Array:
    """Means of pairs of rows: ``[N, 32]`` to ``[N, 16]``."""
    out: Array = x.reshape(len(x), 4, 2, 4).mean(2).reshape(len(x), 16)
    return out


PROCESSED: dict[str, Callable[[Array], Array]] = {
    "as it is": lambda x: x,
    "every other row": lambda x: x.reshape(len(x), 8, 4)[:, ::2].reshape(len(x), 16),
    "pairs of rows averaged": _coarse,
    "row sums": lambda x: x.reshape(len(x), 8, 4).sum(2),
    "last row left out": lambda x: x[:, :-4],
}
"""Functions of X, none of which can add information."""


def views(seed: int) -> tuple[Array, Array]:
    """Two noisy views of digits, each ``[2 N, 32]``, in random order."""
    rng = np.random.default_rng(seed)
    images = load_digits().images[rng.permutation(1797)[: 2 * _SAMPLES]]
    pixels = images.reshape(-1, 8, 4, 2).mean(-1).reshape(len(images), 32)
    x, y = (pixels + _NOISE * rng.normal(size=pixels.shape) for _ in range(2))
    return x, y


def cases(seed: int) -> Iterator[tuple[str, str, Array, Array]]:
    """Rule, case and data."""
    x, y = views(seed)
    a, b = slice(None, _SAMPLES), slice(_SAMPLES, None)
    for rows in range(1, 9):
        yield "visible", str(rows), x[a], y[a, : 4 * rows]
    for name, reduce in PROCESSED.items():
        yield "processed", name, reduce(x[a]), y[a]
    u, v = _coarse(x), _coarse(y)
    yield "added", "first", u[a], v[a]
    yield "added", "second", u[b], v[b]
    yield "added", "both", np.hstack([u[a], u[b]]), np.hstack([v[a], v[b]])


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--estimators", nargs="+", default=["mist", "reference", "KSG", "CCA"])
    parser.add_argument("--out", type=Path, default=RESULTS / "digits.csv")
    options = parser.parse_args(arguments)
    warnings.filterwarnings("ignore", message="torchmist: ")
    made = {record_name(name): estimator(name) for name in options.estimators}
    rows: list[dict[str, object]] = []
    if options.out.is_file():
        with options.out.open(newline="") as file:
            rows += list(csv.DictReader(file))
    done = {(r["estimator"], r["version"]) for r in rows}
    made = {name: m for name, m in made.items() if (name, m[1]) not in done}
    rows = [r for r in rows if r["estimator"] not in made]
    for seed in tqdm(range(_SEEDS), desc="digits"):
        for rule, case, x, y in cases(seed):
            for name, (call, version) in made.items():
                try:
                    value = call(x, y).mean
                except (ValueError, ArithmeticError):
                    value = math.nan
                rows.append({
                    "rule": rule, "case": case, "seed": seed, "estimator": name,
                    "version": version, "estimate": f"{value:.6g}",
                })  # fmt: skip
    write_rows(options.out, rows, COLUMNS)
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
