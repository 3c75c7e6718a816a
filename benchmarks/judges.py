"""Independent judges of what a code z holds of s; none of them is torchmist.

Legend: ``N`` samples, ``dz``, ``ds`` columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["critic_mi", "ksg", "mlp", "probe_accuracy", "probe_r2"]

Draw = Callable[[int], tuple[Tensor, Tensor]]


def mlp(inputs: int, outputs: int, width: int = 64) -> nn.Sequential:
    """Two hidden layers with SiLU."""
    return nn.Sequential(
        nn.Linear(inputs, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(),
        nn.Linear(width, outputs),
    )  # fmt: skip


def ksg(z: Tensor, s: Tensor, k: int = 5) -> float:
    """Kraskov et al. (2004), first estimator, of standardised columns, nats."""
    z, s = (((v - v.mean(0)) / (v.std(0) + 1e-9)).double() for v in (z, s))
    gaps = [torch.cdist(v, v, p=math.inf) for v in (z, s)]
    radius = torch.maximum(*gaps).fill_diagonal_(math.inf).kthvalue(k, 1).values[:, None]
    inside = sum(torch.digamma((g < radius).sum(1).double()).mean() for g in gaps)
    n = torch.tensor([k, len(z)], dtype=torch.float64)
    return float(torch.digamma(n).sum() - inside)


def _probe(draw: Draw, outputs: int, loss: Callable[[Tensor, Tensor], Tensor], steps: int) -> tuple[
    nn.Module, Tensor, Tensor
]:  # fmt: skip
    """A fresh MLP trained on fresh draws, with the mean and deviation of its input."""
    with torch.no_grad():
        z, _ = draw(4096)
    mean, deviation = z.mean(0), z.std(0) + 1e-6
    net = mlp(z.shape[1], outputs, 128)
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        with torch.no_grad():
            z, s = draw(512)
        value = loss(net((z - mean) / deviation), s)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        schedule.step()
    return net, mean, deviation


def probe_r2(draw: Draw, *, test: Draw | None = None, steps: int = 1500) -> float:
    """Mean R^2 of a fresh MLP that predicts s from z; ``draw(n)`` gives z and s."""
    width = draw(8)[1].shape[1]
    net, mean, deviation = _probe(draw, width, F.mse_loss, steps)
    with torch.no_grad():
        z, s = (test or draw)(20_000)
        error = (net((z - mean) / deviation) - s).square().mean(0)
        return float((1 - error / s.var(0)).mean())


def probe_accuracy(
    draw: Draw, classes: int, *, test: Draw | None = None, steps: int = 800
) -> float:
    """Accuracy of a fresh MLP that predicts labels s ``[N]`` from z."""
    net, mean, deviation = _probe(draw, classes, F.cross_entropy, steps)
    with torch.no_grad():
        z, s = (test or draw)(20_000)
        return float((net((z - mean) / deviation).argmax(-1) == s).float().mean())


def critic_mi(draw: Draw, *, steps: int = 1000, batch: int = 512) -> float:
    """I(z; s) in nats by a fresh critic trained on fresh draws, scored on held-out ones.

    The critic is trained by InfoNCE, whose scores are the log density ratio up to a function of
    z; the value is the InfoNCE bound on batches of 2048, at most log 2048 = 7.6 nats.
    """
    with torch.no_grad():
        z, s = draw(4096)
    moments = [(v.mean(0), v.std(0) + 1e-6) for v in (z, s)]
    nets = nn.ModuleList([mlp(v.shape[1], 64, 128) for v in (z, s)])

    def bound(n: int) -> Tensor:
        with torch.no_grad():
            pair = [(v - m) / d for v, (m, d) in zip(draw(n), moments)]
        a, b = (net(v) for net, v in zip(nets, pair))
        scores: Tensor = a @ b.T / 8
        return scores.diagonal().mean() - torch.logsumexp(scores, 1).mean() + math.log(n)

    optimizer = torch.optim.Adam(nets.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        loss = -bound(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        return float(torch.stack([bound(2048) for _ in range(4)]).mean())
