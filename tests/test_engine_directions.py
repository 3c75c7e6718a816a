"""Directions: the information against closed forms and neighbours, and how sides show them."""

from __future__ import annotations

import math

import pytest
import torch
from kraskov import kraskov

from torchmist.synthetic.engines.directions import DirectionParameters, Directions

FAMILY = Directions()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def with_kappa(kappa: float, columns: int) -> DirectionParameters:
    drawn = FAMILY.draw(1, 1, 1, generator=generator())
    return DirectionParameters(torch.full((1, 1), kappa).double(), columns, drawn.shown)


@pytest.mark.parametrize("kappa", [0.5, 5.0, 100.0])
def test_on_the_sphere_the_information_is_the_closed_form(kappa: float) -> None:
    mi, error = FAMILY.information(with_kappa(kappa, 3), generator=generator())
    entropy = math.log(4 * math.pi * math.sinh(kappa) / kappa) + 1 - kappa / math.tanh(kappa)
    assert mi.item() == pytest.approx(math.log(4 * math.pi) - entropy, abs=1e-4)
    assert not error.any()


@pytest.mark.parametrize("kappa", [0.5, 5.0, 100.0])
def test_on_the_circle_the_information_is_the_closed_form(kappa: float) -> None:
    mi, _ = FAMILY.information(with_kappa(kappa, 2), generator=generator())
    k = torch.tensor(kappa, dtype=torch.float64)
    mean = torch.special.i1e(k) / torch.special.i0e(k)
    known = k * mean - k - torch.special.i0e(k).log()
    assert mi.item() == pytest.approx(known.item(), abs=1e-5)


def test_directions_that_know_nothing_of_each_other_have_no_information() -> None:
    mi, _ = FAMILY.information(with_kappa(0.0, 7), generator=generator())
    assert mi.item() == pytest.approx(0.0, abs=1e-12)


def test_only_directions_that_are_tied_share_information() -> None:
    for seed in range(8):
        p = FAMILY.draw(8, 24, 24, generator=generator(seed))
        mi, _ = FAMILY.information(p, generator=generator())
        assert ((mi > 1e-9) == (p.kappa.amax(-1) > 0)).all()


@pytest.mark.parametrize("columns", [1, 2, 3])
def test_neighbours_find_the_information_of_few_columns(columns: int) -> None:
    g = generator(columns)
    p = FAMILY.draw(12, columns, columns, generator=g)
    x, y = FAMILY.sample_from(p, 2_000, generator=g)
    mi, _ = FAMILY.information(p, generator=g)
    found = torch.tensor([kraskov(a, b) for a, b in zip(x, y)]).double()
    few = mi < 2.5
    assert few.sum() >= 4
    assert ((found - mi).abs()[few] < 0.12 + 0.12 * mi[few]).all()


def test_sides_show_angles_or_unit_vectors_or_vectors_of_any_length() -> None:
    shown = [s for k in range(40) for s in FAMILY.draw(2, 2, 2, generator=generator(k)).shown]
    assert {s.angles for s in shown} == {True, False}
    deviations = torch.cat([s.deviation.flatten() for s in shown if not s.angles])
    assert (deviations == 0).any() and (deviations > 0.3).any()
