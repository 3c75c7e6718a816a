"""Train a network from a recipe: ``python -m training.recipe mist-v2``.

Starts from random weights, runs the stages of ``training/recipes/NAME.toml``, writes a checkpoint
every few minutes, resumes bit for bit where it was interrupted, and exports the weights at the end.
Runs on the CPU, on one GPU (``--device cuda``) or through ``torchrun``; ``--scale 0.002`` runs all
of it in a small fraction of the steps.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import time
from collections import defaultdict
from pathlib import Path

import torch
import torch.distributed as dist

from training.ahead import Ahead
from training.processes import agree, join
from training.registry import refuse_existing
from training.release import release
from training.stages import load_recipe
from training.stream import stream_data, validation
from training.trainer import RecipeTrainer, rate_at
from training.validate import coverage

__all__ = ["main", "validate_families"]


@torch.no_grad()
def validate_families(
    trainer: RecipeTrainer, *, most: int = 4096, size: int = 32
) -> dict[str, dict[str, float]]:
    """Mean absolute error, bias and coverage of 90 % in each family and at each size."""
    found: dict[str, list[torch.Tensor]] = defaultdict(list)
    for name, (n, dx, dy), batch in validation(
        trainer.recipe, trainer.device, size=size, most=most
    ):
        quantiles = trainer.average(batch.x, batch.y)
        error = quantiles.mean(-1) - batch.mi
        inside = coverage(quantiles, batch.mi, trainer.average.levels).float()
        rows = torch.stack([error.abs(), error, inside, batch.mi])
        found[name].append(rows)
        found[f"{name} {n} {dx}x{dy}"].append(rows)
    keys = ("error", "bias", "coverage", "mi")
    out = {}
    for name, parts in found.items():
        out[name] = dict(zip(keys, torch.cat(parts, 1).mean(1).tolist()))
    return out


def run(
    trainer: RecipeTrainer, out: Path, *, workers: int, checkpoint_minutes: float,
    max_minutes: float, log_every: int, whole: bool = True,
) -> None:  # fmt: skip
    """Train to the last step, or until ``max_minutes`` are over, writing into ``out``."""
    recipe, lead = trainer.recipe, trainer.rank == 0
    ahead = None
    if workers:
        make = functools.partial(
            stream_data, recipe, device=trainer.device, rank=trainer.rank, world=trainer.world
        )
        ahead = Ahead(make, range(trainer.step, recipe.steps), workers)
    before, start = trainer.seconds, time.monotonic()
    saved, counted, logged = start, trainer.datasets, start
    losses: list[torch.Tensor] = []
    try:
        while not trainer.done:
            loss, norm = trainer.advance(ahead.next() if ahead else None)
            losses.append(loss)
            now = time.monotonic()
            trainer.seconds = before + now - start
            if lead and trainer.step % log_every == 0:
                mean = torch.stack(losses).nanmean().item()
                index, place = recipe.at(trainer.step - 1)
                now = time.monotonic()
                row = {
                    "step": trainer.step, "stage": recipe.stages[index].name,
                    "datasets": trainer.datasets, "seconds": round(trainer.seconds, 1),
                    "loss": round(mean, 5), "norm": round(norm.item(), 3),
                    "rate": f"{rate_at(recipe.stages[index], place):.2e}",
                    "per_second": round((trainer.datasets - counted) / (now - logged)),
                    **{k: round(v, 4) for k, v in trainer.take_seen().items()},
                }  # fmt: skip
                with (out / "log.jsonl").open("a") as file:
                    file.write(json.dumps(row) + "\n")
                print(" ".join(f"{k} {v}" for k, v in row.items()), flush=True)
                losses, counted, logged = [], trainer.datasets, now
            over = agree(now - start > 60 * max_minutes, trainer.device, trainer.world)
            if lead and (trainer.done or over or now - saved > 60 * checkpoint_minutes):
                trainer.save(out / "checkpoint", whole=whole)
                saved = time.monotonic()
            if over:
                break
    finally:
        if ahead:
            ahead.close()


def _print_validation(trainer: RecipeTrainer, out: Path, most: int, size: int) -> None:
    table = validate_families(trainer, most=most, size=size)
    (out / "validation.json").write_text(json.dumps(table, indent=1) + "\n")
    for name, row in table.items():
        print(f"{name:32s} " + " ".join(f"{k} {v:7.3f}" for k, v in row.items()), flush=True)


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("recipe", help="a name in training/recipes, or a .toml file")
    parser.add_argument("--out", type=Path, help="folder of checkpoint and log (runs/NAME)")
    parser.add_argument("--scale", type=float, default=1.0, help="of the steps of all stages")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--workers", type=int, default=0, help="processes that make data ahead")
    parser.add_argument("--init", type=Path, help="checkpoint of a parent run to start from")
    parser.add_argument("--checkpoint-minutes", type=float, default=3.0)
    parser.add_argument("--max-minutes", type=float, default=math.inf, help="stop, resumable")
    parser.add_argument("--light", action="store_true", help="checkpoints without pursuits")
    parser.add_argument("--log-every", type=int, default=50)
    parser.add_argument(
        "--validate", action="store_true", help="print own draws' errors at the end"
    )
    parser.add_argument("--validate-most", type=int, default=4096, help="samples in them at most")
    parser.add_argument("--validate-size", type=int, default=32, help="datasets of each size")
    parser.add_argument("--export", type=Path, help="folder of the weights at the end")
    options = parser.parse_args(arguments)

    recipe = load_recipe(options.recipe)
    if options.scale != 1:
        recipe = recipe.scaled(options.scale)
    out = options.out or Path("runs") / recipe.name
    device, rank, world = join(options.device)
    if options.export:
        refuse_existing(options.export / f"{recipe.name}.safetensors")
    out.mkdir(parents=True, exist_ok=True)
    trainer = RecipeTrainer(recipe, device, rank, world)
    if (out / "checkpoint").is_dir():
        trainer.load(out / "checkpoint")
        print(f"resumed at step {trainer.step} of {recipe.steps}", flush=True)
    elif options.init:
        trainer.load(options.init, anew=True)
    run(
        trainer, out, workers=options.workers, checkpoint_minutes=options.checkpoint_minutes,
        max_minutes=options.max_minutes, log_every=options.log_every, whole=not options.light,
    )  # fmt: skip
    if rank == 0 and options.validate:
        _print_validation(trainer, out, options.validate_most, options.validate_size)
    if rank == 0 and trainer.done and options.export:
        measured = out / "validation.json"
        known = {"validation": json.loads(measured.read_text())} if measured.is_file() else {}
        print(f"wrote {release(trainer, options.export, known)}")
    if world > 1:
        dist.barrier()
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
