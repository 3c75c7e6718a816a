"""Codes of any size: what the units of a column are does not change a term or its gradient."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor

import torchmist
from torchmist.copula import standardise, standardise_units
from torchmist.numerics.magnitudes import balanced, divisors, raised

EXPONENTS = (-120, -80, -25, 40, 62, 66, 100, 124)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


Z = draw(96, 3)
Y = draw(96, 2, seed=1) + Z[:, :2]


def term(form: str, z: Tensor, y: Tensor) -> Tensor:
    """A loss that a host would take, of codes that are computed."""
    if form == "added":
        return torchmist.mist_mi(1.0 * z, y)
    if form == "subtracted":
        return -torchmist.mist_mi(1.0 * z, y)
    if form == "joined":
        return -torchmist.mist_mi(1.0 * z, 1.0 * y, goal="maximize")
    name, goal = form.split()
    sign = 1.0 if goal == "minimize" else -1.0
    if name == "call":
        return sign * torchmist.mist_mi(1.0 * z, y, goal=goal)
    module = torchmist.MIRegularizer(goal=goal)
    module(1.0 * z, y)  # the critic learns
    return sign * module(1.0 * z, y)


FORMS = ("added", "subtracted", "joined", "call minimize", "call maximize", "module minimize",
         "module maximize")  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_a_term_does_not_depend_on_the_units_of_codes(form: str) -> None:
    found = []
    for exponent in (0, *EXPONENTS):
        scale = 2.0**exponent
        z = (scale * Z).requires_grad_()
        y = (scale * Y).requires_grad_() if form == "joined" else Y
        value = term(form, z, y)
        (gradient,) = torch.autograd.grad(value, z)
        found.append((value.detach(), gradient.double() * scale))
    for value, gradient in found[1:]:
        assert torch.equal(value, found[0][0])
        torch.testing.assert_close(gradient, found[0][1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("exponent", [-131, -134, -139])
def test_codes_below_normal_numbers_have_finite_gradients_of_the_same_direction(
    form: str, exponent: int
) -> None:
    found = []
    for scale in (1.0, 2.0**exponent):
        z = Z.clone().requires_grad_()
        code = scale * z
        code.retain_grad()
        value = term(form, code, Y)
        value.backward()
        assert code.grad.isfinite().all() and code.grad.abs().sum(0).isfinite().all()
        found.append((value.detach(), z.grad))
    (value, gradient), (tiny, found_gradient) = found
    torch.testing.assert_close(tiny, value, rtol=0, atol=0.02)
    cosine = torch.cosine_similarity(found_gradient, gradient, dim=0)
    assert cosine.min() > 0.8


def test_columns_of_normal_spread_are_raised_by_nothing() -> None:
    side = torch.stack([draw(50), 2.0**-126 * draw(50).sign(), torch.full((50,), 1e-42)], -1)[None]
    assert raised(side) is side
    computed = side.requires_grad_() * 1.0
    assert raised(computed) is computed
    computed = computed * torch.tensor([1.0, 0.25, 1.0])
    high = raised(computed)
    assert torch.equal(high[..., ::2], computed[..., ::2])
    assert torch.equal(high[..., 1] * 2.0**-27, computed[..., 1])
    (gradient,) = torch.autograd.grad(high.sum(), computed)
    assert gradient[0, 0].tolist() == [1.0, 2.0**27, 1.0]


def test_an_estimate_does_not_depend_on_the_units_of_columns() -> None:
    expected = torchmist.estimate(Z, Y).mean
    for exponent in EXPONENTS:
        assert torchmist.estimate(2.0**exponent * Z, Y).mean == pytest.approx(expected, abs=1e-6)
    assert torchmist.estimate(1e300 * Z.double(), Y).mean == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
@pytest.mark.parametrize("goal", ["auto", None, "minimize", "maximize"])
def test_what_is_not_finite_comes_back_as_nan(goal, bad: float) -> None:
    """Scalers of mixed precision and the detection of anomalies see an overflow by it."""
    z = Z.clone().requires_grad_()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (gradient,) = torch.autograd.grad(bad * torchmist.mist_mi(1.0 * z, Y, goal=goal), z)
    assert gradient.isnan().all()


def test_divisors_are_powers_of_two_and_1_within_a_wide_range() -> None:
    assert divisors(torch.tensor([1.0, 1e6, 2.0**50])).tolist() == [1.0, 1.0, 1.0]
    columns = draw(5, 30) * torch.tensor([[1e-30], [0.1], [1e10], [1e20], [5e37]])
    small, by = balanced(columns)
    assert torch.equal(small * by, columns)
    assert torch.equal(by.log2(), by.log2().round())


def test_columns_in_usual_units_are_standardised_bit_for_bit_as_before() -> None:
    for scale in (1e-3, 1.0, 1e9):
        columns = scale * (draw(3, 50) + 1)
        assert torch.equal(standardise_units(columns), standardise(columns))
    assert standardise_units(torch.full((1, 20), 1e-30)).abs().max() == 0
