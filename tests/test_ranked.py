"""Ranks, ties and distinct values of columns from one sort, against counting them one by one."""

from __future__ import annotations

import pytest
import torch

from torchmist.numerics.ranked import Ranked

GENERATOR = torch.Generator().manual_seed(0)
SIDES = {
    "distinct": torch.randn(2, 300, 40, generator=GENERATOR),
    "few ties": torch.randn(1, 300, 2, generator=GENERATOR).mul(50).round(),
    "many ties": torch.randint(0, 5, (2, 60, 3), generator=GENERATOR).double(),
    "constant": torch.zeros(1, 10, 2),
    "half": torch.randn(1, 40, 2, generator=GENERATOR).half(),
}


@pytest.mark.parametrize("side", SIDES.values(), ids=SIDES.keys())
def test_columns_by_rank_are_what_counting_says(side) -> None:
    columns = side.mT[..., None].float()
    lower = (columns > columns.mT).sum(-1)
    equal = (columns == columns.mT).sum(-1)
    ranked = Ranked.of(side)
    assert torch.equal(ranked.times, equal)
    assert torch.equal(ranked.codes, 2 * lower + equal - 1)
    assert torch.equal(ranked.distinct, (1 / equal.double()).sum(-1).round().long())
    assert bool(((lower <= ranked.ranks) & (ranked.ranks < lower + equal)).all())
    assert torch.equal(ranked.ranks.sort(-1).values, ranked.order.sort(-1).values)
