r"""Densities of a noisy function: given its input, and of its output.

.. math:: p(y|s) = \sum_j w_j\, q\Big(\frac{y - m_j(s)}{\sigma_j(s)}\Big) / \sigma_j(s), \qquad
          p(y) = \mathrm E_s\, p(y|s)

The marginal is a histogram of the centres m at many points s, convolved with the noise by a Fourier
transform; noise of varying scale is split between levels of scale that keep its variance.

Legend: ``B`` datasets, ``P`` functions, ``K`` points, ``J`` branches, ``L`` levels of scale,
``G`` cells of the grid.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["conditional_log_density", "joint_log_density", "marginal_log_density", "noise"]

_CELLS = 2048
_LEVELS = 10
_UNIT = 2.0**40  # of a histogram in whole numbers, whose sums do not depend on their order
_TAIL = 7.0  # deviations of the noise beyond the outermost centres


def noise(kind: Tensor, u: Tensor) -> Tensor:
    """Normal (0), Laplace (1) or uniform (2) noise of unit variance at the uniforms ``u``."""
    centred = 2 * u - 1
    laplace = -centred.sign() * torch.log1p(-centred.abs().clamp(max=1 - 1e-6)) / math.sqrt(2)
    normal = torch.special.ndtri(u.clamp(1e-6, 1 - 1e-6))
    return torch.where(kind == 0, normal, torch.where(kind == 1, laplace, math.sqrt(3) * centred))


def conditional_log_density(
    y: Tensor, centre: Tensor, scale: Tensor, weight: Tensor, kind: Tensor
) -> Tensor:
    """``log p(y|s)`` of ``y`` ``[B, P, K]``, from centres and scales ``[B, P, K, J]``.

    ``weight`` ``[B, P, 1, J]`` sums to 1; ``kind`` ``[B, P, 1]`` names the noise.
    """
    residual = ((y[..., None] - centre) / scale).abs()
    kind = kind[..., None]
    inside = torch.where(residual < math.sqrt(3) * (1 + 1e-4), -math.log(math.sqrt(12)), -60.0)
    log_noise = torch.where(
        kind == 0,
        -0.5 * residual.square() - 0.5 * math.log(2 * math.pi),
        torch.where(kind == 1, -math.sqrt(2) * residual - 0.5 * math.log(2), inside),
    )
    log_each = log_noise - scale.log()
    if centre.shape[-1] == 1:
        return log_each[..., 0]
    return (log_each + weight.log()).logsumexp(-1)


def marginal_log_density(
    y: Tensor, centre: Tensor, scale: Tensor, weight: Tensor, kind: Tensor, constant: bool
) -> Tensor:
    """``log p(y)`` at ``y`` ``[B, P, K]``; arguments as in :func:`conditional_log_density`.

    ``constant`` says that all scales of a function are equal, which takes one level.
    """
    batch, functions, points, branches = centre.shape
    levels, cells = (1, _CELLS) if constant else (_LEVELS, 2 * _CELLS)
    flat = (batch * functions, points * branches)
    low_scale, high_scale = scale.flatten(2).aminmax(dim=2)
    tail = _TAIL * high_scale
    low, high = centre.flatten(2).aminmax(dim=2)
    low, step = low - tail, (high - low + 2 * tail) / (cells - 1)
    position = (centre - low[..., None, None]) / step[..., None, None]
    mass = (_UNIT / points * weight).expand_as(centre).reshape(flat)
    cell = position.floor().clamp(max=cells - 2)
    right = (position - cell).reshape(flat)
    index = cell.long().reshape(flat)
    histogram = torch.zeros(flat[0], levels * cells, dtype=torch.int64, device=y.device)
    if levels == 1:
        deviation = low_scale.reshape(-1, 1)
        histogram.scatter_add_(1, index, (mass * (1 - right)).long())
        histogram.scatter_add_(1, index + 1, (mass * right).long())
    else:
        ratio = (high_scale / low_scale).clamp(min=1.001).log() / (levels - 1)
        log_low = low_scale.log()
        ladder = torch.arange(levels, device=y.device)
        deviation = (log_low[..., None] + ratio[..., None] * ladder).exp().flatten(0, 1)
        rung = ((scale.log() - log_low[..., None, None]) / ratio[..., None, None]).floor()
        rung = rung.clamp(0, levels - 2).long().reshape(flat)
        below, above = deviation.gather(1, rung).square(), deviation.gather(1, rung + 1).square()
        wide = ((scale.reshape(flat).square() - below) / (above - below)).clamp(0, 1)
        index = index + rung * cells
        for offset, share in ((0, 1 - wide), (cells, wide)):
            histogram.scatter_add_(1, index + offset, (mass * share * (1 - right)).long())
            histogram.scatter_add_(1, index + offset + 1, (mass * share * right).long())
    density = (
        _convolve(
            histogram.reshape(flat[0], levels, cells).float() / _UNIT,
            deviation / step.reshape(-1, 1),
            kind.reshape(-1, 1, 1),
        ).reshape(batch, functions, cells)
        / step[..., None]
    )
    where = ((y - low[..., None]) / step[..., None]).clamp(0, cells - 1.001)
    cell = where.floor().long()
    right = where - cell
    value = density.gather(2, cell) * (1 - right) + density.gather(2, cell + 1) * right
    return value.clamp(min=1e-30).log()


def _convolve(histogram: Tensor, deviation: Tensor, kind: Tensor) -> Tensor:
    """Sum over levels of histograms ``[F, L, G]`` convolved with noise, ``[F, G]``."""
    cells = histogram.shape[-1]
    frequency = 2 * math.pi * torch.fft.rfftfreq(cells, device=histogram.device)
    angle = frequency * deviation[..., None]
    transform = torch.where(
        kind == 0,
        (-0.5 * angle.square()).exp(),
        torch.where(
            kind == 1,
            1 / (1 + 0.5 * angle.square()),
            torch.sinc(angle * (math.sqrt(3) / math.pi)),
        ),
    )
    spectrum = (torch.fft.rfft(histogram) * transform).sum(1)
    density: Tensor = torch.fft.irfft(spectrum, n=cells)
    return density


def joint_log_density(y: Tensor, centre: Tensor, scale: Tensor) -> Tensor:
    """``log p(y_1..y_P)`` for normal noise at points ``y`` ``[B, P, E]``, ``[B, E]``.

    ``centre`` ``[B, P, K]`` are mixture points drawn independently of ``y``; ``scale``
    ``[B, P, 1]``. Datasets are taken a few at a time where memory asks for it.
    """
    y, centre = y / scale, centre / scale
    most = 200_000_000 if y.is_cuda else 20_000_000
    chunk = max(1, most // (y.shape[-1] * centre.shape[-1]))
    parts = []
    for a, b in zip(y.split(chunk), centre.split(chunk)):
        half = 0.5 * b.square().sum(1, keepdim=True)
        exponent = torch.baddbmm(-half, a.mT, b)
        parts.append(exponent.logsumexp(-1) - 0.5 * a.square().sum(1))
    constant = scale.log().sum((1, 2)) + 0.5 * y.shape[1] * math.log(2 * math.pi)
    return torch.cat(parts) - math.log(centre.shape[-1]) - constant[:, None]
