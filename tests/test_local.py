"""Local statistics: what must never change them, naive loops in float64, and their gradients."""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import pytest
import torch
from conftest import SMALL
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from torchmist.models.local import (
    LOCAL,
    NEIGHBOURS,
    OPINIONS,
    SCALES,
    Local,
    local_statistics,
    subset,
    whitened,
)
from torchmist.models.mist import MIST
from torchmist.models.neighbourhood import VIEWS

CLOSE = {"atol": 1e-4, "rtol": 1e-4}
TIED, SMOOTH = 1e-6, 0.05  # as in the docstring of torchmist.models.local
SIZES = [40, 300, 1500, 2500]
SIDES = [(1, 1), (3, 2)]


def make_network() -> MIST:
    """A small network that reads local statistics, with all its parameters moved."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = MIST(dataclasses.replace(SMALL, local=1)).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model


@pytest.fixture(scope="module")
def network() -> MIST:
    return make_network()


def evaluate(model: MIST, x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
    with torch.no_grad():
        return model(x, y, mask)


def dependent(batch: int, n: int, dx: int, dy: int, dtype=torch.float32) -> tuple[Tensor, Tensor]:
    """``x`` ``[B, N, dx]`` and ``y`` ``[B, N, dy]`` that share their first column through noise."""
    generator = torch.Generator().manual_seed(n + dx)
    x = torch.randn(batch, n, dx, generator=generator, dtype=dtype)
    y = torch.randn(batch, n, dy, generator=generator, dtype=dtype)
    y[..., 0] = x[..., 0].square() + 0.3 * y[..., 0]
    return x, y


def local_of(x: Tensor, y: Tensor, mask: Tensor | None = None) -> Local:
    """Local statistics of one view, the values as they are."""
    return local_statistics([(x, y)], subset(torch.cat([x, y], -1).mT, mask))


# ---- what must never change the estimate --------------------------------------------------------
class Case(NamedTuple):
    x: Tensor
    y: Tensor
    out: Tensor


@pytest.fixture(scope="module", params=[(n, 3, 4) for n in SIZES] + [(300, 1, 1)])
def case(request, network) -> Case:
    x, y = dependent(2, *request.param)
    return Case(x, y, evaluate(network, x, y))


def test_order_of_samples(network, case) -> None:
    order = torch.randperm(case.x.shape[1], generator=torch.Generator().manual_seed(0))
    out = evaluate(network, case.x[:, order], case.y[:, order])
    torch.testing.assert_close(out, case.out, **CLOSE)


def test_order_of_columns(network, case) -> None:
    out = evaluate(network, case.x.flip(-1), case.y.roll(1, -1))
    torch.testing.assert_close(out, case.out, **CLOSE)


def test_swapping_sides(network, case) -> None:
    torch.testing.assert_close(evaluate(network, case.y, case.x), case.out, **CLOSE)


def test_monotone_maps_of_single_columns(network, case) -> None:
    x = torch.cat([-case.x[..., :1].exp(), case.x[..., 1:] * 1e4 + 7], -1)
    y = torch.cat([case.y[..., :1] ** 3, -case.y[..., 1:]], -1)
    torch.testing.assert_close(evaluate(network, x, y), case.out, **CLOSE)


@pytest.mark.parametrize("n", [40, 300, 900])
def test_padding_changes_nothing(network, n) -> None:
    x, y = dependent(2, n, 3, 4)
    mask = torch.ones(2, n + 10, dtype=torch.bool)
    mask[0, n:] = False
    mask[1, 30:] = False
    junk = torch.full((2, 10, 4), 9e9)
    padded = evaluate(
        network, torch.cat([x, junk[..., :3]], 1), torch.cat([y, junk], 1), mask
    )  # fmt: skip
    torch.testing.assert_close(padded[:1], evaluate(network, x[:1], y[:1]), **CLOSE)
    torch.testing.assert_close(padded[1:], evaluate(network, x[1:, :30], y[1:, :30]), **CLOSE)


def test_order_of_many_samples_of_one_column_and_a_label(network) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 2500, 1, generator=generator)
    y = torch.randint(0, 2, (1, 2500, 1), generator=generator).float()
    order = torch.randperm(2500, generator=generator)
    out = evaluate(network, x[:, order], y[:, order])
    torch.testing.assert_close(out, evaluate(network, x, y), **CLOSE)


@pytest.mark.parametrize(("dx", "dy"), [(100, 4), (100, 100)])
def test_invariances_of_many_columns(network, dx, dy) -> None:
    x, y = dependent(2, 300, dx, dy)
    out = evaluate(network, x, y)
    generator = torch.Generator().manual_seed(0)
    rows, columns = (torch.randperm(size, generator=generator) for size in (300, dx))
    warped = torch.cat([-x[..., :50].exp(), x[..., 50:] * 1e4 + 7], -1)
    for changed in (
        evaluate(network, x[:, rows], y[:, rows]),
        evaluate(network, x[..., columns], y.flip(-1)),
        evaluate(network, y, x),
        evaluate(network, warped, -y),
    ):
        torch.testing.assert_close(changed, out, atol=1e-3, rtol=1e-3)


def test_the_pairing_of_samples_matters(network) -> None:
    x, y = dependent(2, 300, 3, 4)
    change = evaluate(network, x, y.flip(1)) - evaluate(network, x, y)
    assert change.abs().max() > 1e-2


@pytest.mark.parametrize("n", [40, 1500])
@pytest.mark.parametrize("kind", ["labels", "constant", "ties", "few values on both sides"])
def test_degenerate_columns_give_finite_values_and_gradients(network, n, kind) -> None:
    x, y = dependent(2, n, 2, 3)
    if kind == "labels":
        y = torch.nn.functional.one_hot((y[..., 0] > 1).long() + (x[..., 1] > 0), 3).float()
    elif kind == "constant":
        x, y = torch.cat([x[..., :1], torch.ones(2, n, 1)], -1), torch.full((2, n, 1), 3.0)
    elif kind == "ties":
        x = x.round()
    else:
        x, y = x.round().clamp(-1, 1), (y > 0).float()
    x.requires_grad_()
    y.requires_grad_()
    out = network(x, y)
    out.mean().backward()
    assert torch.isfinite(out).all() and (out.diff(dim=-1) >= 0).all()
    assert torch.isfinite(x.grad).all() and torch.isfinite(y.grad).all()


# ---- opinions against naive implementations -----------------------------------------------------
class Fixed(NamedTuple):
    """What is held fixed in the derivative of a kernel estimate, of one side."""

    scale: Tensor
    first: Tensor
    rate: Tensor
    nearest: Tensor


def squares(u: Tensor, scale: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Squared distances ``[N, N - 1]`` of the others over about their mean, and the scale."""
    if scale is None:
        scale = (2 * u.square().sum(-1).mean()).sqrt()
    apart = (u[:, None] - u) / scale
    return apart.square().sum(-1)[~torch.eye(len(u), dtype=torch.bool)].view(len(u), -1), scale


def fixed(u: Tensor) -> Fixed:
    square, scale = squares(u)
    near = square.sort(-1).values.clamp(0, 4)
    first = near[:, :1]
    fine = near[:, 3:4] - first + TIED
    middle = torch.maximum(near[:, 9:10] - first + TIED, fine)
    broad = torch.maximum((square.mean(-1, keepdim=True) - first) / 2 + TIED, middle)
    width = torch.cat([fine, middle, (middle * broad).sqrt(), broad], -1)
    return Fixed(scale, first, 1 / width, square <= first)


def naive_kernels(x: Tensor, y: Tensor, by: tuple[Fixed, Fixed]) -> Tensor:
    """Mean local log ratios ``[S, S]`` of one dataset, with bandwidths and nearest ones given."""
    kernels = []
    for u, (scale, first, rate, nearest) in zip((x, y), by):
        shifted = (squares(u, scale)[0] - first).masked_fill(nearest, 0.0)
        kernels.append(torch.exp(-shifted[:, None] * rate[..., None]))
    joint = torch.einsum("isj,itj->ist", *kernels)
    total_x, total_y = (k.sum(-1) for k in kernels)
    expected = total_x[:, :, None] * total_y[:, None] / (len(x) - 1)
    return ((joint + SMOOTH) / (expected + SMOOTH)).log().mean(0)


def naive_neighbours(x: Tensor, y: Tensor, k: int) -> float:
    """Kraskov's first estimate in nats; where the radius is 0, that of Mesner and Shalizi."""
    dx, dy = squares(x)[0].tolist(), squares(y)[0].tolist()
    total = 0.0
    for row_x, row_y in zip(dx, dy):
        joint = [max(a, b) for a, b in zip(row_x, row_y)]
        radius = sorted(joint)[k - 1]
        if radius < 1e-9:
            near = sum(r < 1e-9 for r in joint)
            in_x, in_y = (sum(d < 1e-9 for d in row) for row in (row_x, row_y))
        else:
            near = k
            in_x, in_y = (1 + sum(d < radius * (1 - 1e-9) for d in row) for row in (row_x, row_y))
        for sign, count in ((1, near), (-1, in_x), (-1, in_y)):
            total += sign * float(torch.digamma(torch.tensor(float(count), dtype=torch.float64)))
    n = len(dx)
    return total / n + float(torch.digamma(torch.tensor(float(n), dtype=torch.float64)))


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


# ---- gradients ----------------------------------------------------------------------------------
@pytest.mark.parametrize(("dx", "dy"), SIDES)
def test_the_gradient_of_kernel_opinions_is_that_of_finite_differences(dx, dy) -> None:
    """Bandwidths, and the kernel of 1 of the nearest sample, are held fixed as in backward."""
    sides = [side[0] for side in dependent(1, 30, dx, dy, torch.float64)]
    by = fixed(sides[0]), fixed(sides[1])
    leaves = [side.clone().requires_grad_() for side in sides]
    said = local_of(leaves[0][None], leaves[1][None]).opinions[0, :SCALES]
    step = 1e-5
    for scale in range(SCALES):
        found = torch.autograd.grad(said[scale], leaves, retain_graph=True)
        for index, side in enumerate(sides):
            for row, column in ((0, 0), (7, side.shape[1] - 1), (21, 0)):
                values = []
                for change in (step, -step):
                    moved = [s.clone() for s in sides]
                    moved[index][row, column] += change
                    values.append(naive_kernels(*moved, by)[scale, scale])
                wanted = float(values[0] - values[1]) / (2 * step)
                assert float(found[index][row, column]) == pytest.approx(wanted, rel=2e-3, abs=2e-6)


def test_the_gradient_of_neighbour_opinions_is_that_of_the_finest_kernel() -> None:
    x, y = dependent(2, 80, 2, 1)
    leaves = x.requires_grad_(), y.requires_grad_()
    said = local_of(*leaves).opinions.view(2, OPINIONS)
    finest = torch.autograd.grad(said[:, 0].sum(), leaves, retain_graph=True)
    for k in range(SCALES, OPINIONS):
        found = torch.autograd.grad(said[:, k].sum(), leaves, retain_graph=True)
        for ours, theirs in zip(found, finest):
            torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("n", [200, 1200])
def test_every_opinion_that_sees_dependence_has_a_gradient(n) -> None:
    x, y = dependent(1, n, 2, 2)
    leaves = x.requires_grad_(), y.requires_grad_()
    chosen = subset(torch.cat([x, y], -1).mT)
    white = [whitened(side.mT, torch.tensor(float(n))).mT for side in leaves]
    said = local_statistics([leaves, (white[0], white[1])], chosen).opinions[0]
    assert len(said) == 2 * OPINIONS
    for opinion in said:
        assert opinion > 0.02
        for side in torch.autograd.grad(opinion, leaves, retain_graph=True):
            moved = side[0].norm(dim=-1)
            assert torch.isfinite(moved).all() and (moved > 0).float().mean() > 0.9


def test_log_ratios_and_regressions_have_a_gradient_and_growths_have_none() -> None:
    """Means of the features of the samples; how fast radii grow is a constant of backward."""
    x, y = dependent(1, 100, 2, 1)
    leaves = x.requires_grad_(), y.requires_grad_()
    features = local_of(*leaves).features.mean((0, 1))
    assert features.shape == (LOCAL,)
    for feature in features[:-4]:
        for side in torch.autograd.grad(feature, leaves, retain_graph=True):
            assert torch.isfinite(side).all() and side.any()


def test_a_descent_of_the_network_moves_both_sides(network) -> None:
    scores = [side.requires_grad_() for side in dependent(2, 200, 2, 2)]
    network.from_scores(*scores).mean().backward()
    for side in scores:
        moved = side.grad.norm(dim=-1)
        assert torch.isfinite(moved).all() and (moved > 0).all()


# ---- sizes --------------------------------------------------------------------------------------
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
