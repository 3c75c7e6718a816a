"""Every record, table and figure, in order of importance: ``python -m benchmarks.reproduce``.

Each step leaves out what is recorded already and stops when ``--minutes`` are over; a further call
goes on from there. The report is written at the end in any case.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import digits, dimensions, report, run
from benchmarks.estimators import REFERENCE, SAME_DATA, record_name

__all__ = ["main", "plan"]

_CLASSICAL = ("KSG", "CCA")
_NEURAL = ("MINE", "InfoNCE", "NWJ")

Step = tuple[Callable[[list[str] | None], None], list[str]]


def plan(models: list[str], threads: int) -> list[Step]:
    """The commands with their arguments; the subsets are fixed by ``--every``."""
    named = [*models, *(["reference"] if REFERENCE.is_file() else []), *_CLASSICAL]
    same_data = [str(SAME_DATA)] if SAME_DATA.is_file() else []

    def suite(name: str, estimators: list[str] | tuple[str, ...], *options: str) -> Step:
        common = ["--suite", name, "--threads", str(threads)]
        return run.main, [*common, *options, "--estimators", *estimators]

    resampled = [f"{name}-bootstrap" for name in (*_CLASSICAL, models[-1])]
    return [
        suite("m_test", [*named, *same_data]),
        (digits.main, ["--estimators", *named]),
        suite("bmi40", models),
        suite("m_test_extended", named),
        suite("symmetry", named),
        suite("m_test", resampled, "--every", "17"),
        suite("bmi40", _CLASSICAL, "--sizes", "64", "128", "256", "512", "1000", "5000"),
        suite("speed", [*models, "KSG"]),
        *(
            [suite("speed", ["reference"], "--sizes", "64", "256", "1000", "4000")]
            if "reference" in named
            else []
        ),
        (dimensions.main, ["--threads", str(threads)]),
        suite("m_test", _NEURAL, "--every", "117"),
        suite("bmi40", _NEURAL, "--sizes", "256", "--seeds", "0"),
        suite("speed", ["MINE"], "--sizes", "64", "1000", "4000", "--seeds", "0"),
        suite("bmi40", _CLASSICAL, "--sizes", "10000"),
    ]


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--models", nargs="+", default=["mist", "mist-paper-v1"])
    parser.add_argument("--minutes", type=float, default=math.inf)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--readme", type=Path, nargs="*", default=[], help="files with marks")
    options = parser.parse_args(arguments)
    end = time.monotonic() + 60 * options.minutes
    models = list({record_name(name): name for name in options.models}.values())
    for step, words in plan(models, options.threads):
        left = (end - time.monotonic()) / 60
        if left <= 0:
            print("time is over; call again to go on")
            break
        step([*words, "--minutes", f"{left:.3f}"] if step is run.main else words)
    report.main(["--readme", *map(str, options.readme)])


if __name__ == "__main__":
    main()
