"""Linear dependence of any rank: the information against covariances, and how it is spread."""

from __future__ import annotations

import pytest
import torch

from torchmist.synthetic.engines.spread import Spread

FAMILY = Spread()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("dx", "dy"), [(1, 1), (4, 3), (2, 6)])
def test_the_information_is_that_of_the_covariance_of_many_rows(dx: int, dy: int) -> None:
    parameters = FAMILY.draw(6, dx, dy, generator=generator())
    x, y = FAMILY.sample_from(parameters, 80_000, generator=generator(1))
    truth, error = FAMILY.information(parameters, generator=generator(2))
    correlation = torch.stack([torch.corrcoef(both.mT) for both in torch.cat([x, y], -1).double()])
    parts = (correlation[:, :dx, :dx], correlation[:, dx:, dx:], correlation)
    in_x, in_y, joint = (torch.logdet(part) for part in parts)
    torch.testing.assert_close((in_x + in_y - joint) / 2, truth, atol=0.01, rtol=0.02)
    assert not error.any()


def test_ranks_go_from_one_pair_to_all_columns() -> None:
    ranks = (FAMILY.draw(600, 200, 300, generator=generator()).correlations > 0).sum(-1)
    assert ranks.min() == 1 and ranks.max() == 200
    assert 0.2 < (ranks == 200).float().mean() < 0.6


def test_sizes_are_alike_or_fall_and_do_not_follow_what_is_shared() -> None:
    p = FAMILY.draw(400, 40, 3, generator=generator())
    scale = p.scales[0][:, 0]
    spread = scale.amax(-1) / scale.amin(-1)
    assert (spread == 1).any() and (spread > 30).any()
    first = scale[spread > 30].argsort(-1, descending=True)[:, 0]
    assert len(first.unique()) > 20


def test_no_column_shows_what_a_rotation_spreads() -> None:
    seen = []
    for seed in range(12):
        p = FAMILY.draw(8, 256, 256, generator=generator(seed))
        strong = (p.correlations.amax(-1) > 0.9) & p.rotations[0].used.flatten()
        strong &= p.rotations[1].used.flatten()
        strong &= (p.scales[0].amax(-1) == p.scales[0].amin(-1)).flatten()
        x, y = FAMILY.sample_from(p, 400, generator=generator(seed + 50))
        for k in strong.nonzero().flatten().tolist():
            seen.append(torch.corrcoef(torch.cat([x[k], y[k]], -1).mT)[:256, 256:].abs().max())
    assert seen and max(seen) < 0.6
