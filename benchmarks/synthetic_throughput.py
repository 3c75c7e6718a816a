"""How many datasets a second the ``paper`` meta-distribution makes: N = 255, dx = dy = 17.

Run with ``python -m benchmarks.synthetic_throughput``; writes a JSON record to
``results/``: the rate for each number of threads, and the load of the machine before the run
(other work on the same cores slows threads down that wait for each other).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from torchmist.synthetic import PaperMeta

RESULT = Path(__file__).parent / "results" / "synthetic_throughput.json"


def datasets_per_second(
    *, batch_size: int, n: int, dim: int, seconds: float, device: str, seed: int = 0
) -> float:
    """Datasets made per second, over batches that take ``seconds`` in all, after one to warm up."""
    meta, generator = PaperMeta(), torch.Generator(device).manual_seed(seed)

    def make() -> None:
        meta.sample(batch_size, n, dim, generator=generator)
        if device != "cpu":
            torch.cuda.synchronize()

    make()
    start, count = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - start) < seconds:
        make()
        count += batch_size
    return count / elapsed


def main(argv: Sequence[str] | None = None) -> None:
    """Measures, prints and writes the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--n", type=int, default=255)
    parser.add_argument("--dim", type=int, default=17)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args(argv)
    load, rates = os.getloadavg()[0], {}
    for threads in args.threads:
        torch.set_num_threads(threads)
        rates[threads] = datasets_per_second(
            batch_size=args.batch_size, n=args.n, dim=args.dim, seconds=args.seconds,
            device=args.device,
        )  # fmt: skip
        print(f"{rates[threads]:,.0f} datasets a second with {threads} thread(s)", flush=True)
    record = {
        "datasets_per_second": {str(threads): round(rate) for threads, rate in rates.items()},
        "n": args.n,
        "dx": args.dim,
        "dy": args.dim,
        "batch_size": args.batch_size,
        "device": args.device,
        "cores": os.cpu_count(),
        "load_before": round(load, 2),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(record, indent=2) + "\n")
    print(f"N={args.n}, dx=dy={args.dim}, batches of {args.batch_size}: written to {args.out}")


if __name__ == "__main__":
    main()
