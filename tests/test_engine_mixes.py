"""Mixes: information is that of the pairs, and the maps keep it."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from kraskov import scaled_kraskov

from torchmist.copula import normal_scores
from torchmist.synthetic.engines.mixes import Mix, Mixes, MixParameters

FAMILY = Mixes()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _plain(p: MixParameters) -> MixParameters:
    """The same pairs, whose columns are not mixed."""
    none = [Mix(None, m.sizes, None, m.bent) for m in p.maps]
    return dataclasses.replace(p, maps=(none[0], none[1]))


@pytest.mark.parametrize(("dx", "dy"), [(1, 1), (2, 9), (12, 12), (40, 3)])
def test_pairs_take_some_or_all_columns(dx: int, dy: int) -> None:
    pairs = set()
    for seed in range(16):
        p = FAMILY.draw(2, dx, dy, generator=generator(seed))
        pairs.add(p.pairs)
        x, y = FAMILY.sample_from(p, 20, generator=generator(seed))
        assert x.shape == (2, 20, dx) and y.shape == (2, 20, dy)
        assert bool(x.isfinite().all()) and bool(y.isfinite().all())
    assert max(pairs) == min(dx, dy) and (min(dx, dy) == 1 or len(pairs) > 1)


def test_information_is_that_neighbours_find_in_the_pairs() -> None:
    errors = []
    for seed in range(8):
        p = _plain(FAMILY.draw(2, 4, 3, generator=generator(seed)))
        x, y = FAMILY.sample_from(p, 3000, generator=generator(seed))
        mi, _ = FAMILY.information(p, generator=generator(seed))
        g = generator(99)  # equal values are parted, else neighbours do not see them
        x, y = (s + 1e-3 * torch.randn(s.shape, generator=g) for s in map(normal_scores, (x, y)))
        for row in range(2):
            parts = [scaled_kraskov(x[row, :, [k]], y[row, :, [k]]) for k in range(3)]
            assert all(abs(part) < 0.1 for part in parts[p.pairs :])
            errors.append((sum(parts[: p.pairs]) - float(mi[row])) / p.pairs)
    error = torch.tensor(errors).abs()  # per pair
    assert error.median() < 0.03 and (error < 0.15).float().mean() > 0.8


def test_maps_are_invertible_and_hide_the_pairs() -> None:
    hidden = 0
    for seed in range(12):
        p = FAMILY.draw(3, 6, 6, generator=generator(seed))
        for mix in p.maps:
            straight = dataclasses.replace(mix, bent=torch.zeros_like(mix.bent))
            turned = straight(torch.eye(6).expand(3, -1, -1))
            assert (torch.linalg.svdvals(turned)[:, -1] > 0.1).all()
            hidden += int(((turned.abs() > 0.05).sum(1) > 2).all(-1).sum())
    assert hidden > 36


def test_columns_beyond_the_pairs_know_nothing_of_the_other_side() -> None:
    seen = 0
    for seed in range(40):
        p = _plain(FAMILY.draw(2, 4, 6, generator=generator(seed)))
        if p.pairs > 2:
            continue
        x, y = (normal_scores(s) for s in FAMILY.sample_from(p, 4000, generator=generator(seed)))
        shared = (x[..., p.pairs :].mT @ y / 4000).abs()
        assert shared.max() < 0.08
        seen += 1
    assert seen > 4
