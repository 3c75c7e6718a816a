"""The data of a recipe's steps: shares of processes, what is not finite, and validation draws."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from torchmist.models.config import MISTConfig
from torchmist.synthetic.engines import ENGINES
from training.stages import Recipe, Stage
from training.stream import (
    FAMILIES,
    StreamData,
    check_families,
    shape_of,
    stream_data,
    validation,
)

CPU = torch.device("cpu")
STAGE = Stage(
    "mixed", 5, (1e-3, 1e-3), samples=(8, 40), dims=(1, 4), wide=0.3, moved=0.3, cost=1.0,
    batch=(8, 8), families={"general": 0.4, "gaussian": 0.2, **dict.fromkeys(ENGINES, 0.1)},
)  # fmt: skip


def recipe_of(**changes: object) -> Recipe:
    stage = dataclasses.replace(STAGE, **changes)
    return Recipe("test", 5, MISTConfig(), (stage,))


def test_sizes_are_within_those_of_the_stage() -> None:
    recipe = recipe_of(steps=400)
    shapes = [shape_of(recipe, 0, step) for step in range(400)]
    wide = [s for s in shapes if max(s[2:4]) > 4]
    assert 0.1 < len(wide) / 400 < 0.3  # 0.3 of the steps that are not moved
    assert 0.2 < sum(s[-1] == "moved" for s in shapes) / 400 < 0.4
    assert all(8 <= n <= 40 for _, n, dx, dy, _ in shapes if max(dx, dy) <= 4)
    assert all(5 <= max(dx, dy) <= 1024 and kind == "mixed" for _, _, dx, dy, kind in wide)
    assert {batch for batch, *_ in shapes} == {8}


def test_long_steps_are_in_the_upper_two_octaves() -> None:
    recipe = recipe_of(steps=100, long=1.0, wide=0.0, samples=(8, 4096))
    assert min(shape_of(recipe, 0, step)[1] for step in range(100)) >= 1024


def test_the_same_step_has_the_same_data_and_another_has_others() -> None:
    recipe = recipe_of(moved=0.0, wide=0.0)
    first, again, other = (stream_data(recipe, step, CPU) for step in (0, 0, 1))
    assert (first.x == again.x).all() and (first.mi == again.mi).all()
    assert not torch.equal(first.mi, other.mi)


def test_moved_steps_are_pairs_of_datasets() -> None:
    data = stream_data(recipe_of(moved=1.0, wide=0.0), 0, CPU)
    assert data.moved and len(data.x) == 16
    assert (data.family == FAMILIES.index("moved")).all()
    before, after = data.x.chunk(2)
    assert (before != after).any() and torch.isfinite(data.mi).all()


def test_unknown_families_and_wide_steps_without_engines_are_refused() -> None:
    with pytest.raises(ValueError, match="expected families among .* in stage 'mixed', got 'copy'"):
        check_families(recipe_of(families={"copy": 1.0}))
    with pytest.raises(ValueError, match="got 'moved'"):
        check_families(recipe_of(families={"moved": 1.0}))
    with pytest.raises(ValueError, match="add one or set wide = 0"):
        check_families(recipe_of(families={"general": 1.0}))


def test_shares_of_several_processes_are_the_whole_batch() -> None:
    recipe = recipe_of()
    for step in range(5):
        whole = stream_data(recipe, step, CPU)
        parts = [stream_data(recipe, step, CPU, rank, 2) for rank in range(2)]
        for name in ("x", "mi", "family"):
            joined = torch.stack([getattr(part, name) for part in parts], 1).flatten(0, 1)
            assert (joined == getattr(whole, name)).all()


def test_batches_smaller_than_the_groups_are_made_whole() -> None:
    recipe = recipe_of(batch=(2, 2))
    for step in range(4):
        data = stream_data(recipe, step, CPU)
        assert torch.isfinite(data.x).all() and torch.isfinite(data.mi).all()


def test_datasets_that_are_not_finite_become_independent_ones() -> None:
    x, y = torch.randn(4, 30, 2), torch.randn(4, 30, 1)
    x[1, 3, 0], y[2, 0, 0] = math.nan, math.inf
    mi = torch.tensor([1.0, 1.0, 1.0, 99.0])
    family = torch.zeros(4, dtype=torch.int64)
    good = StreamData(x, y, mi, family, False).finite()
    assert torch.isfinite(good.x).all() and torch.isfinite(good.y).all()
    assert good.mi.tolist() == [1.0, 0.0, 0.0, 0.0] and (good.x[0] == x[0]).all()
    moved = StreamData(x, y, mi, family, True).finite()
    assert moved.mi.tolist() == [0.0] * 4


def test_validation_draws_every_family_with_the_same_data_each_time() -> None:
    recipe = recipe_of()
    first = list(validation(recipe, CPU, size=2, most=64))
    assert {name for name, *_ in first} == set(FAMILIES) - {"moved", "pursuit"}
    for (_, (n, dx, dy), one), (*_, two) in zip(first, validation(recipe, CPU, size=2, most=64)):
        assert one.x.shape == (2, n, dx) and one.y.shape == (2, n, dy) and n <= 64
        assert (one.x == two.x).all() and (one.mi == two.mi).all()
