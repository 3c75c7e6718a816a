"""Evaluate weights on M_test: ``python -m benchmarks.evaluate --model mist --out FILE.json``.

Prints error and coverage by range of n beside the published numbers, and how far the estimates move
under changes of the data that cannot change the truth. Writes a JSON summary, a CSV with a row for
each dataset, and the table of the README as Markdown.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import torchmist
from benchmarks.m_test import SEED, TestSet, m_test
from benchmarks.pages import markdown, write_table
from benchmarks.records import write_rows
from torchmist.models.mist import MIST
from torchmist.models.network import QuantileNetwork
from training.checkpoint import Checkpoint
from training.validate import coverage, range_of

__all__ = ["CHANGES", "PUBLISHED", "load", "main", "table_of", "predict", "summarise"]

PUBLISHED = {
    "MIST (published)": (3.1, 0.34, 0.28, 8.0, 7.3, 8.8),
    "MIST-QR (published)": (3.1, 0.31, 0.12, 9.5, 9.9, 10.0),
}
LEVELS = (0.5, 0.8, 0.9)
_COLUMNS = ("suite", "family", "n", "d", "mi", "mean", "q05", "q95")
CELLS = [(suite, key) for suite in ("IMD", "OoMD") for key in ("10-100", "100-300", "300-500")]

Pair = tuple[Tensor, Tensor]


def _shuffled(x: Tensor, y: Tensor) -> Pair:
    generator = torch.Generator().manual_seed(x.shape[-1])
    order = (torch.randperm(v.shape[-1], generator=generator) for v in (x, y))
    return x[..., next(order)], y[..., next(order)]


def _warped(x: Tensor, y: Tensor) -> Pair:
    turn = torch.where(torch.arange(x.shape[-1]) % 2 == 0, 1.0, -1.0)
    return turn * torch.asinh(x), -turn * (y.double() ** 3 + y.double())


CHANGES: dict[str, Callable[[Tensor, Tensor], Pair]] = {
    "as drawn": lambda x, y: (x, y),
    "columns shuffled": _shuffled,
    "sides swapped": lambda x, y: (y, x),
    "columns warped": _warped,
}


def load(name: str) -> QuantileNetwork:
    """Registered weights, a ``.safetensors`` file, or the averaged weights of a checkpoint.

    Those of a checkpoint carry the range that they are trained on, as exported ones do.
    """
    if not name.endswith(".pt"):
        return torchmist.load_pretrained(name)
    checkpoint = Checkpoint.load(Path(name), torch.device("cpu"))
    config = checkpoint.config
    model = MIST(config.model).eval().requires_grad_(False)
    model.load_state_dict(checkpoint.average)
    trained = {"n": list(config.samples), "d": list(config.dims)}
    model.provenance = {"trained_range": trained, "steps": checkpoint.step}
    return model


@torch.no_grad()
def predict(
    model: QuantileNetwork, tests: list[TestSet], change: Callable[[Tensor, Tensor], Pair]
) -> Tensor:
    """Quantiles of every dataset after ``change``, ``[T, Q]`` in nats."""
    out = []
    for test in tests:
        x, y = change(torch.from_numpy(test.x), torch.from_numpy(test.y))
        out.append(model(x[None], y[None]))
    return torch.cat(out)


def summarise(tests: list[TestSet], quantiles: Tensor, levels: Tensor) -> dict[str, Any]:
    """MSE (nats^2), median absolute error (nats) and coverage of each suite and range of n."""
    truth = torch.tensor([test.mi for test in tests])
    error = quantiles.mean(-1) - truth
    cells = np.array([f"{test.suite} {range_of(len(test.x))}" for test in tests])
    summary = {}
    for suite, key in CELLS:
        here = torch.from_numpy(cells == f"{suite} {key}")
        if not here.any():
            continue
        entry = {
            "datasets": int(here.sum()),
            "mse": error[here].square().mean().item(),
            "median_absolute_error": error[here].abs().median().item(),
            "bias": error[here].mean().item(),
        }
        for level in LEVELS:
            inside = coverage(quantiles[here], truth[here], levels, level)
            entry[f"coverage_{round(100 * level)}"] = inside.float().mean().item()
        summary[f"{suite} {key}"] = entry
    return summary


def table_of(summary: dict[str, Any], name: str) -> str:
    """The README's table: MSE beside the published numbers, and coverage of 90 % intervals."""
    head = ["MSE, nats²", *(f"{suite} n {key}" for suite, key in CELLS)]
    rows = [[label, *(f"{v:g}" for v in numbers)] for label, numbers in PUBLISHED.items()]
    cells = [summary[f"{suite} {key}"] for suite, key in CELLS]
    rows += [
        [f"**{name}**", *(f"**{c['mse']:.2g}**" for c in cells)],
        [f"{name}, median error, nats", *(f"{c['median_absolute_error']:.2g}" for c in cells)],
        [f"{name}, coverage of its 90 % intervals",
         *(f"{100 * c['coverage_90']:.0f} %" for c in cells)],
    ]  # fmt: skip
    return markdown(head, rows)


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="mist", help="name, .safetensors file or checkpoint.pt")
    parser.add_argument(
        "--out", type=Path, required=True, help="JSON summary; CSV and MD beside it"
    )
    parser.add_argument("--cache", type=Path, default=Path("runs"), help="folder of the datasets")
    parser.add_argument("--tables", type=Path, nargs="*", default=[], help="files to put it in")
    options = parser.parse_args(arguments)

    model, tests = load(options.model), m_test(options.cache)
    results: dict[str, Any] = {"model": options.model, "seed": SEED, "changes": {}}
    predictions = {name: predict(model, tests, change) for name, change in CHANGES.items()}
    drawn = predictions["as drawn"]
    for name, quantiles in predictions.items():
        summary = summarise(tests, quantiles, model.levels)
        moved = (quantiles - drawn).abs().max().item()
        results["changes"][name] = {"largest_change": moved, "cells": summary}
        print(f"\n{name}: largest change of a quantile {moved:.2g} nats")
        for key, cell in summary.items():
            print(
                f"  {key:<14} MSE {cell['mse']:8.4f}  median |error| "
                f"{cell['median_absolute_error']:.3f}  bias {cell['bias']:+.3f}  coverage "
                + " ".join(f"{round(100 * lv)}%: {cell[f'coverage_{round(100 * lv)}']:.3f}"
                           for lv in LEVELS)
            )  # fmt: skip
    for name, numbers in PUBLISHED.items():
        print(f"{name}: " + " ".join(f"{v:g}" for v in numbers))

    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(results, indent=1) + "\n")
    rows = []
    for test, q in zip(tests, drawn):
        ends = torchmist.MIEstimate(q[None], model.levels, (), False).interval(0.9)
        n, d = test.x.shape
        made = [float(v) for v in (test.mi, q.mean(), *ends)]
        rows.append(dict(zip(_COLUMNS, (test.suite, test.family, n, d, *made))))
    write_rows(options.out.with_suffix(".csv"), rows, _COLUMNS, 6)
    table = table_of(results["changes"]["as drawn"]["cells"], Path(options.model).stem)
    options.out.with_suffix(".md").write_text(table)
    for path in options.tables:
        write_table(path, "evaluation", table)


if __name__ == "__main__":
    main()
