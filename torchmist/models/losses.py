"""The training loss: pinball in ``t = log(I + 0.2)`` plus a Huber term on the mean in nats.

Pairs of datasets, the second moved a little, add a Sobolev term on the difference of the estimates.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from torchmist.quantile_head import from_nats

__all__ = ["difference_loss", "pinball_loss", "pinball_losses", "quantile_loss", "quantile_losses"]


def pinball_losses(quantiles: Tensor, target: Tensor, levels: Tensor) -> Tensor:
    """Pinball loss of each row of ``quantiles`` ``[B, Q]`` at ``levels`` ``[Q]``, ``[B]``.

    ``max(tau e, (tau - 1) e)`` with ``e = target - quantile`` (Koenker and Bassett 1978), for
    ``target`` ``[B]``.
    """
    error = target[:, None] - quantiles
    return torch.maximum(levels * error, (levels - 1) * error).mean(-1)


def pinball_loss(quantiles: Tensor, target: Tensor, levels: Tensor) -> Tensor:
    """The mean of :func:`pinball_losses`."""
    return pinball_losses(quantiles, target, levels).mean()


def quantile_losses(
    quantiles: Tensor, mi: Tensor, levels: Tensor, *, mean_weight: float = 0.15
) -> Tensor:
    """Loss of the predicted quantiles of each dataset's mutual information, ``[B]``.

    Args:
        quantiles: ``[B, Q]`` in nats, increasing.
        mi: true mutual information, ``[B]`` in nats.
        levels: quantile levels, ``[Q]``.
        mean_weight: weight of the Huber loss of the mean of the quantiles, in nats, quadratic up
            to 4 nats so that it favours the mean and not the median.
    """
    pinball = pinball_losses(from_nats(quantiles), from_nats(mi), levels)
    huber = F.smooth_l1_loss(quantiles.mean(-1), mi, beta=4.0, reduction="none")
    return pinball + mean_weight * huber


def quantile_loss(
    quantiles: Tensor, mi: Tensor, levels: Tensor, *, mean_weight: float = 0.15
) -> Tensor:
    """The mean of :func:`quantile_losses`."""
    return quantile_losses(quantiles, mi, levels, mean_weight=mean_weight).mean()


def difference_loss(before: Tensor, after: Tensor, mi_before: Tensor, mi_after: Tensor) -> Tensor:
    """Huber loss of the predicted change of mutual information, relative to the true one.

    ``e = (change predicted - change) / (|change| + 0.01 + 0.02 I)``, quadratic up to 1. The change
    predicted is that of the mean of the middle half of the quantiles: on all of them the loss would
    stretch the tails, which say how sure the estimate is and not how it moves.

    Args:
        before, after: quantiles ``[B, Q]`` in nats of datasets that share their noise.
        mi_before, mi_after: their true mutual information, ``[B]`` in nats.
    """
    change = mi_after - mi_before
    tail = before.shape[-1] // 4
    middle = slice(tail, before.shape[-1] - tail)
    error = after[:, middle].mean(-1) - before[:, middle].mean(-1) - change
    error = error / (change.abs() + 0.01 + 0.02 * mi_before)
    return F.smooth_l1_loss(error, torch.zeros_like(error))
