"""``mist_mi``: mutual information of a mini-batch as one differentiable number.

Legend: ``B`` datasets, ``N`` samples, ``Q`` quantiles.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from torchmist.checks import (
    check_level,
    check_pair,
    check_tensors,
    trained_range_notes,
    warn_once,
)
from torchmist.models.mist import MIST
from torchmist.weights import load_pretrained

__all__ = ["Model", "Statistic", "mist_mi", "reduce_quantiles", "resolve_model"]

Model = str | os.PathLike[str] | MIST
Statistic = Literal["mean", "median"] | float


@lru_cache(maxsize=8)
def _loaded(name: str, device: torch.device) -> MIST:
    return load_pretrained(name).to(device)


def resolve_model(model: Model, device: torch.device) -> MIST:
    """The network behind a name, a path or a module; named ones are kept per device."""
    if isinstance(model, MIST):
        return model
    if not isinstance(model, (str, os.PathLike)):
        raise TypeError(
            f"expected model to be a registered name, a path or a MIST module, got "
            f"{type(model).__name__}; see torchmist.load_pretrained"
        )
    return _loaded(os.fspath(model), device)


def check_statistic(statistic: Statistic) -> None:
    """Raise unless ``statistic`` is ``"mean"``, ``"median"`` or a level in (0, 1)."""
    if isinstance(statistic, str):
        if statistic not in ("mean", "median"):
            raise ValueError(
                f"expected statistic 'mean', 'median' or a quantile level in (0, 1), got "
                f"{statistic!r}"
            )
    else:
        check_level(statistic, "statistic")


def reduce_quantiles(quantiles: Tensor, levels: Tensor, statistic: Statistic) -> Tensor:
    """Mean, median or any quantile (linear in the level) of ``[B, Q]`` quantiles, ``[B]``."""
    if statistic == "mean":
        return quantiles.mean(-1)
    level = 0.5 if statistic == "median" else float(statistic)
    count = quantiles.shape[-1]
    place = min(max(level * count - 0.5, 0.0), count - 1.0)
    below = min(int(place), count - 2)
    return torch.lerp(quantiles[:, below], quantiles[:, below + 1], place - below)


def pair_mi(x: Tensor, y: Tensor, network: MIST, statistic: Statistic) -> Tensor:
    """MI of each dataset of a checked pair ``[B, N, d]``, ``[B]``; warns outside the training."""
    trained = getattr(network, "provenance", {}).get("trained_range", {})
    if not torch.compiler.is_compiling():
        for note in trained_range_notes(x.shape[1], x.shape[2], y.shape[2], trained):
            warn_once(f"torchmist: {note}")
    with torch.autocast(x.device.type, enabled=False):
        return reduce_quantiles(network(x, y), network.levels, statistic)


def mist_mi(
    z: Tensor, y: Tensor, *, model: Model = "mist", statistic: Statistic = "mean"
) -> Tensor:
    """Estimate of +I(Z;Y) in nats, differentiable in ``z`` and ``y``.

    Add it to a loss to remove dependence, subtract it to create it. The estimator is frozen; its
    gradient moves ``z`` and ``y`` only. Works in float32 whatever autocast says.

    Args:
        z: ``[N]``, ``[N, d]`` or ``[B, N, d]``; row ``i`` of ``z`` and of ``y`` is one sample.
        y: the same, with its own ``d``. Integer and bool tensors are class labels.
        model: a registered name, the path of a ``.safetensors`` file, or a ``MIST`` module (whose
            own ``requires_grad`` flags then hold).
        statistic: ``"mean"``, ``"median"``, or a quantile level in (0, 1); an upper quantile is
            the cautious choice when minimising.

    Returns:
        0-dim float32; for batches ``[B, N, d]`` the mean over the datasets. Near independence it
        can be slightly negative (never below -0.2), so that its gradient does not vanish.

    Raises:
        TypeError: when an argument is no tensor, or of an unsupported dtype.
        ValueError: for NaN or infinite values, fewer than four samples, lengths that differ,
            wrong ranks, or an unknown model or statistic.

    Example:
        >>> import torch
        >>> z = torch.randn(64, 2, requires_grad=True)
        >>> mi = mist_mi(z, torch.randn(64, 3))
        >>> mi.backward()
        >>> mi.shape, z.grad.shape
        (torch.Size([]), torch.Size([64, 2]))
    """
    check_tensors(z=z, y=y)
    check_statistic(statistic)
    a, b = check_pair(z, y, ("z", "y"))
    return pair_mi(a, b, resolve_model(model, a.device), statistic).mean()
