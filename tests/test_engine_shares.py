"""Shares: sides add up to one and tell all that the pair behind them does."""

from __future__ import annotations

import pytest
import torch

from torchmist.synthetic.engines.shares import Shares

FAMILY = Shares()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("dx", "dy"), [(1, 1), (2, 1), (3, 8), (40, 40)])
def test_sides_that_are_shown_as_shares_add_up_to_one(dx: int, dy: int) -> None:
    shown = 0
    for seed in range(12):
        p = FAMILY.draw(3, dx, dy, generator=generator(seed))
        sides = FAMILY.sample_from(p, 50, generator=generator(seed))
        assert [side.shape for side in sides] == [(3, 50, dx), (3, 50, dy)]
        for side, of_whole, logged in zip(sides, p.shown, p.logged):
            assert bool(side.isfinite().all())
            if of_whole:
                shares = torch.where(logged, side.exp(), side)
                torch.testing.assert_close(shares.sum(-1), torch.ones(3, 50))
                shown += 1
    assert (shown > 0) == (max(dx, dy) > 1)


def test_the_columns_of_the_pair_come_back_and_information_is_the_pairs() -> None:
    for seed in range(12):
        p = FAMILY.draw(2, 5, 4, generator=generator(seed))
        sides = FAMILY.sample_from(p, 400, generator=generator(seed))
        pair = p.law.sample_from(p.parameters, 400, generator=generator(seed))
        for side, before, of_whole, logged in zip(sides, pair, p.shown, p.logged):
            if not of_whole:
                assert torch.equal(side, before)
                continue
            logs = torch.where(logged, side, side.log()).double()
            ratios = logs[..., :-1] - logs[..., -1:]
            centred = [v - v.mean(1, keepdim=True) for v in (ratios, before.double())]
            solved = torch.linalg.lstsq(centred[0], centred[1]).solution
            left = (centred[0] @ solved - centred[1]).std(1) / before.std(1)
            assert left.max() < 0.02
        found, expected = (
            law.information(parameters, generator=generator(seed))
            for law, parameters in ((FAMILY, p), (p.law, p.parameters))
        )
        assert torch.equal(found[0], expected[0]) and torch.equal(found[1], expected[1])
