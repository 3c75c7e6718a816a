"""Phases of fast waves along columns."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from padded_datasets import assert_only_the_rows_count
from torch import Tensor

import torchmist
from torchmist.models.fast_waves import with_phases

_TRUTH = 1.702  # numerically, of sin(u) + 0.1 e with u uniform over whole cycles


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def uniform(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def wave(time: Tensor, cycles: float) -> Tensor:
    """A noisy wave ``[1, N, 1]`` over the first column of ``[1, N, d]``."""
    phase = 2 * math.pi * cycles * time[..., :1]
    return phase.sin() + 0.1 * draw(1, time.shape[1], 1, seed=1)


@pytest.mark.parametrize("cycles", [4.0, 14.3, 30.0])
@pytest.mark.parametrize("columns", [1, 4])
def test_a_wave_along_a_column_is_found(cycles: float, columns: int) -> None:
    time = uniform(1, 400, columns)
    ((place, (x, y)),) = with_phases(time, wave(time, cycles))
    assert place == 0 and x.shape == (1, 400, columns + 2) and y.shape == (1, 400, 1)
    cos, sin = x[0, :, -2:].mT
    torch.testing.assert_close(cos.square() + sin.square(), torch.ones(400))
    told = torch.stack([cos, sin, torch.ones_like(cos)], -1)
    left = y[0] - told @ torch.linalg.lstsq(told, y[0]).solution  # both in the same order of rows
    assert float(left.var()) < 0.15 * float(y.var())


def test_it_is_found_beside_a_trend_of_another_column() -> None:
    time = uniform(1, 300, 3)
    ((_, (x, _)),) = with_phases(time, wave(time, 8.0) + 2 * time[..., 1:2])
    assert x.shape[-1] == 5


def test_it_is_found_on_either_side_and_in_any_frame() -> None:
    time = uniform(1, 600, 1)
    follow = wave(time, 9.0)
    ((_, (x, y)),) = with_phases(follow, time)
    assert x.shape[-1] == 1 and y.shape[-1] == 3
    score = torch.special.ndtri(time.clamp(1e-4, 1 - 1e-4))
    assert list(with_phases(score.sinh(), follow))  # by its ranks
    assert list(with_phases(score, wave(score, 1.5)))  # as it is


@pytest.mark.parametrize(
    "follow",
    [
        lambda t: draw(*t.shape, seed=3),
        lambda t: t + 0.1 * draw(*t.shape, seed=3),
        lambda t: (t > 0.5).float() + 0.1 * draw(*t.shape, seed=3),
        lambda t: (t - 0.5).abs() + 0.05 * draw(*t.shape, seed=3),
        lambda t: torch.full_like(t, 2.0),
    ],
)
def test_slow_functions_noise_and_constants_have_none(follow: Callable[[Tensor], Tensor]) -> None:
    time = uniform(1, 500, 1)
    assert not list(with_phases(time, follow(time)))


def test_few_rows_few_values_and_many_columns_are_left_out() -> None:
    time = uniform(1, 500, 1)
    follow = wave(time, 9.0)
    assert not list(with_phases(time[:, :100], follow[:, :100]))
    assert not list(with_phases(torch.cat([time, draw(1, 500, 16)], -1), follow))
    code = (time * 20).round()
    found = with_phases(code, (code % 2) + 0.1 * draw(1, 500, 1))
    assert all(x.shape[-1] == 1 for _, (x, _) in found)


@pytest.mark.parametrize("rows", [300, 1000])
def test_their_information_is_seen(rows: int) -> None:
    time = uniform(1, rows, 1)
    found = torchmist.estimate(time[0], wave(time, 14.0)[0])
    low, high = found.interval()
    assert low < _TRUTH < high and abs(found.mean - _TRUTH) < 0.15


def test_neither_padding_nor_the_order_of_rows_counts_and_there_is_a_gradient() -> None:
    time = uniform(1, 300, 2)
    assert_only_the_rows_count(time[0], wave(time, 9.0)[0])
