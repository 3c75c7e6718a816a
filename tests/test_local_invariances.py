"""What must never change the estimate of a network that reads local statistics."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from local_samples import dependent, make_network
from torch import Tensor

from torchmist.copula import normal_scores
from torchmist.models.local import sample_order
from torchmist.models.mist import MIST

CLOSE = {"atol": 1e-4, "rtol": 1e-4}
SIZES = [40, 300, 1500, 2500]


@pytest.fixture(scope="module")
def network() -> MIST:
    return make_network()


def evaluate(model: MIST, x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
    with torch.no_grad():
        return model(x, y, mask)


class Case(NamedTuple):
    x: Tensor
    y: Tensor
    out: Tensor


@pytest.fixture(scope="module", params=[(n, 3, 4) for n in SIZES] + [(300, 1, 1)])
def case(request, network) -> Case:
    x, y = dependent(2, *request.param)
    return Case(x, y, evaluate(network, x, y))


def test_order_of_samples(network, case) -> None:
    order = torch.randperm(case.x.shape[1], generator=torch.Generator().manual_seed(0))
    out = evaluate(network, case.x[:, order], case.y[:, order])
    torch.testing.assert_close(out, case.out, **CLOSE)


@pytest.mark.parametrize("n", [60, 400, 1000])
def test_samples_of_two_columns_whose_values_are_swapped_or_mirrored_have_an_order(n) -> None:
    """Of two columns there are three or so of each, which tie in all that is even."""
    draw = torch.Generator().manual_seed(n)
    rows = torch.randn(1, n, 2, generator=draw)
    rows = torch.stack([rows[..., 0], (3 * rows[..., 0]).sin() + 0.3 * rows[..., 1]], -1)
    ordered = rows[0, sample_order(normal_scores(rows).mT, None, n)[0]]
    for _ in range(5):
        moved = rows[:, torch.randperm(n, generator=draw)]
        for changed in (moved, moved.flip(-1), moved * torch.tensor([-1.0, 1.0]), -moved):
            order = sample_order(normal_scores(changed).mT, None, n)[0]
            back = changed[0, order].abs()
            back = back.flip(-1) if changed[0, 0, 0].abs() != moved[0, 0, 0].abs() else back
            assert torch.equal(back, ordered.abs())


def test_order_of_columns(network, case) -> None:
    out = evaluate(network, case.x.flip(-1), case.y.roll(1, -1))
    torch.testing.assert_close(out, case.out, **CLOSE)


def test_swapping_sides(network, case) -> None:
    torch.testing.assert_close(evaluate(network, case.y, case.x), case.out, **CLOSE)


def test_monotone_maps_of_single_columns(network, case) -> None:
    x = torch.cat([-case.x[..., :1].exp(), case.x[..., 1:] * 1e4 + 7], -1)
    y = torch.cat([case.y[..., :1] ** 3, -case.y[..., 1:]], -1)
    torch.testing.assert_close(evaluate(network, x, y), case.out, **CLOSE)


@pytest.mark.parametrize("n", [40, 300, 900])
def test_padding_changes_nothing(network, n) -> None:
    x, y = dependent(2, n, 3, 4)
    mask = torch.ones(2, n + 10, dtype=torch.bool)
    mask[0, n:] = False
    mask[1, 30:] = False
    junk = torch.full((2, 10, 4), 9e9)
    padded = evaluate(
        network, torch.cat([x, junk[..., :3]], 1), torch.cat([y, junk], 1), mask
    )  # fmt: skip
    torch.testing.assert_close(padded[:1], evaluate(network, x[:1], y[:1]), **CLOSE)
    torch.testing.assert_close(padded[1:], evaluate(network, x[1:, :30], y[1:, :30]), **CLOSE)


def test_order_of_many_samples_of_one_column_and_a_label(network) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 2500, 1, generator=generator)
    y = torch.randint(0, 2, (1, 2500, 1), generator=generator).float()
    order = torch.randperm(2500, generator=generator)
    out = evaluate(network, x[:, order], y[:, order])
    torch.testing.assert_close(out, evaluate(network, x, y), **CLOSE)


@pytest.mark.parametrize(("dx", "dy"), [(100, 4), (100, 100)])
def test_invariances_of_many_columns(network, dx, dy) -> None:
    x, y = dependent(2, 300, dx, dy)
    out = evaluate(network, x, y)
    generator = torch.Generator().manual_seed(0)
    rows, columns = (torch.randperm(size, generator=generator) for size in (300, dx))
    warped = torch.cat([-x[..., :50].exp(), x[..., 50:] * 1e4 + 7], -1)
    for changed in (
        evaluate(network, x[:, rows], y[:, rows]),
        evaluate(network, x[..., columns], y.flip(-1)),
        evaluate(network, y, x),
        evaluate(network, warped, -y),
    ):
        torch.testing.assert_close(changed, out, atol=1e-3, rtol=1e-3)


def test_the_pairing_of_samples_matters(network) -> None:
    x, y = dependent(2, 300, 3, 4)
    change = evaluate(network, x, y.flip(1)) - evaluate(network, x, y)
    assert change.abs().max() > 1e-2


@pytest.mark.parametrize("n", [40, 1500])
@pytest.mark.parametrize("kind", ["labels", "constant", "ties", "few values on both sides"])
def test_degenerate_columns_give_finite_values_and_gradients(network, n, kind) -> None:
    x, y = dependent(2, n, 2, 3)
    if kind == "labels":
        y = torch.nn.functional.one_hot((y[..., 0] > 1).long() + (x[..., 1] > 0), 3).float()
    elif kind == "constant":
        x, y = torch.cat([x[..., :1], torch.ones(2, n, 1)], -1), torch.full((2, n, 1), 3.0)
    elif kind == "ties":
        x = x.round()
    else:
        x, y = x.round().clamp(-1, 1), (y > 0).float()
    x.requires_grad_()
    y.requires_grad_()
    out = network(x, y)
    out.mean().backward()
    assert torch.isfinite(out).all() and (out.diff(dim=-1) >= 0).all()
    assert torch.isfinite(x.grad).all() and torch.isfinite(y.grad).all()
