r"""What growth can gain at most: the radial part of a pull that removes, bounded by I-MMSE.

A pull along a code, whose columns grow or shrink as they are, removes information only where noise
of a fixed size is added. Of a Gaussian channel, whose column :math:`k` has a part
:math:`s_k^2 / (1 + s_k^2)` of signal in its variance, the derivative of the information in the
logarithm of the scale of a column is this part (that of the information in the signal-to-noise
ratio is half of the least mean squared error: Guo, Shamai and Verdu, "Mutual information and
minimum mean-square error in Gaussian channels", IEEE Trans. Inf. Theory 51, 1261, 2005, eq. 1). As
that is :math:`1 - e^{-2 I_k}`, and concave in :math:`I_k`, the sum over ``d`` columns is

.. math:: \sum_k \frac{\partial I}{\partial \log s_k} = \sum_k (1 - e^{-2 I_k})
          \le d \, (1 - e^{-2 I / d}), \qquad I = \sum_k I_k .

Processes whose scales are constants (:mod:`torchmist.terms.gaussian_process`) reward a code for
shrinking by about as much whatever is left in it. Here the radial parts :math:`r_k`, the
derivatives in the logarithms of the scales, are multiplied by what brings their sum under the
bound; those that are negative, and all else in the gradient, stay as they are. Where noise is added
to a code, to shrink it is how information goes, and part of it is finer than a batch shows: the
bound is that of :data:`UNSEEN` more than is seen.

Legend: ``B`` datasets, ``N`` samples, ``d`` columns.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchmist.terms.gaussian_process import Present, Pull, unit_columns

__all__ = ["UNSEEN", "bounded_pull", "radial_bound"]

UNSEEN = 0.2
"""Nats that a batch may hold beyond what is seen in it."""
_TINY = 1e-12


def radial_bound(information: Tensor, columns: Tensor | int) -> Tensor:
    """The most that the derivatives of the information of a Gaussian channel in the logarithms of
    the scales of its ``columns`` sum to, ``[B]``; ``information`` ``[B]`` in nats.

    Example:
        >>> radial_bound(torch.tensor([0.0, 0.5, 50.0]), 2).tolist()  # 2 (1 - 1 / sqrt e) = 0.787
        [0.0, 0.7869386672973633, 2.0]
    """
    return -columns * torch.expm1(-2 * information.clamp(min=0) / columns)


def bounded_pull(
    pull: Pull, x: Tensor, y: Tensor, mask: Tensor | None, information: Tensor
) -> Pull:
    """``pull`` at ``[B, N, dx]`` and ``[B, N, dy]``, whose gradients have no larger radial parts
    than the ``information`` ``[B]`` in nats that is seen in both sides allows; ``mask`` ``[B, N]``:
    the samples that count."""
    present = Present.of(x, mask)
    parts = zip(pull[1:], *unit_columns(x, y, present))
    return Pull(pull.information, *(
        None if gradient is None else _bounded(gradient, unit, scale, present, information)
        for gradient, unit, scale in parts
    ))  # fmt: skip


def _bounded(
    gradient: Tensor, unit: Tensor, scale: Tensor, present: Present, information: Tensor
) -> Tensor:
    """A gradient ``[B, N, d]`` in columns that are ``unit`` over their ``scale`` ``[B, 1, d]``."""
    alive = scale > 0
    centred = unit / torch.where(alive, scale, 1.0)
    growth = (gradient * centred).sum(1, keepdim=True).clamp(min=0)
    columns = alive.sum(-1).clamp(min=1)[:, 0]
    bound = radial_bound(information.clamp(min=0) + UNSEEN, columns)[:, None, None]
    kept = (bound / growth.sum(-1, keepdim=True).clamp(min=_TINY)).clamp(max=1)
    return gradient - (1 - kept) * growth / present.number * unit * scale
