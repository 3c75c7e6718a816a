"""Extra time and memory of one training step: ``python -m benchmarks.step_cost``.

Forward and backward of the term on z and y (8 columns), against CLUB, MINE and InfoNCE with their
usual 5 inner steps; ratios from one run, in which the terms take turns. ``milliseconds`` is the
median of the processor time of one thread, which other processes of the machine do not stretch.
``megabytes`` is what the term keeps from its forward pass for its backward pass, each storage
counted once. Writes ``benchmarks/results/step_cost.csv``.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.records import Records, exact_name
from benchmarks.rivals import Term, is_ours, make_term

__all__ = ["kept_bytes", "main"]

RESULTS = Path(__file__).parent / "results"
COLUMNS = ("batch", "dz", "dy", "term", "model", "milliseconds", "ratio_to_club", "megabytes")
TERMS = ("mist", "mist-lift", "CLUB", "MINE", "InfoNCE")
_WARM_UP = 2


def _step(term: Term, z: Tensor, y: Tensor) -> float:
    start = time.process_time()
    for _ in range(term.inner):
        term.learn(z, y)
    z = z.detach().requires_grad_()
    term.term(z, y).backward()
    return 1e3 * (time.process_time() - start)


def kept_bytes(term: Term, z: Tensor, y: Tensor) -> int:
    """Bytes of the storages that autograd keeps for the backward pass of the term."""
    kept: dict[int, int] = {}
    alive: list[Tensor] = []  # a freed storage could lend its address to another

    def keep(value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        alive.append(value)
        return value

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        term.term(z.detach().requires_grad_(), y)
    return sum(kept.values())


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="mist-fast", help="name or path of the weights")
    parser.add_argument("--batches", nargs="+", type=int, default=[128, 512, 2048])
    parser.add_argument("--dims", nargs="+", type=int, default=[16, 64, 256])
    parser.add_argument("--terms", nargs="+", default=list(TERMS), help="CLUB is among them")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    warnings.filterwarnings("ignore", message="torchmist: ")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    path = options.out / "step_cost.csv"
    path.unlink(missing_ok=True)  # ratios are from one run
    records = Records(path, COLUMNS, 5)
    for batch in options.batches:
        for dz in options.dims:
            z, y = torch.randn(batch, dz), torch.randn(batch, 8)
            terms = {name: make_term(name, dz, 8, options.model) for name in options.terms}
            times: dict[str, list[float]] = {name: [] for name in terms}
            for turn in range(options.repeats + _WARM_UP):
                for name, term in terms.items():
                    spent = _step(term, z, y)
                    if turn >= _WARM_UP:
                        times[name].append(spent)
            medians = {name: statistics.median(v) for name, v in times.items()}
            for name, value in medians.items():
                model = exact_name(options.model) if is_ours(name) else "-"
                kept = kept_bytes(terms[name], z, y) / 2**20
                records.add(batch, dz, 8, name, model, value, value / medians["CLUB"], kept)


if __name__ == "__main__":
    main()
