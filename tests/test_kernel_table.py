"""Sums of products of kernels: a loop in float64, finite differences, pairs that do not count."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from torchmist.models.kernel_table import kernel_table
from torchmist.models.local import SCALES


class Table(NamedTuple):
    """Arguments of ``kernel_table``."""

    dx: Tensor
    dy: Tensor
    first: tuple[Tensor, Tensor]
    rate: tuple[Tensor, Tensor]


def some_table(queries: int, references: int, scales: int, dtype=torch.float64) -> Table:
    """Two datasets; some distances are below what is subtracted."""
    generator = torch.Generator().manual_seed(queries)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(2, queries, *shape, generator=generator, dtype=torch.float64).to(dtype)

    first = 0.2 * uniform(1), 0.2 * uniform(1)
    rate = 0.3 + 3 * uniform(scales), 0.3 + 3 * uniform(scales)
    return Table(2 * uniform(references), 2 * uniform(references), first, rate)


def naive_table(table: Table) -> Tensor:
    """``T`` in float64, query by query and reference by reference."""
    dx, dy = table.dx.double(), table.dy.double()
    sides = []
    for square, first, rate in zip((dx, dy), table.first, table.rate):
        shifted = (square - first.double()).clamp(min=0)
        kernels = [torch.exp(-shifted * r) for r in rate.double().split(1, -1)]
        sides.append(torch.stack([*kernels, torch.ones_like(square), square], -1))
    out = torch.zeros(*dx.shape[:2], *[sides[0].shape[-1]] * 2, dtype=torch.float64)
    for j in range(dx.shape[-1]):
        out += sides[0][:, :, j, :, None] * sides[1][:, :, j, None, :]
    return out


def test_sums_of_kernels_are_those_of_a_loop() -> None:
    small, large = some_table(5, 9, 3), some_table(201, 300, SCALES, torch.float32)
    torch.testing.assert_close(kernel_table(*small), naive_table(small))
    found = kernel_table(*large)
    torch.testing.assert_close(found.double(), naive_table(large), atol=1e-3, rtol=1e-5)
    with_gradients = kernel_table(large.dx.clone().requires_grad_(), *large[1:])
    torch.testing.assert_close(with_gradients.detach(), found, atol=1e-3, rtol=1e-5)


def test_the_gradient_of_sums_of_kernels_is_that_of_finite_differences() -> None:
    table = some_table(4, 7, 2)
    dx, dy = table.dx.requires_grad_(), table.dy.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda a, b: kernel_table(a, b, table.first, table.rate), (dx, dy)
    )


def test_the_gradient_of_many_rows_is_that_of_the_loop() -> None:
    table = some_table(201, 300, SCALES, torch.float32)
    sides = table.dx.requires_grad_(), table.dy.requires_grad_()
    weight = torch.randn(SCALES + 2, SCALES + 2, generator=torch.Generator().manual_seed(0))
    found = torch.autograd.grad((kernel_table(*table) * weight).sum(), sides)
    wanted = torch.autograd.grad((naive_table(table) * weight).sum(), sides)
    for ours, theirs in zip(found, wanted):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_kernels_of_pairs_that_do_not_count_are_nothing() -> None:
    table = some_table(6, 10, SCALES, torch.float32)
    far = [torch.cat([d, torch.full((2, 6, 5), 1e6)], -1) for d in (table.dx, table.dy)]
    sides = [d.requires_grad_() for d in far]
    found, wanted = kernel_table(*sides, table.first, table.rate), kernel_table(*table)
    read = (slice(None), slice(None), slice(0, SCALES))
    torch.testing.assert_close(found[read], wanted[read])
    torch.testing.assert_close(found.mT[read], wanted.mT[read])
    (found[read].sum() + found.mT[read].sum()).backward()
    for side in sides:
        assert side.grad[..., :10].abs().max() > 0.1
        assert side.grad[..., 10:].abs().max() < 1e-6


@pytest.mark.skipif(torch.__version__ < (2, 5), reason="torch.compile of its functions needs 2.5")
@pytest.mark.parametrize("learns", [False, True])
def test_a_compiled_graph_finds_the_same_sums_and_gradients(learns: bool) -> None:
    table, found = some_table(60, 300, SCALES, torch.float32), []
    torch._dynamo.reset()
    for run in (kernel_table, torch.compile(kernel_table, fullgraph=True, backend="aot_eager")):
        dx = table.dx.clone().requires_grad_(learns)
        with torch.set_grad_enabled(learns):
            sums = run(dx, *table[1:])
        found.append([sums.detach(), *(torch.autograd.grad(sums.sum(), dx) if learns else ())])
    torch.testing.assert_close(found[1], found[0])
