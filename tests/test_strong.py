"""Pairs that share much: their information against the plug-in, its range, and mixed columns."""

from __future__ import annotations

import pytest
import torch

from torchmist.synthetic.general.canonical import canonical_mi
from torchmist.synthetic.general.strong import StrongMeta, draw_strong_correlations


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def plug_in(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The Gaussian formula on covariances of ``[B, N, d]``."""
    both = torch.cat([x, y], -1).double()
    both = both - both.mean(1, keepdim=True)
    full = both.mT @ both
    d = x.shape[-1]
    parts = (full[:, :d, :d].logdet() + full[:, d:, d:].logdet() - full.logdet()) / 2
    return parts


@pytest.mark.parametrize(("dx", "dy"), [(1, 1), (3, 5), (12, 12)])
def test_gaussian_pairs_have_the_information_that_the_plug_in_finds(dx: int, dy: int) -> None:
    made = StrongMeta().sample(8, 40_000, dx, dy, generator=generator())
    gaussian = made.family == 0
    found = plug_in(made.x[gaussian], made.y[gaussian]).float()
    torch.testing.assert_close(found, made.mi[gaussian], atol=0.03, rtol=0.01)


def test_half_are_of_the_paper_where_both_sides_have_two_columns() -> None:
    assert (
        StrongMeta().sample(8, 20, 2, 5, generator=generator()).family.tolist() == [1] * 4 + [0] * 4
    )
    assert not StrongMeta().sample(8, 20, 1, 5, generator=generator()).family.any()


def test_pairs_share_up_to_forty_nats_and_each_at_most_three_and_a_half() -> None:
    rho = draw_strong_correlations(4000, 20, 30, generator=generator())
    each = -0.5 * torch.log1p(-rho.square())
    assert rho.shape == (4000, 20) and each.max() <= 3.5 + 1e-9
    total = canonical_mi(rho, torch.full((4000,), torch.inf, dtype=rho.dtype), 20, 30)
    assert total.max() <= 40 + 1e-9 and (total > 20).float().mean() > 0.1
    assert (total < 2).float().mean() > 0.05


def test_some_datasets_have_mixed_columns() -> None:
    made = StrongMeta().sample(64, 2000, 4, 1, generator=generator())
    correlated = [torch.corrcoef(x.T).triu(1).abs().max() > 0.2 for x in made.x]
    assert 8 < sum(map(bool, correlated)) < 40
