"""Copula layer: invariances, ties, precisions, and the gradient against the population's."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import norm, rankdata

from torchmist.copula import normal_scores, rank_transform, score_grid
from torchmist.numerics.sorting import sort_columns


def draws(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("n", [2, 3, 4, 7, 100])
def test_scores_are_those_of_scipy(n: int) -> None:
    x = draws(n, 3)
    z = norm.ppf((rankdata(x.numpy(), axis=0) - 0.5) / n)
    expected = torch.tensor(z / z.std(axis=0)).float()
    torch.testing.assert_close(normal_scores(x), expected, atol=1e-5, rtol=1e-5)


def test_ties_get_average_ranks() -> None:
    x = torch.tensor([3.0, 1.0, 3.0, 2.0, 3.0, 1.0])[:, None]
    z = norm.ppf((rankdata(x.numpy(), axis=0) - 0.5) / 6)
    expected = torch.tensor((z - z.mean()) / z.std()).float()
    torch.testing.assert_close(normal_scores(x), expected, atol=1e-5, rtol=1e-5)


def test_few_ties_in_long_columns_get_average_ranks() -> None:
    """Pairs and longer runs, at both ends of columns too, found without a pass over all samples."""
    x = draws(400, 3)
    for low, high in ((0, 2), (7, 11), (11, 13), (200, 201), (397, 400)):
        for column in (0, 2):
            order = x[:, column].argsort()[low:high]
            x[order, column] = x[order[0], column].item()
    codes = rank_transform(x).codes
    assert codes.mT.tolist() == (2 * rankdata(x.numpy(), axis=0) - 2).tolist()


@pytest.mark.parametrize("warp", [torch.exp, lambda x: x**3, lambda x: 1e6 * x - 5])
def test_increasing_maps_change_nothing(warp) -> None:
    x = draws(50, 4)
    assert torch.equal(normal_scores(warp(x)), normal_scores(x))


def test_decreasing_maps_change_the_sign_exactly() -> None:
    x = draws(51, 4)
    assert torch.equal(normal_scores(-x), -normal_scores(x))


def test_constant_columns_are_zero_with_zero_gradient() -> None:
    x = torch.full((10, 1), 7.0, requires_grad=True)
    z = normal_scores(x)
    assert torch.equal(z, torch.zeros(10, 1))
    (z * draws(10, 1)).sum().backward()
    assert torch.equal(x.grad, torch.zeros(10, 1))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_ranks_are_taken_in_the_precision_of_the_input(dtype: torch.dtype) -> None:
    x = draws(30, 2).to(dtype).requires_grad_()
    z = normal_scores(x)
    assert z.dtype == torch.float32
    torch.testing.assert_close(z, normal_scores(x.detach().double()))
    z.pow(3).sum().backward()
    assert x.grad.dtype == dtype and torch.isfinite(x.grad).all()


def test_float64_tells_values_apart_that_float32_cannot() -> None:
    x = (1 + 1e-12 * torch.arange(5, dtype=torch.float64))[:, None]
    assert len(normal_scores(x).unique()) == 5


def test_masked_samples_do_not_count() -> None:
    x = draws(2, 9, 3)
    mask = torch.ones(2, 9, dtype=torch.bool)
    mask[1, 6:] = False
    z = normal_scores(x, mask)
    torch.testing.assert_close(z[1, :6], normal_scores(x[1, :6]))
    torch.testing.assert_close(z[0], normal_scores(x[0]))
    assert torch.equal(z[1, 6:], torch.zeros(3, 3))


@pytest.mark.parametrize("rho", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("n", [100, 400])
def test_gradient_is_that_of_the_population(rho: float, n: int) -> None:
    """d/d rho of -1/2 log(1 - R^2), path-wise through y, against finite differences through the
    exact ranks, averaged over 600 Gaussian samples."""
    x, noise = draws(600, n, 1, seed=1), draws(600, n, 1, seed=2)

    def mi(r: torch.Tensor) -> torch.Tensor:
        y = r * x + (1 - r * r).sqrt() * noise
        correlation = (normal_scores(x) * normal_scores(y)).mean(1)
        return -0.5 * torch.log1p(-correlation.square()).mean()

    at = torch.tensor(rho, requires_grad=True)
    (gradient,) = torch.autograd.grad(mi(at), at)
    step = 0.02
    finite = (mi(torch.tensor(rho + step)) - mi(torch.tensor(rho - step))) / (2 * step)
    assert abs(gradient / finite - 1) < 0.05


def test_what_only_respaces_a_column_gets_no_gradient() -> None:
    """The loss sum(z^3) depends on each sample's own rank alone: its smooth part is subtracted."""
    x = draws(400, 1).requires_grad_()
    z = normal_scores(x)
    z.pow(3).sum().backward()
    inside = z.detach().abs() < 1.5
    unsubtracted = 3 * z.detach().square()  # dz/dx is 1 for standard normal samples
    assert x.grad[inside].abs().mean() < 0.1 * unsubtracted[inside].mean()


@pytest.mark.parametrize(
    "x",
    [
        torch.randn(5, 2, generator=torch.Generator().manual_seed(0)).repeat(6, 1),
        torch.cat([draws(29, 1), torch.tensor([[1e30]])]),
        torch.cat([draws(28, 1), torch.tensor([[3e38], [-3e38]])]),
        torch.tensor([0.0, 1.0]).repeat(15)[:, None],
        torch.tensor([[0.0], [1e-38]]).repeat(15, 1),
        draws(2, 1),
    ],
    ids=["duplicates", "outlier", "extremes", "binary", "denormal", "two samples"],
)
def test_gradient_is_finite(x: torch.Tensor) -> None:
    x = x.clone().requires_grad_()
    (normal_scores(x) * draws(*x.shape, seed=4)).sum().backward()
    assert torch.isfinite(x.grad).all()


def test_tied_samples_share_their_slope() -> None:
    x = torch.tensor([0.0, 1.0]).repeat(20)[:, None].requires_grad_()
    normal_scores(x)[:10].sum().backward()
    assert len(x.grad[:10:2].unique()) == 1 and len(x.grad[1:10:2].unique()) == 1


def test_second_derivative_is_refused() -> None:
    x = draws(20, 1).requires_grad_()
    (gradient,) = torch.autograd.grad(normal_scores(x).pow(2).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="expected one derivative of mutual information"):
        gradient.sum().backward()


def test_codes_index_the_grid_of_scores() -> None:
    ranks = rank_transform(draws(4, 30, 2))
    grid = score_grid(torch.tensor([30]), 30).float()[0]
    assert torch.equal(grid[ranks.codes], ranks.scores)
    assert torch.equal(grid, -grid.flip(0))


@pytest.mark.parametrize("shape", [(3, 16), (8, 600), (2, 40, 500), (300, 120), (2, 20_000)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("step", [None, 0.25])
@pytest.mark.parametrize("few", [0, 10**6])
def test_every_way_of_sorting_gives_the_ranks_of_scipy(
    shape, dtype, step, few, monkeypatch
) -> None:
    monkeypatch.setattr("torchmist.numerics.sorting._FEW_THREADS", few)
    columns = draws(*shape).to(dtype)
    if step is not None:
        columns = (columns / step).round() * step
    columns[..., 0], columns[..., 1] = 0.0, -0.0
    columns[..., 2], columns[..., 3] = torch.inf, -torch.inf
    columns[..., 4], columns[..., 5] = 1e-42, -1e-42
    codes = rank_transform(columns.mT).codes
    expected = torch.tensor(2 * rankdata(columns.numpy(), axis=-1) - 2).long()
    assert torch.equal(codes, expected)
    ordered, order = sort_columns(columns)
    assert torch.equal(ordered, columns.sort(-1).values)
    assert torch.equal(columns.gather(-1, order), columns.sort(-1).values)


def test_the_gradient_does_not_depend_on_the_way_of_sorting(monkeypatch) -> None:
    x = (draws(1, 1200, 30).argsort(1) / 1200.0 * 400).round() / 400
    weight = draws(1, 1200, 30, seed=1)

    def gradient(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        x = x.clone().requires_grad_()
        (normal_scores(x) * weight).sum().backward()
        return x.grad

    found = []
    for few in (0, 10**6):
        monkeypatch.setattr("torchmist.numerics.sorting._FEW_THREADS", few)
        found.append(gradient(x, weight))
    torch.testing.assert_close(*found)
