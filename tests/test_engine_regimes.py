"""Regimes: information against a grid, neighbours, and what a shown regime adds."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from kraskov import scaled_kraskov

from torchmist.synthetic.engines.regimes import RegimeParameters, Regimes

FAMILY = Regimes()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("dx", "dy"), [(1, 1), (2, 9), (12, 12), (40, 3)])
def test_columns_are_as_many_as_asked_for_and_regimes_as_said(dx: int, dy: int) -> None:
    shown = set()
    for seed in range(20):
        p = FAMILY.draw(2, dx, dy, generator=generator(seed))
        x, y = FAMILY.sample_from(p, 40, generator=generator(seed))
        assert x.shape == (2, 40, dx) and y.shape == (2, 40, dy)
        assert bool(x.isfinite().all()) and bool(y.isfinite().all())
        regimes = p.shares.shape[1]
        assert 2 <= regimes <= 8 and sum(p.columns) == p.means.shape[-1]
        shown.add(p.shown)
        if p.shown is not None:
            one = (x, y)[p.shown][..., -regimes:]
            assert ((one == 0) | (one == 1)).all() and (one.sum(-1) == 1).all()
    assert None in shown and (max(dx, dy) < 3 or len(shown) > 1)


def _on_a_grid(p: RegimeParameters, row: int) -> float:
    """Information of one column on each side, by sums over a fine grid."""
    covariance = (p.lower[row] @ p.lower[row].mT).double()
    means, shares = p.means[row].double(), p.shares[row].double()
    deviation = covariance.diagonal(dim1=-2, dim2=-1).sqrt()
    low = (means - 7 * deviation).amin(0)
    high = (means + 7 * deviation).amax(0)
    ends = zip(low.tolist(), high.tolist())
    axes = [torch.linspace(a, b, 500, dtype=torch.float64) for a, b in ends]
    away = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).view(-1, 1, 2) - means
    inverse = torch.linalg.inv(covariance)
    square = torch.einsum("nki,kij,nkj->nk", away, inverse, away)
    density = (shares * (-square / 2).exp() / covariance.det().sqrt()).sum(-1).view(500, 500)
    table = density / density.sum()
    product = table.sum(1, keepdim=True) * table.sum(0)
    return float(torch.xlogy(table, table / product.clamp(min=1e-300)).sum())


def test_information_is_that_of_a_grid_for_single_columns() -> None:
    seen = 0
    for seed in range(20):
        p = FAMILY.draw(1, 1, 1, generator=generator(seed))
        if float(p.lower[..., 1, 1].min()) < 0.2:  # the grid is too coarse
            continue
        mi, error = FAMILY.information(p, generator=generator(seed))
        assert abs(float(mi) - _on_a_grid(p, 0)) < 4 * float(error) + 0.01
        seen += 1
    assert seen > 2


def test_a_shown_regime_adds_what_it_tells() -> None:
    """I(X, K; Y) is at least I(X; Y), and at most log K above it."""
    seen = 0
    for seed in range(60):
        p = FAMILY.draw(2, 12, 3, generator=generator(seed))
        if p.shown != 0:
            continue
        hidden, _ = FAMILY.information(
            dataclasses.replace(p, shown=None), generator=generator(seed)
        )
        mi, error = FAMILY.information(p, generator=generator(seed))
        slack = 6 * error + 0.02
        assert (mi > hidden - slack).all()
        assert (mi < hidden + math.log(p.shares.shape[1]) + slack).all()
        seen += 1
    assert seen > 3


def test_neighbours_find_the_information_of_few_columns() -> None:
    errors = []
    for seed in range(30):
        p = FAMILY.draw(1, 2, 1, generator=generator(seed))
        mi, _ = FAMILY.information(p, generator=generator(seed))
        if p.shown is not None or float(mi) > 1.2:
            continue
        p = dataclasses.replace(p, bent=torch.zeros_like(p.bent))
        x, y = FAMILY.sample_from(p, 2000, generator=generator(seed))
        errors.append(scaled_kraskov(x[0], y[0]) - float(mi))
    error = torch.tensor(errors).abs()
    assert len(errors) > 8
    assert error.median() < 0.06 and (error < 0.25).float().mean() > 0.9
