"""Steep: the information against covariances, and that small directions share."""

from __future__ import annotations

import torch

from torchmist.synthetic.engines.steep import Steep

FAMILY = Steep()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_information_is_that_of_the_covariance_of_many_rows() -> None:
    parameters = FAMILY.draw(6, 5, 2, generator=generator())
    x, y = FAMILY.sample_from(parameters, 80_000, generator=generator(1))
    truth, error = FAMILY.information(parameters, generator=generator(2))
    correlation = torch.stack([torch.corrcoef(both.mT) for both in torch.cat([x, y], -1).double()])
    parts = (correlation[:, :5, :5], correlation[:, 5:, 5:], correlation)
    in_x, in_y, joint = (torch.logdet(part) for part in parts)
    torch.testing.assert_close((in_x + in_y - joint) / 2, truth, atol=0.01, rtol=0.02)
    assert not error.any()


def test_the_first_directions_are_the_small_ones() -> None:
    p = FAMILY.draw(400, 12, 1, generator=generator())
    scale = p.scales[0][:, 0]
    assert scale.max() == 1 and 1 / 60 <= scale.min() < 1 / 40
    small = scale < 1
    assert 0.7 < small[:, 0].float().mean() < 0.9
    assert (small.float().diff(dim=-1) <= 0).all()
    assert small.sum(-1).max() == 1  # as many as the other side has columns, at most
