"""Quantiles of sums of estimates whose errors are independent, or correlated, by draws.

Legend: ``S`` draws, ``Q`` quantiles.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["DRAWS", "draws_of", "quantiles_of"]

DRAWS = 4096
"""Draws of each estimate."""


def draws_of(
    quantiles: Tensor, levels: Tensor, rng: np.random.Generator,
    common: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:  # fmt: skip
    """Draws ``[S]`` from the ``quantiles`` ``[Q]`` at ``levels`` ``[Q]`` of one dataset, one from
    each of ``S`` equal levels, in an order by ``rng``; with ``common`` normal numbers ``[S]``, in
    one that is correlated by one half with the order of all that are drawn with them."""
    order = rng.permutation(DRAWS)
    if common is not None:
        order = (common + rng.standard_normal(DRAWS)).argsort().argsort()
    place = (order + 0.5) / DRAWS
    out: NDArray[np.float64] = np.interp(place, levels.numpy(), quantiles.numpy())
    return out


def quantiles_of(draws: NDArray[np.float64], levels: Tensor) -> Tensor:
    """Quantiles ``[Q]`` float32 at ``levels`` ``[Q]`` of draws ``[S]``.

    Example:
        >>> levels = torch.tensor([0.25, 0.75])
        >>> sums = draws_of(levels, levels, np.random.default_rng(0)) + 1.0
        >>> [round(float(q), 2) for q in quantiles_of(sums, levels)]
        [1.25, 1.75]
    """
    return torch.from_numpy(np.quantile(draws, levels.numpy())).float()
