"""What each speed trick of the forward pass gains: ``python -m benchmarks.tricks``.

Each trick is taken away in turn, and calls with and without it alternate on one thread, so that the
load of the machine falls on both. Times are those of the thread. The record
(``benchmarks/results/tricks.csv``) holds the quartiles of the ratio of each pair of calls: 1.1 says
that the call takes a tenth more without the trick.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor

import torchmist
from benchmarks.records import write_rows
from torchmist import copula
from torchmist.models import basis, gaussian, mist, pooling
from torchmist.models import statistics as sample
from torchmist.models.mist import MIST
from torchmist.numerics import sorting
from torchmist.weights import load_pretrained

__all__ = ["TRICKS", "main", "measure"]

SIZES = {(256, 8): 40, (5000, 32): 12}
"""Samples and columns of each side, and how many pairs of calls are timed."""


def _made_anew(make: Callable[..., Tensor], *sizes: float, like: Tensor) -> Tensor:
    return make(*sizes, like=like)


def _tables(self: basis.Basis, counts: Tensor, scores: Tensor) -> Any:
    return self._tables(counts, scores, full=True)


TRICKS: dict[str, list[tuple[Any, str, Any]]] = {
    "none": [],
    "constants are kept": [
        (module, "cached", _made_anew) for module in (copula, gaussian, mist, pooling, sample)
    ],
    "tables of the basis are kept": [(basis.Basis, "_full_tables", _tables)],
    "NumPy sorts": [(sorting, "_FEW_THREADS", -1)],
    "NumPy sorts integer keys": [(sorting, "_LARGE", 2**62)],
    "inference mode": [(mist, "keepable", lambda like: False)],
}
"""What is replaced to take a trick away; the first one says how much the measurement varies."""


@contextmanager
def _without(trick: str) -> Iterator[None]:
    patches = [mock.patch.object(*patch) for patch in TRICKS[trick]]
    for patch in patches:
        patch.start()
    try:
        yield
    finally:
        for patch in patches:
            patch.stop()


def _seconds(call: Callable[[], object]) -> float:
    start = time.thread_time()
    call()
    return time.thread_time() - start


def measure(call: Callable[[], object], trick: str, pairs: int) -> dict[str, float]:
    """Quartiles of the times without a trick over those with it, and the median milliseconds."""
    ratios, times = [], []
    call()
    for k in range(pairs):
        if k % 2:
            whole = _seconds(call)
        with _without(trick):
            less = _seconds(call)
        if not k % 2:
            whole = _seconds(call)
        ratios.append(less / whole)
        times.append(1e3 * whole)
    low, middle, high = statistics.quantiles(ratios, n=4)
    return {
        "ms": statistics.median(times), "low": low, "ratio": middle, "high": high, "pairs": pairs
    }  # fmt: skip


def _calls(model: MIST, n: int, d: int) -> dict[str, Callable[[], object]]:
    """The front doors and the network alone, on one Gaussian sample."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, d, generator=generator)
    y = x + torch.randn(n, d, generator=generator)

    def network() -> object:
        with torch.no_grad():
            return model(x[None], y[None])

    def term() -> object:
        z = x.clone().requires_grad_()
        torchmist.mist_mi(z, y, model=model).backward()
        return z.grad

    return {
        "network": network,
        "estimate": lambda: torchmist.estimate(x, y, model=model),
        "term and gradient": term,
    }


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="mist-fast", help="the weights of a MIST")
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of pairs")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/tricks.csv"))
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    model = load_pretrained(options.model)
    if not isinstance(model, MIST):
        raise TypeError(f"expected the weights of a MIST, got {type(model).__name__}")
    rows: list[dict[str, Any]] = []
    for (n, d), pairs in SIZES.items():
        for name, call in _calls(model, n, d).items():
            for trick in TRICKS:
                found = measure(call, trick, max(2, round(options.scale * pairs)))
                row = {"n": n, "d": d, "call": name, "without": trick}
                rows.append({**row, **{k: f"{v:.4g}" for k, v in found.items()}})
                print(*rows[-1].values(), flush=True)
    write_rows(options.out, rows, list(rows[0]))


if __name__ == "__main__":
    main()
