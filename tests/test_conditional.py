"""Conditional MI against its definition."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import torch

import torchmist
from torchmist import conditional_mi, estimate_conditional, mist_mi

G = torch.Generator().manual_seed(0)
C = torch.randn(120, 2, generator=G)
X = torch.randn(120, 3, generator=G)
Y = torch.randn(120, 2, generator=G)


def test_chain_rule_for_continuous_conditions(small) -> None:
    whole, part = mist_mi(X, torch.cat([Y, C], -1), model=small), mist_mi(X, C, model=small)
    torch.testing.assert_close(conditional_mi(X, Y, C, model=small), whole - part)


def test_average_over_classes_for_labels(small) -> None:
    labels = torch.arange(120) % 7 // 3  # classes of different sizes
    expected = sum(
        (labels == k).float().mean() * mist_mi(X[labels == k], Y[labels == k], model=small)
        for k in range(3)
    )
    for given in (labels, labels[:, None]):
        torch.testing.assert_close(conditional_mi(X, Y, given, model=small), expected)


def test_common_cause_is_explained_away() -> None:
    generator = torch.Generator().manual_seed(1)
    c, e, f = (torch.randn(1000, 2, generator=generator) for _ in range(3))
    x, y = c + 0.5 * e, c + 0.5 * f
    assert torchmist.mist_mi(x, y) > 0.8  # the truth is 1.02
    assert conditional_mi(x, y, c).abs() < 0.3  # the truth is 0


def test_gradients_reach_all_three(small) -> None:
    values = [v.clone().requires_grad_() for v in (X, Y, C)]
    conditional_mi(*values, model=small).backward()
    assert all(v.grad.abs().sum() > 0 for v in values)


def test_rare_classes_are_pooled(small) -> None:
    labels = torch.arange(120) % 3
    labels[:3], labels[3:6] = 7, 8  # three samples each: a class of six
    pooled = torch.where(labels > 2, 3, labels)
    torch.testing.assert_close(
        conditional_mi(X, Y, labels, model=small), conditional_mi(X, Y, pooled, model=small)
    )


def test_most_samples_in_rare_classes_are_an_error(small) -> None:
    with pytest.raises(ValueError, match="40 of 40 classes with fewer, which hold 100 %"):
        conditional_mi(X, Y, torch.arange(120) // 3, model=small)


def test_labels_and_numbers_are_given_at_once(small) -> None:
    labels = torch.arange(120) % 2
    expected = sum(
        conditional_mi(X[labels == k], Y[labels == k], C[labels == k], model=small) / 2
        for k in range(2)
    )
    torch.testing.assert_close(conditional_mi(X, Y, [labels, C], model=small), expected)
    with pytest.raises(ValueError, match="expected given to have 120 rows as x has"):
        conditional_mi(X, Y, [labels[:9], C], model=small)


def test_labels_bound_what_they_share_within_each_class(small) -> None:
    labels, given = torch.arange(120) % 2, torch.arange(120) // 60
    x = labels[:, None] + 0.01 * torch.randn(120, 1, generator=G)
    assert conditional_mi(x, labels, given, model=small) <= torch.tensor(2.0).log() + 1e-6


def test_an_estimate_given_a_class_that_turns_the_sign() -> None:
    rng = np.random.default_rng(0)
    c, x = rng.integers(0, 2, 1000), rng.normal(size=1000)
    y = np.where(c, x, -x) + 0.5 * rng.normal(size=1000)
    r = estimate_conditional(x, y, c)
    low, high = r.interval(0.9)
    assert low - 0.05 < 0.5 * np.log(5) < high + 0.05
    z = rng.normal(size=1000)
    both = estimate_conditional(x, y + z, pd.DataFrame({"c": c, "z": z}))
    assert abs(both.mean - 0.5 * np.log(5)) < 0.3


def test_an_estimate_given_a_common_cause_is_near_nothing() -> None:
    rng = np.random.default_rng(1)
    c, e, f = rng.normal(size=(3, 1000))
    assert torchmist.estimate(c + 0.5 * e, c + 0.5 * f).mean > 0.4
    assert estimate_conditional(c + 0.5 * e, c + 0.5 * f, c).mean < 0.15


def test_labels_on_both_sides_are_counted_given_labels() -> None:
    rng = np.random.default_rng(2)
    x, c = rng.integers(0, 3, (2, 2000))
    r = estimate_conditional(x, (x + c) % 3, c)
    assert abs(r.mean - np.log(3)) < 0.02
    with pytest.raises(ValueError, match=r"of one length, got \[2000, 2000, 5\] rows"):
        estimate_conditional(x, x, c[:5])


def test_batches_are_an_error(small) -> None:
    with pytest.raises(ValueError, match=r"expected x of shape \[N\] or \[N, d\]"):
        conditional_mi(X.view(2, 60, 3), Y.view(2, 60, 2), C.view(2, 60, 2), model=small)


def test_labels_bound_the_chain_rule_and_keep_their_gradient(small) -> None:
    labels = (torch.arange(120) < 6).long()  # an entropy of 0.2 nats
    with torch.no_grad():
        small.head.project.bias[0] += 1.0
    x = X.clone().requires_grad_()
    value = conditional_mi(x, labels, [torch.arange(120) % 2, C], model=small)
    value.backward()
    assert value.item() <= 0.2 and torch.isfinite(x.grad).all()


def test_an_estimate_stays_below_the_entropy_of_labels_within_classes() -> None:
    rng = np.random.default_rng(3)
    c, z = rng.integers(0, 2, 600), rng.normal(size=600)
    y = np.where(rng.random(600) < 0.05, 1, 0) * c  # a constant where c is 0
    x = 9.0 * y + rng.normal(size=600) + z
    r = estimate_conditional(x, y, [c, z])
    share = y[c == 1].mean()
    entropy = -(share * np.log(share) + (1 - share) * np.log(1 - share)) * c.mean()
    assert 0 < r.mean <= r.interval()[1] <= entropy + 1e-6


def gaussian(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """x and y share a number beside z: I(X;Y|Z) = log(2) / 2."""
    z, u, e = rng.normal(size=(3, 800))
    return z + u, u + 0.5 * z + e, z, 0.5 * np.log(2)


def coded(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """y is x moved by z half of the time, and any of four classes otherwise."""
    x, z, other = rng.integers(0, 4, (3, 800))
    y = np.where(rng.random(800) < 0.5, (x + z) % 4, other)
    return x, y, z, np.log(4) + 0.625 * np.log(0.625) + 0.375 * np.log(0.125)


def flipped(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """The sign of y turns with the class z."""
    x, e = rng.normal(size=(2, 800))
    z = rng.integers(0, 2, 800)
    return x, np.where(z, x, -x) + 0.5 * e, z, 0.5 * np.log(5)


@pytest.mark.parametrize("draw", [gaussian, coded, flipped])
def test_the_chain_rule_agrees_within_the_intervals(draw) -> None:
    x, y, z, truth = draw(np.random.default_rng(0))
    low, high = estimate_conditional(x, y, z).interval(0.9)
    assert low - 0.02 < truth < high + 0.02
    whole, part = torchmist.estimate(x, {"y": y, "z": z}), torchmist.estimate(x, z)
    (a, b), (c, d) = whole.interval(0.9), part.interval(0.9)
    assert a - d < high and b - c > low


def test_numbers_of_few_values_split_the_sample_like_labels() -> None:
    x, y, z, truth = flipped(np.random.default_rng(1))
    as_floats = estimate_conditional(x, y, z.astype(float))
    assert as_floats.mean == estimate_conditional(x, y, z).mean
    assert abs(as_floats.mean - truth) < 0.15


def test_several_given_arrays_are_their_columns() -> None:
    rng = np.random.default_rng(2)
    c, z, x, e = rng.integers(0, 2, 400), *rng.normal(size=(3, 400))
    y = np.where(c, x, -x) + z + 0.5 * e
    frame = estimate_conditional(x, y, pd.DataFrame({"c": c, "z": z}))
    assert estimate_conditional(x, y, [c, z]).mean == frame.mean
    assert (
        estimate_conditional(x, y, (torch.tensor(c), torch.tensor(z)[:, None])).mean == frame.mean
    )
    with pytest.raises(ValueError, match="discrete_given to be True, False or 'auto'"):
        estimate_conditional(x, y, [c, z], discrete_given=[0])


def test_errors_of_classes_are_independent() -> None:
    """Four classes of a quarter each: the interval of their mean is half of that of one."""
    rng = np.random.default_rng(4)
    x, e = rng.normal(size=(2, 2000))
    y, c = x + e, np.arange(2000) % 4
    low, high = estimate_conditional(x, y, c).interval(0.9)
    ends = [torchmist.estimate(x[c == k], y[c == k]).interval(0.9) for k in range(4)]
    alone = np.mean([b - a for a, b in ends])
    assert 0.4 < (high - low) / alone < 0.6


def test_copies_given_a_number_stay_open() -> None:
    rng = np.random.default_rng(5)
    x, z = rng.normal(size=(2, 300))
    assert estimate_conditional(x, x, z).interval()[1] == np.inf


def test_batches_are_no_conditional_estimate() -> None:
    with pytest.raises(ValueError, match="of one dataset.*got a batch of shape"):
        estimate_conditional(X.view(2, 60, 3), Y.view(2, 60, 2), C.view(2, 60, 2))


@pytest.mark.parametrize("held", ["x", "y", "both"])
def test_a_side_among_the_conditions_leaves_exactly_nothing(held: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 2))
    y = x[:, :1] + rng.normal(size=(200, 1))
    given = {"x": x[:, ::-1], "y": np.c_[y, x[:, 0]], "both": np.c_[y, x]}[held]
    found = estimate_conditional(x, y, given, model="mist-fast")
    assert found.mean == 0 and found.interval() == (0, 0) and len(found.warnings) == 1
    named = "x and of y" if held == "both" else held
    assert f"given holds all columns of {named}: nothing is left" in found.warnings[0]
    test = torchmist.conditional_independence_test(x, y, given, model="mist-fast")
    assert (test.statistic, test.p_value, test.permutations) == (0, 1, 0)
    sides = [torch.from_numpy(v.copy()).requires_grad_() for v in (x, y, given)]
    term = conditional_mi(*sides)
    term.backward()
    assert term == 0 and all(v.grad is not None and not v.grad.any() for v in sides)


def test_labels_and_text_among_the_conditions_leave_nothing() -> None:
    rng = np.random.default_rng(1)
    colour, x = rng.choice(["red", "green", "blue"], 300), rng.normal(size=300)
    given = pd.DataFrame({"number": rng.normal(size=300), "colour": colour})
    options = {"discrete_y": True, "discrete_given": ["colour"], "model": "mist-fast"}
    assert estimate_conditional(x, colour, given, **options).interval() == (0, 0)
    labels = torch.arange(120) % 3
    assert conditional_mi(X, labels, [labels, C]) == 0


def test_notes_on_the_chain_rule_name_the_conditions() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(200, 2)), rng.normal(size=(200, 1))
    found = estimate_conditional(x, y, np.c_[x[:, 0], y + rng.normal(size=(200, 1))])
    assert any("1 column of (y, given) is a column of x as well" in n for n in found.warnings)
    assert any("1 column of given is a column of x as well" in n for n in found.warnings)
    assert not any("of y " in note for note in found.warnings)


def test_arrays_are_sent_to_the_conditional_estimate() -> None:
    with pytest.raises(TypeError, match="or use torchmist.estimate_conditional for arrays"):
        conditional_mi(X.numpy(), Y.numpy(), C.numpy())
    with pytest.raises(TypeError, match=r"expected given\[1\] to be.*estimate_conditional"):
        conditional_mi(X, Y, [C, C.numpy()])


def test_codes_as_floats_among_the_conditions_of_a_term_are_named(small, monkeypatch) -> None:
    monkeypatch.setattr("torchmist.checks._warned", set())
    x, y, z = torch.randn(3, 64, 1, generator=torch.Generator().manual_seed(3))
    code = (torch.arange(64) % 3)[:, None]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        conditional_mi(x, y, [code, z], model=small)
        conditional_mi(x, y, torch.cat([z, z.round() + 0.5], -1), model=small)
    with pytest.warns(UserWarning, match="given holds 3 whole numbers as floats.*as integers"):
        conditional_mi(x, y, torch.cat([code.float(), z], -1), model=small)


def test_several_integer_columns_are_numbers_where_their_table_is_sparse(small) -> None:
    g = torch.Generator().manual_seed(0)
    shared = torch.randn(200, 1, generator=g)
    x, y = ((2 * shared + torch.randn(200, 3, generator=g)).round().long() for _ in range(2))
    given = torch.randint(0, 2, (200,), generator=g)
    found = estimate_conditional(x, y, given, model=small)
    for side in ("x", "y"):
        told = f"3 integer columns of {side} are taken as numbers"
        assert any(told in note for note in found.warnings)
    marked = estimate_conditional(x, y, given, model=small, discrete_x=True, discrete_y=True)
    assert not any("taken as numbers" in note for note in marked.warnings)
    assert found.mean != marked.mean


def test_neither_side_hides_in_a_number_that_tells_much_of_it() -> None:
    """A season hides in temperature what rain adds: of rain alone .2 of .66 nats were seen."""
    rng = np.random.default_rng(0)
    day, rain = 365 * rng.random(1000), rng.normal(size=1000)
    season = 10 * np.sin(2 * np.pi * day / 365)
    temperature = season + 0.5 * rain + 0.3 * rng.normal(size=1000)
    found = torchmist.estimate_conditional(rain, temperature, day)
    other = torchmist.estimate_conditional(temperature, rain, day)
    truth = 0.5 * np.log1p(0.25 / 0.09)
    for each in (found, other):
        assert each.interval(0.9)[0] <= truth <= each.interval(0.9)[1]
    assert found.mean == pytest.approx(other.mean, abs=0.03)


def test_an_open_chain_leaves_the_other_to_count() -> None:
    rng = np.random.default_rng(1)
    given = rng.normal(size=(400, 1))
    copy = given[:, 0] + 1e-5 * rng.normal(size=400)
    x = rng.normal(size=400)
    found = torchmist.estimate_conditional(x, copy, given)
    assert np.isfinite(found.interval(0.9)[1]) and found.mean < 0.1
    assert not [note for note in found.warnings if "of the interval is open" in note]
    assert "of the chain rule from y, whose upper end is open, nothing is taken" in found.warnings


@pytest.mark.parametrize("place", ["x", "y", "given"])
def test_labels_that_losses_ignore_are_named(small, place) -> None:
    draw = torch.Generator().manual_seed(0)
    sides = {name: torch.randn(120, 1, generator=draw) for name in ("x", "y", "given")}
    sides[place] = torch.randint(3, (120,), generator=draw)
    sides[place][sides[place] == 0] = -100
    note = f"{place} holds the label -100, here a class like others; leave rows without a label"
    torchmist.checks._warned.clear()
    with pytest.warns(UserWarning, match=note):
        torchmist.conditional_mi(**sides, model=small)
    found = torchmist.estimate_conditional(**sides, model=small)
    assert any(note in text for text in found.warnings)
