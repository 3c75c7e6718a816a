"""Boosted trees, which tell what thresholds of single columns make."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from padded_datasets import assert_only_the_rows_count
from torch import Tensor

import torchmist
from torchmist.models.boosted_trees import _binned, _grown, _Task, predicted_by_trees


def draw(rows: int, columns: int, seed: int = 0) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


def asked(x: Tensor, depth: int = 3) -> Tensor:
    """Whether the answer of a tree of questions about columns is yes."""
    node = torch.ones(len(x), dtype=torch.long)
    for _ in range(depth):
        yes = x.gather(1, (5 * node % x.shape[1])[:, None])[:, 0] > 0.3 * torch.sin(node.double())
        node = 2 * node + yes
    return (7 * node // 3) % 2


def told(x: Tensor, y: Tensor, nats: float = 0.0) -> Tensor | None:
    found = list(predicted_by_trees(x[None], y[None], torch.tensor([nats])))
    return found[0][1].whole[0][0] if found else None


def test_one_cut_is_found() -> None:
    x = draw(400, 3)
    bins = torch.stack([_binned(column) for column in x.unbind(-1)], -1)
    wanted = (x[:, [1]] > 0.25).float()
    shown = torch.ones(1, 400, dtype=torch.bool)
    kept = _grown(_Task(bins, wanted, 1, wanted), shown, 1)
    left = (wanted - kept[:, 0]).square().mean((1, 2))
    assert bool((left.diff() < 0).all()) and float(left[-1]) < 0.02


def test_rows_that_are_not_shown_tell_nothing() -> None:
    x, y = draw(300, 4), draw(300, 1, seed=1)
    bins = torch.stack([_binned(column) for column in x.unbind(-1)], -1)
    shown = torch.arange(300)[None] % 4 > 0
    other = torch.where(shown[0][:, None], y, 100.0)
    one, two = (_grown(_Task(bins, some, 1, some), shown, 4) for some in (y, other))
    torch.testing.assert_close(one, two)


def test_bins_hold_about_as_many_rows_and_no_value_twice() -> None:
    assert int(_binned(draw(3200, 1)[:, 0]).bincount().max()) <= 101
    few = torch.arange(300) % 7
    assert torch.equal(_binned(few.float()), few)


def test_trees_tell_what_a_tree_decides() -> None:
    x = draw(2000, 12)
    y = F.one_hot(asked(x)).float()
    ((_, found),) = predicted_by_trees(x[None], y[None], torch.zeros(1))
    rows, side = found.whole
    assert float((rows.argmax(-1) == side.argmax(-1)).float().mean()) > 0.95


@pytest.mark.parametrize("swapped", [False, True])
def test_either_side_is_predicted(swapped: bool) -> None:
    x = draw(1000, 8)
    y = asked(x, 2)[:, None] + 0.1 * draw(1000, 1, seed=2)
    found = told(y, x) if swapped else told(x, y)
    assert found is not None and found.shape == (1000, 1)


def test_what_tells_nothing_is_not_asked() -> None:
    x, y = draw(1000, 8), draw(1000, 1, seed=3)
    assert told(x, y, 0.1) is None
    assert told(x[:, :1], y) is None  # too few columns
    assert told(x[:100], y[:100]) is None  # too few rows
    assert told(x, draw(1000, 8, seed=4)) is None  # too many to predict


def test_deep_trees_are_seen() -> None:
    errors = torch.zeros(3)
    for seed in range(3):
        x = draw(2000, 20, seed)
        found = torchmist.estimate(x, asked(x, 5))
        errors[seed] = float(found.mean) - math.log(2)
    assert float(errors.abs().mean()) < 0.25


def test_rows_alone_count() -> None:
    x = draw(400, 6)
    y = asked(x)[:, None] + 0.2 * draw(400, 1, seed=5)
    assert_only_the_rows_count(x, y)
