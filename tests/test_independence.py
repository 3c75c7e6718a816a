"""Tests of independence: exact p-values, what they see, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from torchmist.independence import conditional_independence_test, independence_test
from torchmist.permutation_tests.kernel_dependence import Dependence, kernels, score_columns
from torchmist.permutation_tests.permutations import (
    near_order,
    permutation_p_value,
    sequential_p_value,
    shuffled,
)
from torchmist.samples.column_kinds import sort_kinds
from torchmist.samples.columns import read_side


def _draw(seed: int, n: int = 80) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=n), rng.normal(size=n), rng


def test_products_are_the_inner_products_of_permuted_kernels() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = (kernels(torch.randn(1, 70, 2, generator=generator)) for _ in range(2))
    order = torch.randperm(70, generator=generator)
    got = Dependence(x, y).products(order[None, None])[0]
    want = torch.einsum("sij,tij->st", x[0].double(), y[0][:, order][:, :, order].double())
    assert torch.allclose(got, want, atol=1e-5)


def test_the_second_kernel_is_that_of_distance_covariance() -> None:
    rows = torch.randn(1, 30, 2, generator=torch.Generator().manual_seed(1))
    distances = -(rows[0, :, None] - rows[0]).double().norm(dim=-1)
    centre = torch.eye(30, dtype=torch.float64) - 1 / 30
    want = centre @ distances @ centre
    assert torch.allclose(kernels(rows)[0, 1].double(), want / want.norm(), atol=1e-5)


def test_labels_have_variance_one_in_all() -> None:
    side = sort_kinds(read_side(np.array([0, 1, 2, 1] * 10), "x"), torch.tensor(
        [0.0, 1.0, 2.0, 1.0] * 10)[None, :, None])[0]  # fmt: skip
    columns = score_columns(side)
    assert columns.shape == (40, 3)
    assert float(columns.var(0, unbiased=False).sum()) == pytest.approx(1, abs=1e-5)


def test_orders_stay_within_their_groups() -> None:
    groups = torch.tensor([[2, 0, 0, 2, 1, 2, 0]])
    orders = shuffled(groups, 50, torch.Generator().manual_seed(0))
    assert bool((groups[0][orders[:, 0]] == groups[0]).all())
    assert len({tuple(order.tolist()) for order in orders[:, 0]}) > 20


def test_every_order_of_a_group_is_as_likely() -> None:
    orders = shuffled(torch.zeros(1, 3, dtype=torch.long), 6000, torch.Generator().manual_seed(0))
    _, counts = orders[:, 0].unique(dim=0, return_counts=True)
    assert len(counts) == 6
    assert float(counts.max()) < 1150 and float(counts.min()) > 850


def test_cells_are_small_and_hold_neighbours() -> None:
    order, cell = near_order(torch.arange(100.0).flip(0)[:, None], 12)
    assert sorted(order.tolist()) == list(range(100))
    assert int(cell.bincount().max()) <= 12
    assert order.tolist() == list(range(99, -1, -1))


def test_all_permutations_give_the_share_that_exceeds() -> None:
    scores = torch.tensor([1.0, 3.0, 2.0, 0.0])
    assert sequential_p_value(2.0, lambda count: scores[:count], 4, None, 4) == (3 / 5, 4)


def test_an_early_end_counts_up_to_the_permutation_that_ended_it() -> None:
    scores = torch.tensor([0.0, 5.0, 0.0, 5.0, 5.0])
    assert sequential_p_value(2.0, lambda count: scores[:count], 10, 2, 5) == (2 / 4, 4)


def test_the_level_is_that_of_independent_pairs() -> None:
    rejected = 0
    for seed in range(200):
        x, y, _ = _draw(seed, 30)
        found = independence_test(np.exp(x), y, model=None, permutations=39, stop=3)
        rejected += found.p_value <= 0.05
    assert 2 <= rejected <= 20  # 10 expected, standard deviation 3


@pytest.mark.parametrize("rows", [4, 5, 6])
def test_the_level_holds_where_few_orders_exist(rows: int) -> None:
    p_values = []
    for seed in range(150):
        x, y = np.random.default_rng(seed).normal(size=(2, rows))
        generator = torch.Generator().manual_seed(seed)
        p_values.append(independence_test(x, y, model=None, generator=generator).p_value)
    least = 0.0 if rows == 4 else 0.02  # one of 24 orders of 4 rows is that of the data
    assert np.mean(np.array(p_values) <= 0.01) <= least
    assert np.mean(np.array(p_values) <= 0.05) <= 0.1


def test_scores_that_rounding_moves_are_ties() -> None:
    scores = torch.tensor([5.0 - 1e-6, 5.0 + 1e-6, 4.0])
    assert sequential_p_value(5.0, lambda count: scores, 3, None, 3) == (3 / 4, 3)
    assert permutation_p_value(5.0, scores.numpy()) == 3 / 4
    several = np.array([[2.0, -1.0], [1.0, -1.1]])
    assert permutation_p_value(np.array([2.0, -1.0]), several).tolist() == [2 / 3, 2 / 3]


@pytest.mark.parametrize("shape", ["wave", "circle", "parity", "labels"])
def test_dependence_of_any_shape_is_seen(shape: str) -> None:
    x, e, rng = _draw(0, 200)
    angle = rng.uniform(0, 2 * np.pi, 200)
    bits = rng.integers(0, 2, (200, 2))
    pairs = {
        "wave": (x, np.cos(4 * x) + 0.5 * e),
        "circle": (np.cos(angle) + 0.1 * e, np.sin(angle) + 0.1 * x),
        "parity": (bits.astype(float), bits.sum(1) % 2),
        "labels": (bits[:, 0], bits[:, 0] + (e > 1)),
    }
    assert independence_test(*pairs[shape], model=None).p_value == 0.005


def test_conditioning_explains_a_common_cause_away() -> None:
    x, y, rng = _draw(0, 200)
    z = rng.normal(size=200)
    x, y = x + z, y + z
    assert independence_test(x, y, model=None).p_value < 0.01
    assert conditional_independence_test(x, y, z, model=None).p_value > 0.05
    assert conditional_independence_test(x, y + x, z, model=None).p_value < 0.01


def test_the_conditional_level_holds_under_confounding() -> None:
    rejected = 0
    for seed in range(60):
        x, y, rng = _draw(seed)
        z = rng.normal(size=80)
        found = conditional_independence_test(
            x + z, y + z, z, model=None, permutations=19, stop=None
        )
        rejected += found.p_value <= 0.05
    assert rejected <= 9  # 3 expected, standard deviation 1.7


def test_labels_of_the_condition_split_the_rows() -> None:
    x, y, rng = _draw(3, 200)
    z = rng.integers(0, 3, 200)
    assert conditional_independence_test(x + 3 * z, y - 3 * z, z, model=None).p_value > 0.05


def test_the_statistic_is_the_estimate_in_nats() -> None:
    x, e, _ = _draw(0, 300)
    found = independence_test(x, x + e, model="mist-fast", permutations=19)
    assert found.estimate is not None and found.statistic == found.estimate.mean
    assert found.statistic == pytest.approx(0.5 * np.log(2), abs=0.12)


def test_the_network_scores_permuted_datasets() -> None:
    x, e, _ = _draw(0)
    found = independence_test(x, x + e, model="mist-fast", score="network", permutations=19)
    assert found.p_value == 0.05


def test_more_rows_than_a_block_are_tested_in_blocks() -> None:
    x, e, _ = _draw(0, 2100)
    assert independence_test(x, 0.3 * x + e, model=None, permutations=19).p_value == 0.05


def test_a_constant_side_is_independent_of_everything() -> None:
    _, y, _ = _draw(0)
    assert independence_test(np.zeros(80), y, model=None).p_value == 1.0


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"score": "dcor"}, ValueError, "expected score"),
        ({"score": "network", "model": None}, ValueError, "expected a model"),
        ({"permutations": 0}, ValueError, "permutations of at least 1"),
        ({"stop": 1.5}, TypeError, "expected stop to be an int"),
        ({"generator": 3}, TypeError, "expected generator to be a torch.Generator.*manual_seed"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, error, message) -> None:
    x, y, _ = _draw(0)
    with pytest.raises(error, match=message):
        independence_test(x, y, **options)


def test_a_condition_under_which_no_rows_can_be_exchanged_is_named(monkeypatch) -> None:
    monkeypatch.setattr("torchmist.checks._warned", set())
    x, y, _ = _draw(0)
    with pytest.warns(UserWarning, match="80 classes in 80 rows, each seen once.*p is 1"):
        found = conditional_independence_test(
            x, y, np.arange(80), discrete_given=True, model=None, permutations=19
        )
    assert found.p_value == 1


def test_batches_are_refused() -> None:
    with pytest.raises(ValueError, match="test each dataset by itself"):
        independence_test(torch.randn(2, 10, 1), torch.randn(2, 10, 1))


def test_a_list_of_conditions_is_their_columns() -> None:
    x, y, rng = _draw(3)
    number, label = rng.normal(size=80), rng.integers(0, 3, 80)
    frame = {"number": number, "label": label}
    want = conditional_independence_test(x + number, y, frame, model=None).p_value
    tensors = torch.from_numpy(number)[:, None], torch.from_numpy(label)
    for given in ([number, label], tensors):
        assert conditional_independence_test(x + number, y, given, model=None).p_value == want
    with pytest.raises(ValueError, match="discrete_given to be True, False or 'auto'"):
        conditional_independence_test(x, y, [number, label], discrete_given=[0])
