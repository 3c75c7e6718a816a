"""Pairs against moved rows: value and gradient against the formula, masks, the goal's choice."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import torchmist
from torchmist.terms import batch_goal
from torchmist.terms.gaussian_process import SHARP, kernel_information
from torchmist.terms.paired_codes import PAIRED, paired_information


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def pair(*shape: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Three columns, and two that hold two of them with noise."""
    x = draw(*shape, 3, seed=seed)
    return x, x[..., :2] + draw(*shape, 2, seed=99 + seed)


def kernel(side: Tensor) -> Tensor:
    """Over its noise; the deviations of columns are differentiated, all else that divides not."""
    side = (side - side.mean(0)) / side.std(0, correction=0)
    square, n = (side[:, None] - side).square().sum(-1), len(side)
    raw = torch.exp(-square * n * (n - 1) / (PAIRED.width * square.sum().detach()))
    centre = torch.eye(n, dtype=side.dtype) - 1 / n
    raw = centre @ raw @ centre
    return raw / (PAIRED.noise * raw.diagonal().mean().detach())


def covariance(*sides: Tensor) -> Tensor:
    """Correlations of all columns, shrunk by a fiftieth."""
    together = torch.corrcoef(torch.cat(sides, 1).T)
    return 0.98 * together + 0.02 * torch.eye(len(together), dtype=together.dtype)


def naive(x: Tensor, y: Tensor, linear: bool = True) -> Tensor:
    """The formula on two samples, 0-dim, with rows moved by slices."""
    n, one = len(x), torch.eye(len(x), dtype=x.dtype)
    moved = [torch.cat([y[s:], y[:s]]) for s in (n // 3, 2 * n // 3)]
    logs = [torch.logdet(one + kernel(x) + kernel(other)) for other in (y, *moved)]
    if linear:
        logs = [log + torch.logdet(covariance(x, other)) for log, other in zip(logs, (y, *moved))]
    return 0.5 * (torch.stack(logs[1:]).mean() - logs[0])


def test_value_and_gradient_are_those_of_the_formula() -> None:
    x, y = (side.requires_grad_() for side in pair(2, 43))
    weight = torch.tensor([1.0, -3.0])
    expected = torch.stack([naive(*both) for both in zip(x.double(), y.double())])
    found = paired_information(x, y)
    torch.testing.assert_close(found, expected.float(), atol=1e-4, rtol=1e-4)
    for a, b in zip(
        torch.autograd.grad((weight * found).sum(), (x, y)),
        torch.autograd.grad((weight * expected).sum(), (x, y)),
    ):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-3)


def test_of_hundreds_of_columns_the_covariance_is_not_asked() -> None:
    x, y = draw(1, 70, 200), draw(1, 70, 57, seed=1)
    expected = naive(x[0].double(), y[0].double(), linear=False)
    torch.testing.assert_close(paired_information(x, y)[0], expected.float(), atol=1e-3, rtol=1e-3)


def test_masked_samples_are_as_if_they_were_not_there() -> None:
    (x, y), present = pair(2, 50), draw(2, 50, seed=7) < 0.5
    x, y = x.requires_grad_(), y.requires_grad_()
    both = torch.autograd.grad(paired_information(x, y, present).sum(), (x, y))
    for k, some in enumerate(present):
        alone = x[k, some][None], y[k, some][None]
        found = paired_information(x, y, present)[k]
        torch.testing.assert_close(found, paired_information(*alone)[0], atol=1e-4, rtol=1e-4)
        for whole, own in zip(both, torch.autograd.grad(paired_information(*alone).sum(), alone)):
            torch.testing.assert_close(whole[k, some], own[0], atol=1e-5, rtol=1e-3)
            assert not whole[k, ~some].any()


def test_larger_codes_gain_nothing() -> None:
    x, y = (side.requires_grad_() for side in pair(1, 100))
    for side, gradient in zip((x, y), torch.autograd.grad(paired_information(x, y), (x, y))):
        assert (gradient * side).sum(1).abs().max() < 1e-4 < gradient.abs().max()


def test_independent_sides_have_nothing_in_the_mean_however_flat_their_spectra() -> None:
    found = torch.cat([paired_information(draw(1, 128, 20, seed=k), draw(1, 128, 20, seed=50 + k))
                       for k in range(20)])  # fmt: skip
    assert found.mean().abs() < 0.1


def test_a_second_derivative_is_an_error() -> None:
    x, y = (side.requires_grad_() for side in pair(1, 20))
    (gradient,) = torch.autograd.grad(paired_information(x, y).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="expected one derivative"):
        gradient.sum().backward()


@pytest.mark.parametrize("rows", [batch_goal._PAIRS - 1, batch_goal._PAIRS])
@pytest.mark.parametrize("joined", [True, False])
def test_codes_that_are_joined_are_pulled_at_by_their_pairs_and_a_given_side_is_not(
    small, rows, joined
) -> None:
    reg = torchmist.MIRegularizer(small, goal="maximize")
    x, y = pair(rows)
    x, y = x.requires_grad_(), y.requires_grad_(joined)
    for _ in range(3):
        value = reg(x, y)  # the third asks nothing, and has the pull alone
    if joined and rows >= batch_goal._PAIRS:
        pull = paired_information(x[None], y[None])
    else:
        pull = kernel_information(x[None], y[None], resolution=SHARP)
    found, expected = (torch.autograd.grad(v.sum(), x)[0] for v in (value, pull))
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-4)


def test_samples_that_a_mask_leaves_out_do_not_make_a_batch_large_enough() -> None:
    (x, y), rows = pair(2, 90), torch.tensor([[batch_goal._PAIRS - 1], [batch_goal._PAIRS]])
    x, y, mask = x.requires_grad_(), y.requires_grad_(), torch.arange(90) < rows
    found = batch_goal.pulled_at(x, y, mask, "maximize")
    few = kernel_information(x[:1], y[:1], mask[:1], SHARP)
    expected = torch.cat([few, paired_information(x[1:], y[1:], mask[1:])])
    for a, b in zip(*(torch.autograd.grad(v.sum(), (x, y)) for v in (found, expected))):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-4)
