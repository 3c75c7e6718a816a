"""The quantile head: non-crossing quantiles of mutual information, in nats.

Quantiles are learned of ``t = log(I + 0.2)`` and are equivariant under monotone maps, so they map
back to nats exactly. Legend: ``B`` datasets, ``Q`` quantiles.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = [
    "OFFSET", "QUANTILES", "QuantileHead", "blended_quantiles", "blending_network", "from_nats",
    "quantile_levels", "to_nats",
]  # fmt: skip

OFFSET = 0.2
QUANTILES = 24
"""How many quantiles an estimate has: those of networks, and of what is counted or known."""

_NARROW = 3.0  # before training neighbouring quantiles are close
_FLOOR, _CEILING = -8.0, 6.5  # t of -0.2 and 665 nats: finite values and gradients always


def from_nats(mi: Tensor) -> Tensor:
    """``t = log(I + 0.2)``, of mutual information in nats."""
    return torch.log(mi + OFFSET)


def to_nats(t: Tensor) -> Tensor:
    """Inverse of :func:`from_nats`."""
    return torch.exp(t.clamp(_FLOOR, _CEILING)) - OFFSET


def quantile_levels(count: int = QUANTILES, dtype: torch.dtype = torch.float32) -> Tensor:
    """Levels ``(q + 1/2) / Q``, for which the mean of the quantiles is the mean."""
    return (torch.arange(count, dtype=dtype, device="cpu") + 0.5) / count


def blending_network(read: int, width: int, candidates: int, quantiles: int) -> nn.Sequential:
    """A network of ``[B, read]`` whose output :func:`blended_quantiles` takes; 0 at first."""
    enter, middle = nn.Linear(read, width), nn.Linear(width, width)
    leave = nn.Linear(width, candidates + 1 + quantiles)
    nn.init.zeros_(leave.weight)
    nn.init.zeros_(leave.bias)
    return nn.Sequential(enter, nn.GELU(), middle, nn.GELU(), leave)


def blended_quantiles(out: Tensor, candidates: Tensor) -> Tensor:
    """Quantiles of ``t`` ``[B, Q]`` around a blend of candidates.

    Args:
        out: of a network, ``[B, C + 1 + Q]``: logits of the shares of the candidates, a shift, and
            gaps between the quantiles.
        candidates: values of ``t`` ``[B, C]``, NaN where there is none.
    """
    count = candidates.shape[-1]
    logits, shift, gaps = out.split([count, 1, out.shape[-1] - count - 1], -1)
    none = candidates.isnan()
    shares = logits.masked_fill(none, -torch.inf).softmax(-1)
    centre = (shares * candidates.masked_fill(none, 0.0)).sum(-1, keepdim=True) + shift
    steps = F.pad(F.softplus(gaps[:, 1:] - _NARROW).cumsum(-1), (1, 0))
    middle = steps[:, (gaps.shape[-1] - 1) // 2 : gaps.shape[-1] // 2 + 1]
    quantiles: Tensor = centre + steps - middle.mean(-1, keepdim=True)
    return quantiles


class QuantileHead(nn.Module):
    """A centre and ``Q - 1`` positive gaps (softplus) make ``Q`` increasing quantiles of ``t``."""

    def __init__(self, width: int, quantiles: int) -> None:
        super().__init__()
        self.project = nn.Linear(width, quantiles)
        nn.init.normal_(self.project.weight, std=0.01)
        nn.init.zeros_(self.project.bias)

    def forward(self, hidden: Tensor, centre: Tensor) -> Tensor:
        """``hidden`` ``[B, H]``; ``centre`` ``[B]``: the value of ``t`` to measure from."""
        out: Tensor = self.project(hidden)
        steps = F.pad(F.softplus(out[:, 1:] - _NARROW).cumsum(-1), (1, 0))
        return centre[:, None] + out[:, :1] + steps - steps.mean(-1, keepdim=True)
