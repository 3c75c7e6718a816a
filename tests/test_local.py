"""Local statistics: opinions against naive loops and known truths, and their sizes."""

from __future__ import annotations

import math

import pytest
import torch
from conftest import SMALL
from local_naive import fixed, naive_kernels, naive_neighbours
from local_samples import SIDES, dependent, local_of, make_network
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from torchmist.models.local import LOCAL, OPINIONS, SCALES, local_statistics, subset
from torchmist.models.mist import MIST
from torchmist.models.neighbourhood import VIEWS
from torchmist.models.neighbours import NEIGHBOURS


@pytest.fixture(scope="module")
def network() -> MIST:
    return make_network()


@pytest.mark.parametrize(("dx", "dy"), SIDES)
def test_kernel_opinions_are_those_of_a_naive_implementation(dx, dy) -> None:
    x, y = dependent(2, 60, dx, dy, torch.float64)
    said = local_of(x, y).opinions.view(2, OPINIONS)[:, :SCALES]
    for k in range(2):
        wanted = naive_kernels(x[k], y[k], (fixed(x[k]), fixed(y[k]))).diagonal()
        torch.testing.assert_close(said[k].double(), wanted, atol=1e-4, rtol=1e-4)
        single = local_of(x[k : k + 1].float(), y[k : k + 1].float()).opinions[0, :SCALES]
        torch.testing.assert_close(single.double(), wanted, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("tied", ["none", "x", "both", "label"])
@pytest.mark.parametrize(("dx", "dy"), SIDES)
def test_neighbour_opinions_are_those_of_a_naive_implementation(dx, dy, tied) -> None:
    x, y = dependent(2, 60, dx, dy)
    if tied in ("x", "both"):
        x = x.round().clamp(-1, 1)
    if tied == "both":
        y = y.round().clamp(0, 1)
    if tied == "label":
        y = (y[..., :1] > 0.5).float()
    said = local_of(x, y).opinions.view(2, OPINIONS)[:, SCALES:]
    for k in range(2):
        wanted = [naive_neighbours(x[k].double(), y[k].double(), size) for size in NEIGHBOURS]
        assert said[k].tolist() == pytest.approx(wanted, abs=2e-3)


@pytest.mark.parametrize(("dx", "dy"), [(1, 1), (2, 1), (3, 3)])
def test_independent_samples_give_opinions_near_0(dx, dy) -> None:
    """Logs of fine kernels, which weigh a handful of samples, lie below 0, never above."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(8, 500, dx, generator=generator)
    y = torch.randn(8, 500, dy, generator=generator)
    said = local_of(x, y).opinions.view(8, OPINIONS).mean(0)
    assert said[SCALES - 1 :].abs().max() < 0.02
    assert said.max() < 0.02 and said.min() > -0.7


def test_opinions_of_a_noisy_wave_are_near_the_truth() -> None:
    """Neighbours see what no correlation shows: I = h(Y) - h(E) of a sine of two periods."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(4, 1000, 1, generator=generator)
    noise = torch.randn(4, 1000, 1, generator=generator)
    y = (4 * math.pi * x).sin() + 0.1 * noise
    grid, nodes = torch.linspace(-2, 2, 4001), torch.linspace(0, 1, 20_001)
    density = torch.exp(-0.5 * ((grid[:, None] - (4 * math.pi * nodes).sin()) / 0.1) ** 2).mean(1)
    density = density / (0.1 * math.sqrt(2 * math.pi))
    entropy = -torch.trapezoid(torch.xlogy(density, density), grid)
    truth = float(entropy) - 0.5 * math.log(2 * math.pi * math.e * 0.01)
    said = local_of(x, y).opinions.view(4, OPINIONS).mean(0)
    assert float(said[SCALES]) == pytest.approx(truth, abs=0.12)
    assert said.max() < truth and said.max() == said[SCALES]
    assert said[SCALES + 1] > 0.7 * truth


class Largest(TorchDispatchMode):
    """Notes the numbers of the largest tensor that any operation gives."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for value in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(value, Tensor):
                self.numbers = max(self.numbers, value.untyped_storage().nbytes() // 4)
        return out


def test_memory_is_linear_in_samples_beyond_1024_references(network) -> None:
    largest, local = {}, {}
    for n in (4096, 16384):
        x, y = dependent(1, n, 1, 2)
        with torch.no_grad(), Largest() as seen:
            network(x, y)
        largest[n] = seen.numbers
        with torch.no_grad():
            chosen = subset(torch.cat([x, y], -1).mT)
            asked_x, asked_y = (chosen.at_queries(side.mT).mT for side in (x, y))
            with Largest() as seen:
                local_statistics([(asked_x, asked_y)], chosen)
        local[n] = seen.numbers
        assert chosen.own.shape[-2:] == (2048, 1024)
        assert chosen.queries.shape == (1, 2048)
    assert largest[16384] <= 4.01 * largest[4096]
    assert local[16384] == local[4096]


def test_views_are_three_and_single_columns_have_one(network) -> None:
    for dx, dy in ((1, 1), (2, 1)):
        x, y = dependent(1, 50, dx, dy)
        tokens = torch.randn(1, dx + dy, SMALL.feature_width)
        scores = torch.cat([x, y], -1).mT
        seen = network.neighbourhood.look(scores, tokens, dx, None, None)
        assert seen.features.shape == (1, 50, VIEWS * LOCAL)
        assert seen.opinions.shape == (1, VIEWS * OPINIONS)
        assert len(seen.weights) == 2
        for weights in (w for view in seen.weights for w in view):
            torch.testing.assert_close(weights.sum(-1), torch.ones(1, 50))
            assert not weights.diagonal(dim1=1, dim2=2).any()
