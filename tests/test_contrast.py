"""Contrastive bounds: closed forms, the limit of a fold, padding and the gradient."""

from __future__ import annotations

import math

import pytest
import torch

from torchmist.models.contrast import contrastive_bound


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def pairs(rho: float, count: int = 1, m: int = 300) -> tuple[torch.Tensor, ...]:
    """Gaussian variates of 2 datasets and 4 folds, all rows and their correlations."""
    x = draw(2, 4, m, count)
    y = rho * x + math.sqrt(1 - rho**2) * draw(2, 4, m, count, seed=1)
    return x, y, torch.ones(2, 4, m, dtype=torch.bool), torch.full((2, count), rho)


@pytest.mark.parametrize(("rho", "count"), [(0.3, 1), (0.8, 1), (0.6, 4)])
def test_the_bound_of_gaussian_variates_is_near_their_information(rho: float, count: int) -> None:
    bound, temperature = contrastive_bound(*pairs(rho, count))
    truth = -0.5 * count * math.log(1 - rho**2)
    assert (bound < truth + 0.05).all() and (bound > 0.93 * truth - 0.05).all()
    assert (temperature > math.log(0.4)).all()


def test_clusters_give_the_log_of_their_number_at_a_low_temperature() -> None:
    group = torch.randint(5, (1, 4, 200), generator=torch.Generator().manual_seed(0))
    corners = 2 * torch.eye(5) - 0.4
    x, y = (corners[group] + 0.01 * draw(1, 4, 200, 5, seed=k) for k in (0, 1))
    bound, temperature = contrastive_bound(
        x, y, torch.ones(1, 4, 200) > 0, torch.full((1, 5), 0.99)
    )
    assert abs(float(bound) - math.log(5)) < 0.05
    assert float(temperature) < -1


def test_the_bound_is_at_most_the_log_of_the_rows_of_a_fold() -> None:
    bound, _ = contrastive_bound(*pairs(0.999, 8, m=50))
    assert (bound < math.log(50) + 1e-3).all() and (bound > math.log(50) - 0.1).all()


def test_independent_variates_whose_correlations_are_taken_for_real_bound_nothing() -> None:
    x, _, present, _ = pairs(0.5, 4)
    bound, _ = contrastive_bound(x, draw(2, 4, 300, 4, seed=2), present, torch.full((2, 4), 0.5))
    assert (bound < 0.02).all()


def test_padding_and_the_sides_do_not_count() -> None:
    x, y, present, rho = pairs(0.7, 3)
    bound, _ = contrastive_bound(x, y, present, rho)
    longer = [torch.nn.functional.pad(v, (0, 0, 0, 30), value=3.0) for v in (x, y)]
    padded, _ = contrastive_bound(*longer, torch.nn.functional.pad(present, (0, 30)), rho)
    torch.testing.assert_close(padded, bound, atol=1e-4, rtol=0)
    torch.testing.assert_close(contrastive_bound(y, x, present, rho)[0], bound)


def test_only_some_rows_of_long_folds_are_compared() -> None:
    short, long = (contrastive_bound(*pairs(0.8, 2, m=m))[0] for m in (384, 1500))
    torch.testing.assert_close(long, short, atol=0.06, rtol=0)


def test_noise_that_goes_away_lets_the_bound_rise() -> None:
    x, y, present, rho = pairs(0.8, 2)
    noise = (y - 0.8 * x).detach()
    y = y.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(contrastive_bound(x, y, present, rho)[0].sum(), y)
    assert torch.isfinite(gradient).all() and (gradient * noise).sum() < 0
