"""Nearest-neighbour estimates from distances, with and without values that repeat."""

from __future__ import annotations

import math

import pytest
import torch

from torchmist.models.neighbours import may_tie, neighbour_estimates


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def estimates(x: torch.Tensor, y: torch.Tensor, *, ties: bool) -> torch.Tensor:
    """Means over all rows of ``[N, dx]`` and ``[N, dy]``, of 3 and 8 neighbours."""
    sides = []
    for side in (x, y):
        square = torch.cdist(side[None].double(), side[None].double()).square()
        square = square / square.mean()
        square.diagonal(dim1=-2, dim2=-1).fill_(1e6)
        sides.append(square)
    others = torch.full((1, 1, 1), len(x) - 1.0)
    tied = torch.tensor([True]) if ties else None
    return neighbour_estimates((sides[0], sides[1]), others, tied).mean((0, 1))


def counted(x: torch.Tensor, y: torch.Tensor, k: int) -> float:
    """The estimate of Kraskov et al. row by row."""
    a, b = (torch.cdist(side.double(), side.double()) for side in (x, y))
    a, b = (d / d.square().mean().sqrt() for d in (a, b))
    total = 0.0
    for row in range(len(x)):
        other = torch.arange(len(x)) != row
        u, v = a[row, other], b[row, other]
        radius = torch.maximum(u, v).sort().values[k - 1]
        counts = torch.tensor([(d < radius).sum() + 1.0 for d in (u, v)])
        total += float(torch.digamma(torch.tensor(float(k))) - torch.digamma(counts).sum())
    return total / len(x) + float(torch.digamma(torch.tensor(float(len(x)))))


@pytest.mark.parametrize("ties", [False, True])
def test_without_ties_it_is_that_of_kraskov(ties: bool) -> None:
    x = torch.randn(200, 2, generator=generator())
    y = x + torch.randn(200, 2, generator=generator(1))
    assert may_tie(x[None], y[None]) is None
    found = estimates(x, y, ties=ties)
    for value, k in zip(found, (3, 8)):
        assert abs(float(value) - counted(x, y, k)) < 1e-3


@pytest.mark.parametrize("columns", [3, 12, 20])
def test_independent_bits_say_nothing(columns: int) -> None:
    bits = (torch.rand(2000, columns, generator=generator(2)) < 0.5).float()
    y = torch.randn(2000, 1, generator=generator(3))
    assert may_tie(bits[None], y[None]).all() and may_tie(y[None], bits[None]).all()
    assert (estimates(bits, y, ties=True).abs() < 0.05).all()
    assert (estimates(y, bits, ties=True).abs() < 0.05).all()


def test_what_a_rare_flag_among_others_says_is_no_more_than_it_is() -> None:
    flags = (torch.rand(3000, 12, generator=generator(4)) < 0.1).float()
    y = 2 * flags[:, :1] + torch.randn(3000, 1, generator=generator(5))
    grid = torch.linspace(-6, 8, 4001)
    density = 0.9 * torch.exp(-grid.square() / 2) + 0.1 * torch.exp(-(grid - 2).square() / 2)
    density = density / math.sqrt(2 * math.pi)
    entropy = -torch.trapezoid(torch.xlogy(density, density), grid)
    truth = float(entropy) - 0.5 * math.log(2 * math.pi * math.e)
    found = estimates(flags, y, ties=True)
    assert (found < truth + 0.02).all() and (found > 0.4 * truth).all()
    assert (estimates(flags, y, ties=False) > truth + 0.04).all()  # what it is about


def test_rows_that_coincide_are_the_neighbours() -> None:
    labels = torch.randint(3, (600, 1), generator=generator(6)).float()
    found = estimates(labels, labels, ties=True)
    assert (found - math.log(3)).abs().amax() < 0.02


def test_columns_of_few_values_alone_may_tie() -> None:
    bits = (torch.rand(1, 50, 4, generator=generator(7)) < 0.5).float()
    number = torch.randn(1, 50, 1, generator=generator(8))
    assert may_tie(bits, number).tolist() == [True]
    assert may_tie(torch.cat([bits, number], -1), number) is None
    again = number[:, torch.randint(50, (50,), generator=generator(9))]  # rows drawn again
    assert may_tie(again, number) is None


def test_each_dataset_of_a_batch_is_told_apart() -> None:
    bits = (torch.rand(1, 200, 12, generator=generator(10)) < 0.5).float()
    numbers = torch.randn(2, 200, 12, generator=generator(11))
    both = torch.cat([bits, numbers[:1]])
    assert may_tie(both, numbers).tolist() == [True, False]
    assert may_tie(numbers, numbers) is None
    sides = [torch.cdist(v, v).square() / 24 + 1e6 * torch.eye(200) for v in (both, numbers)]
    others = torch.full((1, 1, 1), 199.0)
    found = neighbour_estimates((sides[0], sides[1]), others, may_tie(both, numbers))
    for k, ties in enumerate((torch.tensor([True]), None)):
        alone = neighbour_estimates((sides[0][[k]], sides[1][[k]]), others, ties)
        torch.testing.assert_close(found[[k]], alone)


@pytest.mark.parametrize("shown", [5, 6, 9, 40])
def test_padding_is_no_tie(shown: int) -> None:
    bits = (torch.rand(60, 4, generator=generator(12)) < 0.5).float()
    y = torch.randn(60, 1, generator=generator(13))
    found = []
    for rows in (shown, 60):
        far = 1e6 * torch.eye(rows)
        far[:, shown:] = 1e6
        sides = [torch.cdist(v[:rows], v[:rows]).square() / 2 + far for v in (bits, y)]
        others = torch.full((1, 1, 1), shown - 1.0)
        each = neighbour_estimates((sides[0][None], sides[1][None]), others, torch.tensor([True]))
        found.append(each[0, :shown])
    few = [k for k, size in enumerate((3, 8)) if size < shown]
    torch.testing.assert_close(found[1][:, few], found[0][:, few])
    assert (found[1] > -3).all()
