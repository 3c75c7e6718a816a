"""Train the arbiter between two networks: ``collect`` what they say of own draws, then ``fit``.

``python -m training.arbiter collect --stage middle --part 0`` (any stage of the recipe and number
of parts, each with draws of its own), then ``python -m training.arbiter fit``, which exports the
arbiter with the names and sha256 of both networks. Both networks are fixed.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from torchmist.arbiter import Arbiter, Evidence
from torchmist.duo import DuoMIST
from torchmist.heads import from_nats, to_nats
from torchmist.losses import quantile_losses
from torchmist.models.mist import MIST
from torchmist.weights import load_pretrained, save_weights
from training.export import reference_predictions
from training.registry import refuse_existing, register
from training.stages import Recipe, load_recipe
from training.stream import stream_data

__all__ = ["collect", "fit", "main"]

PLAIN, LOCAL, RECIPE = "mist-v1", "mist-v2-preview", "mist-duo-v2"
_CPU = torch.device("cpu")
_CHECK = 8  # every eighth step's draws train nothing
_SAVED = 25  # steps between writes
_RATE, _BATCH, _DROPOUT, _DECAY = 2e-3, 512, 0.2, 1e-2
_WARMUP = 100  # steps
# of the mean in nats, and of its distance in t: long upper tails would draw the mean up with them
_HUBER, _APART = 0.05, 0.3
Data = dict[str, Tensor]


def _duo() -> DuoMIST:
    plain, local = load_pretrained(PLAIN), load_pretrained(LOCAL)
    assert isinstance(plain, MIST) and isinstance(local, MIST)
    return DuoMIST(plain, local, Arbiter(), (PLAIN, LOCAL)).eval()


def _part(recipe: Recipe, stage: str, part: int) -> Recipe:
    """One stage of the recipe, with draws of its own.

    Raises:
        ValueError: for a stage that the recipe does not have.
    """
    chosen = [s for s in recipe.stages if s.name == stage]
    if not chosen:
        names = [s.name for s in recipe.stages]
        raise ValueError(f"expected a stage among {names} of {recipe.name}, got {stage!r}")
    return dataclasses.replace(recipe, seed=recipe.seed + 1000 * part, stages=tuple(chosen))


def _evidence(data: Data, rows: Tensor) -> Evidence:
    return Evidence(*(data[name][rows] for name in Evidence._fields))


@torch.no_grad()
def collect(recipe: Recipe, out: Path, minutes: float) -> None:
    """Write what both networks say of the steps' draws to ``out``, until ``minutes`` are over."""
    duo, start, rows = _duo(), time.monotonic(), []
    for step in range(recipe.steps):
        data = stream_data(recipe, step, _CPU)
        assert data is not None
        data = data.finite()
        check = torch.full((len(data.mi),), float(step % _CHECK == 0))
        rows.append([*duo.ask(data.x, data.y), data.mi, data.family.float(), check])
        over = time.monotonic() - start > 60 * minutes
        if over or step % _SAVED == _SAVED - 1 or step == recipe.steps - 1:
            names = (*Evidence._fields, "mi", "family", "check")
            content = {n: torch.cat(v) for n, v in zip(names, zip(*rows))}
            torch.save(content, out)
            print(f"{step + 1} steps, {len(content['mi'])} datasets", flush=True)
        if over:
            break


def _run(member: nn.Module, seen: Tensor) -> Tensor:
    """A member with dropout between its layers."""
    enter, first, middle, second, leave = member.children()
    hidden = F.dropout(first(enter(seen)), _DROPOUT)
    out: Tensor = leave(F.dropout(second(middle(hidden)), _DROPOUT))
    return out


def _losses(t: Tensor, mi: Tensor, levels: Tensor) -> Tensor:
    """Loss of each dataset ``[B]`` of quantiles of ``t`` ``[B, Q]``."""
    quantiles = to_nats(t)
    apart = (from_nats(quantiles.mean(-1).clamp(min=-0.1999)) - from_nats(mi)).abs()
    return quantile_losses(quantiles, mi, levels, mean_weight=_HUBER) + _APART * apart


def _train(arbiter: Arbiter, data: Data, levels: Tensor, epochs: int, seed: int) -> int:
    """Fit each member to ``data``, with dropout between its layers; return the steps it took."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for member in arbiter.members:
            for layer in (member[0], member[2]):  # type: ignore[index]
                layer.reset_parameters()
        optimizer = torch.optim.AdamW(arbiter.parameters(), lr=_RATE, weight_decay=_DECAY)
        total = epochs * math.ceil(len(data["mi"]) / _BATCH)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer,
            lambda k: min(1.0, (k + 1) / _WARMUP) * 0.5 * (1 + math.cos(math.pi * k / total)),
        )
        for _ in range(epochs):
            for rows in torch.randperm(len(data["mi"]), generator=generator).split(_BATCH):
                each = arbiter.each(_evidence(data, rows), _run)
                loss = sum(_losses(t, data["mi"][rows], levels).mean() for t in each)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[union-attr]
                nn.utils.clip_grad_norm_(arbiter.parameters(), 1.0)
                optimizer.step()
                schedule.step()
    return total


def fit(paths: list[Path], *, epochs: int = 40, seed: int = 0) -> tuple[DuoMIST, dict[str, float]]:
    """An arbiter that fits what was collected, and the losses on draws that were left out."""
    duo = _duo()
    parts = [torch.load(path, weights_only=True) for path in paths]
    data = {name: torch.cat([p[name] for p in parts]) for name in parts[0]}
    held = data["check"] > 0
    train, check = ({k: v[m] for k, v in data.items()} for m in (~held, held))
    every = torch.arange(len(train["mi"])), torch.arange(len(check["mi"]))
    duo.arbiter.standardise(duo.arbiter.read(_evidence(train, every[0])))
    steps = _train(duo.arbiter, train, duo.levels, epochs, seed)
    with torch.no_grad():
        found = {
            "arbiter": duo.arbiter(_evidence(check, every[1])),
            "plain": check["plain"],
            "local": check["local"],
        }
        losses = {
            k: quantile_losses(q, check["mi"], duo.levels, mean_weight=0.0).mean().item()
            for k, q in found.items()
        }
    return duo, {**losses, "datasets": float(len(train["mi"])), "steps": float(steps)}


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("command", choices=("collect", "fit"))
    parser.add_argument("--folder", type=Path, default=Path("runs/arbiter"))
    parser.add_argument("--stage", default="middle", help="of the recipe, to collect draws of")
    parser.add_argument("--part", type=int, default=0, help="seed of the draws")
    parser.add_argument("--minutes", type=float, default=math.inf, help="of collecting")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--name", default=RECIPE, help="a new name: released weights never change")
    parser.add_argument("--export", type=Path, default=Path("pretrained"))
    options = parser.parse_args(arguments)
    recipe = load_recipe(RECIPE)
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.command == "collect":
        out = options.folder / f"part-{options.part}.pt"
        collect(_part(recipe, options.stage, options.part), out, options.minutes)
        return
    path = options.export / f"{options.name}.safetensors"
    refuse_existing(path)
    options.export.mkdir(parents=True, exist_ok=True)
    duo, losses = fit(sorted(options.folder.glob("part-*.pt")), epochs=options.epochs)
    print(json.dumps(losses))
    provenance = {
        "recipe": recipe.name, "recipe_sha256": recipe.digest(), "seed": recipe.seed,
        "stages": [dataclasses.asdict(stage) for stage in recipe.stages],
        "steps": int(losses.pop("steps")),
        "datasets": int(losses.pop("datasets")),
        "command": f"python -m training.arbiter fit --name {options.name}",
        "torch": torch.__version__,
        "trained_range": duo.local.provenance["trained_range"],
    }  # fmt: skip
    digest = save_weights(duo, path, provenance=provenance, evaluation={"validation": losses})
    register(path, digest, reference_predictions(duo))


if __name__ == "__main__":
    main()
