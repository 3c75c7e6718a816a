"""``told_apart``: how well a small classifier tells generated samples from real ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["told_apart"]

_MOST, _STEPS = 2000, 150


def told_apart(
    real: Tensor, made: Tensor, fresh_real: Tensor, fresh_made: Tensor, seed: int = 0
) -> float:
    """Accuracy on fresh samples of a classifier of real and generated ones, 0.5 by chance.

    A network of one hidden layer that sees columns and their squares, so that variances and shells
    are told as means are (Lopez-Paz and Oquab, 2017). The two accuracies count alike.

    Args:
        real, made: ``[N, d]`` and ``[M, d]``, of about unit scale, to learn from.
        fresh_real, fresh_made: others, to judge by.
        seed: of the classifier.
    """

    def seen(z: Tensor) -> Tensor:
        return torch.cat([z, z.square() - 1], -1).clamp(-10, 10)

    both = [seen(z[:_MOST]) for z in (real, made)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Linear(both[0].shape[1], 64), nn.GELU(), nn.Linear(64, 1))
    optimizer = torch.optim.AdamW(net.parameters(), 1e-2, weight_decay=0.1)
    for _ in range(_STEPS):
        losses = [nn.functional.softplus(s * net(z)).mean() for s, z in zip((-1, 1), both)]
        optimizer.zero_grad()
        (losses[0] + losses[1]).backward()
        optimizer.step()
    with torch.no_grad():
        right = [
            float((s * net(seen(z)) > 0).float().mean())
            for s, z in zip((1, -1), (fresh_real, fresh_made))
        ]
    return sum(right) / 2
