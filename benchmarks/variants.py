"""Smaller and larger networks beside the chosen one, each trained for the same time.

``python -m benchmarks.variants --minutes 60 --out benchmarks/results/variants.csv --page
docs/general.md``

Each starts from random weights and learns from the data of a preset until its time is over; the
learning rate and the ramp of the data follow the time used, so every schedule ends with its budget.
Then it is validated on the draws that all share. Time is CPU time of one thread, which neither
pauses nor other jobs on the machine lengthen. Networks whose rows the CSV has are not trained anew.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from benchmarks.pages import markdown, write_table
from benchmarks.records import write_rows
from torchmist.models.config import MISTConfig
from torchmist.models.mist import MIST
from torchmist.synthetic.general import GeneralMeta
from training.config import PRESETS, TrainConfig
from training.train import Trainer
from training.validate import RANGES, validate

__all__ = ["CASES", "VARIANTS", "forward_times", "main", "table", "train", "verdict"]

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "small": {
        "odd": 2, "even": 2, "paired": 1, "basis_width": 16, "pair_width": 8, "feature_width": 48,
        "feature_layers": 1, "sample_width": 32, "inducing": 8, "heads": 4, "embedding": 3,
        "readout_width": 16, "head_width": 128, "seeds": 2,
    },
    "chosen": {},
    "large": {
        "pair_width": 24, "feature_width": 144, "feature_layers": 4, "sample_width": 96,
        "sample_layers": 2, "inducing": 24, "embedding": 8, "readout_width": 48, "head_width": 384,
    },
}  # fmt: skip
"""Sizes in which each differs from the preset's network."""

CASES = ((256, 8), (1000, 5), (5000, 32))
"""Samples, and columns on each side, of the forward passes that are timed."""

_SHIPPED_FROM = 3.0  # times as fast as the chosen network at every case
_CPU = torch.device("cpu")


def _network(name: str, base: MISTConfig) -> MISTConfig:
    return replace(base, **VARIANTS[name])


def train(config: TrainConfig, seconds: float, name: str = "") -> Trainer:
    """A run of ``seconds`` of CPU time, its schedule stretched to end with them.

    After each step the steps of the whole run are set to what makes the share of them that is done
    the share of the time that is used.
    """
    trainer = Trainer(config, _CPU)
    start = time.process_time()
    with tqdm(total=round(seconds), desc=name, unit="s", mininterval=5) as bar:
        while trainer.seconds < seconds:
            loss, _ = trainer.advance()
            trainer.seconds = time.process_time() - start
            whole = round(trainer.step * seconds / trainer.seconds)
            trainer.config = replace(config, steps=max(trainer.step, whole))
            bar.update(min(round(trainer.seconds), bar.total) - bar.n)
            bar.set_postfix(loss=f"{loss.item():.4f}", steps=trainer.step, refresh=False)
    return trainer


@torch.no_grad()
def forward_times(networks: list[MIST], n: int, dim: int) -> list[float]:
    """Median milliseconds of one thread for one dataset, the networks in turn."""
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, 1, n, dim, generator=generator)
    times: list[list[float]] = [[] for _ in networks]
    for turn in range(1 + (5 if n > 2000 else 21)):
        for network, taken in zip(networks, times):
            start = time.process_time()
            network(x, y)
            if turn:  # the first warms up
                taken.append(1e3 * (time.process_time() - start))
    return [statistics.median(taken) for taken in times]


def _warm() -> None:
    """Make the tables of relations, which are kept: no network's time should pay for them."""
    GeneralMeta({"relation": 1.0}).sample(1, 2, 1, 1, generator=torch.Generator())


def _measure(name: str, config: TrainConfig, minutes: float, runs: Path) -> dict[str, str]:
    """Train and validate one network; the row of it."""
    config = replace(config, model=_network(name, config.model))
    trainer = train(config, 60 * minutes, name)
    trainer.validation = validate(trainer.average, config, _CPU)
    folder = runs / name
    folder.mkdir(parents=True, exist_ok=True)
    trainer.checkpoint().save(folder / "checkpoint.pt")
    rate = trainer.datasets / trainer.seconds
    return {
        "variant": name, "minutes": f"{minutes:g}",
        "parameters": str(sum(p.numel() for p in trainer.model.parameters())),
        "steps": str(trainer.step), "datasets": str(trainer.datasets),
        "datasets_per_second": f"{rate:.4g}",
        **{key: f"{value:.6g}" for key, value in trainer.validation.items()},
    }  # fmt: skip


def _timings(names: list[str], config: TrainConfig) -> dict[str, dict[str, str]]:
    """Columns of forward passes of each network; weights make no difference."""
    networks = [MIST(_network(name, config.model)).eval() for name in names]
    out: dict[str, dict[str, str]] = {name: {} for name in names}
    for n, dim in CASES:
        for name, taken in zip(names, forward_times(networks, n, dim)):
            out[name][f"ms_{n}_{dim}"] = f"{taken:.4g}"
    return out


def _kept(path: Path, minutes: float) -> dict[str, dict[str, str]]:
    """Rows of networks that are done, by name.

    Raises:
        ValueError: for rows of another budget.
    """
    if not path.is_file():
        return {}
    with path.open(newline="") as file:
        rows = {row["variant"]: row for row in csv.DictReader(file)}
    others = sorted({row["minutes"] for row in rows.values()} - {f"{minutes:g}"})
    if others:
        raise ValueError(
            f"expected rows of {minutes:g} minutes in {path}, found {others}: pass the same "
            "--minutes or another --out"
        )
    return rows


def _write(path: Path, rows: dict[str, dict[str, str]]) -> None:
    columns = dict.fromkeys(key for row in rows.values() for key in row)
    write_rows(path, [rows[name] for name in VARIANTS if name in rows], list(columns))


def _times_as_fast(rows: Mapping[str, Mapping[str, str]], name: str) -> list[float]:
    """The chosen network's time over that of ``name``, at each case."""
    keys = [f"ms_{n}_{dim}" for n, dim in CASES]
    return [float(rows["chosen"][key]) / float(rows[name][key]) for key in keys]


def verdict(rows: Mapping[str, Mapping[str, str]]) -> str:
    """Whether the small network is fast enough to ship."""
    ratios = _times_as_fast(rows, "small")
    ships = min(ratios) >= _SHIPPED_FROM
    return (
        f"The small network is {', '.join(f'{r:.1f}' for r in ratios)} times as fast as the chosen "
        f"one: {'' if ships else 'not '}at least {_SHIPPED_FROM:g} times in every case, so "
        f"{'it may ship' if ships else 'it does not ship'}."
    )


def table(rows: Mapping[str, Mapping[str, str]]) -> str:
    """The rows as Markdown, with the verdict where there are both networks."""
    ranges = [f"mse_{name}" for name in RANGES if any(f"mse_{name}" in r for r in rows.values())]
    head = ["network", "parameters", "datasets/s", "steps"]
    head += [f"MSE, n {key.removeprefix('mse_')}" for key in ranges]
    head += [f"ms, n = {n}, {dim} + {dim}" for n, dim in CASES]
    lines = [
        [name, f"{int(row['parameters']):,}", f"{float(row['datasets_per_second']):.0f}",
         f"{int(row['steps']):,}", *(f"{float(row[key]):.3f}" for key in ranges),
         *(f"{float(row[f'ms_{n}_{dim}']):.1f}" for n, dim in CASES)]
        for name, row in rows.items()
    ]  # fmt: skip
    text = markdown(head, lines)
    return f"{text}\n{verdict(rows)}\n" if {"small", "chosen"} <= set(rows) else text


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, required=True, help="of training, for each")
    parser.add_argument("--out", type=Path, required=True, help="CSV of the results")
    parser.add_argument("--page", type=Path, help="page with the marks of the table `variants`")
    parser.add_argument("--preset", choices=sorted(PRESETS), default="general")
    parser.add_argument("--runs", type=Path, default=Path("runs/variants"), help="checkpoints")
    options = parser.parse_args(arguments)

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        config = PRESETS[options.preset]
        rows = _kept(options.out, options.minutes)
        if config.meta == "general":
            _warm()
        for name in VARIANTS:
            if name in rows:
                print(f"{name}: kept from {options.out}", flush=True)
                continue
            row = _measure(name, config, options.minutes, options.runs)
            rows[name] = row
            _write(options.out, rows)
            print(f"{name}: " + ", ".join(f"{k} {v}" for k, v in row.items()), flush=True)
        for name, timing in _timings(list(VARIANTS), config).items():
            rows[name] = {**rows[name], **timing}
        _write(options.out, rows)
    finally:
        torch.set_num_threads(threads)
    rows = {name: rows[name] for name in VARIANTS}
    text = table(rows)
    print(text)
    if options.page:
        write_table(options.page, "variants", text)


if __name__ == "__main__":
    main()
