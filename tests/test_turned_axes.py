"""Columns that exclude each other are told by ranks, and turned axes keep distances."""

from __future__ import annotations

import pytest
import torch

from torchmist.copula import standardise
from torchmist.models.turned_axes import EXCLUDE, _held, exclusion, turned


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def classes(n: int, columns: int, seed: int = 0) -> torch.Tensor:
    """Noisy codes of classes, a column for each, ``[1, N, d]``."""
    g = torch.Generator().manual_seed(seed)
    label = torch.randint(columns, (n,), generator=g)
    return torch.eye(columns)[label][None] + 0.1 * draw(1, n, columns, seed=seed + 1)


@pytest.mark.parametrize("columns", [3, 10, 40])
def test_noisy_codes_of_classes_exclude_each_other(columns: int) -> None:
    assert exclusion(classes(500, columns)) > 0.6


def test_blocks_of_markers_and_outputs_of_a_softmax_do(columns: int = 24) -> None:
    blocks = classes(500, 6).repeat_interleave(4, -1)
    blocks = blocks + 0.1 * draw(1, 500, columns, seed=5)
    assert exclusion(blocks) > 0.6
    assert exclusion((8 * classes(500, 10) + draw(1, 500, 10)).softmax(-1)) > 0.6


@pytest.mark.parametrize("columns", [3, 8, 40])
def test_columns_that_are_normal_together_or_have_heavy_tails_do_not(columns: int) -> None:
    mixed = draw(4, 300, columns) @ draw(4, columns, columns, seed=1)
    heavy = draw(4, 300, columns) / draw(4, 300, 1, seed=2)
    for side in (draw(4, 300, columns), mixed, heavy, mixed.exp()):
        assert (exclusion(side) < EXCLUDE).all()


def test_columns_of_many_zeros_do_not() -> None:
    active = draw(4, 400, 12) > 1
    sparse = torch.where(active, draw(4, 400, 12, seed=1).abs(), 0.0)
    assert (exclusion(sparse) < EXCLUDE).all() and (exclusion(-sparse) < EXCLUDE).all()
    counts = torch.poisson(torch.full((4, 400, 12), 0.3), torch.Generator().manual_seed(0))
    assert (exclusion(counts) < EXCLUDE).all()
    assert exclusion(classes(500, 10).relu()) > 0.6
    assert exclusion((classes(500, 10) - 0.4).relu()) > 0.6


def test_labels_bits_and_few_columns_are_not_asked() -> None:
    label = torch.eye(5)[torch.randint(5, (1, 200), generator=torch.Generator().manual_seed(0))]
    assert exclusion(label) == 0
    assert exclusion(torch.cat([label, draw(1, 200, 3)], -1)) < EXCLUDE
    shown = torch.arange(200)[None] < 150
    assert exclusion(torch.cat([label, draw(1, 200, 2)], -1), shown) == 0
    assert exclusion(torch.cat([label, classes(200, 4)], -1)) > 0.6
    assert exclusion(classes(300, 2)) == 0
    assert exclusion(torch.ones(1, 100, 4)) == 0


def test_maps_of_columns_and_their_order_change_nothing_and_masked_rows_do_not_count() -> None:
    side = classes(300, 8)
    found = exclusion(side)
    for changed in (side.exp(), -side, side.flip(-1), side.double(), 1e4 * side - 7):
        torch.testing.assert_close(exclusion(changed), found)
    longer = torch.cat([side, draw(1, 50, 8, seed=3)], 1)
    mask = torch.arange(350)[None] < 300
    torch.testing.assert_close(exclusion(longer, mask), found)


def test_turned_axes_keep_distances_and_are_uncorrelated() -> None:
    side = torch.tensor([1e-3, 1, 1e3]).repeat(2) * draw(2, 100, 6).exp()
    found, columns = turned(side), standardise(side.mT).mT
    torch.testing.assert_close(found @ found.mT, columns @ columns.mT, atol=1e-3, rtol=1e-4)
    together = found.mT @ found / 100
    off = together - torch.diag_embed(together.diagonal(dim1=-2, dim2=-1))
    assert off.abs().max() < 1e-4


def test_the_order_of_columns_turns_no_more_than_signs() -> None:
    side = classes(300, 8)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(
        turned(side[..., order]).abs(), turned(side).abs(), atol=1e-3, rtol=1e-3
    )


def test_masked_rows_are_0_and_others_get_a_gradient() -> None:
    side = classes(60, 5).requires_grad_()
    mask = torch.arange(60)[None] < 40
    found = turned(side, mask)
    assert not found[:, 40:].any()
    alone = turned(side[:, :40]).abs()
    torch.testing.assert_close(found[:, :40].abs(), alone, atol=1e-4, rtol=1e-4)
    (gradient,) = torch.autograd.grad(found.square().sum() + found.sum(), side)
    assert gradient.isfinite().all()


@pytest.mark.skipif(torch.__version__ < (2, 5), reason="torch.compile of its functions needs 2.5")
def test_a_compiled_graph_tells_it_without_a_break() -> None:
    side = classes(100, 5)
    torch._dynamo.reset()
    found = torch.compile(exclusion, fullgraph=True, backend="eager")(side)
    torch.testing.assert_close(found, exclusion(side))


@pytest.mark.parametrize("scale, offset", [(1e-9, 0.0), (1e-3, 1e6), (1e30, 0.0), (1.0, 1e8)])
def test_units_and_offsets_of_columns_change_no_turned_axes(scale: float, offset: float) -> None:
    side, mask = classes(80, 5).double(), torch.arange(80)[None] < 70
    moved = (side * scale + offset).requires_grad_()
    found, expected = turned(moved, mask), turned(side, mask)
    torch.testing.assert_close(found.abs(), expected.abs(), atol=1e-4, rtol=1e-4)
    (gradient,) = torch.autograd.grad(found.square().sum() + found.sum(), moved)
    assert gradient.isfinite().all()


def test_columns_that_float32_holds_are_turned_as_they_are() -> None:
    side = classes(80, 5) * torch.tensor([1e-4, 1.0, 1e4, 1.0, 1.0]) + 0.01
    assert torch.equal(_held(side, None), side.double())
    assert torch.equal(turned(side.double()), turned(side))
