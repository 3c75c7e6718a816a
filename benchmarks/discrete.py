"""Mutual information of labels from counts: ``python -m benchmarks.discrete``.

Random tables (2 to 50 classes on each side, a Dirichlet law of concentration .1 to 10 over all
cells, log-uniform) in bins of the number of rows; pairs of labels of known MI at n = 2,000; and the
time and memory of large tables. Beside the posterior of ``torchmist.estimate``: the plug-in
estimator and that of Miller and Madow, with an interval by the delta method. Writes
``benchmarks/results/discrete.csv``, continues where it stopped, and writes the table of
``docs/benchmarks.md``.

Legend: ``R`` and ``C`` classes, ``N`` rows. All in nats.
"""

from __future__ import annotations

import argparse
import math
import resource
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import torchmist
from benchmarks.pages import markdown, write_table
from benchmarks.records import Records

__all__ = ["CASES", "LARGE", "main", "table", "table_information"]

COLUMNS = (
    "case", "n", "estimator", "tables", "truth", "estimate", "error", "coverage", "width",
    "seconds", "peak_gb",
)  # fmt: skip
RESULTS = Path(__file__).parent / "results" / "discrete.csv"
PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
BINS = ((50, 150), (150, 500), (500, 1500), (1500, 5000), (5000, 10_000))
_SEED = 71_000_000
Pair = tuple[NDArray[np.int64], NDArray[np.int64], float]


def _entropy(p: NDArray[np.float64]) -> float:
    p = p[p > 0]
    return float(-(p * np.log(p)).sum())


def table_information(p: NDArray[np.float64]) -> float:
    """I(X;Y) of a table of probabilities ``[R, C]``."""
    return _entropy(p.sum(0)) + _entropy(p.sum(1)) - _entropy(p.ravel())


def draw(p: NDArray[np.float64], n: int, rng: np.random.Generator) -> Pair:
    """``n`` pairs of labels from a table of probabilities, with its MI."""
    cell = rng.choice(p.size, n, p=p.ravel())
    return cell // p.shape[1], cell % p.shape[1], table_information(p)


def random_table(rng: np.random.Generator) -> NDArray[np.float64]:
    """Probabilities ``[R, C]``."""
    r, c = rng.integers(2, 51, 2)
    concentration = math.exp(rng.uniform(math.log(0.1), math.log(10)))
    p: NDArray[np.float64] = rng.dirichlet(np.full(r * c, concentration)).reshape(r, c)
    return p


def copied(n: int, rng: np.random.Generator, classes: int = 20, share: float = 0.5) -> Pair:
    """Labels of which a share is copied, the others are independent."""
    x = rng.integers(0, classes, n)
    y = np.where(rng.random(n) < share, x, rng.integers(0, classes, n))
    own = share + (1 - share) / classes
    rest = (1 - share) / classes
    truth = math.log(classes) + own * math.log(own) if own > 0 else 0.0
    return x, y, truth + ((classes - 1) * rest * math.log(rest) if rest > 0 else 0.0)


def skewed(n: int, rng: np.random.Generator) -> Pair:
    """Independent labels of nine classes of unequal size."""
    p = 0.6 ** np.arange(9) / (0.6 ** np.arange(9)).sum()
    return draw(np.outer(p, p[::-1]), n, rng)


def likert(n: int, rng: np.random.Generator) -> Pair:
    """Five answers each, from a normal pair of correlation .9, by a fine grid."""
    grid = np.linspace(-6, 6, 1501)
    cuts = np.array([-1.0, -0.3, 0.3, 1.0])
    side = np.digitize(grid, cuts)
    density = np.exp(
        -(grid[:, None] ** 2 - 1.8 * grid[:, None] * grid + grid**2) / (2 * (1 - 0.81))
    )
    p = np.zeros((5, 5))
    np.add.at(p, (side[:, None], side), density)
    return draw(p / p.sum(), n, rng)


def counts(n: int, rng: np.random.Generator) -> Pair:
    """Poisson counts of mean 3 of which 1.5 are common."""
    k = np.arange(40)
    mass = np.exp(k * math.log(1.5) - 1.5 - np.array([math.lgamma(v + 1) for v in k]))
    p = np.zeros((80, 80))
    for common in range(40):
        p[common : common + 40, common : common + 40] += mass[common] * np.outer(mass, mass)
    return draw(p / p.sum(), n, rng)


def parity(n: int, rng: np.random.Generator) -> Pair:
    """Joint codes of three fair bits, and their parity."""
    bits = rng.integers(0, 2, (n, 3))
    return bits @ np.array([1, 2, 4]), bits.sum(1) % 2, math.log(2)


CASES: dict[str, Callable[[int, np.random.Generator], Pair]] = {
    "copied, 20 classes": copied, "independent, 9 skewed": skewed, "Likert 5 x 5": likert,
    "Poisson counts": counts, "parity of 3 bits": parity,
    "copied, 200 classes": lambda n, rng: copied(n, rng, 200),
}  # fmt: skip
LARGE: dict[str, tuple[int, int]] = {
    "50 classes": (1_000_000, 50), "2,000 classes": (1_000_000, 2000),
    "10,000 classes": (100_000, 10_000),
}  # fmt: skip
Answer = tuple[float, float, float]


def posterior(x: NDArray[np.int64], y: NDArray[np.int64]) -> Answer:
    """Mean and 90 % interval of ``torchmist.estimate``."""
    r = torchmist.estimate(x, y, discrete_x=True, discrete_y=True)
    low, high = r.interval(0.9)
    return float(r.mean), float(low), float(high)


def _plug_in(x: NDArray[np.int64], y: NDArray[np.int64], correct: bool) -> Answer:
    """Plug-in estimate, with the correction of Miller and Madow, and its delta interval."""
    i, j = (np.unique(side, return_inverse=True)[1] for side in (x, y))
    n = len(x)
    table = np.zeros((i.max() + 1, j.max() + 1))
    np.add.at(table, (i, j), 1.0)
    p = table / n
    value = table_information(p)
    ratio = np.log(np.where(p > 0, p / (p.sum(1, keepdims=True) * p.sum(0)), 1.0))
    error = math.sqrt(max(0.0, float((p * ratio**2).sum()) - value**2) / n)
    if correct:
        value = max(0.0, value + (sum(p.shape) - int((p > 0).sum()) - 1) / (2 * n))
    return value, value - 1.645 * error, value + 1.645 * error


ESTIMATORS: dict[str, Callable[[NDArray[np.int64], NDArray[np.int64]], Answer]] = {
    "posterior": posterior,
    "Miller-Madow": lambda x, y: _plug_in(x, y, True),
    "plug-in": lambda x, y: _plug_in(x, y, False),
}


def _summary(records: Records, case: str, n: str, name: str, pairs: list[Pair]) -> None:
    """One row: means over the pairs."""
    start = time.perf_counter()
    answers = [ESTIMATORS[name](x, y) for x, y, _ in pairs]
    seconds = (time.perf_counter() - start) / len(pairs)
    truth = np.array([pair[2] for pair in pairs])
    value, low, high = np.array(answers).T
    covered = (low <= truth) & (truth <= high)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    records.add(
        case, n, name, len(pairs), float(truth.mean()), float(value.mean()),
        float(np.abs(value - truth).mean()), float(covered.mean()), float((high - low).mean()),
        seconds, peak,
    )  # fmt: skip


def table(records: Records) -> str:
    """All that is recorded, the estimators of a case beside each other, as Markdown."""
    head = ["labels", "n", "truth", "mean error", "coverage of 90 %", "seconds", "peak, GB",
            *(f"error of {name}" for name in list(ESTIMATORS)[1:])]  # fmt: skip
    rows = []
    for row in records:
        case, n = row["case"], row["n"]
        if row["estimator"] != "posterior":
            continue
        others = [
            records.row(case, n, name)["error"] if records.has(case, n, name) else ""
            for name in list(ESTIMATORS)[1:]
        ]
        errors = [f"{float(e):.4f}" if e else "" for e in (row["error"], *others)]
        covered = f"{100 * float(row['coverage']):.0f} %" if int(row["tables"]) > 1 else ""
        rows.append([
            case, f"{int(n):,}" if n.isdigit() else n, f"{abs(float(row['truth'])):.3f}", errors[0],
            covered, f"{float(row['seconds']):.2f}", f"{float(row['peak_gb']):.2f}", *errors[1:],
        ])  # fmt: skip
    return markdown(head, rows)


def main(arguments: list[str] | None = None) -> None:
    """Run what is not recorded yet."""
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--tables", type=int, default=400, help="random tables in each bin")
    parser.add_argument("--repeats", type=int, default=50, help="draws of each case")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--page", type=Path, default=PAGE)
    options = parser.parse_args(arguments)
    records = Records(options.out, COLUMNS, keys=3)
    warnings.filterwarnings("ignore", message="torchmist: ")
    for name, (n, classes) in LARGE.items():
        if not records.has(name, n, "posterior"):
            pair = copied(n, np.random.default_rng(_SEED), classes, 0.3)
            _summary(records, name, str(n), "posterior", [pair])
    for estimator in ESTIMATORS:
        for low, high in BINS:
            bin_name = f"{low} to {high}"
            if records.has("random tables", bin_name, estimator):
                continue
            rng = np.random.default_rng([_SEED, low])
            pairs = []
            for _ in range(options.tables):
                rows = int(math.exp(rng.uniform(math.log(low), math.log(high))))
                pairs.append(draw(random_table(rng), rows, rng))
            _summary(records, "random tables", bin_name, estimator, pairs)
        for name, case in CASES.items():
            if not records.has(name, 2000, estimator):
                rng = np.random.default_rng([_SEED, len(name)])
                pairs = [case(2000, rng) for _ in range(options.repeats)]
                _summary(records, name, "2000", estimator, pairs)
    write_table(options.page, "discrete", table(records))


if __name__ == "__main__":
    main()
