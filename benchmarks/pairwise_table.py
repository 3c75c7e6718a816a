"""All pairs of a real table of 30 columns: ``python -m benchmarks.pairwise_table``.

The table is that of 569 cell nuclei of Street, Wolberg and Mangasarian (1993), which scikit-learn
ships: 30 measured numbers, and the diagnosis beside them. Prints the seconds, the pairs that share
most of what they could, and what tells most of the diagnosis; writes the heat map.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch

import torchmist

__all__ = ["main"]

FIGURE = Path(__file__).parent / "figures/pairwise.png"
_SHOWN = 6


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=FIGURE)
    options = parser.parse_args(arguments)
    from sklearn.datasets import load_breast_cancer

    torch.set_num_threads(1)
    table = load_breast_cancer(as_frame=True).frame.rename(columns={"target": "diagnosis"})
    torchmist.pairwise(table.iloc[:50, :3])  # what is loaded once
    begin = time.process_time()
    found = torchmist.pairwise(table, discrete=["diagnosis"])
    seconds = time.process_time() - begin
    d = len(found.names)
    print(f"{d} columns, {d * (d - 1) // 2} pairs, {len(table)} rows: {seconds:.2f} s")
    share = np.triu(found.normalized, 1)
    for k in np.argsort(-share, axis=None)[:_SHOWN]:
        i, j = np.unravel_index(k, share.shape)
        print(
            f"{found.names[i]} and {found.names[j]}: {found.estimate[i, j]:.2f} nats "
            f"({found.low[i, j]:.2f} to {found.high[i, j]:.2f}), normalised {share[i, j]:.2f}"
        )
    last = found.estimate[-1, :-1]
    best = ", ".join(f"{found.names[k]} {last[k]:.2f}" for k in np.argsort(-last)[:_SHOWN])
    print(f"of the {found.entropies[-1]:.2f} nats of the diagnosis: {best}")
    found.plot(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
