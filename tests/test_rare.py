"""Rare columns: what chance says of them is taken off."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import torchmist
from torchmist.models.rare import mostly_rare, repaired


def flags(n: int, d: int, share: float, seed: int) -> np.ndarray:
    return (np.random.default_rng(seed).random((n, d)) < share) * 1.0


@pytest.mark.parametrize(
    ("n", "d", "share"), [(300, 40, 0.005), (100, 20, 0.02), (1000, 200, 0.002)]
)
def test_independent_rare_columns_share_little(n: int, d: int, share: float) -> None:
    found = []
    for seed in range(2):
        r = torchmist.estimate(flags(n, d, share, seed), flags(n, d, share, 100 + seed))
        found.append(r.mean)
        assert r.interval(0.9)[0] < 0.06
    assert np.mean(found) < 0.2


def test_what_rare_columns_share_is_not_taken_off() -> None:
    x = flags(800, 30, 0.006, 0)
    y = np.where(np.random.default_rng(5).random(x.shape) < 0.1, 0, x)[:, ::-1].copy()
    assert bool(mostly_rare(*(torch.from_numpy(v)[None] for v in (x, y))))
    together, apart = torchmist.estimate(x, y).mean, torchmist.estimate(x, y[::-1].copy()).mean
    assert together > apart + 0.3
    assert abs(together - torchmist.estimate(y, x).mean) < 0.1


def test_rare_columns_are_told_by_their_usual_value() -> None:
    x = torch.from_numpy(flags(400, 12, 0.005, 0))[None]
    y = torch.randn(1, 400, 12, generator=torch.Generator().manual_seed(0)).double()
    assert mostly_rare(x, 3 - 2 * x).tolist() == [True]
    assert not any(bool(mostly_rare(a, b)) for a, b in ((x, y), (y, x), (x[..., :3], x), (y, y)))
    few = torch.randn(1, 8, 5, generator=torch.Generator().manual_seed(1))
    assert not bool(mostly_rare(few, few))
    assert not bool(mostly_rare(y, y, torch.arange(400)[None] < 8))
    mask = torch.arange(430)[None] < 400
    wider = torch.cat([x, torch.randn(1, 30, 12).double()], 1)
    assert mostly_rare(wider, wider, mask).tolist() == [True]


def test_other_pairs_know_no_order() -> None:
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(1, 60, 2, generator=g), torch.randn(1, 60, 3, generator=g)
    rows = torch.randperm(60, generator=g)
    for a, b in zip(repaired(x, y), repaired(x[:, rows], y[:, rows])):
        torch.testing.assert_close(a[:, rows], b)
        assert (a == y).all(-1).float().mean() < 0.1
        torch.testing.assert_close(a[0].sort(0).values, y[0].sort(0).values)
    for a, b in zip(repaired(x, y), repaired(y, x)):  # a swap of the sides: the same pairs
        pairs = torch.cat([x, a], -1)[0], torch.cat([b, y], -1)[0]
        torch.testing.assert_close(*(v[v[:, 0].argsort()] for v in pairs))
    mask = torch.arange(70)[None] < 60
    wide = [torch.nn.functional.pad(side, (0, 0, 0, 10)) for side in (x, y)]
    for a, b in zip(repaired(x, y), repaired(wide[0], wide[1], mask)):
        torch.testing.assert_close(b[:, :60], a)
