"""Near copies: the closed form against the covariance of what is drawn, and how near they are."""

from __future__ import annotations

import pytest
import torch

from torchmist.synthetic.engines.copies import Copies, CopyParameters

FAMILY = Copies()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("dx", "dy"), [(1, 1), (3, 2), (2, 5)])
def test_the_information_is_that_of_the_covariance_of_many_rows(dx, dy) -> None:
    """I = -(1/2) log det of the correlations of all over those of both sides."""
    parameters = FAMILY.draw(6, dx, dy, generator=generator())
    nats = parameters.nats.clamp(max=3.0)
    parameters = CopyParameters(nats, parameters.order_x, parameters.order_y)
    x, y = FAMILY.sample_from(parameters, 40_000, generator=generator(1))
    truth, error = FAMILY.information(parameters, generator=generator(2))
    both = torch.cat([x, y], -1).double()
    covariance = both.mT @ both / 40_000
    parts = (covariance[:, :dx, :dx], covariance[:, dx:, dx:], covariance)
    in_x, in_y, joint = (torch.logdet(part) for part in parts)
    torch.testing.assert_close((in_x + in_y - joint) / 2, truth, atol=0.02, rtol=0.01)
    assert not error.any()


def test_columns_are_standard_normal_and_of_one_side_independent() -> None:
    x, y = FAMILY.sample_from(
        FAMILY.draw(4, 5, 3, generator=generator()), 20_000, generator=generator(1)
    )
    for side in (x.double(), y.double()):
        eye = torch.eye(side.shape[-1], dtype=torch.float64).expand(4, -1, -1)
        torch.testing.assert_close(side.mT @ side / 20_000, eye, atol=0.05, rtol=0)


@pytest.mark.parametrize(("dx", "dy"), [(1, 1), (3, 8), (64, 64)])
def test_one_to_three_pairs_are_near_copies_and_the_rest_share_less_than_a_nat(dx, dy) -> None:
    nats = FAMILY.draw(2000, dx, dy, generator=generator()).nats
    assert nats.shape == (2000, min(dx, dy)) and nats.dtype == torch.float64
    near = (nats >= 2).sum(-1)
    assert near.min() == 1 and near.max() == min(3, dx, dy)
    assert nats.max() < 9 and not ((nats > 1) & (nats < 2)).any()


def test_noise_of_a_near_copy_is_not_lost_to_rounding() -> None:
    """Nine nats are a noise of 1e-4 of the deviation, well above the rounding of float32."""
    place = torch.zeros(1, 1, dtype=torch.int64)
    parameters = CopyParameters(torch.full((1, 1), 9.0, dtype=torch.float64), place, place)
    x, y = FAMILY.sample_from(parameters, 20_000, generator=generator())
    noise = (y - x).double().std()
    assert float(noise) == pytest.approx(float(torch.tensor(-9.0).exp()), rel=0.05)


def test_copies_stand_at_any_columns() -> None:
    """The strongest pair is found at each place of X equally often."""
    parameters = FAMILY.draw(3000, 4, 4, generator=generator())
    first = (parameters.order_x == 0).double().mean(0)
    torch.testing.assert_close(first, torch.full_like(first, 0.25), atol=0.04, rtol=0)
    assert (parameters.order_x.sort(-1).values == torch.arange(4)).all()
