"""More columns and samples than the training has: ``python -m benchmarks.high_dim --model mist``.

Columns: Gaussian embeddings of 128, 512 and 1024 columns and 2 nats, against embeddings of as many
columns or 4 columns, by the route of the package (``torchmist.inference.large_samples``), by
principal directions (as many as the weights were trained on), and by random ones. The variances of
the embeddings fall as ``1 / j``; the dependence lies in their four ``leading`` directions, in four
``random`` ones, or is ``spread`` equally over all; ``none`` has no dependence.

Samples: Gaussian pairs and the families of the paper, with two and eight times as many samples as
the training has, by one pass over all of them and by the route (chunks).

Writes ``OUT.csv``, one record for each dataset and method.
"""

from __future__ import annotations

import argparse
import itertools
import math
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.evaluate import load
from benchmarks.pages import markdown, write_table
from benchmarks.records import write_rows
from torchmist.copula import normal_scores
from torchmist.inference.large_samples import route
from torchmist.models.network import QuantileNetwork
from torchmist.synthetic.general import GeneralMeta

__all__ = ["embeddings", "main"]

_SEED = 880_000_000
_NATS, _RANK = 2.0, 4
_CASES = (
    (128, 128, (256, 1000, 4000)), (512, 512, (256, 1000)), (512, 4, (256, 1000)),
    (1024, 4, (256, 1000)), (1024, 1024, (256,)),
)  # fmt: skip
_KINDS = ("leading", "random", "spread", "none")
_COLUMNS = ("part", "kind", "dx", "dy", "n", "seed", "method", "truth", "estimate", "seconds")

Record = dict[str, str | int | float]


def embeddings(
    kind: str, dx: int, dy: int, n: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """X ``[1, N, dx]`` and Y ``[1, N, dy]`` of 2 nats (none for ``"none"``); see the module."""
    least = min(dx, dy)
    rank = {"none": 0, "spread": least}.get(kind, _RANK)
    rho = torch.zeros(least)
    if rank:
        rho[:rank] = math.sqrt(-math.expm1(-2 * _NATS / rank))

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    x, y = normal(n, dx), normal(n, dy)
    y[:, :least] = rho * x[:, :least] + (1 - rho.square()).sqrt() * y[:, :least]

    def embed(v: Tensor) -> Tensor:
        d = v.shape[1]
        if d <= _RANK:
            return v
        if kind == "random":
            v = v @ torch.linalg.qr(normal(d, d)).Q
        out: Tensor = v * torch.arange(1, d + 1) ** -0.5 @ torch.linalg.qr(normal(d, d)).Q
        return out

    return embed(x)[None], embed(y)[None]


def _principal(side: Tensor, keep: int) -> Tensor:
    if side.shape[-1] <= keep:
        return side
    z = normal_scores(side)
    directions: Tensor = torch.linalg.svd(z, full_matrices=False).Vh[:, :keep].mT
    return z @ directions


def _random(side: Tensor, keep: int, generator: torch.Generator) -> Tensor:
    d = side.shape[-1]
    if d <= keep:
        return side
    directions: Tensor = torch.linalg.qr(torch.randn(d, keep, generator=generator)).Q
    return normal_scores(side) @ directions


def _reduced(
    x: Tensor, y: Tensor, network: QuantileNetwork, reduce: Callable[[Tensor], Tensor]
) -> Tensor:
    """Quantiles ``[B, Q]`` of both sides with fewer columns."""
    quantiles: Tensor = network(reduce(x), reduce(y))
    return quantiles


def _columns(network: QuantileNetwork, most: int, seeds: int) -> Iterator[Record]:
    for (dx, dy, sizes), kind, seed in itertools.product(_CASES, _KINDS, range(seeds)):
        for n in sizes:
            if kind == "spread" and dy <= _RANK:
                continue
            generator = torch.Generator().manual_seed(_SEED + 1000 * dx + 10 * dy + n + seed)
            x, y = embeddings(kind, dx, dy, n, generator)
            methods: dict[str, Callable[[], Tensor]] = {
                "route": partial(route, x, y, network),
                "principal": partial(_reduced, x, y, network, partial(_principal, keep=most)),
                "random": partial(
                    _reduced, x, y, network, partial(_random, keep=most, generator=generator)
                ),
            }
            truth = 0.0 if kind == "none" else _NATS
            yield from _records(methods, part="columns", kind=kind, dx=dx, dy=dy, n=n, seed=seed,
                                truth=truth)  # fmt: skip


def _samples(network: QuantileNetwork, most: int, seeds: int) -> Iterator[Record]:
    for times, kind, d, seed in itertools.product(
        (2, 8), ("gaussian", "paper"), (2, 5, 10), range(2 * seeds)
    ):
        generator = torch.Generator().manual_seed(_SEED + 100 * times + 10 * d + seed)
        meta = GeneralMeta({kind: 1.0}, independent=0.0, mixed=0.0, warped=0.0)
        batch = meta.sample(2, times * most, d, d, generator=generator)
        for x, y, mi in zip(batch.x.split(1), batch.y.split(1), batch.mi.tolist()):
            methods: dict[str, Callable[[], Tensor]] = {
                "route": partial(route, x, y, network),
                "one pass": partial(network, x, y),
            }
            yield from _records(methods, part="samples", kind=kind, dx=d, dy=d, n=times * most,
                                seed=seed, truth=mi)  # fmt: skip


def _records(
    methods: dict[str, Callable[[], Tensor]], **case: str | int | float
) -> Iterator[Record]:
    for method, call in methods.items():
        start = time.perf_counter()
        value = call().clamp(min=0).mean().item()
        yield {**case, "method": method, "estimate": value, "seconds": time.perf_counter() - start}


def _table(records: list[Record], part: str) -> str:
    """Mean estimates (columns) or mean absolute errors (samples), one line a case."""
    cases: dict[tuple[object, ...], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for r in records:
        if r["part"] == part:
            value, truth = float(r["estimate"]), float(r["truth"])
            size = (r["kind"], r["dx"], r["dy"], r["n"], truth if part == "columns" else 0.0)
            wrong = value if part == "columns" else abs(value - truth)
            cases[size][str(r["method"])].append(wrong)
    methods = list(next(iter(cases.values())))
    rows = [
        [str(kind), f"{dx} x {dy}", str(n), *([f"{truth:g}"] if part == "columns" else []),
         *(f"{statistics.mean(found[m]):.3f}" for m in methods)]
        for (kind, dx, dy, n, truth), found in cases.items()
    ]  # fmt: skip
    head = ["dependence", "columns", "n", *(["truth"] if part == "columns" else []), *methods]
    return markdown(head, rows)


@torch.no_grad()
def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="mist")
    parser.add_argument("--seeds", type=int, default=2, help="datasets of each case")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "high_dim")
    parser.add_argument("--page", type=Path, help="write the tables into this page, too")
    options = parser.parse_args(arguments)
    start = time.monotonic()
    network = load(options.model)
    trained = network.trained_range
    if trained is None or trained.n is None or trained.d is None:
        raise ValueError(
            f"expected weights that state the sizes they were trained on, got {options.model}"
        )
    records = [
        *_samples(network, trained.n[1], options.seeds),
        *_columns(network, trained.d[1], options.seeds),
    ]
    write_rows(options.out.with_suffix(".csv"), records, _COLUMNS, 5)
    for part in ("samples", "columns"):
        table = _table(records, part)
        print(f"{'mean absolute error' if part == 'samples' else 'mean estimate'}, nats\n{table}")
        if options.page:
            write_table(options.page, part, table)
    print(f"{len(records)} records in {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
