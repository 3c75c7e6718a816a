"""Every record, table and figure: ``python -m benchmarks.reproduce``.

``--list`` names the benchmarks with their records, ``--only NAME ...`` runs those alone. Runs stop
when ``--minutes`` are over, and a further call goes on from there: what resumes leaves out what is
recorded, and of the others those that are recorded are left out (``--again`` runs them anew). The
report is written at the end in any case.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterable
from pathlib import Path

from benchmarks import report
from benchmarks.registry import Benchmark, benchmarks_of

__all__ = ["main"]

ROOT = Path(__file__).parent.parent


def _list(found: Iterable[Benchmark]) -> str:
    lines = []
    for benchmark in found:
        state = "recorded" if benchmark.recorded(ROOT) else "not recorded"
        lines.append(f"{benchmark.name}: {benchmark.question} ({state}: "
                     f"{', '.join(benchmark.records)})")  # fmt: skip
        lines += [f"    {command}" for command in benchmark.commands]
    return "\n".join(lines)


def _run(found: Iterable[Benchmark], minutes: float, again: bool) -> None:
    """Run the commands in order until ``minutes`` are over."""
    end = time.monotonic() + 60 * minutes
    for benchmark in found:
        if not (benchmark.resumes or again) and benchmark.recorded(ROOT):
            print(f"{benchmark.name}: recorded; --again runs it anew", flush=True)
            continue
        for command in benchmark.commands:
            left = (end - time.monotonic()) / 60
            if left <= 0:
                print("time is over; call again to go on")
                return
            print(f"{benchmark.name}: {command}", flush=True)
            command.run(left)


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--list", action="store_true", help="name the benchmarks and stop")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these benchmarks")
    parser.add_argument("--again", action="store_true", help="also those that are recorded")
    parser.add_argument("--models", nargs="+", default=["mist", "mist-paper-v1"])
    parser.add_argument("--minutes", type=float, default=math.inf)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--readme", type=Path, nargs="*", default=[], help="files with marks")
    options = parser.parse_args(arguments)
    known = benchmarks_of(tuple(options.models), options.threads)
    unknown = sorted(set(options.only or ()) - set(known))
    if unknown:
        parser.error(f"expected names among {', '.join(known)}, got {', '.join(unknown)}")
    chosen = [b for name, b in known.items() if not options.only or name in options.only]
    if options.list:
        print(_list(chosen))
        return
    _run(chosen, options.minutes, options.again)
    report.main(["--readme", *map(str, options.readme)])


if __name__ == "__main__":
    main()
