r"""Lower bounds of mutual information from functions that were fitted on other rows.

Variates f and g with correlations :math:`\rho` give a score of a row of one side with one of the
other, the log ratio of densities were they Gaussian, at several temperatures:

.. math:: s_{ij} = \tau \sum_k \frac{\rho_k f_{ik} g_{jk} - \rho_k^2 (f_{ik}^2 + g_{jk}^2) / 2}
                                    {1 - \rho_k^2}.

How much better the score knows the partner of a row than the other rows of its fold is the InfoNCE
bound (van den Oord et al. 2018), taken for both sides; since the rows had no part in the functions,
it holds whatever the data are, but for the choice of the temperature, and it is at most the log of
the rows of a fold. Clusters ask for a low temperature, Gaussian data for 1.
Legend: ``B`` datasets, ``K`` folds, ``m`` rows of a fold, ``k`` variates, ``T`` temperatures.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["contrastive_bound"]

_TEMPERATURES = (1.0, 0.5, 0.25, 0.125)  # each half the one before
_MOST = 384  # rows of a fold


def contrastive_bound(
    x: Tensor, y: Tensor, present: Tensor, correlations: Tensor
) -> tuple[Tensor, Tensor]:
    """The best bound ``[B]`` in nats over the temperatures, and the log of its temperature ``[B]``.

    ``x``, ``y``: variates ``[B, K, m, k]``; ``present``: which rows count, ``[B, K, m]``;
    ``correlations``: ``[B, k]``, at least 0 and below 1.
    """
    if x.shape[2] > _MOST:
        at = torch.linspace(0, x.shape[2] - 1, _MOST, device=x.device, dtype=torch.float32).long()
        x, y, present = x[:, :, at], y[:, :, at], present[:, :, at]
    rho = correlations[:, None, None]
    across, own = rho / (1 - rho.square()), rho.square() / (1 - rho.square()) / 2
    score = (x * across) @ y.mT - (own * x.square()).sum(-1)[..., None]
    score = score - (own * y.square()).sum(-1)[:, :, None]
    best, which = _bounds(score, present).max(0)
    temperatures = torch.tensor(_TEMPERATURES, dtype=x.dtype, device=x.device).log()
    return best, temperatures[which]


def _bounds(score: Tensor, present: Tensor) -> Tensor:
    """InfoNCE bounds ``[T, B]`` of scores ``[B, K, m, m]`` at all temperatures, each the mean of
    both directions and of the rows; 0 where no row counts."""
    rows = present.to(score.dtype)
    count = rows.sum(-1)
    sums = _log_sums(score.masked_fill(~present[:, :, None], torch.finfo(score.dtype).min), -1)
    hidden = score.masked_fill(~present[..., None], torch.finfo(score.dtype).min)
    sums = (sums + _log_sums(hidden, -2)) / 2 - count.clamp(min=1).log()[..., None]
    own = score.diagonal(dim1=-2, dim2=-1)
    known = torch.stack([own * t for t in _TEMPERATURES]) - sums
    out: Tensor = (known * rows).sum((2, 3)) / count.sum(-1).clamp(min=1)
    return out


def _log_sums(score: Tensor, axis: int) -> Tensor:
    """Logs of the sums over an axis of the exponentials at all temperatures, ``[T, B, K, m]``.

    At twice a temperature they are the squares of those at it.
    """
    highest = score.detach().amax(axis, keepdim=True)
    power = ((score - highest) * _TEMPERATURES[-1]).exp()
    sums = [power.sum(axis)]
    for _ in _TEMPERATURES[1:]:
        power = power.square()
        sums.append(power.sum(axis))
    at_most = torch.stack([highest.squeeze(axis) * t for t in _TEMPERATURES])
    return torch.stack(sums[::-1]).log() + at_most
