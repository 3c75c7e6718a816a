"""Marginals as an invertible map: columns to standard normal ones and back, by quantile knots.

Legend: ``N`` samples, ``d`` columns, ``K`` knots.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Marginals"]

_GAP = 1e-3  # smallest rise of a knot in deviations of its column, which bounds both slopes


class Marginals(nn.Module):
    """Piecewise linear quantile maps of the columns of a sample; strictly increasing.

    Knots lie 16 samples apart and closer in the tails. Beyond the outermost the map goes on with
    the slope of the outermost four, which heavy tails make small, and at most with that of a normal
    column of the same deviation.

    Args:
        x: ``[N, d]``, without constant columns.
        knots: the most evenly spaced knots per column.

    Example:
        >>> import torch
        >>> x = torch.rand(500, 2).pow(3)
        >>> marginals = Marginals(x)
        >>> bool((marginals.to_data(marginals.to_normal(x)) - x).abs().max() < 1e-4)
        True
    """

    values: Tensor
    scores: Tensor

    def __init__(self, x: Tensor, knots: int = 1024) -> None:
        super().__init__()
        level = _levels(len(x), knots)
        count = len(level)
        deviation = x.double().std(0)
        quantiles = torch.quantile(x.double(), level.to(x.device), dim=0).T  # [d, K]
        rise = torch.arange(count, device=x.device) * _GAP * deviation[:, None] / count
        scores = torch.special.ndtri(level).to(x.device).expand_as(quantiles)
        values = quantiles + rise
        low = values[:, :1] - 10 * _tail(values[:, :4], scores[:, :4], deviation)
        high = values[:, -1:] + 10 * _tail(values[:, -4:], scores[:, -4:], deviation)
        values = torch.cat([low, values, high], -1)
        scores = torch.cat([scores[:, :1] - 10, scores, scores[:, -1:] + 10], -1)
        self.register_buffer("values", values.contiguous())
        self.register_buffer("scores", scores.contiguous())

    def to_normal(self, x: Tensor) -> Tensor:
        """``[N, d]`` data to scores."""
        return _interpolate(x, self.values, self.scores)

    def to_data(self, z: Tensor) -> Tensor:
        """``[N, d]`` scores to data."""
        return _interpolate(z, self.scores, self.values)

    def log_slope(self, x: Tensor) -> Tensor:
        """Logarithm of the derivative of :meth:`to_normal` at ``[N, d]`` data."""
        columns = x.mT.double().contiguous()
        right = torch.searchsorted(self.values, columns).clamp(1, self.values.shape[1] - 1)
        slope = self.scores.diff(dim=-1) / self.values.diff(dim=-1)
        return slope.gather(1, right - 1).log().mT.to(x.dtype)


def _tail(values: Tensor, scores: Tensor, deviation: Tensor) -> Tensor:
    """Rise of the values for one of the scores beyond knots ``[d, 4]``, ``[d, 1]``."""
    rise = (values[:, -1] - values[:, 0]) / (scores[:, -1] - scores[:, 0])
    return torch.minimum(torch.maximum(rise, deviation), 20 * deviation)[:, None]


def _levels(n: int, knots: int) -> Tensor:
    """Levels of the knots ``[K]`` for ``n`` samples: even, and halved towards both ends."""
    count = min(knots, max(16, n // 16))
    even = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    tail = 0.5 / count * 0.5 ** torch.arange(1, 16, dtype=torch.float64)
    tail = tail[tail >= 0.5 / n].flip(0)
    return torch.cat([tail, even, 1 - tail.flip(0)])


def _interpolate(value: Tensor, knots: Tensor, images: Tensor) -> Tensor:
    """Piecewise linear through ``knots`` ``[d, K]`` to ``images``, the end pieces prolonged."""
    columns = value.mT.double().contiguous()
    right = torch.searchsorted(knots, columns).clamp(1, knots.shape[1] - 1)
    a, b = knots.gather(1, right - 1), knots.gather(1, right)
    p, q = images.gather(1, right - 1), images.gather(1, right)
    return (p + (q - p) * (columns - a) / (b - a)).mT.to(value.dtype)
