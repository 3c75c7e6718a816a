"""The published architecture, held output for output against ``mist-statinf`` 0.1.1."""

from __future__ import annotations

import json
from collections import OrderedDict
from pathlib import Path

import pytest
import torch

from benchmarks.reference_outputs import CONFIGS, inputs, package, randomise
from torchmist.models.reference import ReferenceConfig, ReferenceMIST

STORED = json.loads((Path(__file__).parent / "data" / "mist_statinf.json").read_text())
SMALL = ReferenceConfig.from_dict(CONFIGS["small"])


def ours(name: str) -> ReferenceMIST:
    model = ReferenceMIST(ReferenceConfig.from_dict(CONFIGS[name])).eval()
    randomise(model)
    return model


@pytest.mark.parametrize("name", CONFIGS)
def test_names_and_shapes_are_those_of_the_package(name) -> None:
    shapes = {k: list(v.shape) for k, v in ours(name).state_dict().items()}
    assert shapes == STORED[name]["shapes"]


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("case", ["whole", "padded"])
def test_outputs_are_those_that_the_package_gave(name, case) -> None:
    source, padding, tau = inputs(CONFIGS[name]["max_input_dim"])
    with torch.no_grad():
        values = ours(name).at(source, tau, padding if case == "padded" else None)
    expected = torch.tensor(STORED[name]["outputs"][case])
    torch.testing.assert_close(values.flatten(), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", CONFIGS)
def test_outputs_are_those_of_the_package_where_it_is_installed(name) -> None:
    theirs = package()
    if theirs is None:
        pytest.skip("pip install --no-deps mist-statinf==0.1.1")
    model = theirs.MISTModel(**CONFIGS[name]).eval()
    mine = ours(name)
    mine.load_published(model.state_dict())
    source, padding, tau = inputs(CONFIGS[name]["max_input_dim"])
    with torch.no_grad():
        expected = model({"source": source, "tau": tau, "padding_mask": padding})
        torch.testing.assert_close(mine.at(source, tau, padding), expected, atol=1e-5, rtol=1e-4)


def test_the_authors_checkpoint_has_five_million_parameters() -> None:
    count = sum(p.numel() for p in ReferenceMIST().parameters())
    assert 4.5e6 < count < 6e6


def test_quantiles_are_the_head_at_each_level(pair) -> None:
    model = ours("small")
    x, y = (v[..., :4] for v in pair)
    quantiles = model(x, y)
    assert quantiles.shape == (3, 24)
    one = model.at(model.rows(x, y), torch.full((3, 1), float(model.levels[7])))
    torch.testing.assert_close(quantiles[:, 7:8], one)


def test_it_depends_on_the_order_of_columns_unlike_the_default(pair, small) -> None:
    x, y = (v[..., :4] for v in pair)
    moved = (ours("small")(x, y) - ours("small")(x, y.flip(-1))).abs().max()
    assert moved > 1e-2
    torch.testing.assert_close(small(x, y), small(x, y.flip(-1)), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("prefix", ["", "msm.", "core."])
@pytest.mark.parametrize("nested", [False, True])
def test_checkpoints_of_the_authors_load(prefix, nested, tmp_path) -> None:
    state = OrderedDict((prefix + k, v) for k, v in ours("small").state_dict().items())
    path = tmp_path / "weights.ckpt"
    torch.save({"state_dict": state} if nested else state, path)
    loaded = ReferenceMIST.load(path, SMALL)
    assert not loaded.training and not any(p.requires_grad for p in loaded.parameters())
    source, _, tau = inputs(12)
    torch.testing.assert_close(loaded.at(source, tau), ours("small").at(source, tau))


def test_pickled_checkpoints_are_refused(tmp_path) -> None:
    path = tmp_path / "weights.ckpt"
    torch.save({"state_dict": {}, "hyper_parameters": Path("x")}, path)
    with pytest.raises(ValueError, match="found pickled objects; if you trust the file"):
        ReferenceMIST.load(path, SMALL)


def test_own_files_hold_their_configuration(tmp_path) -> None:
    path = tmp_path / "w.safetensors"
    ours("small").save(path, {"datasets": 3})
    loaded = ReferenceMIST.load(path)
    assert loaded.config == SMALL and loaded.provenance == {"datasets": 3}


def test_errors_name_the_fault(pair) -> None:
    model = ours("small")
    with pytest.raises(ValueError, match="at most 12 columns in X and Y together, got 5 [+] 8"):
        model(pair[0], torch.randn(3, 40, 8))
    with pytest.raises(ValueError, match="expected a quantile level tau"):
        model.at(inputs(12)[0])
    with pytest.raises(ValueError, match="phi_activation_fun 'gelu' or 'relu', got 'tanh'"):
        ReferenceConfig(phi_activation_fun="tanh")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="multiple of n_phi_heads=16, got 250"):
        ReferenceConfig(phi_hidden_dim=250)
    with pytest.raises(TypeError, match=r"unknown ReferenceConfig keys \['depth'\]"):
        ReferenceConfig.from_dict({"depth": 2})
