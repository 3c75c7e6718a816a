"""Maps of the general meta-distribution that keep the MI: invertible ones, and more columns."""

from __future__ import annotations

import pytest
import torch

from torchmist.synthetic.general.mixing import (
    append_features,
    couple,
    mix_linearly,
    roll,
    spiral,
    warp_marginals,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_spirals_keep_the_norm_and_couplings_the_first_half_of_the_order() -> None:
    x = torch.randn(5, 50, 6, generator=generator())
    assert torch.allclose(spiral(x, generator=generator(1)).norm(dim=-1), x.norm(dim=-1), rtol=1e-4)
    assert not torch.allclose(couple(x, generator=generator(1)), x)


@pytest.mark.parametrize("warp", [mix_linearly, couple, spiral, warp_marginals])
def test_maps_are_locally_invertible(warp) -> None:
    x = torch.randn(1, 1, 4, generator=generator(), dtype=torch.float64).float()

    def one(row: torch.Tensor) -> torch.Tensor:
        return warp(row.view(1, 1, 4), generator=generator(3)).view(4)

    jacobian = torch.autograd.functional.jacobian(one, x.view(4))
    assert jacobian.det().abs() > 1e-4


@pytest.mark.parametrize("d", [3, 12, 64])
def test_linear_maps_are_well_conditioned(d: int) -> None:
    maps = mix_linearly(torch.eye(d).expand(200, d, d), generator=generator())
    condition = torch.linalg.cond(maps.double())
    assert condition.median() < 10 and condition.quantile(0.95) < 30


def test_appended_columns_keep_those_they_are_made_of() -> None:
    x = torch.randn(3, 20, 2, generator=generator())
    assert torch.equal(append_features(x, 3, generator=generator(1))[..., :2], x)
    rolled = roll(x, generator=generator(1))
    assert rolled.shape == (3, 20, 3) and torch.equal(rolled[..., 2:], x[..., 1:])
    radius = rolled[..., :2].norm(dim=-1)
    assert torch.equal(radius.argsort(-1), x[..., 0].argsort(-1))
