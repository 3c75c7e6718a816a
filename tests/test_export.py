"""Export: a checkpoint becomes registered weights with their provenance."""

from __future__ import annotations

import json
from dataclasses import replace

import torch

import torchmist
from training.config import PRESETS
from training.export import export, reference_predictions
from training.train import Trainer


def test_export_round_trip(tmp_path) -> None:
    trainer = Trainer(replace(PRESETS["smoke"], steps=3), torch.device("cpu"))
    for _ in range(3):
        trainer.advance()
    trainer.validation = {"mse_10-100": 1.0}
    path = export(trainer.checkpoint(), "tiny-v1", {"imd": [1.0]}, tmp_path)
    loaded = torchmist.load_pretrained(path)
    for name, value in trainer.average.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)
    assert loaded.provenance["steps"] == 3 and loaded.provenance["seed"] == 0
    assert loaded.provenance["trained_range"] == {"n": [10, 100], "d": [2, 5]}
    assert loaded.evaluation == {"validation": {"mse_10-100": 1.0}, "imd": [1.0]}
    registry = json.loads((tmp_path / "registry.json").read_text())
    assert registry["tiny-v1"]["file"] == path.name and len(registry["tiny-v1"]["sha256"]) == 64
    stored = json.loads((tmp_path / "tiny-v1.reference.json").read_text())
    assert stored == reference_predictions(loaded)
