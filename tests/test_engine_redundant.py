"""Redundant: each latent number shares its part, and all columns are functions of them."""

from __future__ import annotations

import torch

from torchmist.models.manifold_dimensions import manifold_dimensions
from torchmist.synthetic.engines.lifts_pairs import pairs_information, sample_pairs
from torchmist.synthetic.engines.redundant import Redundant

FAMILY = Redundant()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_all_latent_numbers_share_some_information_and_their_sum_is_that_of_the_columns() -> None:
    counts = set()
    for seed in range(30):
        p = FAMILY.draw(4, 30, 24, generator=generator(seed))
        rho = p.pair.rho[~p.pair.independent]
        counts.add(rho.shape[-1])
        nats = -0.5 * torch.log1p(-rho.square())
        assert (nats > 0).all() and (nats <= 3.001).all()
        mi, error = FAMILY.information(p, generator=generator(seed))
        assert not error.any() and not mi[p.pair.independent].any()
        torch.testing.assert_close(mi, pairs_information(p.pair))
        plain = (p.pair.kind == 0) & p.pair.df.isinf() & ~p.pair.independent
        total = -0.5 * torch.log1p(-p.pair.rho[plain].square()).sum(-1)
        torch.testing.assert_close(mi[plain], total, atol=1e-6, rtol=1e-6)
    assert min(counts) >= 2 and max(counts) == 16


def test_few_columns_hold_few_latent_numbers() -> None:
    for columns in (1, 2, 5):
        most = [
            FAMILY.draw(1, columns, 9, generator=generator(seed)).pair.rho.shape[-1]
            for seed in range(30)
        ]
        assert max(most) == columns and min(most) >= min(2, columns)


def test_columns_go_with_the_latent_numbers_of_their_side() -> None:
    found = 0
    for seed in range(12):
        p = FAMILY.draw(2, 40, 40, generator=generator(seed))
        x, y = FAMILY.sample_from(p, 400, generator=generator(seed))
        u, _ = sample_pairs(p.pair, 400, generator(seed))
        assert x.shape == y.shape == (2, 400, 40) and bool(x.isfinite().all())
        if p.pair.rho.shape[-1] < 6:
            dimensions = manifold_dimensions(x, y)
            assert (dimensions.least < 0.6).all()
            found += 1
        assert u.shape[-1] == p.pair.rho.shape[-1]
    assert found > 1
