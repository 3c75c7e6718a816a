"""Cross-fitted variates: what they find, what does not change them, and their gradient."""

from __future__ import annotations

import math

import pytest
import torch

from torchmist.models.variates import VARIATE_COUNT, Variates, variate_opinions, variates

EXACT = -2  # opinions before the Gaussian sums, which are too high for other functions


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def sides(n: int = 200, dx: int = 4, dy: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    x, noise = draw(2, n, dx), draw(2, n, dy, seed=1)
    return x, torch.tanh(x[..., :1] * x[..., 1:2]) + 0.3 * noise


def opinions(x: torch.Tensor, y: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    return variate_opinions(variates(x, y, mask))[0]


def near(a: torch.Tensor, b: torch.Tensor) -> bool:
    return bool(torch.allclose(a, b, atol=5e-3))


def test_a_sum_of_functions_of_many_columns_is_found_where_no_column_shows_it() -> None:
    x = draw(1, 1000, 6)
    total = x.abs().sum(-1, keepdim=True)
    y = (total - total.mean()) / total.std() + 0.3 * draw(1, 1000, 1, seed=1)
    found = opinions(x, y)
    assert (found[:, :EXACT] > 0.9).all() and (
        found[:, :EXACT] < 0.5 * math.log(1 + 1 / 0.09)
    ).all()


def test_a_wave_among_many_columns_of_noise_is_found() -> None:
    x = draw(1, 1000, 90)
    y = torch.sin(3 * x[..., 17:18]) + 0.2 * draw(1, 1000, 1, seed=1)
    assert (opinions(x, y)[:, :EXACT] > 0.8).all()


@pytest.mark.parametrize(("dx", "dy"), [(1, 1), (20, 5), (100, 3)])
def test_independent_sides_share_nothing_on_unseen_rows(dx: int, dy: int) -> None:
    x, y = draw(4, 400, dx), draw(4, 400, dy, seed=1)
    assert variates(x, y).correlations.abs().mean() < 0.1
    assert opinions(x, y).mean(0).abs().max() < 0.05


def test_variates_are_fitted_without_the_rows_where_they_are_given() -> None:
    """As many features as rows would fit noise; unseen rows show that there is nothing."""
    x, y = draw(1, 60, 50), draw(1, 60, 50, seed=1)
    assert variates(x, y).correlations.max() < 0.45


def test_the_order_of_samples_and_columns_their_directions_and_the_sides_do_not_count() -> None:
    x, y = sides()
    found = opinions(x, y)
    order = torch.randperm(x.shape[1], generator=torch.Generator().manual_seed(2))
    assert near(opinions(x[:, order], y[:, order]), found)
    assert near(opinions(x[..., [2, 0, 3, 1]], y[..., [1, 2, 0]]), found)
    assert near(opinions(-x, torch.exp(y)), found)
    assert near(opinions(y, x), found)


def test_padding_does_not_count() -> None:
    x, y = sides(n=150)
    mask = torch.zeros(2, 190, dtype=torch.bool)
    mask[:, :150] = True
    padded = (torch.nn.functional.pad(side, (0, 0, 0, 40)) for side in (x, y))
    assert near(opinions(*padded, mask), opinions(x, y))


def test_datasets_of_a_batch_do_not_touch() -> None:
    x, y = sides()
    assert near(opinions(x[:1], y[:1]), opinions(x, y)[:1])


def test_values_have_mean_0_in_each_fold_and_variance_1() -> None:
    found = variates(*sides(n=202))
    for side in (found.x, found.y):
        assert side.shape == (2, 4, 51, VARIATE_COUNT)
        assert near(side.mean(2), torch.zeros(2, 4, VARIATE_COUNT))
        assert near(side.square().sum((1, 2)) / 202, torch.ones(2, VARIATE_COUNT))
    assert (found.present.sum((1, 2)) == 202).all()


def test_the_fold_of_a_row_is_not_taken_for_information() -> None:
    """Tight clusters show how the functions of different folds differ, on both sides alike."""
    generator = torch.Generator().manual_seed(0)
    group = torch.randint(6, (1, 1000), generator=generator)
    centres = [4 * torch.randn(6, 24, generator=generator) for _ in range(2)]
    x, y = (c[group] + draw(1, 1000, 24, seed=k) for k, c in enumerate(centres))
    assert (opinions(x, y)[:, :EXACT] < math.log(6) + 0.1).all()


def test_the_gradient_of_a_correlated_pair_is_that_of_its_variates() -> None:
    """Moving the noise of y away lets the opinions rise, as it does the information."""
    x, noise = draw(1, 400, 2), draw(1, 400, 1, seed=1)
    y = (x[..., :1] + 0.5 * noise).requires_grad_()
    (gradient,) = torch.autograd.grad(opinions(x, y).sum(), y)
    assert torch.isfinite(gradient).all()
    assert (gradient * noise).sum() < 0


def test_the_gaussian_opinions_are_the_closed_form_of_the_correlations() -> None:
    x = draw(1, 4, 75, VARIATE_COUNT)
    rho = torch.zeros(1, VARIATE_COUNT)
    rho[:, :6] = torch.tensor([0.8, 0.5, 0.2, -0.1, 0.3, 0.1])
    said, _ = variate_opinions(Variates(x, x, torch.ones(1, 4, 75) > 0, rho))
    each = -0.5 * (1 - rho.clamp(min=0).square()).log()
    assert torch.allclose(said[:, -2:], torch.stack([each[:, :4].sum(), each.sum()])[None])
