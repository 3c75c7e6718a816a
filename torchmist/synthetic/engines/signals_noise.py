r"""Stationary noise of several channels over time, and its whitening, without a matrix.

.. math:: e_{ct} = \sigma_c\, v_{ct}, \quad v = \beta\, v_{c-1} + \sqrt{1 - \beta^2}\, u, \quad
    u_{ct} \propto r_{ct} - \theta r_{c,t-1}, \quad
    r_{ct} = \alpha r_{c,t-1} + \sqrt{1-\alpha^2}\, w

with independent normal w: an autoregression across channels of autoregressions over time, which
with :math:`\theta` near :math:`\alpha` are a random walk under white noise. All values of a channel
have the same variance. The map from w to e is triangular in either order of the columns, so that
its inverse whitens any number of first columns exactly.

Legend: ``B`` datasets, ``N`` rows, ``C`` channels, ``T`` times.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from torchmist.synthetic.engines.codes_random import Random

__all__ = ["Noise", "draw_noise", "recur"]

_SLOWEST, _WALK = 0.97, (0.98, 0.999)
_ACROSS = 0.8
_UNEVEN = 0.5


@dataclass(frozen=True)
class Noise:
    r"""``slow`` and ``moving`` ``[B, 1, 1, 1]``: coefficients :math:`\alpha` and :math:`\theta`
    over time; ``across`` ``[B, 1, 1, 1]``: :math:`\beta`; each is None where it is 0 in all
    datasets; ``scale`` ``[B, 1, C, 1]``."""

    slow: Tensor | None
    moving: Tensor | None
    across: Tensor | None
    scale: Tensor

    def colour(self, white: Tensor) -> Tensor:
        """Noise ``[B, N, C, T]`` of independent standard normal numbers ``[B, N, C, T]``."""
        noise = white if self.slow is None else _autoregressive(white, self.slow)
        if self.moving is not None:
            noise = _rest(_differences(noise, self.moving), self._moved().rsqrt())
        if self.across is not None:
            noise = _autoregressive(noise.mT, self.across).mT
        return noise * self.scale

    def whiten(self, noise: Tensor) -> Tensor:
        """The inverse of :meth:`colour`."""
        white = noise / self.scale
        if self.across is not None:
            white = _innovations(white.mT, self.across).mT
        if self.moving is not None:
            white = recur(_rest(white, self._moved().sqrt()), self.moving)
        return white if self.slow is None else _innovations(white, self.slow)

    def _moved(self) -> Tensor:
        r"""Variance of :math:`r_t - \theta r_{t-1}`."""
        if self.moving is None:
            return torch.ones_like(self.scale[:, :, :1])
        of_both = 0 if self.slow is None else 2 * self.moving * self.slow
        return 1 + self.moving.square() - of_both


def draw_noise(random: Random, channels: int) -> Noise:
    """Random noise of ``channels``: white, autoregressive, or a random walk under white noise."""
    u = random.choices(2)
    slow = moving = across = None
    if 0.2 < u[0] < 0.75:
        sign = torch.where(random.coin(0.1, 1, 1, 1), -1.0, 1.0)
        slow = sign * _SLOWEST * (1 - random.uniform(1, 1, 1).square())
    elif u[0] >= 0.75:
        slow = random.log_uniform(*_WALK, 1, 1, 1)
        moving = 0.9 * random.uniform(1, 1, 1)
    if channels > 1 and u[1] < 0.4:
        across = _ACROSS * random.uniform(1, 1, 1)
    uneven = _UNEVEN * random.coin(0.4, 1, 1, 1)
    return Noise(slow, moving, across, torch.exp(uneven * random.normal(1, channels, 1)))


def _autoregressive(white: Tensor, coefficient: Tensor) -> Tensor:
    """Autoregressions of variance 1 over the last axis, of standard normal innovations."""
    return recur(_rest(white, (1 - coefficient.square()).sqrt()), coefficient)


def _innovations(values: Tensor, coefficient: Tensor) -> Tensor:
    """The inverse of :func:`_autoregressive`."""
    return _rest(_differences(values, coefficient), (1 - coefficient.square()).rsqrt())


def _differences(values: Tensor, coefficient: Tensor) -> Tensor:
    """:math:`v_t - c v_{t-1}` over the last axis, the first value as it is."""
    later = values[..., 1:] - coefficient * values[..., :-1]
    return torch.cat([values[..., :1], later], -1)


def recur(values: Tensor, coefficient: Tensor) -> Tensor:
    r"""Sums :math:`s_t = \sum_k c^k v_{t-k}` over the last axis, by doubling the reach."""
    reach, length = 1, values.shape[-1]
    while reach < length:
        values = torch.cat(
            [values[..., :reach], values[..., reach:] + coefficient * values[..., :-reach]], -1
        )
        reach, coefficient = 2 * reach, coefficient.square()
    return values


def _rest(values: Tensor, factor: Tensor) -> Tensor:
    """``values`` of which all but the first of the last axis are multiplied."""
    return torch.cat([values[..., :1], values[..., 1:] * factor], -1)
