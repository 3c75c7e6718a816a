"""Train the arbiter between two networks: ``collect`` what they say of own draws, then ``fit``.

``python -m training.arbiter collect --stage known --part 0`` (any stage of the recipe and number of
parts, each with draws of its own), then ``python -m training.arbiter fit``, which exports the
arbiter with the names and sha256 of the networks. The networks are fixed. ``--recipe``: another
one than that of the default weights, which go on from a parent by what it does not read yet (pairs
and products of columns, independent components, classifiers of labels, what variates say once): of
their draws, those train of which that goes beyond the parent, one thing after the other.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import time
from pathlib import Path

import torch

from torchmist.ensemble.arbiter import CORRECTIONS, Arbiter
from torchmist.ensemble.arbiter_training import evidence_of, rows_of
from torchmist.ensemble.duo import DuoMIST
from torchmist.ensemble.evidence import Evidence
from torchmist.models.mist import MIST
from torchmist.weights import load_pretrained, registry, save_weights
from training.arbiter_fit import Data, fit, inherit, thinned
from training.export import reference_predictions
from training.registry import refuse_existing, register
from training.stages import Recipe, load_recipe
from training.stream import FAMILIES, stream_data

__all__ = ["collect", "collected", "main"]

PLAIN, LOCAL, EXPERT = "mist-v1", "mist-v2-preview", "mist-paper-v1"
RECIPE = "mist-duo-v24"
_CPU = torch.device("cpu")
_CHECK = 8  # every eighth step's draws train nothing
_SAVED = 25  # steps between writes
_WIDTH = 192  # of the arbiter
_EPOCHS, _FURTHER_EPOCHS = 32, 48  # of its training, and of what it reads further


def _duo(recipe: Recipe) -> DuoMIST:
    """The networks and an arbiter with the weights of the parent's, which reads more."""
    parent = _parent(recipe)
    arbiter = _arbiter(0 if parent is None else len(parent.arbiter.corrections()) + recipe.adds)
    names = (PLAIN, LOCAL) if arbiter.recognising is None else (PLAIN, LOCAL, EXPERT)
    plain, local, *expert = (_network(name) for name in names)
    if parent is not None:  # of turned axes its members are asked while draws are collected
        inherit(arbiter, parent.arbiter)
    return DuoMIST(plain, local, arbiter, names, *expert).eval()


def _network(name: str) -> MIST:
    """One of the networks that arbiters ask."""
    network = load_pretrained(name)
    assert isinstance(network, MIST)
    return network


def _arbiter(things: int) -> Arbiter:
    """An untrained one that goes on by so many ``things``, the first of :data:`CORRECTIONS`."""
    return Arbiter(_WIDTH, **dict.fromkeys(CORRECTIONS[:things], True))


def _parent(recipe: Recipe) -> DuoMIST | None:
    """The weights that the recipe starts from, if any."""
    if not recipe.parent:
        return None
    parent = load_pretrained(recipe.parent)
    assert isinstance(parent, DuoMIST)
    return parent


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


@torch.no_grad()
def collect(recipe: Recipe, out: Path, minutes: float) -> None:
    """Write what both networks say of the steps' draws to ``out``, until ``minutes`` are over."""
    duo, start, rows = _duo(recipe), time.monotonic(), []
    added = duo.arbiter.corrections()[-recipe.adds :]
    for part in added:
        part.learns = True
    for step in range(recipe.steps):
        data = stream_data(recipe, step, _CPU)
        assert data is not None
        data = data.finite()
        if added:
            some = torch.stack([part.may_say_more(data.x, data.y) for part in added]).any(0)
            data = data.of(some)
        check = torch.full((len(data.mi),), float(step % _CHECK == 0))
        if len(data.mi):
            rows.append([*duo.ask(data.x, data.y), data.mi, data.family.float(), check])
        over = time.monotonic() - start > 60 * minutes
        if rows and (over or step % _SAVED == _SAVED - 1 or step == recipe.steps - 1):
            names = (*Evidence._fields, "mi", "family", "check")
            content = {n: torch.cat(v) for n, v in zip(names, zip(*rows))}
            torch.save(content, out)
            print(f"{step + 1} steps, {len(content['mi'])} datasets", flush=True)
        if over:
            break


def collected(paths: list[Path]) -> Data:
    """All draws of these files."""
    parts = [torch.load(path, weights_only=True) for path in paths]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _fitted(
    duo: DuoMIST, data: Data, recipe: Recipe, epochs: int
) -> tuple[dict[str, float], dict[str, str]]:
    """Fit the arbiter; return what :func:`fit` found, and the name and sha256 of the parent.

    What goes beyond a parent is fitted one thing after the other, each to the draws of which it
    goes beyond all before it; ``datasets`` and ``steps`` are sums, losses those of the last.
    """
    parent = _parent(recipe)
    if parent is None:
        return fit(duo.arbiter, thinned(data, recipe.hidden), duo.levels, epochs=epochs), {}
    known = [k for k, family in enumerate(FAMILIES) if parent.saw(family)]
    before = parent.arbiter
    found: dict[str, float] = {}
    for things in range(len(before.corrections()) + 1, len(duo.arbiter.corrections()) + 1):
        heir = _arbiter(things)
        inherit(heir, before)
        with torch.no_grad():
            told = rows_of(data, heir.says_more(evidence_of(data)))
        new = fit(
            heir,
            thinned(told, recipe.hidden),
            duo.levels,
            epochs=epochs,
            correction=True,
            known=known,
            met=recipe.met,
        )
        print(json.dumps({CORRECTIONS[things - 1]: new}), flush=True)
        sums = {name: found.get(name, 0.0) + new[name] for name in ("datasets", "steps")}
        before, found = heir, {**new, **sums}
    inherit(duo.arbiter, before)
    return found, {"name": recipe.parent, "sha256": registry()[recipe.parent]["sha256"]}


def _highest(recipe: Recipe, data: Data) -> float:
    """The highest information in nats of the draws, and of those of all parents."""
    parent = _parent(recipe)
    known = None if parent is None or parent.trained_range is None else parent.trained_range.mi
    return round(max(float(data["mi"].max()), known[1] if known else 0.0), 1)


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("command", choices=("collect", "fit"))
    parser.add_argument("--folder", type=Path, default=Path("runs/arbiter"))
    parser.add_argument("--recipe", default=RECIPE, help="of the draws, and of what is fitted")
    parser.add_argument("--stage", help="of the recipe, to collect draws of; its first by default")
    parser.add_argument("--part", type=int, default=0, help="seed of the draws")
    parser.add_argument("--minutes", type=float, default=math.inf, help="of collecting")
    parser.add_argument("--epochs", type=int, help="32 by default, 48 with a parent")
    parser.add_argument("--name", help="a new name, the recipe's by default: files never change")
    parser.add_argument("--export", type=Path, default=Path("pretrained"))
    options = parser.parse_args(arguments)
    recipe = load_recipe(options.recipe)
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.command == "collect":
        out = options.folder / f"part-{options.part}.pt"
        stage = options.stage or recipe.stages[0].name
        collect(_part(recipe, stage, options.part), out, options.minutes)
        return
    name = options.name or recipe.name
    path = options.export / f"{name}.safetensors"
    refuse_existing(path)
    options.export.mkdir(parents=True, exist_ok=True)
    duo = _duo(recipe)
    data = collected(sorted(options.folder.glob("part-*.pt")))
    epochs = options.epochs or (_FURTHER_EPOCHS if recipe.parent else _EPOCHS)
    losses, origin = _fitted(duo, data, recipe, epochs)
    print(json.dumps(losses))
    provenance = {
        "recipe": recipe.name, "recipe_sha256": recipe.digest(), "seed": recipe.seed,
        **({"parent": origin} if origin else {}),
        "stages": [dataclasses.asdict(stage) for stage in recipe.stages],
        "steps": int(losses.pop("steps")),
        "datasets": int(losses.pop("datasets")),
        "command": f"python -m training.arbiter fit --recipe {options.recipe} --name {name} "
        f"--epochs {epochs}",
        "torch": torch.__version__,
        "trained_range": {
            **duo.local.provenance["trained_range"],
            "mi": [0.0, _highest(recipe, data)],
        },
    }  # fmt: skip
    digest = save_weights(duo, path, provenance=provenance, evaluation={"validation": losses})
    register(path, digest, reference_predictions(duo))


if __name__ == "__main__":
    main()
