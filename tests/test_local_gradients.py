"""Gradients of local statistics: finite differences, and what moves under a descent."""

from __future__ import annotations

import pytest
import torch
from local_naive import fixed, naive_kernels
from local_samples import SIDES, dependent, local_of, make_network

from torchmist.models.local import LOCAL, OPINIONS, SCALES, local_statistics, subset, whitened


@pytest.mark.parametrize(("dx", "dy"), SIDES)
def test_the_gradient_of_kernel_opinions_is_that_of_finite_differences(dx, dy) -> None:
    """Bandwidths, and the kernel of 1 of the nearest sample, are held fixed as in backward."""
    sides = [side[0] for side in dependent(1, 30, dx, dy, torch.float64)]
    by = fixed(sides[0]), fixed(sides[1])
    leaves = [side.clone().requires_grad_() for side in sides]
    said = local_of(leaves[0][None], leaves[1][None]).opinions[0, :SCALES]
    step = 1e-5
    for scale in range(SCALES):
        found = torch.autograd.grad(said[scale], leaves, retain_graph=True)
        for index, side in enumerate(sides):
            for row, column in ((0, 0), (7, side.shape[1] - 1), (21, 0)):
                values = []
                for change in (step, -step):
                    moved = [s.clone() for s in sides]
                    moved[index][row, column] += change
                    values.append(naive_kernels(*moved, by)[scale, scale])
                wanted = float(values[0] - values[1]) / (2 * step)
                assert float(found[index][row, column]) == pytest.approx(wanted, rel=2e-3, abs=2e-6)


def test_the_gradient_of_neighbour_opinions_is_that_of_the_finest_kernel() -> None:
    x, y = dependent(2, 80, 2, 1)
    leaves = x.requires_grad_(), y.requires_grad_()
    said = local_of(*leaves).opinions.view(2, OPINIONS)
    finest = torch.autograd.grad(said[:, 0].sum(), leaves, retain_graph=True)
    for k in range(SCALES, OPINIONS):
        found = torch.autograd.grad(said[:, k].sum(), leaves, retain_graph=True)
        for ours, theirs in zip(found, finest):
            torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("n", [200, 1200])
def test_every_opinion_that_sees_dependence_has_a_gradient(n) -> None:
    x, y = dependent(1, n, 2, 2)
    leaves = x.requires_grad_(), y.requires_grad_()
    chosen = subset(torch.cat([x, y], -1).mT)
    white = [whitened(side.mT, torch.tensor(float(n))).mT for side in leaves]
    said = local_statistics([leaves, (white[0], white[1])], chosen).opinions[0]
    assert len(said) == 2 * OPINIONS
    for opinion in said:
        assert opinion > 0.02
        for side in torch.autograd.grad(opinion, leaves, retain_graph=True):
            moved = side[0].norm(dim=-1)
            assert torch.isfinite(moved).all() and (moved > 0).float().mean() > 0.9


def test_log_ratios_and_regressions_have_a_gradient_and_growths_have_none() -> None:
    """Means of the features of the samples; how fast radii grow is a constant of backward."""
    x, y = dependent(1, 100, 2, 1)
    leaves = x.requires_grad_(), y.requires_grad_()
    features = local_of(*leaves).features.mean((0, 1))
    assert features.shape == (LOCAL,)
    for feature in features[:-4]:
        for side in torch.autograd.grad(feature, leaves, retain_graph=True):
            assert torch.isfinite(side).all() and side.any()


def test_a_descent_of_the_network_moves_both_sides() -> None:
    network = make_network()
    scores = [side.requires_grad_() for side in dependent(2, 200, 2, 2)]
    network.from_scores(*scores).mean().backward()
    for side in scores:
        moved = side.grad.norm(dim=-1)
        assert torch.isfinite(moved).all() and (moved > 0).all()
