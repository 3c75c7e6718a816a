"""Does training on mixed dimensions help? ``python -m benchmarks.dimensions``.

Trains one small network for each single dimension and one on the whole range, all for the same
number of steps of the ``paper`` meta-distribution, and measures all of them on held-out draws of
each dimension. Records go to ``benchmarks/results/dimensions.csv``; networks that are in it are
left out.
"""

from __future__ import annotations

import argparse
import csv
import time
from dataclasses import replace
from pathlib import Path

import torch
from tqdm import trange

from benchmarks.records import row_writer
from benchmarks.run import RESULTS
from torchmist.models.mist import MIST
from torchmist.synthetic import PaperMeta
from training.config import PRESETS, TrainConfig
from training.train import Trainer

__all__ = ["COLUMNS", "TESTED", "main", "measure", "train"]

TESTED = (2, 4, 8, 16, 24, 32)
_SIZES = (20, 60, 150, 300, 500)
_DATASETS = 48
_RANGES = [*((d, d) for d in TESTED), (2, 32)]
COLUMNS = ("trained", "d", "n", "datasets", "seconds", "mse", "median", "tested")


def train(dims: tuple[int, int], steps: int) -> Trainer:
    """A small network after ``steps`` of the paper meta-distribution with d within ``dims``."""
    config: TrainConfig = replace(
        PRESETS["smoke"], dims=dims, samples=(10, 500), steps=steps, batch_cost=40_000,
        batch_range=(8, 8), warmup=50, average=0.99,
    )  # fmt: skip
    trainer = Trainer(config, torch.device("cpu"))
    start = time.perf_counter()
    for _ in trange(steps, desc=f"d in {dims[0]}-{dims[1]}", mininterval=5):
        trainer.advance()
    trainer.seconds = time.perf_counter() - start
    return trainer


@torch.no_grad()
def measure(model: MIST, d: int, n: int) -> tuple[float, float]:
    """Mean squared error in nats² and median absolute error in nats on held-out draws."""
    generator = torch.Generator().manual_seed(60_000_000 + 1000 * d + n)
    batch = PaperMeta().sample(_DATASETS, n, d, generator=generator)
    error = model(batch.x, batch.y).mean(-1) - batch.mi
    return error.square().mean().item(), error.abs().median().item()


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=600, help="for each of the seven networks")
    parser.add_argument("--out", type=Path, default=RESULTS / "dimensions.csv")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    done: set[str] = set()
    if options.out.is_file():
        with options.out.open(newline="") as file:
            done = {row["trained"] for row in csv.DictReader(file)}
    with options.out.open("a", newline="") as file:
        writer = row_writer(file, COLUMNS)
        if not done:
            writer.writeheader()
        for low, high in _RANGES:
            trained = str(low) if low == high else f"{low}-{high}"
            if trained in done:
                continue
            trainer = train((low, high), options.steps)
            for d in TESTED:
                for n in _SIZES:
                    mse, median = measure(trainer.average, d, n)
                    writer.writerow({
                        "trained": trained, "d": d, "n": n, "datasets": trainer.datasets,
                        "seconds": f"{trainer.seconds:.4g}", "mse": f"{mse:.6g}",
                        "median": f"{median:.6g}", "tested": _DATASETS,
                    })  # fmt: skip
            file.flush()
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
