"""Joined pairs: information adds up, parts are independent, and columns are those of the parts."""

from __future__ import annotations

import pytest
import torch

from torchmist.synthetic.engines.joined import Joined

FAMILY = Joined()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("dx", "dy"), [(1, 1), (2, 9), (16, 16), (300, 12)])
def test_parts_share_out_all_columns(dx: int, dy: int) -> None:
    counts = set()
    for seed in range(16):
        p = FAMILY.draw(2, dx, dy, generator=generator(seed))
        counts.add(len(p.parts))
        x, y = FAMILY.sample_from(p, 20, generator=generator(seed))
        assert x.shape == (2, 20, dx) and y.shape == (2, 20, dy)
    assert max(counts) <= min(5, dx, dy) and (min(dx, dy) == 1 or len(counts) > 1)


def test_information_is_the_sum_of_what_both_sides_show() -> None:
    alone = 0
    for seed in range(24):
        p = FAMILY.draw(3, 12, 12, generator=generator(seed))
        mi, error = FAMILY.information(p, generator=generator(99))
        g = generator(99)
        known, spread = torch.zeros(3).double(), torch.zeros(3).double()
        for (family, law), both in zip(p.parts, p.tied):
            alone += not both
            if both:
                value, own = family.information(law, generator=g)
                known, spread = known + value, spread + own.square()
        torch.testing.assert_close(mi, known)
        torch.testing.assert_close(error, spread.sqrt())
    assert alone > 4


def test_parts_know_nothing_of_each_other_and_of_what_one_side_has_alone() -> None:
    """Columns of different parts, and those of a part that only one side shows, do not correlate
    beyond chance."""
    n, seen = 4_000, 0
    for seed in range(40):
        p = FAMILY.draw(4, 6, 6, generator=generator(seed))
        plain = ~(p.turns[0].used | p.turns[1].used).flatten()
        if len(p.parts) < 2 or not plain.any():
            continue
        x, y = (side[plain] for side in FAMILY.sample_from(p, n, generator=generator(seed)))
        x, y = (side[..., order.argsort()] for side, order in zip((x, y), p.orders))
        g = generator(seed)  # equal values are ranked by chance, not by their rows
        ties = [torch.randperm(n, generator=g).expand(len(side), -1) for side in (x, y)]
        ranks = [_ranks(side, tie) for side, tie in zip((x, y), ties)]
        ranks = [(r - r.mean(1, keepdim=True)) / r.std(1, keepdim=True) for r in ranks]
        shared = (ranks[0].mT @ ranks[1] / n).abs()
        g = generator(seed)
        widths = [
            [side.shape[-1] for side in family.sample_from(law, 2, generator=g)]
            for family, law in p.parts
        ]
        rows = torch.repeat_interleave(
            torch.arange(len(widths)), torch.tensor([w[0] for w in widths])
        )
        columns = torch.repeat_interleave(
            torch.arange(len(widths)), torch.tensor([w[1] for w in widths])
        )
        tied = torch.tensor(p.tied)
        apart = (rows[:, None] != columns) | ~tied[rows][:, None]
        assert shared[:, apart].max() < 0.09
        seen += 1
    assert seen > 8


def _ranks(side: torch.Tensor, tie: torch.Tensor) -> torch.Tensor:
    shuffled = side.gather(1, tie[..., None].expand_as(side))
    ranks = shuffled.argsort(dim=1, stable=True).argsort(dim=1).double()
    return torch.zeros_like(ranks).scatter(1, tie[..., None].expand_as(side), ranks)
