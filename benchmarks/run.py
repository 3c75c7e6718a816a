"""Run estimators over a suite: ``python -m benchmarks.run --suite bmi40 --estimators mist KSG``.

Appends one record per run to ``benchmarks/results/SUITE.csv`` and continues where it stopped: runs
that are in the file with the same version of the estimator are left out, those of another version
are done anew. Estimators are names or ``.safetensors`` files (see :mod:`benchmarks.estimators`).
"""

from __future__ import annotations

import argparse
import csv
import math
import resource
import time
import warnings
from pathlib import Path

import torch
from tqdm import tqdm

from benchmarks.estimators import LEVELS, Estimate, Estimator, estimator, record_name
from benchmarks.records import row_writer
from benchmarks.suites import SUITES, Case

__all__ = ["COLUMNS", "RESULTS", "main", "run"]

RESULTS = Path(__file__).parent / "results"
COLUMNS = (
    "suite", "task", "n", "dx", "dy", "seed", "estimator", "version", "truth", "estimate",
    *(f"q{100 * level:g}" for level in LEVELS), "resampled_mean", "resampled_variance", "seconds",
    "success", "peak_mb",
)  # fmt: skip


def _read(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _prepare(path: Path, made: dict[str, str]) -> set[tuple[str, int, int, str]]:
    """Drop the records of other versions of ``made`` from ``path``; what is left in it.

    The file is rewritten only where something is dropped or its columns are others, so that two
    runs of different estimators may append to it at the same time.
    """
    rows = _read(path)
    kept = [r for r in rows if r["version"] == made.get(r["estimator"], r["version"])]
    if len(kept) < len(rows) or not rows or set(rows[0]) != set(COLUMNS):
        with path.open("w", newline="") as file:
            writer = row_writer(file, COLUMNS, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(kept)
    return {(r["task"], int(r["n"]), int(r["seed"]), r["estimator"]) for r in kept}


def _record(suite: str, case: Case, name: str, call: Estimator, version: str) -> dict[str, object]:
    """One row: the estimate of a case and its cost."""
    x, y = case.sample()
    start = time.perf_counter()
    try:
        value = call(x, y)
    except (ValueError, FloatingPointError, ArithmeticError):
        value = Estimate(math.nan)
    seconds = time.perf_counter() - start
    row: dict[str, object] = {
        "suite": suite, "task": case.task, "n": case.n, "dx": x.shape[1], "dy": y.shape[1],
        "seed": case.seed, "estimator": name, "version": version, "truth": f"{case.truth:.6g}",
        "estimate": f"{value.mean:.6g}", "seconds": f"{seconds:.4g}",
        "success": int(math.isfinite(value.mean)),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }  # fmt: skip
    row |= {f"q{100 * q:g}": f"{v:.6g}" for q, v in zip(LEVELS, value.quantiles)}
    for key in ("resampled_mean", "resampled_variance"):
        if math.isfinite(getattr(value, key)):
            row[key] = f"{getattr(value, key):.6g}"
    return row


def run(
    suite: str, names: list[str], path: Path, *, sizes: list[int], seeds: list[int],
    minutes: float, every: int = 1,
) -> int:  # fmt: skip
    """Do what is missing in ``path``, for at most ``minutes``; returns the number of new records.

    ``sizes`` and ``seeds`` restrict the suite, empty for all of it; ``every`` takes each such case
    of the suite, from the first.
    """
    made = {record_name(name): estimator(name) for name in names}
    done = _prepare(path, {name: version for name, (_, version) in made.items()})
    end = time.monotonic() + 60 * minutes
    new = 0
    with path.open("a", newline="") as file:
        writer = row_writer(file, COLUMNS)
        for case in tqdm(list(SUITES[suite]())[::every], desc=suite, mininterval=5):
            if (sizes and case.n not in sizes) or (seeds and case.seed not in seeds):
                continue
            for name, (call, version) in made.items():
                if (case.task, case.n, case.seed, name) in done:
                    continue
                if time.monotonic() > end:
                    return new
                writer.writerow(_record(suite, case, name, call, version))
                new += 1
            file.flush()
    return new


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--suite", choices=sorted(SUITES), required=True)
    parser.add_argument("--estimators", nargs="+", default=["mist", "KSG", "CCA"])
    parser.add_argument("--sizes", nargs="*", type=int, default=[], help="only these n")
    parser.add_argument("--seeds", nargs="*", type=int, default=[], help="only these seeds")
    parser.add_argument("--every", type=int, default=1, help="only each such case of the suite")
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop after, resumable")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the records")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    warnings.filterwarnings("ignore", message="torchmist: ")
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / f"{options.suite}.csv"
    new = run(
        options.suite, options.estimators, path, sizes=options.sizes, seeds=options.seeds,
        minutes=options.minutes, every=options.every,
    )  # fmt: skip
    print(f"{new} new records in {path}")


if __name__ == "__main__":
    main()
