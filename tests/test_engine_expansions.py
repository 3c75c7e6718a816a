"""Expansions: information is that of the latent numbers, which the columns tell."""

from __future__ import annotations

import pytest
import torch

from torchmist.synthetic.engines.expansions import Expansion, Expansions
from torchmist.synthetic.engines.lifts_pairs import pairs_information, sample_pairs

FAMILY = Expansions()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _straight(side: Expansion, columns: torch.Tensor) -> torch.Tensor:
    """Columns before the rotation, up to their sizes."""
    if side.turn is None:
        return columns
    turned = side.turn(torch.eye(columns.shape[-1]).expand(len(columns), -1, -1))
    return torch.linalg.solve(turned, columns, left=False)


@pytest.mark.parametrize(("dx", "dy"), [(1, 1), (2, 9), (12, 30), (64, 5), (100, 100)])
def test_columns_are_as_many_as_asked_for_and_finite(dx: int, dy: int) -> None:
    latent = set()
    for seed in range(16):
        p = FAMILY.draw(2, dx, dy, generator=generator(seed))
        x, y = FAMILY.sample_from(p, 50, generator=generator(seed))
        assert x.shape == (2, 50, dx) and y.shape == (2, 50, dy)
        assert bool(x.isfinite().all()) and bool(y.isfinite().all())
        latent.add(p.pair.rho.shape[-1])
        mi, error = FAMILY.information(p, generator=generator(seed))
        torch.testing.assert_close(mi, pairs_information(p.pair))
        assert not error.any()
    assert max(latent) == min(dx, dy, 8) or len(latent) > 3


def test_latent_numbers_stand_beside_functions_that_may_be_no_injection() -> None:
    found = 0
    for seed in range(40):
        p = FAMILY.draw(2, 10, 10, generator=generator(seed))
        x, _ = FAMILY.sample_from(p, 300, generator=generator(seed))
        if p.pair.kind.eq(1).any() or not p.x.beside:
            continue
        u, _ = sample_pairs(p.pair, 300, generator(seed))
        shown = _straight(p.x, x)[..., : p.x.beside] / p.x.scale[..., : p.x.beside]
        expected = u / u.std(1, correction=0, keepdim=True)
        torch.testing.assert_close(shown, expected, atol=1e-3, rtol=1e-3)
        found += 1
    assert found > 8


def test_all_columns_are_functions_of_the_latent_numbers() -> None:
    """The same numbers give the same columns, and neighbours in columns are near in numbers."""
    near = []
    for seed in range(30):
        p = FAMILY.draw(1, 60, 60, generator=generator(seed))
        k = p.pair.rho.shape[-1]
        if k > 2:
            continue
        u = torch.randn(1, 1500, k, generator=generator(seed + 1))
        x = p.x(u)
        torch.testing.assert_close(p.x(u), x)
        squares = torch.cdist(x[0], x[0]).fill_diagonal_(torch.inf)
        away = (u[0] - u[0, squares.argmin(-1)]).norm(dim=-1)
        near.append(float(away.median()) * 1500 ** (1 / k))
    assert len(near) > 4
    assert max(near) < 12  # of about the distance of neighbours


def test_products_have_the_factors_that_they_name() -> None:
    seen = 0
    for seed in range(120):
        p = FAMILY.draw(1, 9, 9, generator=generator(seed))
        k = p.pair.rho.shape[-1]
        if p.x.degrees is None or k != 3:
            continue
        assert len(p.x.degrees) == 6  # all products of two of three numbers
        assert p.x.degrees.bincount(minlength=4) if p.x.degrees.dim() == 1 else True
        u = torch.randn(1, 200, 3, generator=generator(seed))
        shown = _straight(p.x, p.x(u)) / p.x.scale
        pairs = torch.stack([u[..., i] * u[..., j] for i in range(3) for j in range(i, 3)], -1)
        pairs = pairs / pairs.std(1, keepdim=True)
        found = (shown[..., 3:].mT @ pairs / 200).abs()
        assert (found.amax(-1) > 0.8).all()
        seen += 1
    assert seen > 1
