"""Export: a checkpoint becomes registered weights with their provenance."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

import torchmist
from training.checkpoint import Checkpoint
from training.config import PRESETS
from training.export import _command, export, mean_of, reference_predictions
from training.registry import register
from training.train import Trainer


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    trainer = Trainer(replace(PRESETS["smoke"], steps=1), torch.device("cpu"))
    trainer.advance()
    return trainer.checkpoint()


def test_an_exported_name_is_never_overwritten(checkpoint, tmp_path) -> None:
    path = export([checkpoint], "tiny-v1", {}, tmp_path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(FileExistsError, match="released weights never change"):
        export([checkpoint], "tiny-v1", {"imd": [1.0]}, tmp_path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    path.unlink()
    with pytest.raises(FileExistsError, match="exists or is registered"):
        export([checkpoint], "tiny-v1", {}, tmp_path)


def test_a_registered_name_keeps_its_digest(tmp_path) -> None:
    path = tmp_path / "tiny-v1.safetensors"
    register(path, "0" * 64, [])
    register(path, "0" * 64, [])
    with pytest.raises(FileExistsError, match="tiny-v1 is registered with sha256 000"):
        register(path, "1" * 64, [])
    assert json.loads((tmp_path / "registry.json").read_text())["tiny-v1"]["sha256"] == "0" * 64


def test_export_round_trip(tmp_path) -> None:
    trainer = Trainer(replace(PRESETS["smoke"], steps=3), torch.device("cpu"))
    for _ in range(3):
        trainer.advance()
    trainer.validation = {"mse_10-100": 1.0}
    path = export([trainer.checkpoint()], "tiny-v1", {"imd": [1.0]}, tmp_path)
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


@pytest.mark.parametrize("preset", PRESETS)
def test_the_command_names_the_preset(preset) -> None:
    config = replace(PRESETS[preset], steps=7, seed=3, init="first-v1")
    words = _command(config).split()
    assert words[words.index("--preset") + 1] == preset and "--batch-cost" not in words
    assert words[words.index("--init") + 1] == "first-v1"
    assert "--batch-cost 7" in _command(replace(config, batch_cost=7))


def test_several_checkpoints_are_averaged() -> None:
    config = replace(PRESETS["smoke"], steps=3)
    runs = [Trainer(replace(config, seed=seed), torch.device("cpu")) for seed in (0, 1)]
    mean = mean_of([run.checkpoint() for run in runs])
    for name, value in mean.average.items():
        one, two = (run.average.state_dict()[name] for run in runs)
        torch.testing.assert_close(value, (one + two) / 2)
    assert mean.validation["mse_10-100"] > 0
    other = replace(runs[0].checkpoint(), config=PRESETS["paper"])
    with pytest.raises(ValueError, match="weights of one network"):
        mean_of([other, runs[0].checkpoint()])


def test_weights_are_averaged_with_checkpoints(tmp_path) -> None:
    runs = [
        Trainer(replace(PRESETS["smoke"], steps=1, seed=k), torch.device("cpu")) for k in (0, 1)
    ]
    for run in runs:
        run.advance()
    first, second = (run.checkpoint() for run in runs)
    path = export([first], "first-v1", {}, tmp_path)
    both = export([second], "both-v1", {}, tmp_path, [path])
    loaded = torchmist.load_pretrained(both)
    for name, value in loaded.state_dict().items():
        torch.testing.assert_close(value, (first.average[name] + second.average[name]) / 2)
    digest = json.loads((tmp_path / "registry.json").read_text())["first-v1"]["sha256"]
    assert loaded.provenance["averaged_weights"] == [digest]
