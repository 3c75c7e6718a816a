"""Groups: the information against quadrature and closed forms, and what their noise looks like."""

from __future__ import annotations

from dataclasses import replace

import torch

from torchmist.synthetic.engines.atoms_tables import table_information
from torchmist.synthetic.engines.codes_clusters import Clusters
from torchmist.synthetic.engines.groups import GroupParameters, Groups

FAMILY = Groups()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(dx: int, dy: int, seeds: int = 40) -> list[GroupParameters]:
    return [FAMILY.draw(4, dx, dy, generator=generator(seed)) for seed in range(seeds)]


def densities(side: Clusters, grid: torch.Tensor) -> torch.Tensor:
    """Densities ``[B, K, G]`` of the one latent column of every group, in double precision."""
    means, scale = side.means.double(), side.scale.double()
    z = (grid - means) / scale
    return torch.exp(-0.5 * z.square()) / (scale * (2 * torch.pi) ** 0.5)


def test_the_information_of_one_column_each_is_that_of_quadrature() -> None:
    grid = torch.linspace(-4.5, 4.5, 1501, dtype=torch.float64)
    step, seen = float(grid[1] - grid[0]), 0
    for p in drawn(1, 1):
        if p.y is None or min(p.x.scale.min(), p.y.scale.min()) < 4 * step:
            continue
        truth, error = FAMILY.information(p, generator=generator())
        of_x, of_y = densities(p.x, grid), densities(p.y, grid)
        joint = torch.einsum("bkl,bkg,blh->bgh", p.table.double(), of_x, of_y)
        product = joint.sum(2, keepdim=True) * joint.sum(1, keepdim=True) * step**2
        ratio = joint.clamp(min=1e-300).log() - product.clamp(min=1e-300).log()
        found = (joint * ratio).sum((1, 2)) * step**2
        found = found.masked_fill(p.independent, 0)
        assert ((found - truth).abs() < 5 * error + 2e-3).all()
        seen += 1
    assert seen > 10


def _telling(side: Clusters) -> torch.Tensor:
    """How many directions of deviation 0 differ between groups, ``[B]``."""
    return ((side.scale[:, 0] == 0) & (side.means.std(1) > 0)).sum(-1)


def test_flat_directions_tell_the_group_and_correlated_pairs_add_to_it() -> None:
    seen = 0
    for p in drawn(14, 12, 200):
        if p.y is None or not p.correlations.shape[-1]:
            continue
        truth, _ = FAMILY.information(p, generator=generator())
        groups = table_information(p.table).masked_fill(p.independent, 0)
        pairs = -0.5 * torch.log1p(-p.correlations.double().square()).sum(-1)
        assert (truth < groups + pairs + 0.05).all() and (truth > pairs - 1e-6).all()
        clear = torch.stack([_telling(side) > 2 for side in (p.x, p.y)]).all(0)
        torch.testing.assert_close(truth[clear], (groups + pairs)[clear], atol=0.02, rtol=0)
        seen += int(clear.sum())
    assert seen > 10


def test_correlated_pairs_are_the_last_latent_columns() -> None:
    seen = 0
    for p in drawn(6, 6, 80):
        if p.y is None or not (count := p.correlations.shape[-1]):
            continue
        x, y = (replace(g, means=0 * g.means, frame=lambda z, _: z) for g in (p.x, p.y))  # type: ignore[arg-type]
        made = FAMILY.sample_from(replace(p, x=x, y=y), 20_000, generator=generator(1))
        for k in range(1, count + 1):
            pair = torch.stack([side[..., -k] for side in made], 1)
            found = torch.stack([torch.corrcoef(v)[0, 1] for v in pair])
            torch.testing.assert_close(found, p.correlations[:, -k], atol=0.04, rtol=0)
            seen += 1
    assert seen > 10


def test_labels_know_the_table_at_most() -> None:
    kinds = {p.y is None for p in drawn(5, 4)}
    assert kinds == {True, False}
    for p in drawn(30, 1):
        truth, error = FAMILY.information(p, generator=generator())
        assert (truth <= table_information(p.table) + 5 * error + 1e-3).all() or p.y is not None
