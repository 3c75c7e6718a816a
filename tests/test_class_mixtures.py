"""Mixtures of classes: densities and ratios by naive sums, and fits that know unseen rows."""

from __future__ import annotations

import torch

from torchmist.models.class_mixtures import ClassMixture, fitted_classes, log_densities


def _normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _mixture(k: int, other: int, d: int) -> ClassMixture:
    table = _normal(1, k, other).exp()
    factors = [
        torch.linalg.cholesky(a.mT @ a + torch.eye(d)) for a in _normal(2, 1, d, d, seed=1).unbind()
    ]
    means = _normal(1, k, d, seed=2), _normal(1, other, d, seed=3)
    return ClassMixture(table / table.sum(), *means, *factors)


def _by_sums(m: ClassMixture, x: torch.Tensor, y: torch.Tensor) -> list[torch.Tensor]:
    """Log densities of rows ``[N, d]`` together and of both sides, by sums over pairs of
    classes."""
    normal = torch.distributions.MultivariateNormal
    of_x, of_y = (
        torch.stack([normal(mean, scale_tril=factor[0]).log_prob(side) for mean in means[0]], -1)
        for side, means, factor in ((x, m.x_means, m.x_factor), (y, m.y_means, m.y_factor))
    )
    pairs = m.table[0].log() + of_x[:, :, None] + of_y[:, None]
    alone = [(m.table[0].sum(1 - k).log() + o).logsumexp(-1) for k, o in enumerate((of_x, of_y))]
    return [pairs.flatten(1).logsumexp(-1), *alone]


def test_densities_are_those_of_normal_classes() -> None:
    m, x = _mixture(5, 4, 3), _normal(20, 3, seed=4)
    normal = torch.distributions.MultivariateNormal
    expected = [normal(mean, scale_tril=m.x_factor[0]).log_prob(x) for mean in m.x_means[0]]
    found = log_densities(x[None], m.x_means, m.x_factor)
    torch.testing.assert_close(found[0], torch.stack(expected, -1), atol=1e-4, rtol=1e-4)


def test_ratios_are_those_of_sums_over_pairs_of_classes() -> None:
    m, x, y = _mixture(5, 4, 3), _normal(20, 3, seed=4), _normal(20, 3, seed=5)
    both, of_x, of_y = _by_sums(m, x, y)
    torch.testing.assert_close(m.log_density(x[None], y[None])[0], both, atol=1e-4, rtol=1e-4)
    ratio = m.log_ratio(x[None], y[None])[0]
    torch.testing.assert_close(ratio, both - of_x - of_y, atol=1e-4, rtol=1e-4)
    every = m.log_ratios(x[None], y[None])[0]
    torch.testing.assert_close(every.diagonal(), ratio, atol=1e-4, rtol=1e-4)
    other = m.log_ratio(x[None, :19], y[None, 1:])[0]
    torch.testing.assert_close(every.diagonal(1), other, atol=1e-4, rtol=1e-4)


def test_more_steps_fit_better_and_more_classes_know_unseen_rows_better() -> None:
    g = torch.Generator().manual_seed(0)
    means = 1.2 * torch.randn(2, 8, 10, generator=g)
    label = torch.randint(8, (1, 1200), generator=g)
    x, y = (m[label] + torch.randn(1, 1200, 10, generator=g) for m in means)
    fit, out = (x[:, :800], y[:, :800]), (x[:, 800:], y[:, 800:])
    views = (torch.cat(fit, -1),)
    few, many = (fitted_classes(*fit, views, 8, steps=steps) for steps in (1, 20))
    assert many.log_density(*fit).mean() > few.log_density(*fit).mean()
    torch.testing.assert_close(many.table.sum(), torch.tensor(1.0))
    less = fitted_classes(*fit, views, 2)
    assert many.log_density(*out).mean() > less.log_density(*out).mean() + 1
