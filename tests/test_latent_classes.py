"""What many classes that overlap say, and that they are sought where there are some."""

from __future__ import annotations

import math

import pytest
import torch
from padded_datasets import assert_padding_changes_nothing

from torchmist.models.latent_classes import LatentClasses, class_information


def _normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _crowd(
    n: int, k: int, d: int, kept: float = 1.0, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Rows of ``k`` classes in ``d`` columns on both sides, whose means lie four deviations apart
    and which are the same in the share ``kept``, and their information."""
    g = torch.Generator().manual_seed(seed)
    means = torch.randn(2, k, d, generator=g) * 4 / math.sqrt(2 * d)
    table = kept * torch.eye(k) / k + (1 - kept) / k**2

    def draw(rows: int) -> list[torch.Tensor]:
        pair = torch.multinomial(table.flatten(), rows, replacement=True, generator=g)
        classes = pair // k, pair % k
        return [m[c] + torch.randn(rows, d, generator=g) for m, c in zip(means, classes)]

    of_x, of_y = (
        (-torch.cdist(side, m).square() / 2).softmax(-1).double()
        for side, m in zip(draw(20_000), means)
    )
    truth = float((((of_x @ table.double()) * of_y).sum(-1) * k**2).log().mean())
    x, y = draw(n)
    return x[None], y[None], truth


def _said(found: LatentClasses) -> float:
    return float(found.nats + found.own) / 2


def _whole(found: LatentClasses) -> torch.Tensor:
    return torch.cat(found, -1)


@pytest.mark.parametrize(("n", "k", "d", "kept"), [(1500, 20, 24, 1.0), (2000, 12, 16, 0.8)])
def test_classes_that_overlap_are_seen(n: int, k: int, d: int, kept: float) -> None:
    x, y, truth = _crowd(n, k, d, kept)
    found = class_information(x, y)
    assert _said(found) == pytest.approx(truth, rel=0.15)
    assert float(found.nats) < truth < float(found.own)
    assert 0.5 * truth < float(found.bound) < truth
    assert float(found.gain) > 0.2 and k / 2 < float(found.number) <= 2 * k


@pytest.mark.parametrize(("n", "d"), [(300, 8), (1000, 20), (600, 40)])
def test_where_sides_are_normal_none_are_sought(n: int, d: int) -> None:
    x, noise = _normal(3, n, d), _normal(3, n, d, seed=1)
    for y in (noise, 0.7 * x + 0.7 * noise):
        assert not _whole(class_information(x, y)).any()


def test_in_few_or_many_columns_and_few_rows_none_are_sought() -> None:
    x, y, _ = _crowd(600, 10, 8)
    assert not _whole(class_information(x[..., :3], y)).any()
    assert not _whole(class_information(x.repeat(1, 1, 9), y)).any()
    assert not _whole(class_information(x[:, :127], y[:, :127])).any()


def test_classes_of_independent_sides_say_nothing() -> None:
    (x, _, _), (_, y, _) = _crowd(1000, 10, 10), _crowd(1000, 10, 10, seed=5)
    found = class_information(x, y)
    assert float(found.nats) < 0.05 and float(found.bound) < 0.05 and _said(found) < 0.1


def test_none_are_sought_where_much_more_is_known() -> None:
    x, y, truth = _crowd(800, 10, 10)
    expected = _whole(class_information(x, y))
    assert expected.any()
    for nats, sought in ((0.0, True), (truth, True), (5 * truth, False)):
        found = _whole(class_information(x, y, known=lambda nats=nats: torch.tensor([nats])))
        assert torch.equal(found, expected if sought else torch.zeros_like(found))


def test_classes_count_however_a_sample_is_ordered_and_bent() -> None:
    x, y, _ = _crowd(900, 10, 10)
    expected = _whole(class_information(x, y))
    rows = torch.randperm(900, generator=torch.Generator().manual_seed(0))
    columns = torch.randperm(10, generator=torch.Generator().manual_seed(1))
    for other in (
        class_information(y, x),
        class_information(x[:, rows], y[:, rows]),
        class_information(x[..., columns], -y),
        class_information(x.exp(), y**3 + y),
    ):
        torch.testing.assert_close(_whole(other), expected, atol=0.02, rtol=0.02)


def test_padding_and_other_datasets_change_nothing() -> None:
    x, y, _ = _crowd(800, 10, 10)
    assert_padding_changes_nothing(lambda *sides: _whole(class_information(*sides)), x, y)


def test_a_default_dtype_does_not_reach_into_mixtures() -> None:
    x, y, _ = _crowd(400, 8, 8)
    expected = _whole(class_information(x, y))
    torch.set_default_dtype(torch.float64)
    try:
        found = _whole(class_information(x, y))
    finally:
        torch.set_default_dtype(torch.float32)
    assert expected.any() and torch.equal(found, expected)


def test_what_classes_say_rises_along_its_gradient() -> None:
    x, y, _ = _crowd(800, 10, 10)
    x.requires_grad_()
    before = class_information(x, y).nats.sum()
    (slope,) = torch.autograd.grad(before, x)
    assert bool(slope.isfinite().all()) and bool(slope.any())
    moved = (x + 0.1 * slope / slope.abs().amax()).detach()
    assert class_information(moved, y).nats.sum() > before
