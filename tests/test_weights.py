"""Weights files: round trip, header, and refusal of what is not them."""

from __future__ import annotations

import copy
import json

import pytest
import torch
from safetensors.torch import save_file

import torchmist
from torchmist import weight_files
from torchmist.functional import resolve_model
from torchmist.weights import ALIASES, registry, save_weights


def test_round_trip_with_header(small, pair, tmp_path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(small, path, provenance={"seed": 3}, evaluation={"mse": 0.1})
    loaded = torchmist.load_pretrained(path)
    assert loaded.config == small.config and loaded.provenance == {"seed": 3}
    assert loaded.evaluation == {"mse": 0.1}
    assert not loaded.training and not any(p.requires_grad for p in loaded.parameters())
    torch.testing.assert_close(loaded(*pair), small(*pair))


def test_paths_serve_as_models(small, pair, tmp_path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(small, path, provenance={}, evaluation={})
    x, y = pair
    expected = torchmist.mist_mi(x, y, model=small)
    torch.testing.assert_close(torchmist.mist_mi(x, y, model=path), expected)
    torch.testing.assert_close(torchmist.mist_mi(x, y, model=str(path)), expected)


def test_a_file_that_is_written_anew_is_read_again(small, pair, tmp_path) -> None:
    path, (x, y) = tmp_path / "w.safetensors", pair
    save_weights(small, path, provenance={}, evaluation={})
    first = torchmist.mist_mi(x, y, model=path)
    kept = resolve_model(path, torch.device("cpu"))
    assert resolve_model(str(path), torch.device("cpu")) is kept
    other = copy.deepcopy(small)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.5)
    save_weights(other, path, provenance={}, evaluation={})
    again = torchmist.mist_mi(x, y, model=path)
    torch.testing.assert_close(again, torchmist.mist_mi(x, y, model=other))
    assert not torch.isclose(again, first)
    torch.testing.assert_close(torchmist.MIRegularizer(path)(x, y), again)
    path.unlink()
    assert torch.equal(torchmist.mist_mi(x, y, model=path), again)


@pytest.mark.parametrize(
    "name, text", [("w.pt", "ends in .safetensors, got .*w.pt"), ("no/w.safetensors", "make .*no")]
)
def test_weights_are_not_written_where_they_are_not_found(small, tmp_path, name, text) -> None:
    with pytest.raises(ValueError, match=text):
        save_weights(small, tmp_path / name, provenance={}, evaluation={})
    assert not list(tmp_path.iterdir())


def test_only_networks_are_written(tmp_path) -> None:
    with pytest.raises(TypeError, match=r"network of torchmist, got Linear; pass what"):
        save_weights(torch.nn.Linear(1, 1), tmp_path / "w.safetensors")


def test_missing_and_foreign_files(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match="no weights at .*known names"):
        torchmist.load_pretrained(tmp_path / "none.safetensors")
    foreign = tmp_path / "foreign.safetensors"
    save_file({"a": torch.zeros(1)}, foreign)
    with pytest.raises(ValueError, match="expected a header with format 'torchmist'"):
        torchmist.load_pretrained(foreign)
    foreign.write_bytes(b"not safetensors")
    with pytest.raises(ValueError, match="could not read"):
        torchmist.load_pretrained(foreign)


def test_unknown_configuration_keys_are_refused(small, tmp_path) -> None:
    path = tmp_path / "w.safetensors"
    config = {**small.config.to_dict(), "depth": 9}
    header = {"format": "torchmist", "model": "mist", "config": json.dumps(config),
              "provenance": "{}", "evaluation": "{}"}  # fmt: skip
    save_file(small.state_dict(), path, metadata=header)
    with pytest.raises(ValueError, match=r"unknown MISTConfig keys \['depth'\]"):
        torchmist.load_pretrained(path)


def test_unknown_names_list_the_known() -> None:
    with pytest.raises(ValueError, match="got 'nope'; known names are .*mist"):
        torchmist.load_pretrained("nope")


@pytest.mark.parametrize(
    "name, near",
    [("MIST", "mist"), ("mist ", "mist"), ("mist_fast", "mist-fast"), ("mist-pair", "mist-pairs")],
)
def test_a_name_that_is_nearly_known_is_suggested(name: str, near: str) -> None:
    with pytest.raises(ValueError, match=f"got '{name}', did you mean '{near}'"):
        torchmist.load_pretrained(name)


@pytest.mark.parametrize("name", ["mist-pairs", "mist-pairs-v1"])
def test_weights_of_pairs_say_what_they_are_for(name: str) -> None:
    with pytest.raises(ValueError, match=f"got '{name}', which read pairs of single columns for"):
        torchmist.estimate(torch.randn(9), torch.randn(9), model=name)


@pytest.mark.parametrize("name", [None, 3])
def test_what_is_no_name_is_named(name) -> None:
    with pytest.raises(TypeError, match=f"registered name or.*got {type(name).__name__}"):
        torchmist.load_pretrained(name)


def test_a_damaged_registered_file_is_refused(monkeypatch) -> None:
    entry = {"file": "mist-paper-v1.safetensors", "sha256": "0" * 64}
    monkeypatch.setattr("torchmist.weights.registry", lambda: {"mist-paper-v1": entry})
    with pytest.raises(ValueError, match="expected sha256 0000.*damaged"):
        torchmist.load_pretrained("mist-paper-v1")


def test_weights_beside_the_code_of_a_clone_are_found(monkeypatch) -> None:
    known = registry()

    def absent(package: str) -> None:
        raise ModuleNotFoundError(f"No module named {package!r}")

    monkeypatch.setattr(weight_files, "files", absent)
    assert weight_files.read_registry("registry.json") == known
    name = ALIASES["mist-fast"]
    assert weight_files.read_registered(name, known[name]).registered


def test_code_without_weights_says_where_they_were_sought(monkeypatch, tmp_path) -> None:
    def absent(package: str) -> None:
        raise ModuleNotFoundError(f"No module named {package!r}")

    monkeypatch.setattr(weight_files, "files", absent)
    monkeypatch.setattr(weight_files, "__file__", str(tmp_path / "torchmist" / "weight_files.py"))
    with pytest.raises(ModuleNotFoundError, match="expected the weights of torchmist in .*again"):
        weight_files.read_registry("registry.json")


def test_aliases_point_at_registered_weights() -> None:
    assert set(ALIASES.values()) <= set(registry())
