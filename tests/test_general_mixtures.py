"""Mixtures and classes of the general meta-distribution: their MI, its error, and their samples."""

from __future__ import annotations

import math

import pytest
import torch

from torchmist.synthetic.general.mixtures import (
    MixtureParameters,
    class_mi,
    draw_mixture,
    mixture_mi,
    sample_mixture,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def two_components(rho: float) -> MixtureParameters:
    side = torch.tensor([[[-1.0], [1.5]]])
    scale = torch.tensor([[[0.5], [1.2]]])
    weight = torch.tensor([[0.3, 0.7]])
    return MixtureParameters(weight, side, scale, -side, scale, torch.full((1, 2, 1), rho))


@pytest.mark.parametrize("rho", [0.0, 0.7])
def test_mixture_mi_against_quadrature_and_its_own_error(rho: float) -> None:
    m = two_components(rho)
    grid = torch.linspace(-8, 9, 700, dtype=torch.float64)
    x, y = torch.meshgrid(grid, -grid, indexing="ij")
    joint = torch.zeros_like(x)
    for c in range(2):
        sx, sy = m.scale_x[0, c, 0].item(), m.scale_y[0, c, 0].item()
        a, b = (x - m.mean_x[0, c, 0]) / sx, (y - m.mean_y[0, c, 0]) / sy
        q = (a * a + b * b - 2 * rho * a * b) / (1 - rho**2)
        joint += (
            m.weight[0, c] * torch.exp(-q / 2) / (2 * math.pi * sx * sy * math.sqrt(1 - rho**2))
        )
    cell = (grid[1] - grid[0]) ** 2
    joint = joint * cell
    product = joint.sum(1, keepdim=True) * joint.sum(0, keepdim=True)
    truth = (torch.xlogy(joint, joint) - torch.xlogy(joint, product)).sum().item()
    value, error = mixture_mi(m, generator=generator())
    assert abs(value.item() - truth) < 4 * error.item() and error.item() < 0.02


def test_class_mi_against_quadrature() -> None:
    m = two_components(0.0)
    grid = torch.linspace(-8, 12, 20_000, dtype=torch.float64)
    density = [
        w * torch.distributions.Normal(mu, s).log_prob(grid).exp()
        for w, mu, s in zip(m.weight[0], m.mean_x[0, :, 0].double(), m.scale_x[0, :, 0].double())
    ]
    total = density[0] + density[1]
    inside = sum(torch.xlogy(p, p / total) - p * math.log(w) for p, w in zip(density, m.weight[0]))
    truth = torch.trapezoid(inside, grid).item()
    value, error = class_mi(m, generator=generator())
    assert abs(value.item() - truth) < 4 * error.item() and error.item() < 0.01


@pytest.mark.parametrize("components, p, q", [(2, 1, 1), (4, 5, 1), (5, 3, 2), (8, 6, 6)])
def test_errors_of_mixtures_are_below_one_percent_over_the_law(
    components: int, p: int, q: int
) -> None:
    m = draw_mixture(48, components, p, q, generator=generator())
    value, error = mixture_mi(m, generator=generator(1))
    assert (error <= 0.01 * value.clamp(min=0.5)).all() and (error > 0).all()


@pytest.mark.parametrize("components, p", [(2, 1), (3, 8), (7, 2), (20, 4), (20, 32)])
def test_errors_of_classes_are_below_one_percent_over_the_law(components: int, p: int) -> None:
    m = draw_mixture(48, components, p, 1, generator=generator())
    value, error = class_mi(m, generator=generator(1))
    assert (error <= 0.01 * value.clamp(min=0.5)).all()
    assert (value <= math.log(components) + 1e-6).all()


@pytest.mark.parametrize("function", [mixture_mi, class_mi])
def test_errors_are_the_spread_of_repetitions(function) -> None:
    sets, times = 8, 60
    m = draw_mixture(sets, 4, 3, 2, generator=generator(2))
    again = MixtureParameters(*(v.repeat_interleave(times, 0) for v in vars(m).values()))
    value, error = (v.view(sets, times) for v in function(again, generator=generator(3)))
    ratio = error.square().mean(1).sqrt() / value.std(1)
    assert (ratio > 0.7).all() and (ratio < 1.4).all()
    assert ratio.square().mean().sqrt().item() == pytest.approx(1, abs=0.12)


def test_posterior_entropies_agree_with_the_mean_log_density_ratio() -> None:
    """The chain rule against E log p(x, y) / (p(x) p(y)), densities in float64 by torch."""
    m = draw_mixture(6, 3, 2, 3, generator=generator(4))
    x, y, _ = (v.double() for v in sample_mixture(m, 60_000, generator=generator(5)))

    def log_normal(values: torch.Tensor, mean: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        normal = torch.distributions.Normal(mean.double()[:, None], scale.double()[:, None])
        return normal.log_prob(values[:, :, None])

    of_x, of_y = log_normal(x, m.mean_x, m.scale_x), log_normal(y, m.mean_y, m.scale_y)
    rho = m.rho.double()[:, None]
    center = m.mean_y[..., :2].double()[:, None] + rho * m.scale_y[..., :2].double()[:, None] * (
        (x[:, :, None] - m.mean_x.double()[:, None]) / m.scale_x.double()[:, None]
    )
    spread = m.scale_y[..., :2].double()[:, None] * (1 - rho.square()).sqrt()
    given = torch.distributions.Normal(center, spread).log_prob(y[:, :, None, :2])
    weight = m.weight.double().log()[:, None]
    joint = (weight + of_x.sum(-1) + given.sum(-1) + of_y[..., 2:].sum(-1)).logsumexp(-1)
    sides = [(weight + side.sum(-1)).logsumexp(-1) for side in (of_x, of_y)]
    ratio = joint - sides[0] - sides[1]
    value, error = mixture_mi(m, generator=generator(6))
    allowed = (ratio.var(-1) / ratio.shape[1] + error.square()).sqrt()
    assert ((value - ratio.mean(-1)).abs() < 4 * allowed).all()


def test_mixture_samples_have_the_moments_of_their_components() -> None:
    m = two_components(0.7)
    x, y, component = sample_mixture(m, 60_000, generator=generator())
    for c in range(2):
        chosen = component[0] == c
        assert chosen.float().mean().item() == pytest.approx(m.weight[0, c].item(), abs=0.01)
        assert x[0, chosen, 0].mean().item() == pytest.approx(m.mean_x[0, c, 0].item(), abs=0.02)
        pair = torch.corrcoef(torch.stack([x[0, chosen, 0], y[0, chosen, 0]]))
        assert pair[0, 1].item() == pytest.approx(0.7, abs=0.02)
