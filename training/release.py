"""Turn a finished run of a recipe into weights that ship, under a name that is new.

Legend: none; files are ``NAME.safetensors``, ``NAME.reference.json`` and ``registry.json``.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch

from torchmist.weights import save_weights
from training.export import reference_predictions
from training.registry import commit, refuse_existing, register
from training.trainer import RecipeTrainer

__all__ = ["release"]


def release(trainer: RecipeTrainer, folder: Path, evaluation: dict[str, Any]) -> Path:
    """Write the averaged weights as the recipe's name into ``folder``, and register them.

    ``evaluation``: the errors that were measured, which stand in the header.

    Raises:
        FileExistsError: if weights of that name are there: released weights never change.
    """
    recipe = trainer.recipe
    path = folder / f"{recipe.name}.safetensors"
    refuse_existing(path)
    folder.mkdir(parents=True, exist_ok=True)
    samples = [s.samples for s in recipe.stages]
    widest = (
        1024 if any(s.wide > 0 for s in recipe.stages) else max(s.dims[1] for s in recipe.stages)
    )
    provenance = {
        "recipe": recipe.name,
        "recipe_sha256": recipe.digest(),
        "stages": [dataclasses.asdict(s) for s in recipe.stages],
        "seed": recipe.seed,
        "steps": trainer.step,
        "datasets": trainer.datasets,
        "seconds": round(trainer.seconds),
        "torch": torch.__version__,
        "commit": commit(),
        "parents": [],
        "command": f"python -m training.recipe {recipe.name} --export pretrained",
        "trained_range": {
            "n": [min(low for low, _ in samples), max(high for _, high in samples)],
            "d": [1, widest],
        },
    }
    model = trainer.average.cpu()
    digest = save_weights(model, path, provenance=provenance, evaluation=evaluation)
    register(path, digest, reference_predictions(model))
    return path
