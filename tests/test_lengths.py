"""Vectors of one length are dealt lengths that change no information, in any order of anything."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import special
from torch import Tensor

import torchmist
from torchmist.models.lengths import with_lengths

G = torch.Generator().manual_seed(0)
X = torch.nn.functional.normalize(torch.randn(2, 400, 6, generator=G), dim=-1)
TURN = 6.2832 * torch.rand(2, 400, 3, generator=G)
ANGLES = torch.cat([TURN.cos(), TURN.sin()], -1)
Y = torch.nn.functional.normalize(X + 0.3 * torch.randn(2, 400, 6, generator=G), dim=-1)


def test_unit_vectors_become_as_long_as_normal_ones() -> None:
    x, y = with_lengths(X, 3 * Y)
    for side, was in ((x, X), (y, 3 * Y)):
        lengths = side.norm(dim=-1) / was.norm(dim=-1)
        torch.testing.assert_close(side / lengths[..., None], was)
        square = 6 * lengths.square()  # chi squared of six degrees
        assert abs(float(square.mean()) - 6) < 0.2 and abs(float(square.var()) - 12) < 1
    shared = torch.stack([x.norm(dim=-1)[0], y.norm(dim=-1)[0]]).corrcoef()[0, 1]
    assert abs(float(shared)) < 0.1


@pytest.mark.parametrize(
    "x",
    [X[..., :4], X * torch.linspace(1, 1.1, 400)[:, None], X.sign(), X + 0.01, ANGLES,
     torch.nn.functional.one_hot(torch.arange(400) % 6, 6).float().expand(2, -1, -1)],
)  # fmt: skip
def test_all_else_stays_as_it_is(x: Tensor) -> None:
    for a, b in ((x, Y), (Y, x)):
        found = with_lengths(a, b)
        assert all(map(torch.equal, found, (a, b)))


def test_no_order_and_no_padding_changes_the_lengths() -> None:
    rows, columns = torch.randperm(400, generator=G), torch.randperm(6, generator=G)
    x = with_lengths(X, Y)[0]
    for a, b, wanted in (
        (X[:, rows], Y[:, rows], x[:, rows]),
        (X[..., columns], Y, x[..., columns]),
        (-X, Y, -x),
        (8 * X, Y, 8 * x),
        (X, 0.1 * Y, x),
    ):
        torch.testing.assert_close(with_lengths(a, b)[0], wanted)
    torch.testing.assert_close(with_lengths(Y, X)[1], x)
    pad = torch.full((2, 30, 6), 5.0)
    mask = torch.arange(430).expand(2, -1) < 400
    found = with_lengths(torch.cat([X, pad], 1), torch.cat([Y, pad], 1), mask)
    torch.testing.assert_close(found[0][:, :400], x)


def test_a_gradient_passes() -> None:
    z = X.clone().requires_grad_()
    with_lengths(z, Y)[0].sum().backward()
    assert z.grad is not None and z.grad[0].std(0).gt(0).all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_directions_around_directions_are_estimated(dtype: torch.dtype) -> None:
    d, kappa, n = 8, 4.0, 2000
    order = d / 2 - 1
    bessel = math.log(special.ive(order, kappa)) + kappa
    area = math.log(2) + d / 2 * math.log(math.pi) - math.lgamma(d / 2)
    constant = order * math.log(kappa) - d / 2 * math.log(2 * math.pi) - bessel
    truth = kappa * special.ive(d / 2, kappa) / special.ive(order, kappa) + constant + area
    grid = np.linspace(-1, 1, 20_001)[1:-1]  # of the cosine, whose density is (1 - w^2)^(d - 3)/2
    mass = np.cumsum((1 - grid**2) ** ((d - 3) / 2) * np.exp(kappa * (grid - 1)))
    rng = np.random.default_rng(0)
    w = np.interp(rng.random((n, 1)), mass / mass[-1], grid)
    x, across = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in rng.normal(size=(2, n, d)))
    across = across - (across * x).sum(1, keepdims=True) * x
    across = across / np.linalg.norm(across, axis=1, keepdims=True)
    y = w * x + np.sqrt(1 - w**2) * across
    r = torchmist.estimate(*(torch.from_numpy(side).to(dtype) for side in (x, y)))
    assert abs(r.mean - truth) < 0.15 and r.interval(0.9)[0] < truth < r.interval(0.9)[1]
