"""Every submodule is called, so that hooks, parametrisations and replaced layers have their say."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from torchmist.models.config import MISTConfig
from torchmist.models.layers import MultiheadAttentionBlock
from torchmist.models.mist import MIST

LEAVES = (nn.Linear, nn.LayerNorm, nn.GELU, nn.Sequential, MultiheadAttentionBlock)


@pytest.fixture
def local() -> MIST:
    config = MISTConfig(
        odd=3, even=3, paired=2, basis_width=8, pair_width=8, feature_width=16, feature_layers=2,
        sample_width=16, inducing=4, heads=2, embedding=2, readout_width=8, head_width=32,
        quantiles=12, radial=True, local=True,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MIST(config).eval()


def watched(model: MIST) -> tuple[dict[str, int], dict[str, nn.Module]]:
    """How often each layer is called from now on, by name, and the layers."""
    layers = {
        name: layer for name, layer in model.named_modules()
        if isinstance(layer, LEAVES)
    }  # fmt: skip
    calls = dict.fromkeys(layers, 0)
    for name, layer in layers.items():

        def count(*_: object, name: str = name) -> None:
            calls[name] += 1

        layer.register_forward_hook(count)
    return calls, layers


def test_forward_hooks_of_all_layers_run(small: MIST, pair) -> None:
    calls, _ = watched(small)
    small(*pair)
    assert calls and not [name for name, count in calls.items() if count == 0]


def test_hooks_do_not_change_the_estimate(small: MIST, local: MIST, pair) -> None:
    for model in (small, local):
        plain = model(*pair)
        watched(model)
        torch.testing.assert_close(model(*pair), plain, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("long", [False, True])
def test_attention_is_the_same_with_and_without_hooks(small: MIST, long) -> None:
    block = small.seed_pool
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, 3, 16, generator=generator), torch.randn(2, 9, 16, generator=generator)
    x, y = (y, x) if long else (x, y)
    mask = torch.arange(y.shape[1]) < torch.tensor([[2], [y.shape[1]]])
    plain = block(x, y, mask)
    block.key_value.register_forward_hook(lambda *_: None)
    torch.testing.assert_close(block(x, y, mask), plain, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "name", ["pair.0", "token", "readout.0", "sample_token", "seed_pool.key_value", "trunk.0.2"]
)
def test_a_hook_can_change_what_a_layer_returns(small: MIST, pair, name) -> None:
    before = small(*pair)
    small.get_submodule(name).register_forward_hook(lambda layer, inputs, out: 0.5 * out)
    assert (small(*pair) - before).abs().max() > 1e-6


class Doubled(nn.Module):
    """Twice the weight."""

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return 2 * weight


@pytest.mark.parametrize("name", ["pair.2", "embed", "seed_pool.query", "readout_token"])
def test_a_parametrised_weight_is_the_one_that_counts(small: MIST, pair, name) -> None:
    wanted = copy.deepcopy(small)
    with torch.no_grad():
        wanted.get_submodule(name).weight.mul_(2)
    parametrize.register_parametrization(small.get_submodule(name), "weight", Doubled())
    torch.testing.assert_close(small(*pair), wanted(*pair), atol=1e-5, rtol=1e-5)
