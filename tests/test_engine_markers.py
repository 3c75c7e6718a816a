"""Markers: information is that of the items that both sides show, however columns are bent."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from torchmist.ensemble.correction_turned_axes import excluding
from torchmist.models.turned_axes import EXCLUDE
from torchmist.synthetic.engines.markers import MarkerParameters, Markers
from torchmist.synthetic.engines.markers_side import Marked

FAMILY = Markers()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("dx", "dy"), [(1, 1), (2, 3), (5, 40), (36, 36), (3, 130)])
def test_sides_have_their_columns_and_finite_values(dx: int, dy: int) -> None:
    for seed in range(16):
        p = FAMILY.draw(2, dx, dy, generator=generator(seed))
        x, y = FAMILY.sample_from(p, 60, generator=generator(seed))
        assert x.shape == (2, 60, dx) and y.shape == (2, 60, dy)
        assert bool(x.isfinite().all()) and bool(y.isfinite().all())
        torch.testing.assert_close(p.table.sum((1, 2)), torch.ones(2))


def test_columns_exclude_each_other_in_most_draws() -> None:
    told = []
    for seed in range(40):
        p = FAMILY.draw(2, 12, 12, generator=generator(seed))
        told.append(excluding(*FAMILY.sample_from(p, 400, generator=generator(seed)))[:, 0])
    assert (torch.cat(told) > EXCLUDE).float().mean() > 0.5


def _log_densities(side: Marked, values: torch.Tensor) -> torch.Tensor:
    """Log densities ``[N, K]`` of each item of the first dataset, by definition: of columns before
    they are bent, or of what a softmax keeps of its logits, their differences from the last."""
    means, scale = side.means[0].double(), side.scale[0].double().expand_as(side.means[0])
    if not side.softmax:
        laws = [
            torch.distributions.Normal(m, s).log_prob(values).sum(-1) for m, s in zip(means, scale)
        ]
        return torch.stack(laws, -1)
    d = means.shape[-1]
    spread = torch.eye(d - 1, dtype=torch.double) + 1
    kept = means[:, :-1] - means[:, -1:]
    shown = values[:, :-1] - values[:, -1:]
    normal = torch.distributions.MultivariateNormal
    return torch.stack([normal(m, spread).log_prob(shown) for m in kept], -1)


def _naive(p: MarkerParameters, n: int, seed: int) -> float:
    """The mean log ratio of densities over ``n`` rows of the first dataset."""
    assert p.y is not None
    g, table = generator(seed), p.table[0].double()
    pair = torch.multinomial(table.flatten(), n, replacement=True, generator=g)
    items, logs = (pair // table.shape[1], pair % table.shape[1]), []
    for side, item in zip((p.x, p.y), items):
        scale = side.scale[0].expand_as(side.means[0])[item]
        values = side.means[0][item] + scale * torch.randn(scale.shape, generator=g)
        logs.append(_log_densities(side, values.double()))
    both = (logs[0][:, :, None] + logs[1][:, None] + table.log()).flatten(1).logsumexp(-1)
    alone = [
        (log + prior.log()).logsumexp(-1) for log, prior in zip(logs, (table.sum(1), table.sum(0)))
    ]
    return float((both - alone[0] - alone[1]).mean())


def test_information_is_the_mean_log_ratio_of_densities() -> None:
    seen = 0
    for seed in range(60):
        p = FAMILY.draw(1, 5, 4, generator=generator(seed))
        if p.y is None or p.independent.any() or p.table[0].numel() > 150:
            continue
        mi, error = FAMILY.information(p, generator=generator(seed + 1))
        assert abs(_naive(p, 6000, seed + 2) - float(mi)) < 4 * float(error) + 0.06, seed
        seen += int(p.x.softmax) + int(p.y.softmax)
    assert seen > 2


def test_information_with_a_label_is_the_mean_log_ratio_of_its_chances() -> None:
    softmax = set()
    for seed in range(40):
        p = FAMILY.draw(1, 6, 4, generator=generator(seed))
        if p.y is not None or p.independent.any():
            continue
        mi, error = FAMILY.information(p, generator=generator(seed + 1))
        g, table = generator(seed + 2), p.table[0].double()
        pair = torch.multinomial(table.flatten(), 6000, replacement=True, generator=g)
        item, label = pair // table.shape[1], pair % table.shape[1]
        scale = p.x.scale[0].expand_as(p.x.means[0])[item]
        values = p.x.means[0][item] + scale * torch.randn(scale.shape, generator=g)
        logs = _log_densities(p.x, values.double())[:, :, None] + table.log()
        chances = logs.logsumexp(1).log_softmax(-1) - table.sum(0).log()
        naive = float(chances.gather(1, label[:, None]).mean())
        assert abs(naive - float(mi)) < 4 * float(error) + 0.06, seed
        softmax.add(p.x.softmax)
    assert softmax == {False, True}


def test_items_far_apart_share_what_their_table_does() -> None:
    seen = 0
    for seed in range(20):
        p = FAMILY.draw(1, 8, 8, generator=generator(seed))
        if p.y is None or p.independent.any() or min(p.x.means.shape[1:]) < p.x.means.shape[1]:
            continue
        far = [dataclasses.replace(side, scale=1e-3 * side.scale) for side in (p.x, p.y)]
        alike = [(side.means[0, :, None] - side.means[0]).abs().sum(-1) < 0.1 for side in far]
        if any(same.sum() > len(same) for same in alike):  # two items that look the same
            continue
        mi, _ = FAMILY.information(
            dataclasses.replace(p, x=far[0], y=far[1]), generator=generator(seed)
        )
        table = p.table[0].double()
        product = table.sum(1, keepdim=True) * table.sum(0)
        expected = torch.xlogy(table, table / product.clamp(min=1e-30)).sum()
        assert abs(float(mi) - float(expected)) < 1e-3
        seen += 1
    assert seen > 2


def test_columns_are_bent_one_by_one_and_a_softmax_is_one() -> None:
    kinds = set()
    for seed in range(40):
        p = FAMILY.draw(1, 6, 6, generator=generator(seed))
        item = torch.randint(p.x.means.shape[1], (1, 300), generator=generator(seed))
        shown = p.x.sample(item, generator(seed))
        if p.x.softmax:
            shares = shown if bool((shown >= 0).all()) else shown.exp()
            torch.testing.assert_close(shares.sum(-1), torch.ones(1, 300))
            continue
        straight = dataclasses.replace(p.x, bend=torch.zeros_like(p.x.bend))
        plain = straight.sample(item, generator(seed))
        kinds.add(int(p.x.bend[0, 0, 0]))
        assert (shown.gather(1, plain.argsort(1)).diff(dim=1) >= 0).all()  # a logistic one may tie
    assert kinds == {0, 1, 2, 3}
