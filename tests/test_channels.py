"""Statistics have names: counts, places of weights and what a file may be read into follow."""

from __future__ import annotations

import dataclasses

import pytest
import torch

import torchmist
from torchmist.copula import rank_transform
from torchmist.models.channels import ANCHORS, DATASET, SIZES, group_slice, pair_channels
from torchmist.models.config import MISTConfig
from torchmist.models.mist import MIST
from torchmist.models.statistics import Features, sample_statistics
from torchmist.models.waves import wave_statistics
from torchmist.weights import save_weights

NAMES = pair_channels(4, 4, 2, radial=True, waves=True)


@pytest.fixture(scope="module")
def statistics():
    """Of 4,000 samples of two X columns and one Y column that follows the first one."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 4000, 2, generator=generator)
    y = 0.8 * x[..., :1] + 0.6 * torch.randn(1, 4000, 1, generator=generator)
    scores = rank_transform(torch.cat([x, y], -1)).scores
    z = torch.nn.functional.layer_norm(scores, scores.shape[-1:])
    odd = torch.stack([z, z**3 / 15**0.5, z.tanh() / 0.63, z.sign()])
    even = torch.stack([(z**2 - 1) / 2**0.5, z.abs(), z.cos(), (z**2).tanh()])
    features = Features.of(torch.cat([odd, even]), 4, 2)
    found = sample_statistics(z, features, 2, radial=True)
    return z[0], found.with_pairs(wave_statistics(scores))


def read(statistics, group: str) -> torch.Tensor:
    return statistics[1].pairs[group_slice(NAMES, group), 0]


def test_there_is_one_channel_for_each_name(statistics) -> None:
    _, found = statistics
    assert len(found.pairs) == len(NAMES) == len(set(NAMES))
    assert found.sizes.shape[1] == len(SIZES) and found.anchors.shape[1] == len(ANCHORS)
    assert found.side.shape[1] == len(DATASET)


def test_the_channels_of_the_gaussian_copula_are_what_their_names_say(statistics) -> None:
    z, _ = statistics
    rho = torch.corrcoef(z)
    soft = rho**2 / (rho**2 + 1 / 4000).sqrt()
    torch.testing.assert_close(read(statistics, "plain correlation")[0], soft, atol=2e-3, rtol=2e-3)
    apart = ~torch.eye(3, dtype=torch.bool)
    information = -torch.log(1 - (0.9995 * rho) ** 2)
    torch.testing.assert_close(
        read(statistics, "plain information")[0][apart], information[apart], atol=2e-3, rtol=2e-3
    )
    inverse = torch.linalg.inv((rho + 0.05 * torch.eye(3)) / 1.05)
    scale = inverse.diagonal().rsqrt()
    partial = -inverse * scale[:, None] * scale * rho / (rho**2 + 1 / 4000).sqrt()
    torch.testing.assert_close(read(statistics, "partial 0.05")[0], partial, atol=2e-3, rtol=2e-3)


def test_roles_and_odd_functions_stand_at_their_names(statistics) -> None:
    z, _ = statistics
    assert torch.equal(read(statistics, "role self")[0], torch.eye(3))
    same = torch.tensor([[1.0, 1, 0], [1, 1, 0], [0, 0, 1]])
    assert torch.equal(read(statistics, "role same side")[0], same)
    assert torch.equal(read(statistics, "role other side")[0], 1 - same)
    rho = torch.corrcoef(z)
    soft = rho**2 / (rho**2 + 1 / 4000).sqrt()
    torch.testing.assert_close(read(statistics, "odd 0")[0], soft, atol=3e-3, rtol=3e-3)


def test_groups_that_are_not_there_are_errors() -> None:
    with pytest.raises(ValueError, match="expected channels of the group 'tail' side by side"):
        group_slice(NAMES, "tail")


def test_files_hold_the_names_and_are_read_with_them_alone(small: MIST, tmp_path) -> None:
    values = small.config.to_dict()
    assert values["pair_channels"] == list(small.config.pair_channels)
    assert MISTConfig.from_dict(values) == small.config
    other = {**values, "pair_channels": ["novel", *values["pair_channels"][1:]]}
    with pytest.raises(ValueError, match="which this version reads, got .'novel'"):
        MISTConfig.from_dict(other)
    path = tmp_path / "small.safetensors"
    save_weights(small, path)
    assert torchmist.load_pretrained(path).config == small.config


def test_older_files_have_numbers_for_switches_and_no_names() -> None:
    values = dataclasses.asdict(MISTConfig(radial=True))
    config = MISTConfig.from_dict({**values, "radial": 1, "local": 0})
    assert config == MISTConfig(radial=True)
    assert config.radial is True and config.local is False


def test_weights_are_placed_by_name_in_a_network_that_reads_more(small: MIST, pair) -> None:
    small_config = dataclasses.replace(small.config, radial=False)
    plain = MIST(small_config)
    small.load_state_dict(small.state_of(plain))
    torch.testing.assert_close(small(*pair), plain(*pair), atol=1e-5, rtol=1e-5)
    weight = small.get_submodule("pair.0").weight
    assert not weight[:, group_slice(small.config.pair_channels, "radial")].any()
