"""Recipes: all that the training of a network depends on, as stages in a TOML file.

A recipe starts from random weights and runs its stages one after the other. Every number is here or
in ``training/recipes/NAME.toml``; an unknown key is an error.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from torchmist.models.config import MISTConfig

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["RECIPES", "Recipe", "Stage", "load_recipe"]

RECIPES = Path(__file__).parent / "recipes"


@dataclass(frozen=True)
class Stage:
    """One stage of a recipe.

    Args:
        name: of the stage.
        steps: optimiser steps.
        rates: learning rate at the start and at the end, a cosine between them.
        warmup: steps over which the rate rises from 0 at the start.
        samples: range of the number of samples N, log-uniform.
        long: share of the steps whose N is in the upper two octaves of that range.
        dims: range of dx and dy, log-uniform; both are equal in half of the steps.
        few: share of the steps with at most six columns on each side.
        wide: share of the steps with 65 to 1,024 columns on one side or on both.
        families: shares of the families of :mod:`training.stream`.
        groups: families in one step, each with an equal part of its datasets.
        moved: share of the steps on pairs of datasets, the second moved a little, with a loss of
            the change of MI alone.
        moved_weight: weight of that loss.
        pursuit: share of the steps on codes of encoders that are trained against the network.
        pursuers: encoders in each of eight populations, when they are made by the first stage that
            has any.
        advance: steps of a population of encoders before its codes are drawn.
        cost: datasets per step, by the cost ``N (d + 16) + 12 d^2 + min(N, 2048) min(N, 1024) / 4``
            of each with d the mean of dx and dy, in multiples of 8 within ``batch``.
        batch: least and most datasets per step.
    """

    name: str
    steps: int
    rates: tuple[float, float]
    warmup: int = 0
    samples: tuple[int, int] = (8, 1024)
    long: float = 0.0
    dims: tuple[int, int] = (1, 64)
    few: float = 0.3
    wide: float = 0.0
    families: dict[str, float] = field(default_factory=dict)
    groups: int = 4
    moved: float = 0.0
    moved_weight: float = 0.25
    pursuit: float = 0.0
    pursuers: int = 32
    advance: int = 8
    cost: float = 1.5e6
    batch: tuple[int, int] = (8, 64)

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"expected steps >= 1 of stage {self.name!r}, got {self.steps}")
        if not sum(self.families.values()) > 0:
            raise ValueError(f"expected shares of families in stage {self.name!r}, got none")


@dataclass(frozen=True)
class Recipe:
    """A network and the stages that train it from random weights, or go on from a ``parent``.

    Args:
        name: of the recipe, and of the weights that it makes.
        seed: with the stage and the step, the seed of every draw.
        model: sizes of the network.
        stages: in their order.
        mean_weight: weight of the Huber loss of the mean in nats beside the pinball loss.
        weight_decay, clip: of AdamW, and the gradient norm allowed.
        average: decay of the exponential moving average of the weights, which are exported.
        parent: registered name of the weights to start from; none by default.
        adds: things that are read beside what the parent of an arbiter reads.
        met: times that draws of families count which that parent has met.
        hidden: one in so many draws counts whose information nothing shows.
    """

    name: str
    seed: int
    model: MISTConfig
    stages: tuple[Stage, ...]
    mean_weight: float = 0.15
    weight_decay: float = 1e-4
    clip: float = 1.0
    average: float = 0.999
    parent: str = ""
    adds: int = 1
    met: int = 3
    hidden: int = 4

    @property
    def steps(self) -> int:
        """Steps of all stages."""
        return sum(stage.steps for stage in self.stages)

    def at(self, step: int) -> tuple[int, int]:
        """The stage that ``step`` belongs to, and its place in it."""
        for index, stage in enumerate(self.stages):
            if step < stage.steps:
                return index, step
            step -= stage.steps
        raise IndexError("expected a step of the recipe, got one beyond its end")

    def scaled(self, scale: float) -> Recipe:
        """The same with ``scale`` times the steps of each stage (at least one)."""
        stages = tuple(
            dataclasses.replace(
                s,
                steps=max(1, round(scale * s.steps)),
                warmup=min(s.warmup, round(scale * s.steps)),
            )
            for s in self.stages
        )
        return dataclasses.replace(self, stages=stages)

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values."""
        return {**dataclasses.asdict(self), "stages": [dataclasses.asdict(s) for s in self.stages]}

    def digest(self, step: int | None = None) -> str:
        """The sha256 of all that the recipe says but its name, or of what matters up to ``step``.

        The stages to come, and the steps that are left of the present one, are left out there.
        """
        values = self.to_dict()
        values.pop("name")
        if not self.parent:  # as in the digests of recipes that could have none
            values.pop("parent")
        if self.adds == 1:  # as in the digests of recipes that added one
            values.pop("adds")
        if self.met == 3:  # as in the digests of recipes that could have no other
            values.pop("met")
        if self.hidden == 4:  # the same
            values.pop("hidden")
        # switches as 0 and 1, as in the digests of the runs before they were bools
        values["model"] = {key: int(value) for key, value in values["model"].items()}
        if step:
            index, _ = self.at(min(step, self.steps) - 1)
            values["stages"] = values["stages"][: index + 1]
            values["stages"][-1].pop("steps")
        text = json.dumps(values, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def _known(cls: type, values: dict[str, Any], where: str) -> dict[str, Any]:
    names = {f.name for f in fields(cls)}
    unknown = sorted(set(values) - names)
    if unknown:
        raise TypeError(f"unknown keys {unknown} in {where}; known keys are {sorted(names)}")
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}


def load_recipe(name: str | Path) -> Recipe:
    """The recipe of that name in ``training/recipes``, or of that file.

    Raises:
        FileNotFoundError: for an unknown name.
        TypeError: for an unknown key.
    """
    path = Path(name) if str(name).endswith(".toml") else RECIPES / f"{name}.toml"
    if not path.is_file():
        known = sorted(p.stem for p in RECIPES.glob("*.toml"))
        raise FileNotFoundError(f"expected one of the recipes {known} or a .toml file, got {name}")
    values = tomllib.loads(path.read_text())
    model = MISTConfig.from_dict(values.pop("model", {}))
    stages = tuple(
        Stage(**_known(Stage, stage, f"a stage of {path.name}"))
        for stage in values.pop("stage", [])
    )
    if not stages:
        raise ValueError(f"expected at least one [[stage]] in {path.name}, got none")
    return Recipe(model=model, stages=stages, **_known(Recipe, values, path.name))
