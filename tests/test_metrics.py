"""The metric of torchmetrics: values, bounds, and what processes share."""

from __future__ import annotations

import copy
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

import torchmist

torchmetrics = pytest.importorskip("torchmetrics")
from torchmist.metrics import MutualInformation  # noqa: E402


def gaussian(n: int, rho: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    noise = torch.randn(2, n, 1, generator=torch.Generator().manual_seed(seed))
    return noise[0], rho * noise[0] + math.sqrt(1 - rho**2) * noise[1]


def fed(metric: MutualInformation, x: Tensor, y: Tensor, size: int = 100) -> MutualInformation:
    for a, b in zip(x.split(size), y.split(size)):
        metric.update(a, b)
    return metric


def test_values_and_intervals_hold_the_closed_form_of_a_gaussian() -> None:
    truth = -0.5 * math.log(1 - 0.8**2)
    metrics = [fed(MutualInformation(), *gaussian(2000, 0.8, seed), 500) for seed in range(8)]
    ends = [metric.interval(0.9) for metric in metrics]
    # One sample has a standard error of (1 - rho^2) / sqrt(n) in rho, 0.018 nats; the mean 0.006.
    assert abs(sum(float(metric.compute()) for metric in metrics) / 8 - truth) < 0.02
    assert sum(low < truth < high for low, high in ends) >= 6


def test_the_value_follows_the_correlation_of_the_sample() -> None:
    x, y = gaussian(2000, 0.8)
    rho = float(torch.corrcoef(torch.cat([x, y], 1).T)[0, 1])
    found = float(fed(MutualInformation(), x, y).compute())
    assert found == pytest.approx(-0.5 * math.log(1 - rho**2), abs=0.02)


def test_batches_below_the_capacity_give_the_estimate_of_all_rows() -> None:
    x, y = gaussian(600, 0.5)
    found = fed(MutualInformation(), x, y).compute()
    assert found.dim() == 0
    assert float(found) == pytest.approx(torchmist.estimate(x, y, model="mist-fast").mean, abs=1e-4)


def test_capacity_bounds_the_rows_in_update_and_in_forward() -> None:
    metric, (x, y) = MutualInformation(capacity=150), gaussian(1000, 0.5)
    for a, b in zip(x.split(100), y.split(100)):
        metric(a, b)
    assert sum(map(len, metric.keys)) == sum(map(len, metric.x)) == 150


def test_rows_kept_are_a_uniform_sample_of_all_batches() -> None:
    metric, x = MutualInformation(capacity=1000), torch.arange(10_000.0)
    fed(metric, x, x)
    [kept] = metric.x
    assert torch.equal(kept, metric.y[0]) and len(kept.unique()) == 1000
    counts = torch.histc(kept, 10, 0, 10_000)
    assert float(((counts - 100) ** 2 / 100).sum()) < 27.9  # chi squared, 9 degrees, p = 0.001


def test_equal_seeds_keep_equal_rows() -> None:
    x, y = gaussian(1000, 0.5)
    one, same, other = (
        fed(MutualInformation(capacity=100, seed=seed), x, y).x[0] for seed in (0, 0, 1)
    )
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_forward_returns_the_value_of_its_batch_and_compute_that_of_all() -> None:
    metric, (x, y), (u, v) = MutualInformation(), gaussian(300, 0.9), gaussian(300, 0.0, 1)
    assert float(metric(x, y)) == pytest.approx(
        torchmist.estimate(x, y, model="mist-fast").mean, abs=1e-4
    )
    metric(u, v)
    both = torchmist.estimate(torch.cat([x, u]), torch.cat([y, v]), model="mist-fast").mean
    assert float(metric.compute()) == pytest.approx(both, abs=1e-4)


def test_reset_forgets_the_rows() -> None:
    metric = fed(MutualInformation(), *gaussian(300, 0.9))
    metric.reset()
    x, y = gaussian(300, 0.0, 1)
    found = fed(metric, x, y).compute()
    assert float(found) == pytest.approx(torchmist.estimate(x, y, model="mist-fast").mean, abs=1e-4)


def test_labels_stay_labels() -> None:
    y = torch.arange(400) % 4
    metric = MutualInformation()
    metric.update(y, y)
    assert 1.2 < float(metric.compute()) <= math.log(4)


def test_a_collection_does_not_share_rows_between_capacities() -> None:
    both = torchmetrics.MetricCollection(
        {"few": MutualInformation(50), "many": MutualInformation(500)}
    )
    x, y = gaussian(400, 0.5)
    for a, b in zip(x.split(40), y.split(40)):
        both.update(a, b)
    assert set(both.compute()) == {"few", "many"}
    assert [len(both[name].x[0]) for name in ("few", "many")] == [50, 400]


def test_a_copy_goes_on_alone() -> None:
    metric = fed(MutualInformation(), *gaussian(100, 0.5))
    other = copy.deepcopy(metric)
    other.update(*gaussian(100, 0.5, 1))
    assert (len(metric.x[0]), len(other.x[0])) == (100, 200)


def test_too_few_rows_are_nan_and_have_no_interval() -> None:
    metric = MutualInformation()
    metric.update(torch.zeros(3), torch.zeros(3))
    with pytest.warns(UserWarning, match="fewer than 4 rows"):
        assert math.isnan(float(metric.compute()))
    with pytest.raises(ValueError, match="expected at least 4 rows"):
        metric.interval()


def test_sides_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="as many rows in x as in y, got 5 and 4"):
        MutualInformation().update(torch.zeros(5), torch.zeros(4))


def test_maps_are_refused() -> None:
    with pytest.raises(ValueError, match=r"flatten codes with x.flatten\(1\)"):
        MutualInformation().update(torch.zeros(5, 2, 2), torch.zeros(5))


def test_a_capacity_below_four_is_refused() -> None:
    with pytest.raises(ValueError, match="expected capacity >= 4, got 3"):
        MutualInformation(3)


def _process(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2
    )
    x, y = gaussian(400, 0.7)
    metric = fed(MutualInformation(), x[rank::2], y[rank::2])
    small = fed(MutualInformation(capacity=120), x[rank::2], y[rank::2])
    small.sync()
    keys = torch.cat(small.keys) if isinstance(small.keys, list) else small.keys
    small.unsync()
    found = {"value": metric.compute(), "interval": metric.interval(), "keys": keys}
    torch.save(found | {"small": small.compute()}, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without distributed")
def test_two_processes_read_the_value_of_all_rows(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(_process, (str(tmp_path),), nprocs=2)
    one, two = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    alone = fed(MutualInformation(), *gaussian(400, 0.7))
    for found in (one, two):
        assert float(found["value"]) == pytest.approx(float(alone.compute()), abs=1e-4)
        assert found["interval"] == pytest.approx(alone.interval(), abs=1e-4)
    assert len(one["keys"].unique()) == 240  # the streams of the processes differ
    assert float(one["small"]) == pytest.approx(float(two["small"]), abs=1e-6)


@pytest.mark.parametrize(("first", "fix"), [(torch.float32, "float"), (torch.int64, "long")])
def test_labels_are_not_put_behind_numbers_nor_numbers_behind_labels(first, fix) -> None:
    metric, x = MutualInformation(), gaussian(40, 0.5)[0]
    y = (torch.arange(40) % 4).to(first)
    other = y.long() if fix == "float" else y.float()
    metric.update(x, y)
    for _ in range(2):
        with pytest.raises(ValueError, match=rf"y of {first} as in the .*cast y with .{fix}\(\)"):
            metric.update(x, other)
    metric.update(x, y)
    assert len(metric.keys[0]) == 80


def test_batches_of_other_columns_and_unknown_models_are_refused_at_once() -> None:
    x, y = gaussian(40, 0.5)
    metric = MutualInformation()
    metric.update(torch.cat([x, y], -1), y)
    with pytest.raises(ValueError, match=r"x with the columns .*'N', 2\], got \[40, 1\]"):
        metric.update(x, y)
    assert len(metric.keys[0]) == 40
    metric.reset()
    metric.update(x, y)
    with pytest.raises(ValueError, match="expected a known model name"):
        MutualInformation(model="no such model")
    with pytest.raises(TypeError, match="convert it with torch.as_tensor\\(x\\)$"):
        metric.update(x.numpy(), y)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("side", [0, 1])
def test_a_batch_that_is_not_finite_is_refused_and_not_kept(bad: float, side: int) -> None:
    metric, pair = MutualInformation(), gaussian(100, 0.8)
    metric.update(*pair)
    value, wrong = metric.compute(), [v.clone() for v in pair]
    wrong[side][7] = bad
    with pytest.raises(ValueError, match=f"got 1 NaN or infinite entries in {'xy'[side]}; drop"):
        metric.update(*wrong)
    assert metric.compute() == value
