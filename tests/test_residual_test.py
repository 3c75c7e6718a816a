"""The test given a condition: residuals, random signs, orders within classes, and its cache."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from torchmist.independence import conditional_independence_test, sorted_given
from torchmist.permutation_tests.kernel_residuals import (
    WIDE,
    Left,
    Smoother,
    agreement,
    features,
    near,
)
from torchmist.permutation_tests.permutations import shuffled
from torchmist.permutation_tests.residual_products import OrderedProducts, SignedProducts
from torchmist.permutation_tests.residual_test import ResidualCache, residual_p_value


def _normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _left(*kernels: torch.Tensor) -> Left:
    """Features that a condition without directions leaves."""
    return Left(kernels, torch.ones(len(kernels), 0), torch.ones(len(kernels[0]), 0))


def _p_value(*sides, draws: int = 99) -> float:
    return conditional_independence_test(*sides, model=None, permutations=draws, stop=None).p_value


def test_features_have_the_products_of_their_kernels() -> None:
    u = _normal(300, 1)
    line, broad, narrow = features([u])
    assert line.shape == (300, 1) and broad.shape[1] < narrow.shape[1] < 60
    kernel = (-(u - u.T).double().square() / 2).exp()
    kernel = kernel - kernel.mean(0) - kernel.mean(1)[:, None] + kernel.mean()
    kernel = kernel / kernel.diagonal().mean()
    assert float((broad @ broad.T - kernel).abs().mean()) < 0.02


def test_one_label_has_one_kernel() -> None:
    codes = torch.arange(60) % 3
    (phi,) = features([torch.nn.functional.one_hot(codes).float()])
    assert phi.shape == (60, 2)


def test_a_smoother_takes_what_the_condition_says_and_leaves_noise() -> None:
    z, e = _normal(200, 1), _normal(200, 1, seed=1)
    said, noise = (torch.sin(2 * z) - torch.sin(2 * z).mean()), e - e.mean()
    left = Smoother([z]).left([said.double(), noise.double()])
    sizes = [float(phi.square().sum() / v.square().sum()) for phi, v in zip(left[0], (said, noise))]
    assert sizes[0] < 0.01 and sizes[1] > 0.85
    assert left.share.shape[0] == 2


def test_an_interaction_of_two_conditions_is_predicted() -> None:
    z = _normal(400, 2)
    product = z.tanh().prod(1, keepdim=True).double()
    left = Smoother([z[:, :1], z[:, 1:]]).left([product - product.mean()])
    assert float(left.features[0].square().sum()) < 0.1 * float(product.square().sum())


@pytest.mark.parametrize("kind", ["label", "number"])
def test_slopes_that_change_with_a_condition_reach_to_its_edge(kind: str) -> None:
    z, g = _normal(600, 1), torch.Generator().manual_seed(1)
    classes = torch.randint(3, (600,), generator=g)
    other = torch.nn.functional.one_hot(classes).float() - 1 / 3 if kind == "label" else _normal(
        600, 1, seed=2)  # fmt: skip
    slope = torch.tensor([1.0, -1.0, 0.3])[classes][:, None] if kind == "label" else other
    said = (slope * z).double()
    noisy = said + 0.3 * _normal(600, 1, seed=3)
    found = Smoother([other, z]).predicted(noisy - noisy.mean()) + noisy.mean()
    edge = said.abs() > 2.5 if kind == "number" else (z.abs() > 2) & (said.abs() > 1)
    assert edge.sum() >= 15
    assert float((found - said)[edge].abs().mean()) < 0.1 * float(said[edge].abs().mean())


@pytest.mark.parametrize("kind", ["label and numbers", "numbers"])
def test_confounding_by_slopes_that_change_with_a_condition_is_no_dependence(kind: str) -> None:
    rejected = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        group, (a, b), (e, f) = rng.integers(0, 3, 600), *rng.normal(size=(2, 2, 600))
        slope = np.array([1.0, -1.0, 0.5])[group] if kind != "numbers" else b
        x, y = slope * a + b + 0.5 * e, slope * a - b + 0.5 * f
        condition = {"group": group, "a": a, "b": b} if kind != "numbers" else np.c_[a, b]
        rejected += conditional_independence_test(
            x, y, condition, model=None, permutations=39, stop=4
        ).p_value <= 0.05  # fmt: skip
    assert rejected <= 4  # 1 expected


def test_a_line_in_many_conditions_is_predicted() -> None:
    errors = []
    for seed in range(4):
        given = _normal(1000, 20, seed=seed)
        said = 1.5 * given @ _normal(20, 1, seed=seed + 10) / 20**0.5
        noise = _normal(1000, 1, seed=seed + 20)
        found = Smoother(list(given.split(1, -1))).predicted(said + noise - (said + noise).mean())
        errors.append(float((found - said + said.mean()).square().mean()))
    assert sum(errors) / 4 < 0.05  # 0.02 of 20 coefficients alone, 0.09 of products of all lines


def test_rows_of_other_labels_are_not_near() -> None:
    label = torch.nn.functional.one_hot(torch.tensor([0, 1, 0])).float()
    found = near([label, torch.tensor([[0.0], [0.0], [1.5]])])
    want = torch.tensor([[1, 0, np.exp(-0.5)], [0, 1, 0], [np.exp(-0.5), 0, 1]])
    assert torch.allclose(found, want.float(), atol=1e-6)


def test_agreement_is_that_of_the_matrices_of_residuals() -> None:
    smoother = Smoother([_normal(50, 1)])
    phi = [part.double() for part in features([_normal(50, 1, seed=1)])]
    other = smoother.with_index([_normal(50, 1, seed=1)])
    sides, parts = [smoother.left(phi), other.left(phi)], []
    centre = torch.eye(50, dtype=torch.float64) - 1 / 50
    for left in sides:
        v = left.vectors
        parts.append([centre - v @ torch.diag(1 - s.square()) @ v.T for s in left.share])
    want = [[(a * b).sum() / (a.diag() * b.diag()).sum() for b in parts[1]] for a in parts[0]]
    assert torch.allclose(agreement(*sides), torch.tensor(want).double())


def test_an_index_tells_what_features_of_a_sum_of_functions_are_given_their_condition() -> None:
    z = _normal(400, 3)
    said = torch.cos(1.7 * z[:, :1]) + torch.tanh(2 * z[:, 1:2]) + z[:, 2:].abs()
    column = (said - said.mean()) / said.std()
    kernels = features([column])
    smoother = Smoother([z[:, [k]] for k in range(3)])
    plain, indexed = (s.left(kernels) for s in (smoother, smoother.with_index([column])))
    sizes = [float(left.features[2].square().sum()) for left in (plain, indexed)]
    assert sizes[1] < 0.5 * sizes[0]


def test_a_condition_that_predicts_nothing_has_no_index() -> None:
    smoother = Smoother([_normal(200, 1), _normal(200, 1, seed=1)])
    assert smoother.with_index([torch.zeros(200, 1)]) is smoother


def test_the_noise_of_numbers_is_what_the_condition_leaves_of_them() -> None:
    z, e = _normal(300, 1), _normal(300, 1, seed=1)
    side = torch.sin(2 * z) + 0.5 * e
    smoother = Smoother([z])
    left = side - smoother.predicted(side)
    assert float(torch.corrcoef(torch.cat([left, e], 1).T)[0, 1]) > 0.95
    made, want = smoother.noise([side]), features([left / left.square().mean().sqrt()])[1:]
    assert all(torch.allclose(a @ a.mT, b @ b.mT, atol=1e-3) for a, b in zip(made, want))


def test_a_wave_in_the_noise_is_seen_behind_its_condition() -> None:
    rng = np.random.default_rng(0)
    z, e, f = rng.normal(size=(3, 300))
    assert _p_value(2 * z + e, z + np.cos(2.5 * e) + 0.7 * f, z) == 0.01


def test_strong_confounding_by_three_nonlinear_numbers_is_no_dependence() -> None:
    rejected = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        z, (e, f) = rng.normal(size=(300, 3)), rng.normal(size=(2, 300))
        x = np.cos(1.7 * z[:, 0]) + np.tanh(2 * z[:, 1]) + np.abs(z[:, 2]) + 0.4 * e
        y = np.abs(z[:, 0]) - z[:, 1] + np.cos(2 * z[:, 2]) + 0.4 * f
        found = conditional_independence_test(x, y, z, model=None, permutations=99)
        rejected += found.p_value <= 0.05
    assert rejected <= 8  # 2 expected; without the index 40


def test_products_are_squared_sums_under_signs() -> None:
    x, y = (_left(_normal(30, 2, seed=s), _normal(30, 3, seed=s + 1)) for s in (0, 2))
    weights = near([_normal(30, 1, seed=5)])
    signs = torch.randint(2, (4, 1, 30), generator=torch.Generator().manual_seed(0)) * 2.0 - 1
    made = SignedProducts([x], [y], [weights], torch.ones(2, 2)).products(signs)
    moved = signs[:, 0, :, None, None] * x.features[1][:, :, None] * y.features[0][:, None]
    assert torch.allclose(made[:, 4], moved.sum(1).square().sum((1, 2)).double(), rtol=1e-4)
    local = torch.einsum("pikl,pjkl,ij->p", moved, moved, weights)
    assert torch.allclose(made[:, 5], local.double(), rtol=1e-4)


def test_blocks_add_their_products() -> None:
    sides = [[_left(_normal(20, 2, seed=s)) for s in pair]
             for pair in ((0, 1), (2, 3))]  # fmt: skip
    weights, signs = [torch.ones(20, 20)] * 2, _normal(3, 2, 20).sign()
    both = SignedProducts(*sides, weights, torch.ones(1, 1)).products(signs)
    alone = [
        SignedProducts([x], [y], weights[:1], torch.ones(1, 1)).products(signs[:, [k]])
        for k, (x, y) in enumerate(zip(*sides))
    ]
    assert torch.allclose(both, sum(alone), rtol=1e-4)


def test_orders_within_classes_keep_the_sums_of_classes() -> None:
    x, y = (_left(_normal(24, 2, seed=s)) for s in (0, 1))
    classes = torch.arange(24)[None] % 3
    orders = shuffled(classes, 5, torch.Generator().manual_seed(0))
    made = OrderedProducts([x], [y], classes, orders).products(orders)
    for order, (whole, local) in zip(orders[:, 0], made):
        parts = [x.features[0][classes[0] == k].T @ y.features[0][order][classes[0] == k]
                 for k in range(3)]  # fmt: skip
        assert float(whole) == pytest.approx(float(sum(parts).square().sum()), rel=1e-4)
        squares = sum(float(part.square().sum()) for part in parts)
        assert float(local) == pytest.approx(squares, rel=1e-4)


@pytest.mark.parametrize("rows", [60, 150])
def test_the_level_holds_under_a_mixed_condition(rows: int) -> None:
    rejected = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        group, z = rng.integers(0, 2, rows), rng.normal(size=rows)
        x, y = (v * z + group + rng.normal(size=rows) for v in (1, -1))
        rejected += _p_value(x, y, {"group": group, "z": z}, draws=39) <= 0.05
    assert rejected <= 12  # 5 expected, standard deviation 2.2


@pytest.mark.parametrize("kind", ["number", "label"])
def test_dependence_whose_sign_turns_with_the_condition_is_seen(kind: str) -> None:
    rng = np.random.default_rng(0)
    x, e, z = rng.normal(size=(3, 200))
    label = (z > 0).astype(int)
    turned = x * z if kind == "number" else x * (2 * label - 1)
    assert _p_value(x, turned + e, z if kind == "number" else label) == 0.01


def test_a_condition_of_numbers_and_labels_explains_both() -> None:
    rng = np.random.default_rng(1)
    group, z = rng.integers(0, 3, 300), rng.normal(size=300)
    x, y = (group == 1) * 2 + z + rng.normal(size=300), group + z - z**2 + rng.normal(size=300)
    assert _p_value(x, y, {"group": group, "z": z}) > 0.05
    assert _p_value(x, y, group) < 0.05


def test_labels_of_both_sides_are_seen_given_a_number() -> None:
    rng = np.random.default_rng(2)
    z, x = rng.normal(size=300), rng.integers(0, 3, 300)
    y = np.where(rng.random(300) < 0.3, x, rng.integers(0, 3, 300))
    assert _p_value(x, y, z) == 0.01


def test_a_cache_changes_no_p_value() -> None:
    rng = np.random.default_rng(0)
    data = rng.normal(size=(80, 4)).cumsum(1)
    cache, marks = ResidualCache(), [[False]] * 3
    for x, y, z in ((0, 2, 1), (0, 3, 1), (0, 2, 1), (2, 3, 1), (0, 2, 3)):
        whole = sorted_given((data[:, [x]], data[:, [y]], data[:, [z]]), marks)
        kept, alone = (
            residual_p_value(*whole[:3], 39, None, torch.Generator().manual_seed(0), c)
            for c in (cache, ResidualCache())
        )
        assert kept == alone


def test_single_and_double_precision_agree() -> None:
    x, y, z = np.random.default_rng(3).normal(size=(3, 120))
    sides = x + z, y + 0.2 * x + z, z
    assert _p_value(*sides) == _p_value(*(side.astype(np.float32) for side in sides))


def test_more_rows_than_a_block_are_tested_given_a_number() -> None:
    x, e, z = np.random.default_rng(0).normal(size=(3, 2100))
    assert _p_value(x + z, e - z, z, draws=19) > 0.05
    assert _p_value(x + z, e - z + 0.2 * x, z, draws=19) == 0.05


def test_a_constant_side_is_independent_given_anything() -> None:
    y, z = np.random.default_rng(0).normal(size=(2, 60))
    assert _p_value(np.zeros(60), y, z, draws=19) == 1.0


def test_a_line_is_seen_beside_forty_numbers_that_explain_nothing() -> None:
    rng = np.random.default_rng(0)
    c, e, f = rng.normal(size=(3, 300))
    assert _p_value(c + 0.5 * e, c + 0.5 * f, rng.normal(size=(300, 40))) == 0.01


@pytest.mark.parametrize("law", ["nothing", "a line", "a curve"])
def test_the_level_holds_given_forty_numbers(law: str) -> None:
    found = []
    for seed in range(16):
        rng = np.random.default_rng(seed)
        sides, given = rng.normal(size=(2, 300)), rng.normal(size=(300, 40))
        cause = {"nothing": 0, "a line": given[:, 0], "a curve": np.cos(1.7 * given[:, 0])}[law]
        found.append(_p_value(*(sides + cause), given, draws=19))
    assert sum(p <= 0.05 for p in found) <= 4  # 0.8 expected, standard deviation 0.9
    assert 0.3 < np.mean(found) < 0.75


@pytest.mark.parametrize("kind", ["70 numbers", "1100 numbers", "one-hot", "70 columns of a side"])
def test_conditions_and_sides_of_very_many_columns_are_tested(kind: str) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 120))
    given = rng.normal(size=(120, 1100 if kind == "1100 numbers" else 70))
    if kind == "one-hot":
        given = np.eye(70)[rng.integers(0, 70, 120)]
    elif kind == "70 columns of a side":
        given = rng.normal(size=(120, 2))
        y = given[:, :1] + rng.normal(size=(120, 70))
    assert 0.05 < _p_value(x, y, given, draws=19) <= 1


def test_rows_are_near_in_wide_conditions_too() -> None:
    rows = _normal(100, 80)
    numbers = list(rows.split(1, -1))
    square = torch.cdist(rows, rows).square()
    few, many = near(numbers[:WIDE]), near(numbers)
    of_few = torch.cdist(rows[:, :WIDE], rows[:, :WIDE]).square()
    assert torch.allclose(few, (-of_few / 4.5).exp(), atol=1e-5)
    assert torch.allclose(many, (-square / 45).exp(), atol=1e-5)
    assert float(many.mean()) > 0.02


def test_a_local_product_that_sees_no_two_rows_weighs_nothing() -> None:
    x, y = (_left(_normal(40, 2, seed=s)) for s in (0, 1))
    hardly = torch.eye(40) + 1e-5 * _normal(40, 40, seed=5).square()
    made = SignedProducts([x], [y], [hardly], torch.full((1, 1), 1.3))
    signs = torch.randint(2, (50, 1, 40), generator=torch.Generator().manual_seed(0)) * 2.0 - 1
    order = made.products(signs)[:, 0].argsort()
    assert bool((made.score(signs)[order].diff() > 0).all())


@pytest.mark.parametrize("columns", [20, 21])
def test_a_condition_of_more_columns_than_a_third_of_the_rows_is_warned_of(columns: int) -> None:
    x, y, *given = np.random.default_rng(0).normal(size=(2 + columns, 60))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        _p_value(x, y, np.stack(given, 1), draws=19)
    found = [str(w.message) for w in told if "columns in 60 rows" in str(w.message)]
    assert found == [] if columns == 20 else "given has 21 columns in 60 rows" in found[0]
