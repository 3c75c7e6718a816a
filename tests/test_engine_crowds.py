"""Crowds: classes that overlap, their information against naive sums."""

from __future__ import annotations

from dataclasses import replace

import torch

from torchmist.models.latent_classes import class_information
from torchmist.synthetic.engines.codes_clusters import Clusters
from torchmist.synthetic.engines.crowds import Crowds

FAMILY = Crowds()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _chances(side: Clusters, cluster: torch.Tensor, seed: int) -> torch.Tensor:
    """Densities ``[N, K]`` of rows of the first dataset over their highest, by definition."""
    means, scale = side.means[0].double(), side.scale[0].double()
    own = means[cluster] + scale * torch.randn(
        len(cluster), means.shape[-1], generator=generator(seed), dtype=torch.float64
    )
    logs = -((own[:, None] - means) / scale).square().sum(-1) / 2
    return (logs - logs.amax(-1, keepdim=True)).exp()


def test_information_is_the_mean_log_ratio_of_densities() -> None:
    for seed in range(12):
        p = FAMILY.draw(1, 9, 7, generator=generator(seed))
        mi, error = FAMILY.information(p, generator=generator(seed + 1))
        assert p.y is not None
        table = p.table[0].double()
        pair = torch.multinomial(table.flatten(), 8000, True, generator=generator(seed + 2))
        of_x = _chances(p.x, pair // table.shape[1], seed + 3)
        of_y = _chances(p.y, pair % table.shape[1], seed + 4)
        both = ((of_x @ table) * of_y).sum(-1)
        ratio = both / ((of_x @ table.sum(1)) * (of_y @ table.sum(0)))
        assert abs(float(ratio.log().mean()) - float(mi)) < 4 * float(error) + 0.06, seed


def test_sides_have_their_columns_and_finite_values() -> None:
    for dx, dy in ((1, 1), (5, 40), (64, 64), (3, 130)):
        p = FAMILY.draw(3, dx, dy, generator=generator())
        x, y = FAMILY.sample_from(p, 60, generator=generator())
        assert x.shape == (3, 60, dx) and y.shape == (3, 60, dy)
        assert bool(x.isfinite().all()) and bool(y.isfinite().all())


def test_classes_overlap_in_most_draws_and_are_told_apart_in_many() -> None:
    seen, shares = [], []
    for seed in range(20):
        batch = FAMILY.sample(2, 900, 16, 16, generator=generator(seed))
        p = FAMILY.draw(2, 16, 16, generator=generator(seed))
        far = replace(p, x=_apart(p.x), y=None if p.y is None else _apart(p.y))
        most, _ = FAMILY.information(far, generator=generator(1))
        shares.append(batch.mi[~p.independent] / most[~p.independent])
        seen.append(class_information(batch.x, batch.y).nats[~p.independent] > 0)
    assert (torch.cat(shares) < 0.9).float().mean() > 0.6
    assert torch.cat(seen).float().mean() > 0.4


def _apart(side: Clusters) -> Clusters:
    """The same classes, hardly any of which overlap."""
    return replace(side, scale=side.scale * 1e-3)
