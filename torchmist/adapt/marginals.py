"""Marginals as an invertible map: columns to standard normal ones and back, by quantile knots.

Legend: ``N`` samples, ``d`` columns, ``K`` knots.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Marginals"]

_MOST = 1024  # evenly spaced knots
_GAP = 1e-3  # deviations that the knots of a column rise in any case, which bounds both slopes
_FAR = 10.0  # scores from the outermost knots to the ends


class Marginals(nn.Module):
    """Piecewise linear quantile maps of the columns of a sample; strictly increasing.

    Knots lie 16 samples apart and closer in the tails. Beyond the outermost the map goes on with
    the slope of the outermost four, which heavy tails make small, and at most with that of a normal
    column of the same deviation.

    Args:
        x: ``[N, d]``, without constant columns.

    Example:
        >>> import torch
        >>> x = torch.rand(500, 2).pow(3)
        >>> marginals = Marginals(x)
        >>> bool((marginals.to_data(marginals.to_normal(x)) - x).abs().max() < 1e-4)
        True
    """

    values: Tensor
    scores: Tensor

    def __init__(self, x: Tensor) -> None:
        super().__init__()
        level, deviation = _levels(len(x)).to(x.device), x.double().std(0)
        values = torch.quantile(x.double(), level, dim=0).T
        values = values + torch.linspace(0, _GAP, len(level)).to(values) * deviation[:, None]
        scores = torch.special.ndtri(level)
        rises = [
            (values[:, end] - values[:, start]) / (scores[end] - scores[start])
            for start, end in ((0, 3), (-4, -1))
        ]
        low, high = (_FAR * v.clamp(deviation, 20 * deviation)[:, None] for v in rises)
        values = torch.cat([values[:, :1] - low, values, values[:, -1:] + high], -1)
        scores = torch.cat([scores[:1] - _FAR, scores, scores[-1:] + _FAR])
        self.register_buffer("values", values)
        self.register_buffer("scores", scores.expand_as(values).contiguous())

    def to_normal(self, x: Tensor) -> Tensor:
        """``[N, d]`` data to scores."""
        return _piecewise(x, self.values, self.scores)[0]

    def to_data(self, z: Tensor) -> Tensor:
        """``[N, d]`` scores to data."""
        return _piecewise(z, self.scores, self.values)[0]

    def log_slope(self, x: Tensor) -> Tensor:
        """Logarithm of the derivative of :meth:`to_normal` at ``[N, d]`` data."""
        return _piecewise(x, self.values, self.scores)[1].log()


def _levels(n: int) -> Tensor:
    """Levels of the knots ``[K]`` for ``n`` samples: even, and halved towards both ends."""
    count = min(_MOST, max(16, n // 16))
    even = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    tail = 0.5 / count * 0.5 ** torch.arange(1, 16, dtype=torch.float64)
    tail = tail[tail >= 0.5 / n].flip(0)
    return torch.cat([tail, even, 1 - tail.flip(0)])


def _piecewise(value: Tensor, knots: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
    """Piecewise linear through ``knots`` ``[d, K]`` to ``images``, the end pieces prolonged: of
    ``value`` ``[N, d]`` its image and the slope there."""
    columns = value.mT.double().contiguous()
    left = torch.searchsorted(knots, columns).clamp(1, knots.shape[1] - 1) - 1
    knot, image = knots.gather(1, left), images.gather(1, left)
    slope = (images.gather(1, left + 1) - image) / (knots.gather(1, left + 1) - knot)
    out = image + slope * (columns - knot)
    return out.mT.to(value.dtype), slope.mT.to(value.dtype)
