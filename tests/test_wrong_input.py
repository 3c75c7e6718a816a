"""What people pass by mistake: a clear error, or the right result, from every front door."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import torchmist
from torchmist.critic import CriticConfig
from torchmist.models.network import QuantileNetwork
from torchmist.scores import read_table

X = torch.randn(80, 2, generator=torch.Generator().manual_seed(0))
Y = X + torch.randn(80, 2, generator=torch.Generator().manual_seed(1))
LABELS = torch.arange(80) % 3


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float8_e4m3fn])
def test_estimates_of_less_than_single_precision_are_those_of_its_values(dtype) -> None:
    x, y = X.to(dtype), Y.to(dtype)
    assert torchmist.estimate(x, y).mean == torchmist.estimate(x.float(), y.float()).mean


def test_a_sparse_tensor_is_estimated_as_the_dense_one() -> None:
    found = torchmist.estimate(X.to_sparse(), Y, model="mist-fast")
    assert found.mean == torchmist.estimate(X, Y, model="mist-fast").mean


def tensors() -> dict[str, torch.Tensor]:
    """The first column of ``X`` rounded to eighths, in many kinds of tensor."""
    x = (X[:, 0] * 8).round() / 8
    return {
        "bfloat16": x.bfloat16(), "float8": x.to(torch.float8_e5m2).float().to(torch.float8_e5m2),
        "sparse": x.to_sparse(), "with a gradient": x.clone().requires_grad_(),
        "one column": x[:, None], "negated": torch.complex(x, -x).conj().imag,
    }  # fmt: skip


@pytest.mark.parametrize("kind", tensors())
def test_a_dict_of_tensors_is_that_of_their_values(kind: str) -> None:
    value = tensors()[kind]
    plain = value.detach().resolve_neg().to_dense().double().reshape(-1).numpy()
    found = torchmist.estimate({"a": value}, Y, model="mist-fast")
    assert found.mean == torchmist.estimate(plain, Y, model="mist-fast").mean


@pytest.mark.parametrize("kind", ["bfloat16", "with a gradient", "negated"])
def test_a_list_of_tensors_is_a_sample_of_them(kind: str) -> None:
    value = tensors()[kind]
    found = torchmist.estimate(list(value), Y, model="mist-fast")
    assert found.mean == torchmist.estimate(value.float(), Y, model="mist-fast").mean


def test_several_columns_of_one_name_are_refused_with_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"column a of x .*\[80, 2\]; pass several columns by a"):
        torchmist.estimate({"a": X}, Y)


def test_a_sparse_tensor_is_no_side_of_a_term() -> None:
    with pytest.raises(TypeError, match=r"dense tensor, got layout .*sparse.*z\.to_dense\(\)"):
        torchmist.mist_mi(X.to_sparse(), Y)


def test_a_nested_tensor_is_refused_with_what_to_do() -> None:
    nested = torch.nested.nested_tensor([X[:30], X])
    words = r"expected . to be a dense tensor, got a nested one; .*to_padded_tensor\(0.0\)"
    for call in (torchmist.mist_mi, torchmist.MIRegularizer(), torchmist.estimate):
        for options in ({}, {"mask": X[:, 0] > 0}) if call is not torchmist.estimate else ({},):
            with pytest.raises(TypeError, match=words):
                call(nested, Y, **options)


def test_a_constant_side_has_no_negative_zero() -> None:
    quantiles = torchmist.estimate(np.zeros(80), Y, model="mist-fast").quantiles
    assert not quantiles.signbit().any()


@pytest.mark.parametrize("value", [None, {1.0, 2.0}, "text", iter([1.0])])
def test_what_is_no_sample_is_named(value) -> None:
    kind = type(value).__name__
    calls: list[Any] = [
        lambda: torchmist.estimate(value, Y),
        lambda: torchmist.estimate_conditional(X, Y, value),
        lambda: torchmist.independence_test(value, Y),
        lambda: torchmist.pairwise(value),
        lambda: torchmist.audit(value),
    ]
    for call in calls:
        with pytest.raises(TypeError, match=f"as an array, list.* tensor .*got {kind}"):
            call()


def test_tensors_without_values_are_named() -> None:
    for call in (torchmist.estimate, torchmist.independence_test, torchmist.mist_mi):
        with pytest.raises(TypeError, match="to hold values, got a tensor on the meta device"):
            call(X.to("meta"), Y.to("meta"))


def test_a_single_number_and_no_rows_are_told_from_no_columns() -> None:
    for call in (
        lambda: torchmist.estimate(1.0, 2.0),
        lambda: torchmist.estimate_conditional(X, Y, 1.0),
        lambda: torchmist.pairwise(1.0),
    ):
        with pytest.raises(ValueError, match="got a single number"):
            call()
    with pytest.raises(ValueError, match="at least 4 samples, got 0"):
        torchmist.estimate([], [])
    with pytest.raises(ValueError, match="at least 4 samples in table, got n_samples = 0"):
        torchmist.pairwise(np.zeros((0, 2)))
    with pytest.raises(ValueError, match=r"at least one dataset, got \[0, 80, 2\]"):
        torchmist.mist_mi(X.expand(0, 80, 2), Y.expand(0, 80, 2))


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"every": 1.5}, ValueError, "expected every to be an int of at least 0, got 1.5"),
        ({"every": -1}, ValueError, "expected every to be an int of at least 0, got -1"),
        ({"memory": "a"}, ValueError, "expected memory to be an int of at least 0, got 'a'"),
        ({"log": 3}, TypeError, "expected log to be callable with a dict, got int"),
        ({"critic": 3, "goal": "minimize"}, TypeError, "torchmist.critic.CriticConfig, got int"),
        ({"critic": CriticConfig()}, ValueError, "critic together with a goal.*leave critic out"),
    ],
)
def test_settings_of_the_term(small, options, error, match) -> None:
    with pytest.raises(error, match=match):
        torchmist.MIRegularizer(small, **options)


@pytest.mark.parametrize("trainable", [False, True])
@pytest.mark.parametrize("goal", ["auto", "minimize", "maximize"])
def test_a_goal_that_is_passed_as_the_model_is_named(goal, trainable) -> None:
    with pytest.raises(ValueError, match=f"path or a MIST.*did you mean goal='{goal}'"):
        torchmist.MIRegularizer(goal, trainable=trainable)


@pytest.mark.parametrize("weight", [1.0, [1.0]])
def test_a_weight_is_a_tensor(small, weight) -> None:
    with pytest.raises(TypeError, match=r"expected weight to be a torch.Tensor of shape \[1\], go"):
        torchmist.mist_mi(X, Y, model=small, weight=weight)


def test_errors_of_a_goal_name_the_side_that_was_passed(small) -> None:
    """A goal swaps labels on the side of ``z`` with numbers on that of ``y``."""
    term = torchmist.MIRegularizer(small, goal="minimize")
    with pytest.raises(ValueError, match=r"expected integer z to be class labels"):
        term(LABELS[:, None].expand(-1, 3), Y)
    with pytest.raises(ValueError, match=r"NaN or infinite entries in y"):
        term(LABELS, Y / 0)


@pytest.mark.parametrize("columns", [(1, 1), (3, 2)], ids=["fewer", "the same two turned round"])
def test_a_goal_is_for_one_pair_of_variables(small, columns) -> None:
    term = torchmist.MIRegularizer(small, goal="minimize")
    term(X, torch.cat([Y, Y[:, :1]], 1))
    z, y = (torch.zeros(80, d) + X[:, :1] for d in columns)
    words = f"first call, 2 and 3, got {columns[0]} and {columns[1]} .*one MIRegularizer for each"
    with pytest.raises(ValueError, match=words):
        term(z, y)


@pytest.mark.parametrize(
    ("mask", "error", "match"),
    [
        (np.ones(80, bool), TypeError, r"got ndarray; convert it with torch.as_tensor\(mask\)"),
        (torch.ones(80), TypeError, "got torch.float32; convert it with mask > 0"),
        (torch.ones(80, 1, dtype=torch.bool), ValueError, r"got \[80, 1\].* mask.all\(-1\)"),
    ],
    ids=["array", "numbers", "column"],
)
def test_a_mask_is_a_bool_tensor_of_samples(small, mask, error, match) -> None:
    with pytest.raises(error, match=match):
        torchmist.mist_mi(X, Y, model=small, mask=mask)


def test_a_check_takes_a_step_at_least(small) -> None:
    with pytest.raises(ValueError, match="expected steps to be an int of at least 1, got 0"):
        torchmist.MIRegularizer(small).check(X, Y, steps=0)
    for error, options, words in (
        (ValueError, {"seed": "a"}, "expected seed to be an int of at least 0, got 'a'"),
        (ValueError, {"tolerance": -1}, "expected tolerance of at least 0 nats, got -1"),
        (ValueError, {"tolerance": float("nan")}, "expected tolerance of at least 0 nats"),
        (TypeError, {"tolerance": "a"}, "expected tolerance in nats, a number, got 'a'"),
    ):
        with pytest.raises(error, match=words):
            torchmist.MIRegularizer(small).check(X, Y, steps=1, **options)


@pytest.mark.parametrize(
    ("given", "error", "match"),
    [
        (X.numpy(), TypeError, "expected given to be a torch.Tensor, got ndarray"),
        ([X, 1.0], TypeError, r"expected given\[1\] to be a torch.Tensor, got float"),
        ([], ValueError, "expected given to hold at least one tensor, got none"),
        (torch.tensor(1.0), ValueError, r"expected given to have 80 rows as x has, got shape \[\]"),
        (X + 1j, TypeError, "expected given to be floating point.*complex.*view_as_real"),
    ],
)
def test_conditions_of_a_term(small, given, error, match) -> None:
    with pytest.raises(error, match=match):
        torchmist.conditional_mi(X, Y, given, model=small)


def test_a_condition_of_no_arrays_is_refused() -> None:
    with pytest.raises(ValueError, match="expected given to hold at least one array, got none"):
        torchmist.estimate_conditional(X, Y, [])


@pytest.mark.parametrize("name", ["permutations", "block"])
def test_tests_need_counts(name) -> None:
    with pytest.raises(TypeError, match=f"expected {name} to be an int, got NoneType"):
        torchmist.independence_test(X, Y, model=None, **{name: None})


@pytest.mark.parametrize("most", [3, 0, -1, 1.5, True, "a"])
def test_pairs_come_from_rows_enough(most) -> None:
    with pytest.raises(ValueError, match="expected max_samples to be an int of at least 4, got"):
        torchmist.pairwise(X, max_samples=most)


def test_counts_may_be_those_of_numpy() -> None:
    torchmist.pairwise(X, max_samples=np.int64(40), random_state=np.int64(1))


def test_messages_of_a_table_name_its_own_argument() -> None:
    with pytest.raises(TypeError, match=r"say so with discrete=\['a'\]"):
        torchmist.pairwise({"a": ["u", "v"] * 40, "b": Y[:, 0]})
    with pytest.raises(ValueError, match="expected discrete to hold columns of table, got"):
        torchmist.pairwise(X, discrete=["q"])
    with pytest.raises(ValueError, match="expected discrete_x to hold columns of x, got"):
        read_table(X, "x", ["q"])


def test_a_target_is_a_number() -> None:
    with pytest.raises(TypeError, match="expected target to be a number, got str"):
        torchmist.MITarget("0.5")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "stages",
    [
        None, 3, "all", {"families": {"atoms": 1.0}}, [], [{}], [None], ["atoms"], [3],
        [{"families": None}], [{"families": ["atoms"]}], [{"families": {"atoms": "much"}}],
        [{"families": {"atoms": None}}], [{"families": {"atoms": 0}}],
    ],
)  # fmt: skip
def test_a_foreign_header_says_of_no_family_that_it_was_seen(stages) -> None:
    network = QuantileNetwork()
    network.provenance = {"stages": stages}
    assert not network.saw("atoms")


def test_a_header_of_this_library_says_what_was_seen() -> None:
    network = QuantileNetwork()
    network.provenance = {"stages": [{"families": {"waves": 1.0}}, {"families": {"atoms": 0.1}}]}
    assert network.saw("atoms") and not network.saw("copies")


def test_weights_with_a_foreign_header_estimate(small) -> None:
    small.provenance = {"stages": [{"steps": 100}, "more"]}
    assert torchmist.estimate(X, Y, model=small).mean >= 0
