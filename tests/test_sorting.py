"""Sorts by NumPy give what those of torch do."""

from __future__ import annotations

import pytest
import torch

from torchmist.numerics.sorting import counts_within, lexical_order, smallest, sorted_values


def _values(*shape: int, ties: bool = False) -> torch.Tensor:
    values = torch.randn(shape, generator=torch.Generator().manual_seed(len(shape)))
    return (2 * values).round() if ties else values  # with zeros of both signs


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("n", [5, 40, 300, 3001])
def test_the_smallest_are_those_of_a_whole_sort(n, ties) -> None:
    values = _values(2, 7, n, ties=ties)
    for count in (1, 4, 5):
        expected = values.sort(-1).values[..., :count]
        assert torch.equal(smallest(values, count), expected)
        assert torch.equal(smallest(values.double(), count), expected.double())
    assert torch.equal(sorted_values(values), values.sort(-1).values)


@pytest.mark.parametrize("n", [6, 3000])
def test_where_the_first_ties_the_second_decides(n) -> None:
    first, second = _values(4, n, ties=True), _values(5, 4, n)[0]
    for dtype in (torch.float32, torch.float64):
        order = lexical_order(first.to(dtype), second.to(dtype))
        a, b = first.gather(-1, order), second.gather(-1, order)
        assert torch.equal(order.sort(-1).values, torch.arange(n).expand(4, -1))
        assert (a.diff(dim=-1) >= 0).all()
        assert (b.diff(dim=-1) >= 0)[a.diff(dim=-1) == 0].all()


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("n", [10, 3000])
def test_values_within_bounds_are_counted_with_both_ends(n, ties) -> None:
    columns = _values(3, n, ties=ties)
    width = torch.where(torch.arange(n) % 3 == 0, 0.0, 0.5)
    low, high = columns - width, columns + width
    inside = (columns[:, None] >= low[..., None]) & (columns[:, None] <= high[..., None])
    assert torch.equal(counts_within(columns, low, high).int(), inside.sum(-1).int())


def test_sorts_pass_through_vmap() -> None:
    values, other = _values(3, 2, 50), _values(2, 3, 2, 50)[0]
    for function in (lambda v, w: smallest(v, 3), lambda v, w: lexical_order(v, w),
                     lambda v, w: counts_within(v, v - 0.1, v + 0.1)):  # fmt: skip
        expected = torch.stack([function(v, w) for v, w in zip(values, other, strict=True)])
        assert (torch.vmap(function)(values, other) == expected).all()
