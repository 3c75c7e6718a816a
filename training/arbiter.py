"""Train the arbiter between two networks: ``collect`` what they say of own draws, then ``fit``.

``python -m training.arbiter collect --part 0`` (any number of parts, each with draws of its own),
then ``python -m training.arbiter fit --name mist-duo-v1``, which exports the arbiter with the
names and sha256 of both networks. Both networks are fixed.
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

from torchmist.duo import Arbiter, DuoMIST
from torchmist.heads import from_nats
from torchmist.losses import quantile_loss
from torchmist.models.mist import MIST
from torchmist.weights import load_pretrained, save_weights
from training.export import reference_predictions
from training.registry import refuse_existing, register
from training.stages import Recipe, load_recipe
from training.stream import stream_data

__all__ = ["collect", "fit", "main"]

PLAIN, LOCAL, RECIPE = "mist-v1", "mist-v2-preview", "mist-duo-v1"
_CPU = torch.device("cpu")
_CHECK = 8  # every eighth step's draws train nothing
_ASKED = ("plain", "local", "opinions", "sizes")
_RATE, _BATCH, _DROPOUT = 2e-3, 512, 0.2
# of the mean in nats, and of its distance in t: long upper tails would draw the mean up with them
_HUBER, _APART = 0.05, 0.3
Data = dict[str, Tensor]


def _duo() -> DuoMIST:
    plain, local = load_pretrained(PLAIN), load_pretrained(LOCAL)
    assert isinstance(plain, MIST) and isinstance(local, MIST)
    return DuoMIST(plain, local, Arbiter(), (PLAIN, LOCAL)).eval()


def _part(recipe: Recipe, part: int) -> Recipe:
    """The recipe with draws of its own."""
    return dataclasses.replace(recipe, seed=recipe.seed + 1000 * part)


@torch.no_grad()
def collect(recipe: Recipe, part: int, out: Path, minutes: float) -> None:
    """Write what both networks say of the steps' draws to ``out``, until ``minutes`` are over."""
    duo, mine = _duo(), _part(recipe, part)
    start, rows, check = time.monotonic(), [], []
    for step in range(mine.steps):
        data = stream_data(mine, step, _CPU)
        assert data is not None
        data = data.finite()
        asked = duo.ask(data.x, data.y)
        rows.append([*asked, data.mi, data.family.float()])
        check.append(torch.full((len(data.mi),), float(step % _CHECK == 0)))
        over = time.monotonic() - start > 60 * minutes
        if over or step % 50 == 49 or step == mine.steps - 1:
            names = ("plain", "local", "opinions", "sizes", "mi", "family")
            content = {n: torch.cat(v) for n, v in zip(names, zip(*rows))}
            torch.save({**content, "check": torch.cat(check)}, out)
            print(f"{step + 1} steps, {len(content['mi'])} datasets", flush=True)
        if over:
            break


def _train(arbiter: Arbiter, data: Data, levels: Tensor, epochs: int, seed: int) -> int:
    """Fit ``arbiter`` to ``data``, with dropout between its layers; return the steps it took."""
    whole = arbiter.network
    enter, first, middle, second, leave = whole
    generator = torch.Generator().manual_seed(seed)
    steps = 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for layer in (enter, middle):
            layer.reset_parameters()  # type: ignore[operator]
        arbiter.network = nn.Sequential(
            enter, first, nn.Dropout(_DROPOUT), middle, second, nn.Dropout(_DROPOUT), leave
        )
        optimizer = torch.optim.AdamW(arbiter.parameters(), weight_decay=1e-2)
        for epoch in range(epochs):
            for group in optimizer.param_groups:
                group["lr"] = 1e-5 + _RATE * 0.5 * (1 + math.cos(math.pi * epoch / epochs))
            for rows in torch.randperm(len(data["mi"]), generator=generator).split(_BATCH):
                mi = data["mi"][rows]
                quantiles = arbiter(*(data[k][rows] for k in _ASKED))
                mean = quantiles.mean(-1)
                apart = (from_nats(mean.clamp(min=-0.1999)) - from_nats(mi)).abs().mean()
                loss = quantile_loss(quantiles, mi, levels, mean_weight=_HUBER) + _APART * apart
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(arbiter.parameters(), 1.0)
                optimizer.step()
                steps += 1
    arbiter.network = whole
    return steps


def fit(paths: list[Path], *, epochs: int = 60, seed: int = 0) -> tuple[DuoMIST, dict[str, float]]:
    """An arbiter that fits what was collected, and the losses on draws that were left out."""
    duo = _duo()
    parts = [torch.load(path, weights_only=True) for path in paths]
    data = {name: torch.cat([p[name] for p in parts]) for name in parts[0]}
    held = data["check"] > 0
    train, check = ({k: v[m] for k, v in data.items()} for m in (~held, held))
    duo.arbiter.standardise(duo.arbiter.read(*(train[k] for k in _ASKED)))
    steps = _train(duo.arbiter, train, duo.levels, epochs, seed)
    with torch.no_grad():
        found = {
            "arbiter": duo.arbiter(*(check[k] for k in _ASKED)),
            "plain": check["plain"],
            "local": check["local"],
        }
        losses = {
            k: quantile_loss(q, check["mi"], duo.levels, mean_weight=0.0).item()
            for k, q in found.items()
        }
    return duo, {**losses, "datasets": float(len(train["mi"])), "steps": float(steps)}


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("command", choices=("collect", "fit"))
    parser.add_argument("--folder", type=Path, default=Path("runs/arbiter"))
    parser.add_argument("--part", type=int, default=0, help="seed of the draws")
    parser.add_argument("--minutes", type=float, default=math.inf, help="of collecting")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--name", default=RECIPE, help="a new name: released weights never change")
    parser.add_argument("--export", type=Path, default=Path("pretrained"))
    options = parser.parse_args(arguments)
    recipe = load_recipe(RECIPE)
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.command == "collect":
        collect(recipe, options.part, options.folder / f"part-{options.part}.pt", options.minutes)
        return
    path = options.export / f"{options.name}.safetensors"
    refuse_existing(path)
    options.export.mkdir(parents=True, exist_ok=True)
    duo, losses = fit(sorted(options.folder.glob("part-*.pt")), epochs=options.epochs)
    print(json.dumps(losses))
    stage = recipe.stages[0]
    provenance = {
        "recipe": recipe.name, "recipe_sha256": recipe.digest(), "seed": recipe.seed,
        "stages": [dataclasses.asdict(stage)], "steps": int(losses.pop("steps")),
        "datasets": int(losses.pop("datasets")),
        "command": f"python -m training.arbiter fit --name {options.name}",
        "torch": torch.__version__,
        "trained_range": duo.local.provenance["trained_range"],
    }  # fmt: skip
    digest = save_weights(duo, path, provenance=provenance, evaluation={"validation": losses})
    register(path, digest, reference_predictions(duo))


if __name__ == "__main__":
    main()
