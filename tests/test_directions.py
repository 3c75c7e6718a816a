"""Sides of many columns: directions that hold out of fold, and what must not change them."""

from __future__ import annotations

import pytest
import torch
from kraskov import kraskov
from torch import Tensor

from torchmist.copula import normal_scores
from torchmist.models.directions import WIDEST, see_through

KEPT = 48  # principal components, before the canonical variates
CLOSE = {"atol": 1e-3, "rtol": 1e-3}


def correlation(a: Tensor, b: Tensor) -> Tensor:
    """Correlations along the samples of ``[B, N, k]`` with ``[B, N, k]``, ``[B, k]``."""
    a, b = (v - v.mean(1, keepdim=True) for v in (a, b))
    return (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1)).clamp(min=1e-9)


def wide(n: int, dx: int, dy: int, shared: float = 0.0, batch: int = 2) -> tuple[Tensor, Tensor]:
    """Normal columns, each of which holds a share of one common variable."""
    generator = torch.Generator().manual_seed(n + dx + dy)
    x, y = (torch.randn(batch, n, d, generator=generator) for d in (dx, dy))
    common = torch.randn(batch, n, 1, generator=generator)
    return x + shared * common, y - shared * common


def test_one_informative_direction_of_200_columns_is_found_against_a_label() -> None:
    """A direction of unit length whose variance is 4, the rest 1, and a label of its sign."""
    generator = torch.Generator().manual_seed(0)
    direction = torch.nn.functional.normalize(torch.randn(200, generator=generator), dim=0)
    noise = torch.randn(3, 800, 200, generator=generator)
    x = noise + (noise @ direction)[..., None] * direction
    along = (x @ direction)[..., None]
    label = (along > 0).float()
    seen_x, seen_y = see_through(x, torch.cat([label, 1 - label], -1))
    assert seen_x.columns.shape == (3, 800, KEPT + 2)
    torch.testing.assert_close(seen_y.columns, torch.cat([label, 1 - label], -1))
    variate = seen_x.columns[..., KEPT : KEPT + 1]
    assert correlation(variate, along).abs().min() > 0.85
    assert correlation(variate, label).abs().min() > 0.65


def test_a_direction_in_the_dark_of_larger_ones_is_found() -> None:
    """The shared direction has a variance of 1 among 30 of 9: the label shows it, PCA does not."""
    generator = torch.Generator().manual_seed(1)
    basis = torch.linalg.qr(torch.randn(120, 120, generator=generator)).Q
    source = torch.randn(3, 2000, 120, generator=generator)
    source[..., 1:31] *= 3
    label = (source[..., :1] > 0).float()
    seen, _ = see_through(source @ basis, label)
    assert correlation(seen.columns[..., KEPT:], source[..., :1]).abs().min() > 0.6
    components = correlation(seen.columns[..., :KEPT], source[..., :1].expand(-1, -1, KEPT))
    assert components.abs().max() < 0.6


@pytest.mark.parametrize(("n", "dx", "dy"), [(300, 200, 150), (800, 200, 3), (120, 400, 400)])
def test_independent_sides_give_no_correlated_variates(n, dx, dy) -> None:
    """Beyond chance, which is a deviation of N^-1/2, although N is not much above the columns."""
    seen_x, seen_y = see_through(*wide(n, dx, dy, batch=8))
    count = min(16, dy)
    first, second = (side.columns[..., -count:] for side in (seen_x, seen_y))
    pairs = [correlation(first, second.roll(k, -1)) for k in range(count)]
    scaled = torch.stack(pairs) * n**0.5
    assert scaled.square().mean() < 1.6 and scaled.abs().max() < 5


def test_a_shared_variable_gives_one_correlated_variate_out_of_fold() -> None:
    seen_x, seen_y = see_through(*wide(800, 200, 150, shared=0.5))
    found = correlation(seen_x.columns[..., KEPT:], seen_y.columns[..., KEPT:])
    assert (found[:, 0] > 0.7).all() and found[:, 1:].abs().max() < 0.2


@pytest.mark.parametrize(("dx", "dy"), [(100, 4), (100, 150)])
def test_nothing_depends_on_the_order_of_samples_or_columns_or_on_the_side(dx, dy) -> None:
    """Up to the sign of a column, which the ranks of the network do not see."""
    x, y = wide(400, dx, dy, shared=0.5)
    seen = see_through(x, y)
    generator = torch.Generator().manual_seed(0)
    rows, order_x, order_y = (torch.randperm(k, generator=generator) for k in (400, dx, dy))
    moved = see_through(x[:, rows], y[:, rows])
    mixed = see_through(x[..., order_x], y[..., order_y])
    swapped = see_through(y, x)
    warped = see_through(torch.cat([-x[..., :1].exp(), x[..., 1:] * 9 + 7], -1), y)
    for k, side in enumerate(seen):
        torch.testing.assert_close(moved[k].columns, side.columns[:, rows], **CLOSE)
        if side.columns.shape[-1] < KEPT:
            continue
        for other in (mixed[k], swapped[1 - k], warped[k]):
            torch.testing.assert_close(other.columns.abs(), side.columns.abs(), **CLOSE)
            torch.testing.assert_close(other.rows.abs(), side.rows.abs(), **CLOSE)


def test_padding_changes_nothing() -> None:
    x, y = wide(300, 100, 80, shared=0.5)
    mask = torch.ones(2, 320, dtype=torch.bool)
    mask[:, 300:] = False
    junk = torch.full((2, 20, 1), 9e9)
    padded = see_through(
        torch.cat([x, junk.expand(-1, -1, 100)], 1), torch.cat([y, junk.expand(-1, -1, 80)], 1),
        mask,
    )  # fmt: skip
    for whole, part in zip(see_through(x, y), padded):
        assert torch.isfinite(part.columns).all()
        assert part.columns.shape[-1] == whole.columns.shape[-1]


@pytest.mark.parametrize(("n", "dx", "dy"), [(300, 100, 2), (300, 70, 65), (20, 1000, 3)])
def test_sides_have_at_most_64_columns_and_few_stay_as_they_are(n, dx, dy) -> None:
    x, y = wide(n, dx, dy)
    seen_x, seen_y = see_through(x, y)
    assert seen_x.columns.shape[-1] <= WIDEST and seen_y.columns.shape[-1] <= WIDEST
    assert torch.isfinite(seen_x.columns).all() and torch.isfinite(seen_x.rows).all()
    if dy <= WIDEST:
        assert seen_y.columns is y


def test_distances_of_rows_are_about_those_of_all_columns() -> None:
    """Exact where the sample has no more than 128 directions."""
    x, y = wide(600, 100, 2)
    rows = see_through(x, y)[0].rows
    torch.testing.assert_close(
        torch.cdist(rows, rows), torch.cdist(normal_scores(x), normal_scores(x)),
        atol=0.05, rtol=1e-3,
    )  # fmt: skip


def test_columns_have_a_gradient_in_the_shared_direction_and_constant_columns_none() -> None:
    x, y = wide(300, 100, 2, shared=0.5)
    x[..., 5] = 1.0
    x.requires_grad_()
    seen, _ = see_through(x, y)
    assert torch.isfinite(seen.columns).all()
    seen.columns.square().sum().backward()
    assert torch.isfinite(x.grad).all()
    assert not x.grad[..., 5].any() and x.grad[..., :5].any()


@pytest.mark.parametrize("clusters", [3, 6])
def test_rows_do_not_show_which_quarter_they_belong_to(clusters: int) -> None:
    """Tight clusters show how the directions of the quarters differ, on both sides alike."""
    g = torch.Generator().manual_seed(clusters)
    n, d = 3000, 160
    group = torch.randint(clusters, (1, n), generator=g)
    other = torch.where(torch.rand(1, n, generator=g) < 0.1, group.roll(1, 1), group)
    sides = [
        1.3 * torch.randn(clusters, d, generator=g)[label] + torch.randn(1, n, d, generator=g)
        for label in (group, other)
    ]
    joint = torch.zeros(clusters, clusters)
    joint.index_put_((group[0], other[0]), torch.ones(n), accumulate=True)
    joint = joint / n
    known = torch.xlogy(joint, joint / (joint.sum(0) * joint.sum(1, keepdim=True))).sum()
    x, y = (side.columns[..., KEPT : KEPT + clusters - 1] for side in see_through(*sides))
    assert kraskov(x[0], y[0]) < known + 0.15
