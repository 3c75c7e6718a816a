"""Folders and repositories of weights, offline, and the exported graph of the frozen network."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import torchmist
from torchmist.export import export_estimator
from torchmist.hub import FILE, from_pretrained, push_to_hub, save_folder


class Hub:
    """A hub in a folder, with the three calls of ``huggingface_hub`` that are made."""

    def __init__(self, root: Path) -> None:
        self.root, self.asked = root, []  # type: ignore[var-annotated]
        self.HfApi = lambda token: self

    def create_repo(self, repository: str, *, private: bool, exist_ok: bool) -> None:
        (self.root / repository).mkdir(parents=True, exist_ok=exist_ok)

    def upload_folder(self, *, repo_id: str, folder_path: str, **rest: Any) -> SimpleNamespace:
        for name in rest["allow_patterns"]:
            (self.root / repo_id / name).write_bytes((Path(folder_path) / name).read_bytes())
        return SimpleNamespace(commit_url=f"hub://{repo_id}/1")

    def hf_hub_download(self, repository: str, name: str, **rest: Any) -> str:
        self.asked.append((repository, name, rest["revision"]))
        return str(self.root / repository / name)


@pytest.fixture
def hub(monkeypatch, tmp_path) -> Hub:
    """In the place of the real one, so that nothing leaves this machine."""
    fake = Hub(tmp_path / "hub")
    monkeypatch.setitem(sys.modules, "huggingface_hub", fake)
    return fake


def test_a_folder_gives_back_the_network_and_its_header(small, pair, tmp_path) -> None:
    small.provenance = {"trained_range": {"n": [8, 500], "d": [1, 9]}}
    small.evaluation = {"mse": 0.1}
    assert save_folder(small, tmp_path / "w") == tmp_path / "w" / FILE
    found = from_pretrained(tmp_path / "w")
    torch.testing.assert_close(found(*pair), small(*pair))
    assert (found.provenance, found.evaluation) == (small.provenance, small.evaluation)
    assert not found.training and not any(p.requires_grad for p in found.parameters())


def test_a_folder_holds_safetensors_and_a_card_alone(small, tmp_path) -> None:
    save_folder(small, tmp_path / "w")
    assert {p.name for p in (tmp_path / "w").iterdir()} == {FILE, "README.md"}
    card = (tmp_path / "w" / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: torchmist\n") and "from_pretrained" in card


def test_registered_names_and_files_are_sources_too(small, pair, tmp_path) -> None:
    path = save_folder(small, tmp_path / "w", card="# Mine")
    torch.testing.assert_close(from_pretrained(path)(*pair), small(*pair))
    expected = torchmist.load_pretrained("mist-fast").state_dict()
    found = from_pretrained("mist-fast").state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_what_is_pushed_is_what_is_loaded(small, pair, hub, tmp_path) -> None:
    address = push_to_hub(small, "me/mine", tmp_path / "w", card="# Mine")
    assert address == "hub://me/mine/1"
    found = from_pretrained("me/mine", revision="abc")
    assert hub.asked == [("me/mine", FILE, "abc")]
    torch.testing.assert_close(found(*pair), small(*pair))


def test_the_calls_are_those_of_the_library(hub) -> None:
    import inspect

    sys.modules.pop("huggingface_hub")
    real = pytest.importorskip("huggingface_hub")
    for owner, name in ((real, "hf_hub_download"), (real.HfApi, "upload_folder")):
        known = inspect.signature(getattr(owner, name)).parameters
        wanted = {
            "hf_hub_download": ["revision", "token", "local_files_only"],
            "upload_folder": ["repo_id", "folder_path", "commit_message", "allow_patterns"],
        }[name]
        assert set(wanted) <= set(known)


def test_a_pickle_in_a_folder_is_refused(tmp_path) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / FILE)
    with pytest.raises(ValueError, match="expected a safetensors file"):
        from_pretrained(tmp_path)


def test_an_empty_folder_and_a_bad_name_say_what_is_missing(small, tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match=r"expected model\.safetensors in"):
        from_pretrained(tmp_path)
    with pytest.raises(ValueError, match="expected a repository 'owner/name', got 'mine'"):
        push_to_hub(small, "mine", tmp_path)


def test_repositories_without_the_extra_name_it(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match=r"pip install 'torchmist-mi\[hub\]'"):
        from_pretrained("owner/name")


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Any:
    """The exported network, written and read again."""
    path = tmp_path_factory.mktemp("export") / "mist.pt2"
    torch.export.save(export_estimator(dx=3, dy=2), path)
    return torch.export.load(path).module()


@pytest.mark.parametrize("n", [32, 39, 200, 1999])
def test_the_exported_graph_equals_the_network_at_every_size(program, n) -> None:
    generator = torch.Generator().manual_seed(n)
    x = torch.randn(1, n, 3, generator=generator)
    y = torch.randn(1, n, 2, generator=generator) + x[..., :2]
    x[0, :5] = x[0, 5]  # ties
    expected = torchmist.load_pretrained("mist-fast")(x, y).clamp(min=0)
    with torch.no_grad():
        torch.testing.assert_close(program(x, y), expected, atol=1e-5, rtol=1e-5)


def test_the_graph_of_the_default_model_for_one_size_equals_the_network() -> None:
    program = export_estimator("mist", dx=2, dy=1, samples=(120, 120)).module()
    network = torchmist.load_pretrained("mist")
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(1, 120, 2, generator=generator)
        y = torch.randn(1, 120, 1, generator=generator) + seed * x[..., :1]
        x[0, : 10 * seed] = x[0, 20]  # ties, too few for regimes, which no graph seeks
        with torch.no_grad():
            expected = network(x, y).clamp(min=0)
            torch.testing.assert_close(program(x, y), expected, atol=1e-5, rtol=1e-5)


def test_the_exported_graph_gives_what_estimate_gives(program) -> None:
    x = torch.randn(1, 300, 3, generator=torch.Generator().manual_seed(0))
    y = x[..., :2] + 1
    y = y + torch.randn(1, 300, 2, generator=torch.Generator().manual_seed(1))
    expected = torchmist.estimate(x[0], y[0], model="mist-fast").mean
    assert program(x, y).mean().item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("model", "sizes", "error", "message"),
    [
        ("mist", {}, TypeError, "expected a MIST without local statistics, got DuoMIST"),
        ("mist-v2-preview", {}, TypeError, "without local statistics, got MIST"),
        ("mist-fast", {"samples": (2, 500)}, ValueError, "expected samples of 17 <= low <= high"),
        ("mist-fast", {"samples": 500}, TypeError, r"two ints.*got 500; pass samples=\(500, 500\)"),
        ("mist-fast", {"samples": (32,)}, TypeError, r"two ints.*got \(32,\); pass"),
        ("mist-fast", {"samples": (32, 99.5)}, TypeError, r"two ints.*got \(32, 99.5\)"),
        ("mist-fast", {"samples": (100, 3000)}, ValueError, "both below 2000 or both from there"),
        ("mist-fast", {"dx": 65}, ValueError, "expected 1 to 64 columns, got dx=65"),
    ],
)
def test_what_cannot_be_exported_says_why(model, sizes, error, message) -> None:
    with pytest.raises(error, match=message):
        export_estimator(model, **{"dx": 2, "dy": 2, **sizes})


def test_what_is_no_network_of_this_library_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="expected model to be a network of torchmist, got Linear"):
        save_folder(torch.nn.Linear(1, 1), tmp_path / "weights")  # type: ignore[arg-type]
    assert not (tmp_path / "weights").exists()
