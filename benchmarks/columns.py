"""Columns as people bring them, at n = 2,000: ``python -m benchmarks.columns``.

Labels on both sides, integers, codes beside numbers, atoms, near copies, conditions, and large
samples of integers and labels; evaluation only. Appends a row for each to
``benchmarks/results/columns.csv``, continues where it stopped, and writes the table of
``docs/benchmarks.md``.

Legend: ``n`` rows. All in nats.
"""

from __future__ import annotations

import argparse
import math
import resource
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.integrate import trapezoid

import torchmist
from benchmarks import discrete
from benchmarks.kinds import KINDS
from benchmarks.kinds.truths import additive_mi, gaussian_mi, gaussian_pair, normal_points
from benchmarks.pages import markdown, write_table
from benchmarks.records import Records, exact_name

__all__ = ["CASES", "main", "table"]

COLUMNS = (
    "case", "n", "weights", "draws", "truth", "estimate", "error", "low", "high", "held", "named",
    "seconds", "peak_gb",
)  # fmt: skip
"""Means over the draws; ``held``: of how many the truth is within 0.1 nats of the estimate or in
the 90 % interval; ``named``: how many have a note; ``peak_gb``: of the process up to then."""

RESULTS = Path(__file__).parent / "results" / "columns.csv"
PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
NEAR = 0.1  # nats
_SEED = 72_000_000
_LEVELS = np.array([1.2, -1.8, 0.4, 2.6, -0.6])  # of five classes, out of order


class Draw(NamedTuple):
    """Two sides, what is ``given`` (None for nothing), and the truth in nats."""

    x: Any
    y: Any
    given: Any
    truth: float


Make = Callable[[int, np.random.Generator], Draw]


def _kind(name: str) -> Make:
    """One of ``benchmarks.kinds``."""

    def make(n: int, rng: np.random.Generator) -> Draw:
        x, y, truth = KINDS[name].make(n, rng)
        return Draw(x, y, None, truth)

    return make


def integers(n: int, rng: np.random.Generator, rho: float = 0.9) -> Draw:
    """A Gaussian pair, both sides rounded to thousandths and brought as integers."""
    a, b = (np.rint(1000 * side).astype(np.int64) for side in gaussian_pair(n, rho, rng))
    return Draw(a, b, None, gaussian_mi(rho))


def categories(n: int, rng: np.random.Generator) -> Draw:
    """Labels of 10,000 categories, of which 30 % are copied."""
    x, y, truth = discrete.copied(n, rng, 10_000, 0.3)
    return Draw(x, y, None, truth)


def levels(n: int, rng: np.random.Generator, noise: float = 1.0) -> Draw:
    """A code of five classes, as floats, beside a normal column; y is the level of the class and
    the column, with noise."""
    code, z = rng.integers(0, 5, n), rng.normal(size=n)
    y = _LEVELS[code] + z + noise * rng.normal(size=n)
    clean = _LEVELS[:, None] + normal_points(100_000)
    truth = additive_mi(clean, stats.norm(scale=noise))
    return Draw(np.stack([code.astype(float), z], -1), y, None, truth)


def signs(n: int, rng: np.random.Generator, noise: float = 0.7) -> Draw:
    """The same columns; the class says whether y follows the column or its negative."""
    code, z = rng.integers(0, 5, n), rng.normal(size=n)
    y = np.where(np.isin(code, (1, 2)), -z, z) + noise * rng.normal(size=n)
    truth = 0.5 * math.log1p(noise**-2)
    return Draw(np.stack([code.astype(float), z], -1), y, None, truth)


def conditional(n: int, rng: np.random.Generator, noise: float = 0.75) -> Draw:
    """x and y given a class, which turns the sign of x, and a number, which moves y."""
    code, z, x = rng.integers(0, 3, n), rng.normal(size=n), rng.normal(size=n)
    y = np.where(code == 1, -x, x) + z + noise * rng.normal(size=n)
    return Draw(x, y, {"class": code, "number": z}, 0.5 * math.log1p(noise**-2))


def parity(n: int, rng: np.random.Generator) -> Draw:
    """The parity of three of thirteen bits, all as floats."""
    bits = rng.integers(0, 2, (n, 13))
    return Draw(bits.astype(float), (bits[:, :3].sum(1) % 2).astype(float), None, math.log(2))


def bilinear(n: int, rng: np.random.Generator, d: int = 8, noise: float = 0.3) -> Draw:
    """x holds a and b of eight normal columns each, y their scaled product with noise: given a it
    is normal, so that its density is a mean over lengths of a."""
    a, b = rng.normal(size=(n, d)), rng.normal(size=(n, d))
    y = (a * b).sum(1) / math.sqrt(d) + noise * rng.normal(size=n)
    lengths = stats.chi2(d).ppf((np.arange(2000) + 0.5) / 2000)
    grid = np.linspace(0.0, 14.0, 4001)
    density = stats.norm.pdf(grid, scale=np.sqrt(lengths / d + noise**2)[:, None]).mean(0)
    entropy = 2 * trapezoid(-density * np.log(density), grid)
    return Draw(np.hstack([a, b]), y, None, entropy - float(stats.norm(scale=noise).entropy()))


def chosen(n: int, rng: np.random.Generator, noise: float = 0.4) -> Draw:
    """y is that of four normal columns which a class names, with noise; the class is one-hot."""
    code, x = rng.integers(0, 4, n), rng.normal(size=(n, 4))
    y = x[np.arange(n), code] + noise * rng.normal(size=n)
    return Draw(np.hstack([np.eye(4)[code], x]), y, None, 0.5 * math.log1p(noise**-2))


def channels(n: int, rng: np.random.Generator, width: float = 0.1) -> Draw:
    """Six uniform numbers, each in uniform noise of a tenth of its range."""
    x = rng.random((n, 6))
    return Draw(x, x + width * rng.random((n, 6)), None, 6 * (width / 2 - math.log(width)))


def _turned(x: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    """Columns after a random rotation."""
    turned: NDArray[Any] = x @ stats.ortho_group(x.shape[1], seed=rng).rvs()
    return turned


def sensors(n: int, rng: np.random.Generator) -> Draw:
    """Six Laplace sources, each with a delay that is uniform, both sides rotated."""
    x = rng.laplace(size=(n, 6))
    y = x + rng.random((n, 6))
    truth = 6 * additive_mi(stats.laplace.ppf((np.arange(100_000) + 0.5) / 1e5), stats.uniform)
    return Draw(_turned(x, rng), _turned(y, rng), None, truth)


def waves(n: int, rng: np.random.Generator, noise: float = 0.2) -> Draw:
    """Five uniform phases and the wave of each, with noise, both sides rotated."""
    x = rng.random((n, 5))
    y = np.sin(2 * np.pi * x) + noise * rng.normal(size=(n, 5))
    phases = (np.arange(100_000) + 0.5) / 1e5
    truth = 5 * additive_mi(np.sin(2 * np.pi * phases), stats.norm(scale=noise))
    return Draw(_turned(x, rng), _turned(y, rng), None, truth)


CASES: dict[str, tuple[Make, int]] = {
    "labels copied half the time, 20 classes": (_kind("labels copied half the time, 20 classes"),
                                                2000),
    "labels Likert 5 x 5": (_kind("labels Likert 5 x 5"), 2000),
    "counts": (_kind("counts"), 2000),
    "numbers rounded to integers, both sides": (integers, 2000),
    "the same, 20,000 rows": (integers, 20_000),
    "10,000 categories on both sides": (categories, 100_000),
    "parity of 3 bits": (_kind("parity of 3 bits"), 2000),
    "a code as floats beside a number: levels": (levels, 2000),
    "a code as floats beside a number: signs": (signs, 2000),
    "zero-inflated": (_kind("zero-inflated"), 2000),
    "near copy, 6.9 nats": (_kind("near copy, 6.9 nats"), 2000),
    "given a class and a number": (conditional, 2000),
    "parity of 3 of 13 bits": (parity, 2000),
    "bilinear form of 8 + 8 columns": (bilinear, 2000),
    "one of four columns, which a class names": (chosen, 2000),
    "six numbers, each in uniform noise": (channels, 2000),
    "six sources with uniform delays, rotated": (sensors, 2000),
    "five waves of phases, rotated": (waves, 2000),
}  # fmt: skip


def _estimate(draw: Draw, model: str) -> tuple[float, float, float, bool]:
    """Mean, the ends of the 90 % interval, and whether there is a note."""
    if draw.given is None:
        r = torchmist.estimate(draw.x, draw.y, model=model)
    else:
        r = torchmist.estimate_conditional(draw.x, draw.y, draw.given, model=model)
    low, high = r.interval(0.9)
    return float(r.mean), float(low), float(high), bool(r.warnings)


def _run(records: Records, case: str, model: str, draws: int) -> None:
    """One row."""
    make, n = CASES[case]
    count = draws if n <= 2000 else 1
    start = time.perf_counter()
    found, truths = [], []
    for seed in range(count):
        draw = make(n, np.random.default_rng([_SEED, len(case), seed]))
        truths.append(draw.truth)
        found.append(_estimate(draw, model))
    seconds = (time.perf_counter() - start) / count
    truth = np.array(truths)
    mean, low, high, named = np.array(found, float).T
    held = (np.abs(mean - truth) <= NEAR) | ((low <= truth) & (truth <= high))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    records.add(
        case, n, exact_name(model), count, float(truth.mean()), float(mean.mean()),
        float(np.abs(mean - truth).mean()), float(low.mean()), float(high.mean()),
        int(held.sum()), int(named.sum()), seconds, peak,
    )  # fmt: skip


def table(records: Records, weights: str) -> str:
    """What is recorded for the weights, as Markdown."""
    head = ["columns", "n", "truth", "estimate", "90 % interval", "error",
            "within 0.1 nats or the interval", "with a note", "seconds", "peak, GB"]  # fmt: skip
    rows = []
    for row in records:
        if row["weights"] != weights:
            continue
        number = {k: float(row[k]) for k in ("truth", "estimate", "low", "high", "error")}
        high = "open" if math.isinf(number["high"]) else f"{number['high']:.3f}"
        rows.append([
            row["case"], f"{int(row['n']):,}", f"{number['truth']:.3f}",
            f"{number['estimate']:.3f}", f"{number['low']:.3f} to {high}", f"{number['error']:.3f}",
            f"{row['held']} of {row['draws']}", f"{row['named']} of {row['draws']}",
            f"{float(row['seconds']):.2f}", f"{float(row['peak_gb']):.2f}",
        ])  # fmt: skip
    return markdown(head, rows)


def main(arguments: list[str] | None = None) -> None:
    """Run what is not recorded yet, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--model", default="mist", help="a registered name or a .safetensors file")
    parser.add_argument("--draws", type=int, default=10, help="of the cases of 2,000 rows")
    parser.add_argument("--only", nargs="+", metavar="CASE", help="these cases")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--page", type=Path, default=PAGE)
    options = parser.parse_args(arguments)
    records, weights = Records(options.out, COLUMNS, keys=3), exact_name(options.model)
    warnings.filterwarnings("ignore", message="torchmist: ")
    for case in options.only or CASES:
        if not records.has(case, CASES[case][1], weights):
            _run(records, case, options.model, options.draws)
    write_table(options.page, "columns", table(records, weights))


if __name__ == "__main__":
    main()
