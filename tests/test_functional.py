"""`mist_mi` as a loss term."""

from __future__ import annotations

import warnings

import pytest
import torch

import torchmist
from torchmist.functional import reduce_quantiles


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_is_zero_dim_and_differentiable_in_both(small) -> None:
    small.requires_grad_(False)
    z, y = draw(30, 3).requires_grad_(), draw(30, 2, seed=1).requires_grad_()
    mi = torchmist.mist_mi(z, y, model=small)
    assert mi.shape == () and mi.dtype == torch.float32
    mi.backward()
    assert z.grad.abs().sum() > 0 and y.grad.abs().sum() > 0
    assert all(p.grad is None for p in small.parameters())


def test_batches_are_averaged(small) -> None:
    z, y = draw(4, 30, 3), draw(4, 30, 2, seed=1)
    each = torch.stack([torchmist.mist_mi(a, b, model=small) for a, b in zip(z, y)])
    torch.testing.assert_close(torchmist.mist_mi(z, y, model=small), each.mean())


def test_one_dimensional_inputs_are_one_column(small) -> None:
    z, y = draw(30), draw(30, seed=1)
    whole = torchmist.mist_mi(z[:, None], y[:, None], model=small)
    torch.testing.assert_close(torchmist.mist_mi(z, y, model=small), whole)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int32, torch.int64])
def test_two_classes_are_one_column(small, dtype) -> None:
    z, labels = draw(30, 3), (draw(30, seed=2) > 0)
    expected = torchmist.mist_mi(z, labels.float(), model=small)
    torch.testing.assert_close(torchmist.mist_mi(z, labels.to(dtype), model=small), expected)


def test_classes_are_names_not_numbers(small) -> None:
    z = draw(60, 3)
    labels = torch.arange(60) % 3
    renamed = torch.tensor([7, -2, 100])[labels]
    expected = torchmist.mist_mi(z, labels, model=small)
    torch.testing.assert_close(
        torchmist.mist_mi(z, renamed[:, None], model=small), expected, atol=1e-5, rtol=1e-4
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions(small, dtype) -> None:
    z, y = draw(30, 3).to(dtype).requires_grad_(), draw(30, 2, seed=1).to(dtype)
    mi = torchmist.mist_mi(z, y, model=small)
    mi.backward()
    torch.testing.assert_close(mi, torchmist.mist_mi(z.detach().double(), y.double(), model=small))
    assert z.grad.dtype == dtype and torch.isfinite(z.grad).all()


def test_autocast_does_not_reach_the_estimator(small) -> None:
    z, y = draw(30, 3), draw(30, 2, seed=1)
    outside = torchmist.mist_mi(z, y, model=small)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(torchmist.mist_mi(z, y, model=small), outside)


def test_statistics_are_those_of_the_quantiles(small) -> None:
    z, y = draw(30, 3), draw(30, 2, seed=1)
    quantiles = small(z[None], y[None])[0]
    mean, median, upper = (
        torchmist.mist_mi(z, y, model=small, statistic=s) for s in ("mean", "median", 0.9)
    )
    torch.testing.assert_close(mean, quantiles.mean())
    torch.testing.assert_close(median, quantiles[5:7].mean())
    assert median < upper <= quantiles[-1]


def test_quantiles_are_interpolated_and_held_at_the_ends() -> None:
    quantiles, levels = torch.tensor([[0.0, 1.0, 3.0]]), torch.tensor([1 / 6, 1 / 2, 5 / 6])
    for level, expected in ((1 / 6, 0.0), (1 / 3, 0.5), (2 / 3, 2.0), (0.999, 3.0), (0.001, 0.0)):
        value = reduce_quantiles(quantiles, levels, level)
        torch.testing.assert_close(value, torch.tensor([expected]), atol=1e-5, rtol=1e-5)


def test_degenerate_batches_have_finite_value_and_gradient(small) -> None:
    z = draw(16, 3)
    z[:, 1] = 2.0
    z[8:] = z[:8]
    z.requires_grad_()
    mi = torchmist.mist_mi(z, torch.zeros(16), model=small)
    mi.backward()
    assert torch.isfinite(mi) and torch.isfinite(z.grad).all()


def test_warns_once_outside_the_trained_range(small) -> None:
    small.provenance = {"trained_range": {"n": [10, 31], "d": [1, 5]}}
    z, y = draw(77, 3), draw(77, 2, seed=1)
    with pytest.warns(UserWarning, match="77 samples: the weights were trained on 10 to 31"):
        torchmist.mist_mi(z, y, model=small)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torchmist.mist_mi(z, y, model=small)


@pytest.mark.parametrize("wrt, sides", [("z", (1, 0)), ("y", (0, 1)), ("both", (1, 1))])
def test_gradient_reaches_the_sides_asked_for(small, wrt, sides) -> None:
    z, y = draw(30, 3).requires_grad_(), draw(30, 2, seed=1).requires_grad_()
    torchmist.mist_mi(z, y, model=small, wrt=wrt).backward()
    assert ((z.grad is not None), (y.grad is not None)) == tuple(map(bool, sides))


def test_masked_samples_do_not_count(small) -> None:
    z, y = draw(40, 3), draw(40, 2, seed=1)
    mask = torch.arange(40) < 30
    expected = torchmist.mist_mi(z[:30], y[:30], model=small)
    torch.testing.assert_close(torchmist.mist_mi(z, y, model=small, mask=mask), expected)


def test_datasets_are_weighted(small) -> None:
    z, y, weight = draw(3, 30, 3), draw(3, 30, 2, seed=1), torch.tensor([1.0, 0.0, 3.0])
    each = torch.stack([torchmist.mist_mi(a, b, model=small) for a, b in zip(z, y)])
    expected = (each[0] + 3 * each[2]) / 4
    torch.testing.assert_close(torchmist.mist_mi(z, y, model=small, weight=weight), expected)


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"wrt": "x"}, ValueError, "expected wrt to be 'both', 'z' or 'y', got 'x'"),
        ({"mask": torch.ones(30)}, TypeError, "expected mask to be a bool tensor"),
        ({"mask": torch.ones(29, dtype=torch.bool)}, ValueError, "expected mask of shape"),
        ({"mask": torch.arange(30) < 3}, ValueError, "at least 4 samples in each dataset, got 3"),
        ({"weight": torch.ones(30)}, ValueError, "samples cannot be weighted"),
        ({"weight": -torch.ones(1)}, ValueError, "expected weights of at least 0"),
    ],
)
def test_wrong_options_are_errors(small, options, error, message) -> None:
    with pytest.raises(error, match=message):
        torchmist.mist_mi(draw(30, 3), draw(30, 2, seed=1), model=small, **options)


def test_absent_classes_of_fixed_one_hot_columns_do_not_count(small) -> None:
    z, labels = draw(30, 3), torch.tensor([1, 3, 4]).repeat(10)
    one_hot = torch.nn.functional.one_hot(labels, 9).float()
    expected = torchmist.mist_mi(z, labels, model=small)
    for options in ({}, {"num_classes": 9}):
        value = torchmist.mist_mi(z, one_hot, model=small, **options)
        torch.testing.assert_close(value, expected)
    mask = torch.arange(40) < 30  # a class that masked samples alone have is absent as well
    padded = torch.nn.functional.one_hot(torch.cat([labels, torch.full((10,), 7)]), 9).float()
    value = torchmist.mist_mi(torch.cat([z, draw(10, 3)]), padded, model=small, mask=mask)
    torch.testing.assert_close(value, expected)


def test_dead_units_get_no_gradient_and_change_nothing(small) -> None:
    z, y = draw(30, 3), draw(30, 2, seed=1)
    dead = torch.cat([z, torch.zeros(30, 2)], 1).requires_grad_()
    value = torchmist.mist_mi(dead, y, model=small)
    value.backward()
    torch.testing.assert_close(value.detach(), torchmist.mist_mi(z, y, model=small))
    assert not dead.grad[:, 3:].any() and dead.grad[:, :3].any()


def test_a_side_that_is_constant_where_the_mask_is_true_is_nothing(small) -> None:
    z, mask = draw(40, 3).requires_grad_(), torch.arange(40) < 30
    labels = torch.where(mask, 0, torch.arange(40))
    value = torchmist.mist_mi(z, labels, model=small, mask=mask)
    value.backward()
    assert value.item() == 0 and not z.grad.any()
    z, labels = draw(2, 30, 3), torch.stack([torch.arange(30) % 2, torch.zeros(30).long()])
    half = torchmist.mist_mi(z[0], labels[0], model=small) / 2
    torch.testing.assert_close(torchmist.mist_mi(z, labels[..., None], model=small), half)


@pytest.mark.parametrize("model", ["mist", "mist-fast", "mist-v2-preview"])
@pytest.mark.parametrize("kind", ["label", "constant column", "repeated column", "zeros", "unit"])
def test_shipped_weights_have_a_finite_gradient_of_data_of_any_kind(model: str, kind: str) -> None:
    g = torch.Generator().manual_seed(0)
    x = torch.randn(80, 5, generator=g)
    y = x[:, :1] + torch.randn(80, 1, generator=g)
    x, y = {
        "label": (x, (y[:, 0] > 0).long()),
        "constant column": (torch.cat([x, torch.ones(80, 1)], 1), y),
        "repeated column": (torch.cat([x, x[:, :1]], 1), y),
        "zeros": (x.relu(), y.relu()),
        "unit": (torch.nn.functional.normalize(x, dim=1), y),
    }[kind]
    z = x.clone().requires_grad_()
    torchmist.mist_mi(z, y, model=model).backward()
    assert z.grad is not None and z.grad.isfinite().all() and z.grad.any()
