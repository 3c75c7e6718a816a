"""What independent components share in pairs, whichever linear maps hide them."""

from __future__ import annotations

import math

import pytest
import torch

from torchmist.models.independent_components import FRAMES, Unmixed, unmixed_information
from torchmist.models.linear import linear_information


def _uniform(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def _normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _turned(x: torch.Tensor, seed: int) -> torch.Tensor:
    return x @ torch.linalg.qr(_normal(len(x), x.shape[-1], x.shape[-1], seed=seed)).Q


def _edges(n: int, d: int) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Uniform sources in uniform noise, both sides turned, and their information."""
    x = _uniform(3, n, d)
    y = x + 0.5 * _uniform(3, n, d, seed=1)
    return _turned(x, 2), _turned(y, 3), d * (0.25 - math.log(0.5))


def _beyond(found: Unmixed) -> torch.Tensor:
    return (found.near - found.linear - found.tied)[:, 0]


def test_noise_with_edges_is_seen_behind_rotations() -> None:
    x, y, truth = _edges(3000, 6)
    found = unmixed_information(x, y)
    linear = linear_information(x, y, None, None)[:, 0]
    assert (linear < 0.87 * truth).all()
    assert ((linear + _beyond(found) - truth).abs() < 0.08 * truth).all()
    assert (found.pairs[:, 0] == 6).all()


def test_what_a_curve_hides_is_seen_behind_rotations() -> None:
    x = _normal(3, 3000, 6)
    y = _turned(x**3 - 2 * x + _normal(3, 3000, 6, seed=1), 3)
    found = unmixed_information(_turned(x, 2), y)
    linear = linear_information(x, y, None, None)[:, 0]
    assert (linear + _beyond(found) > 3 * linear.clamp(min=0.5)).all()  # of 3.4 nats
    assert (linear + _beyond(found) < 3.5).all()


@pytest.mark.parametrize(("n", "d"), [(100, 2), (160, 16), (400, 8), (1500, 20)])
def test_of_normal_columns_and_of_few_rows_nothing_is_made(n: int, d: int) -> None:
    x = _normal(8, n, d)
    y = 0.8 * x + 0.6 * _normal(8, n, d, seed=1)
    found = unmixed_information(_turned(x, 2), _turned(y, 3))
    assert (found.pairs.amax(-1) == 0).float().mean() > 0.8
    few = _uniform(3, 5 * d, d)
    assert not torch.cat(unmixed_information(few, few), -1).any()
    assert not torch.cat(unmixed_information(x[..., :1], y[..., :1]), -1).any()
    wide = _uniform(1, 300, 33)
    assert not torch.cat(unmixed_information(wide, wide), -1).any()


def test_components_of_clusters_are_tied() -> None:
    centres = 3 * _normal(8, 8, seed=5)
    classes = torch.randint(0, 8, (3, 1000), generator=torch.Generator().manual_seed(0))
    sides = [centres.roll(k, 1)[classes] + 0.3 * _normal(3, 1000, 8, seed=k) for k in (1, 2)]
    found = unmixed_information(*sides)
    x, y, _ = _edges(1000, 8)
    assert (found.tied[:, 0] > 10 * unmixed_information(x, y).tied.amax()).all()


def test_columns_of_equal_values_on_both_sides_are_left_to_pairs() -> None:
    x = _normal(3, 1000, 4)
    y = 0.9 * x + math.sqrt(0.19) * _normal(3, 1000, 4, seed=1)
    assert not torch.cat(unmixed_information(x.relu(), y.relu()), -1).any()
    one = torch.cat([y.relu()[..., :1], y[..., 1:]], -1)
    assert not torch.cat(unmixed_information(x.relu(), one), -1).any()
    assert unmixed_information(x.relu(), y.exp()).pairs.any()


def test_of_independent_sides_hardly_anything_is_made() -> None:
    x, y = _turned(_uniform(8, 500, 6), 2), _turned(_uniform(8, 500, 6, seed=1), 3)
    assert unmixed_information(x, y).near.abs().max() < 0.15


def test_components_count_however_a_side_is_ordered_turned_and_bent() -> None:
    x, y, _ = _edges(1500, 4)
    expected = unmixed_information(x, y)
    rows = torch.randperm(1500, generator=torch.Generator().manual_seed(0))
    columns = torch.tensor([2, 0, 3, 1])
    for other in (
        unmixed_information(y, x),
        unmixed_information(x[:, rows], y[:, rows]),
        unmixed_information(x[..., columns], -y),
        unmixed_information(x.exp(), y**3 + y),
    ):
        torch.testing.assert_close(_beyond(other), _beyond(expected), atol=0.02, rtol=0.02)
        torch.testing.assert_close(other.pairs[:, 0], expected.pairs[:, 0])


def test_of_many_rows_some_are_asked() -> None:
    x, y, truth = _edges(4200, 4)
    found = unmixed_information(x[:1], y[:1])
    assert float(found[0].amax()) == pytest.approx(truth, rel=0.2)


def test_padding_changes_nothing() -> None:
    x, y, _ = _edges(1500, 3)
    expected = unmixed_information(x, y)
    padded = [torch.cat([side, _normal(3, 50, 3, seed=9)], 1) for side in (x, y)]
    mask = torch.arange(1550).expand(3, -1) < 1500
    found = unmixed_information(padded[0], padded[1], mask)
    torch.testing.assert_close(_beyond(found), _beyond(expected), atol=0.02, rtol=0.02)


def test_neighbours_have_the_gradient_of_the_gaussian_sum() -> None:
    x, y, _ = _edges(1500, 3)
    x.requires_grad_()
    found = unmixed_information(x, y)
    grads = [torch.autograd.grad(part.sum(), x, retain_graph=True)[0] for part in found[:2]]
    torch.testing.assert_close(*grads)
    assert bool(grads[0].isfinite().all()) and bool(grads[0].any())
    assert found.near.shape == (3, FRAMES)
