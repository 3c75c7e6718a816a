"""Train the published architecture as a baseline: ``python -m training.reference``.

The same stream of datasets as the ``paper`` preset, the published loss (pinball in nats, here at
all levels of the grid for each dataset instead of a random one), and a network small enough for a
CPU. Resumes with ``--resume``; at the end (or when time is up) it writes the averaged weights.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from torchmist.models.losses import pinball_loss
from torchmist.models.reference import ReferenceConfig, ReferenceMIST
from training.checkpoint import Checkpoint
from training.config import PRESETS, TrainConfig
from training.train import Trainer, run

__all__ = ["SIZES", "ReferenceTrainer", "main"]

SIZES = ReferenceConfig(phi_hidden_dim=64, n_phi_heads=4, phi_dim_forward=256, rho_hidden_dim=64)
"""A quarter of the released width in every layer, all else as released."""


class ReferenceTrainer(Trainer):
    """A run whose network is a :class:`~torchmist.models.reference.ReferenceMIST`."""

    sizes = SIZES

    def build(self) -> ReferenceMIST:  # type: ignore[override]
        """A network of the run with random weights."""
        return ReferenceMIST(self.sizes)

    def loss(self, quantiles: Tensor, mi: Tensor) -> Tensor:
        """Mean pinball loss in nats."""
        return pinball_loss(quantiles, mi, self.model.levels)


def _write(trainer: ReferenceTrainer, path: Path) -> None:
    """The averaged weights with how they were made."""
    provenance = {
        "training": trainer.config.to_dict(),
        "command": f"python -m training.reference --steps {trainer.config.steps}",
        "steps": trainer.step,
        "datasets": trainer.datasets,
        "seconds": round(trainer.seconds),
        "validation": trainer.validation,
        "trained_range": {"n": list(trainer.config.samples), "d": list(trainer.config.dims)},
    }
    model = trainer.build()
    model.load_state_dict(trainer.average.state_dict())
    path.parent.mkdir(parents=True, exist_ok=True)
    model.save(path, provenance)
    print(f"wrote {path} after {trainer.step} steps, {trainer.datasets} datasets")


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=Path("runs/reference"))
    parser.add_argument(
        "--weights", type=Path, default=Path("benchmarks/results/weights/reference.safetensors")
    )
    parser.add_argument("--preset", choices=sorted(PRESETS), default="paper")
    parser.add_argument("--steps", type=int, default=3500)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--max-minutes", type=float, default=math.inf)
    options = parser.parse_args(arguments)
    config: TrainConfig = replace(
        PRESETS[options.preset], steps=options.steps, learning_rate=5e-4, clip=0.5
    )
    path, device = options.out / "checkpoint.pt", torch.device("cpu")
    trainer = ReferenceTrainer(config, device)
    if options.resume:
        trainer.restore(Checkpoint.load(path, device))
    elif path.exists():
        parser.error(f"{path} exists: pass --resume to continue it, or another --out")
    options.out.mkdir(parents=True, exist_ok=True)
    run(trainer, options.out, checkpoint_minutes=3.0, max_minutes=options.max_minutes)
    _write(trainer, options.weights)


if __name__ == "__main__":
    main()
