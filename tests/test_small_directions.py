"""Directions that vary far less than the columns that hold them are seen along principal axes."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import torchmist
from torchmist.models.small_directions import has_small_directions, least_variance
from torchmist.weights import load_pretrained


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def steep(n: int, columns: int, power: float = 2.0, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Columns ``[1, N, d]`` whose principal components fall as a power, and the components."""
    parts = draw(1, n, columns, seed=seed)
    turn = torch.linalg.qr(draw(columns, columns, seed=99)).Q
    return (parts * torch.arange(1.0, columns + 1) ** -power) @ turn, parts


def test_small_directions_are_told_by_variance() -> None:
    x, parts = steep(300, 8)
    label = (parts[..., :1] > 0).float()
    summed = torch.cat([parts, parts.sum(-1, keepdim=True)], -1)
    assert has_small_directions(x).all()
    for other in (parts, summed, parts[..., :1], torch.cat([x, label], -1), x[:, :70]):
        assert not has_small_directions(other).any()  # the last: fewer than ten rows a column
    assert not has_small_directions(draw(1, 1000, 65).cumsum(-1)).any()


def test_units_and_offsets_change_nothing_and_masked_rows_do_not_count() -> None:
    x, _ = steep(300, 5, power=3.0)
    both = torch.cat([x, draw(1, 300, 5, seed=2)])
    padded = torch.cat([both, 100 * draw(2, 40, 5, seed=3)], 1)
    shown = torch.arange(340)[None].expand(2, -1) < 300
    for same, mask in ((both, None), (padded, shown), (1e-6 * both + 1e-3, None)):
        assert has_small_directions(same.double(), mask).tolist() == [True, False]


def test_a_sum_that_always_holds_is_no_small_direction() -> None:
    columns = draw(1, 400, 3)
    columns = (columns - columns.mean(1)) / columns.std(1, unbiased=False)
    both = torch.cat([columns, columns[..., :1]], -1).double()
    assert least_variance(both) > 0.5


@pytest.mark.parametrize("n", [256, 1000])
def test_what_a_small_direction_shares_is_seen(n: int) -> None:
    x, parts = steep(n, 16)
    y = parts[..., 11:12] + 0.3 * draw(1, n, 1, seed=1)
    found = torchmist.estimate(x[0], y[0])
    low, high = found.interval()
    assert low < 0.5 * math.log(1 + 1 / 0.09) < high and found.mean > 1.0
    swapped = torchmist.estimate(y[0], x[0])
    assert abs(swapped.mean - found.mean) < 1e-3


def test_datasets_without_them_are_answered_as_alone_and_others_have_a_gradient() -> None:
    x, parts = steep(200, 6, seed=4)
    y = parts[..., 5:] + 0.3 * draw(1, 200, 1, seed=5)
    plain = draw(1, 200, 6, seed=6)
    sides = torch.cat([x, plain]).requires_grad_(), torch.cat([y, plain[..., :1]])
    duo = load_pretrained("mist")
    found = duo(*sides)
    with torch.no_grad():
        alone = [duo(a[None], b[None]) for a, b in zip(*sides)]
    torch.testing.assert_close(found.detach(), torch.cat(alone), atol=1e-4, rtol=1e-4)
    (gradient,) = torch.autograd.grad(found.sum(), sides[0])
    assert gradient.isfinite().all() and (gradient.abs().amax((1, 2)) > 0).all()
    assert found[0].mean() > 0.8
