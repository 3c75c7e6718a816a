"""Responses: information is that of numbers with their scores, which no regression exceeds."""

from __future__ import annotations

import pytest
import torch

from torchmist.models.number_curves import NumberCurves, number_curves
from torchmist.synthetic.engines.responses import Responses

FAMILY = Responses()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("dx", "dy"), [(1, 1), (2, 3), (5, 40), (40, 40), (130, 3)])
def test_sides_have_their_columns_and_all_kinds_occur(dx: int, dy: int) -> None:
    kinds = set()
    for seed in range(24):
        p = FAMILY.draw(2, dx, dy, generator=generator(seed))
        x, y = FAMILY.sample_from(p, 60, generator=generator(seed))
        assert x.shape == (2, 60, dx) and y.shape == (2, 60, dy)
        assert bool(x.isfinite().all()) and bool(y.isfinite().all())
        assert p.columns == min(dx, dy) or dx == dy
        kinds |= {score.kind for score in p.scores}
    assert len(kinds) > 3


def test_information_is_that_of_bins_of_a_number_and_its_score() -> None:
    checked = 0
    for seed in range(16):
        p = FAMILY.draw(2, 6, 1, generator=generator(seed))
        z = torch.randn(2, 200_000, 6, generator=generator(seed))
        if p.centres.shape[1] > 1:
            continue
        (score,) = p.scores
        s = score(z)
        y = s + score.noise * torch.randn(s.shape, generator=generator(seed + 1))
        mi, error = FAMILY.information(p, generator=generator(seed + 2))
        assert (error < 0.02).all()
        for row in range(2):
            if float(mi[row]) > 1.5:  # bins are too coarse
                continue
            places = [side[row, :, 0].argsort().argsort() * 150 // 200_000 for side in (s, y)]
            table = (places[0] * 150 + places[1]).bincount(minlength=22_500).view(150, 150)
            table = table.double() / 200_000
            product = table.sum(1, keepdim=True) * table.sum(0)
            plain = float(torch.xlogy(table, table / product).nansum())
            seen = int((table > 0).sum())
            assert plain - (seen - 299) / 400_000 == pytest.approx(float(mi[row]), abs=0.03)
            checked += 1
    assert checked > 6


def test_no_regression_shows_more_than_there_is() -> None:
    near = 0
    for seed in range(12):
        p = FAMILY.draw(2, 5, 2, generator=generator(seed))
        mi, _ = FAMILY.information(p, generator=generator(seed))
        x, y = FAMILY.sample_from(p, 1500, generator=generator(seed))
        found = NumberCurves.of(number_curves(x, y))
        most = torch.maximum(found.bounds, found.sums)[:, 0]
        assert (mi > -0.01).all() and (most < mi + 0.08).all()
        near += int((most > 0.5 * mi).sum())
    assert near > 8
