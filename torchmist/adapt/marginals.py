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

    Beyond the outermost knots the map goes on with the slope of a normal column of the same
    deviation.

    Args:
        x: ``[N, d]``, without constant columns.
        knots: the most knots per column.

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
        count = min(knots, len(x))
        level = (torch.arange(count, dtype=torch.float64) + 0.5) / count
        deviation = x.double().std(0)
        quantiles = torch.quantile(x.double(), level.to(x.device), dim=0).T  # [d, K]
        rise = torch.arange(count, device=x.device) * _GAP * deviation[:, None] / count
        scores = torch.special.ndtri(level).to(x.device).expand_as(quantiles)
        values = quantiles + rise
        low = values[:, :1] - 10 * deviation[:, None]
        high = values[:, -1:] + 10 * deviation[:, None]
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


def _interpolate(value: Tensor, knots: Tensor, images: Tensor) -> Tensor:
    """Piecewise linear through ``knots`` ``[d, K]`` to ``images``, the end pieces prolonged."""
    columns = value.mT.double().contiguous()
    right = torch.searchsorted(knots, columns).clamp(1, knots.shape[1] - 1)
    a, b = knots.gather(1, right - 1), knots.gather(1, right)
    p, q = images.gather(1, right - 1), images.gather(1, right)
    return (p + (q - p) * (columns - a) / (b - a)).mT.to(value.dtype)
