"""Checkpoints: written whole or not at all, and enough to resume bit for bit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from torchmist.weight_files import save_whole
from training.config import TrainConfig

__all__ = ["Checkpoint"]


@dataclass
class Checkpoint:
    """State of a run after ``step`` steps; data need none, as they depend on seed and step."""

    config: TrainConfig
    step: int
    datasets: int
    seconds: float
    model: dict[str, Tensor]
    average: dict[str, Tensor]
    optimizer: dict[str, Any]
    validation: dict[str, float]

    def save(self, path: Path) -> None:
        """Write to ``path`` through a temporary file, so that a kill leaves the old one."""
        save_whole({**vars(self), "config": self.config.to_dict()}, path)

    @classmethod
    def load(cls, path: Path, device: torch.device) -> Checkpoint:
        """Read ``path``; raises ``FileNotFoundError`` with what to do when it is not there."""
        if not path.is_file():
            raise FileNotFoundError(f"no checkpoint at {path}; train without --resume first")
        content = torch.load(path, map_location=device, weights_only=True)
        content["config"] = TrainConfig.from_dict(content["config"])
        return cls(**content)
