"""What every estimator of this library is: a network from a sample to quantiles of its MI.

Legend: ``B`` datasets, ``N`` samples, ``Q`` quantiles.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

__all__ = ["QuantileNetwork"]


class QuantileNetwork(nn.Module):
    """A module whose call ``network(x, y, mask)`` returns quantiles of I(X;Y) in nats, ``[B, Q]``.

    ``x``: ``[B, N, dx]``, ``y``: ``[B, N, dy]``, ``mask``: ``[B, N]`` bool of the real samples, or
    None. The quantiles increase along ``Q`` and stand at the ``levels`` ``[Q]``. ``provenance`` and
    ``evaluation`` say how the weights were made and how far off they are.
    """

    levels: Tensor
    provenance: dict[str, Any]
    evaluation: dict[str, Any]
