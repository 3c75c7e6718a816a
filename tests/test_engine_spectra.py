"""Factor models of many columns: the information against covariances, and what is drawn."""

from __future__ import annotations

import pytest
import torch

from torchmist.synthetic.engines.spectra import Spectra, SpectraParameters

FAMILY = Spectra()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def of_covariance(covariance: torch.Tensor, dx: int) -> torch.Tensor:
    """I = (1/2) (log det of both sides - log det of all)."""
    parts = (covariance[..., :dx, :dx], covariance[..., dx:, dx:], covariance)
    in_x, in_y, joint = (torch.logdet(part) for part in parts)
    return (in_x + in_y - joint) / 2


@pytest.mark.parametrize(("dx", "dy"), [(1, 1), (3, 2), (2, 6)])
def test_the_information_is_that_of_the_covariance_of_many_rows(dx: int, dy: int) -> None:
    parameters = FAMILY.draw(6, dx, dy, generator=generator())
    x, y = FAMILY.sample_from(parameters, 60_000, generator=generator(1))
    truth, error = FAMILY.information(parameters, generator=generator(2))
    both = torch.cat([x, y], -1).double()
    found = of_covariance(both.mT @ both / 60_000, dx)
    torch.testing.assert_close(found, truth, atol=0.01, rtol=0.02)
    assert not error.any()


def test_gram_matrices_of_many_columns_give_what_covariances_give() -> None:
    p = FAMILY.draw(3, 90, 40, generator=generator(3))
    loads = torch.zeros(3, 130, p.x.shape[-1] + p.y.shape[-1] - p.shared, dtype=torch.float64)
    loads[:, :90, : p.x.shape[-1]] = p.x
    loads[:, 90:, : p.shared] = p.y[..., : p.shared]
    loads[:, 90:, p.x.shape[-1] :] = p.y[..., p.shared :]
    covariance = loads @ loads.mT + torch.eye(130, dtype=torch.float64)
    truth, _ = FAMILY.information(p, generator=generator())
    torch.testing.assert_close(of_covariance(covariance, 90), truth)


def test_sides_without_shared_loadings_share_nothing() -> None:
    p = FAMILY.draw(4, 5, 4, generator=generator())
    alone = SpectraParameters(
        torch.cat([0 * p.x[..., : p.shared], p.x[..., p.shared :]], -1), p.y, p.shared
    )
    truth, _ = FAMILY.information(alone, generator=generator())
    torch.testing.assert_close(truth, torch.zeros_like(truth), atol=1e-12, rtol=0)


def test_what_is_shared_spans_three_powers_of_ten_and_at_most_thirty_nats() -> None:
    made = torch.cat([FAMILY.sample(32, 4, 300, 70, generator=generator(k)).mi for k in range(8)])
    assert made.min() < 0.05 and made.max() > 10 and made.max() < 30.1


def test_shared_factors_are_the_strongest_of_some_datasets_and_the_weakest_of_others() -> None:
    shares = []
    for seed in range(10):
        p = FAMILY.draw(16, 40, 40, generator=generator(seed))
        variance = p.x.square().sum(1)
        if variance.shape[-1] > p.shared:
            first, own = variance[:, 0], variance[:, p.shared :].amax(-1)
            shares.append(first / (first + own))
    shares = torch.cat(shares)
    assert (shares > 0.9).float().mean() > 0.1 and (shares < 0.1).float().mean() > 0.1
