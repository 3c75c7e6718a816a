r"""How much wider or narrower intervals should be, by how far the members of an arbiter disagree.

The quantiles of an arbiter are calibrated on the kinds of data that it was trained on. What it does
on others is learned from arbiters that lack one kind each: a :class:`IntervalWidth` reads how far
the members disagree, and stretches the mean of their quantiles below and above its median,

.. math:: t_q \to t_{1/2} + e^{a_\pm} (t_q - t_{1/2}) + b,

where :math:`b` leaves the mean in nats as it was: intervals become wider, and no estimate moves.
Legend: ``B`` datasets, ``M`` members, ``Q`` quantiles.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["IntervalWidth"]

_SIGNS, _WIDTH = 5, 16
_MOST = 2.0
_LEAST = 1e-3  # of ``t``: what is nearer is taken for as near


class IntervalWidth(nn.Module):
    """Stretches quantiles and keeps their mean in nats; before it is trained, by nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(_SIGNS, _WIDTH), nn.GELU(), nn.Linear(_WIDTH, 2))
        nn.init.zeros_(self.layers[-1].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.layers[-1].bias)  # type: ignore[arg-type]

    def forward(self, each: Tensor) -> Tensor:
        """Quantiles ``[B, Q]`` from those of all members ``[M, B, Q]``."""
        mean = each.mean(0)
        below, above = self.stretch(each).unsqueeze(-1).unbind(1)
        count = mean.shape[-1]
        middle = mean[:, (count - 1) // 2 : count // 2 + 1].mean(-1, keepdim=True)
        apart = mean - middle
        out: Tensor = middle + torch.where(apart < 0, below * apart, above * apart)
        return out + mean.logsumexp(-1, keepdim=True) - out.logsumexp(-1, keepdim=True)

    def stretch(self, each: Tensor) -> Tensor:
        """Factors ``[B, 2]`` below and above the median, at most ``e^2``."""
        centres = each.mean(-1)
        spreads = (each[..., -2] - each[..., 1]).clamp(min=_LEAST)
        spread = spreads.mean(0)
        apart = centres.amax(0) - centres.amin(0)
        unlike = spreads.amax(0) - spreads.amin(0)
        signs = [apart, apart / spread, spread, unlike / spread]
        logs = [(sign + _LEAST).log() for sign in signs]
        out: Tensor = self.layers(torch.stack([*logs, centres.mean(0)], -1))
        return (_MOST * torch.tanh(out / _MOST)).exp()
