"""The information of two Gaussian processes: value against another formula, gradient, the term."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import torchmist
from torchmist.terms import batch_goal
from torchmist.terms.gaussian_process import PLAIN, SHARP, Resolution, kernel_information


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def smoother(side: Tensor, seen: Resolution) -> Tensor:
    """K (K + noise)^-1 of a Gaussian kernel whose width is some of the mean squared distance, a
    constant as is all else that columns and the kernel are divided by."""
    side = (side - side.mean(0)) / side.std(0, correction=0).detach()
    square, n = (side[:, None] - side).square().sum(-1), len(side)
    kernel = torch.exp(-square * n * (n - 1) / (seen.width * square.sum().detach()))
    centre = torch.eye(n, dtype=side.dtype) - 1 / n
    kernel = centre @ kernel @ centre
    kernel = kernel / kernel.diagonal().mean().detach()
    return kernel @ torch.linalg.inv(kernel + seen.noise * torch.eye(n, dtype=side.dtype))


def naive(x: Tensor, y: Tensor, seen: Resolution) -> Tensor:
    """The formula on two samples, 0-dim."""
    a, b = smoother(x, seen), smoother(y, seen)
    value = -0.5 * torch.linalg.slogdet(torch.eye(len(x), dtype=x.dtype) - a @ b).logabsdet
    return value - 0.5 * a.trace() * b.trace() / (len(x) - 1)


@pytest.mark.parametrize("seen", [PLAIN, SHARP])
def test_it_is_the_kernel_generalised_variance_less_its_first_order_under_independence(
    seen,
) -> None:
    x, y = draw(40, 3).double(), draw(40, 2, seed=1).double()
    y = y + x[:, :2]
    found = kernel_information(x.float()[None], y.float()[None], resolution=seen)
    torch.testing.assert_close(found, naive(x, y, seen).float()[None], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("seen", [PLAIN, SHARP])
def test_the_gradient_that_is_written_down_is_the_one_of_the_formula(seen) -> None:
    x, y = draw(2, 40, 3).requires_grad_(), draw(2, 40, 2, seed=1)
    y = (y + x[..., :2]).detach().requires_grad_()
    weight = torch.tensor([1.0, -3.0])
    expected = torch.stack([naive(*pair, seen) for pair in zip(x.double(), y.double())])
    found = kernel_information(x, y, resolution=seen)
    for a, b in zip(
        torch.autograd.grad((weight * found).sum(), (x, y)),
        torch.autograd.grad((weight * expected).sum(), (x, y)),
    ):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-3)


def test_a_second_derivative_is_an_error() -> None:
    x = draw(1, 20, 2).requires_grad_()
    value = kernel_information(x, draw(1, 20, 1, seed=1)).sum()
    (gradient,) = torch.autograd.grad(value, x, create_graph=True)
    with pytest.raises(RuntimeError, match="expected one derivative"):
        gradient.sum().backward()


def test_of_independent_columns_there_is_next_to_nothing_and_of_a_circle_there_is_much() -> None:
    found = [kernel_information(draw(1, 128, 1, seed=k), draw(1, 128, 1, seed=50 + k))
             for k in range(10)]  # fmt: skip
    assert torch.stack(found).mean().abs() < 0.06
    angle = 6.2832 * torch.rand(1, 128, 1, generator=torch.Generator().manual_seed(0))
    assert kernel_information(angle.cos(), angle.sin()) > 0.7


def test_units_of_columns_and_columns_that_are_constant_do_not_count() -> None:
    x, y = draw(2, 50, 3), draw(2, 50, 2, seed=1)
    y = y + x[..., :2]
    moved = torch.cat([x * torch.tensor([1.0, 30.0, 0.1]) + 5, torch.full((2, 50, 1), 3.0)], -1)
    torch.testing.assert_close(
        kernel_information(moved, 7 * y), kernel_information(x, y), atol=1e-3, rtol=1e-3
    )
    assert torch.equal(kernel_information(torch.ones(2, 50, 1), y), torch.zeros(2))


def test_masked_samples_do_not_count_and_get_no_gradient() -> None:
    x, y = draw(1, 40, 3), draw(1, 40, 2, seed=1)
    more = torch.cat([x, 9 * x[:, :8]], 1).requires_grad_()
    mask = (torch.arange(48) < 40)[None]
    found = kernel_information(more, torch.cat([y, y[:, :8]], 1), mask)
    torch.testing.assert_close(found, kernel_information(x, y), atol=1e-4, rtol=1e-3)
    (gradient,) = torch.autograd.grad(found.sum(), more)
    assert gradient[:, :40].abs().amin(1).gt(0).all() and not gradient[:, 40:].any()


def test_to_shrink_a_code_counts_as_to_lose_information() -> None:
    z = draw(1, 64, 2).requires_grad_()
    (gradient,) = torch.autograd.grad(kernel_information(z, z.detach()[..., :1]).sum(), z)
    assert (gradient * z).sum() > 0


@pytest.mark.parametrize("goal", ["minimize", "maximize"])
def test_a_term_has_the_value_of_its_opinions_and_mostly_the_gradient_of_the_processes(
    small, goal, monkeypatch
) -> None:
    z, y = draw(60, 3).requires_grad_(), draw(60, 2, seed=1)
    term = torchmist.MIRegularizer(small, goal=goal)
    term(z, y)
    term.eval()
    values, gradients = [], []
    for share in (0.0, 1.0, batch_goal._SHARE):
        monkeypatch.setattr(batch_goal, "_SHARE", share)
        values.append(term(z, y))
        gradients.append(torch.autograd.grad(values[-1], z)[0])
    with torch.no_grad():
        values.append(term(z, y))
    assert max(values) - min(values) < 1e-5
    seen = {"minimize": PLAIN, "maximize": SHARP}[goal]
    (pull,) = torch.autograd.grad(kernel_information(z[None], y[None], None, seen).sum(), z)
    torch.testing.assert_close(gradients[0], pull, atol=1e-6, rtol=1e-4)
    mixed = pull + batch_goal._SHARE * (gradients[1] - pull)
    torch.testing.assert_close(gradients[2], mixed, atol=1e-5, rtol=1e-3)


def test_a_code_without_noise_keeps_its_size_and_its_task() -> None:
    """Nothing but the task holds the scale of a code to which no noise is added."""
    torch.manual_seed(0)
    encoder, decoder = torch.nn.Linear(4, 3), torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], 1e-2)
    for _ in range(400):
        x = torch.randn(64, 4)
        z = encoder(x)
        loss = (decoder(z) - x[:, 2:]).square().mean()
        loss = loss + 0.3 * kernel_information(z[None], x[None, :, :1]).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert z.std() > 1e-3 and (decoder(z) - x[:, 2:]).square().mean() < 0.1
