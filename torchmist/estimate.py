"""``estimate``: mutual information of a sample, with calibrated intervals.

Legend: ``B`` datasets, ``N`` samples, ``Q`` quantiles.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchmist.checks import check_level, check_pair, trained_range_notes, warn_once
from torchmist.entropy import label_bound
from torchmist.functional import Model, reduce_quantiles, resolve_model
from torchmist.routes import route
from torchmist.signals import data_notes

__all__ = ["MIEstimate", "as_tensor", "estimate"]

Number = float | NDArray[np.float64]
_ELEMENTS = 4_000_000  # of B x N x D in one forward pass: bounds the memory of large batches


@dataclass(frozen=True)
class MIEstimate:
    """Mutual information in nats with its uncertainty; floats, or arrays ``[B]`` for a batch.

    ``quantiles``: ``[B, Q]`` at ``levels`` ``[Q]``, not below 0. ``warnings``: in what the data lie
    outside the training of the weights, what is done about it, and what looks like a mistake.
    """

    quantiles: Tensor
    levels: Tensor
    warnings: tuple[str, ...]
    batched: bool

    def _number(self, value: Tensor) -> Number:
        return value.double().numpy() if self.batched else float(value[0])

    @property
    def mean(self) -> Number:
        """The mean of the quantiles, in nats: the point estimate of least squared error."""
        return self._number(self.quantiles.mean(-1))

    @property
    def median(self) -> Number:
        """The median, in nats: the point estimate of least absolute error."""
        return self.quantile(0.5)

    def quantile(self, tau: float) -> Number:
        """The quantile at level ``tau`` in (0, 1), in nats.

        Linear in the level between those of the network; beyond the outermost (1/48 and 47/48 of
        24 quantiles) it is the outermost.
        """
        level = check_level(tau, "tau")
        return self._number(reduce_quantiles(self.quantiles, self.levels, level))

    def interval(self, level: float = 0.9) -> tuple[Number, Number]:
        """The central interval that holds the truth with probability ``level``, in nats."""
        level = check_level(level, "level")
        return self.quantile((1 - level) / 2), self.quantile((1 + level) / 2)

    def __repr__(self) -> str:
        if self.batched:
            return f"MIEstimate({len(self.quantiles)} datasets, nats)"
        low, high = self.interval(0.9)
        return f"MIEstimate({self.mean:.3f} nats, 90% interval {low:.3f} to {high:.3f})"


def as_tensor(value: Any, name: str) -> Tensor:
    """An array, list or tensor as a detached tensor."""
    if isinstance(value, Tensor):
        return value.detach()
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"expected {name} to hold numbers, got an array of dtype {array.dtype}; encode text "
            f"as integer class labels, for example with np.unique(values, return_inverse=True)"
        )
    if array.dtype.kind == "u" and array.dtype.itemsize > 1:
        array = array.astype(np.int64)
    return torch.from_numpy(np.ascontiguousarray(array))


def estimate(x: Any, y: Any, *, model: Model = "mist") -> MIEstimate:
    """I(X;Y) of a sample, with quantiles, in one forward pass without gradients.

    More samples or columns than the weights were trained on take a route of their own
    (``torchmist.routes``), which ``warnings`` names.

    Args:
        x: ``[N]``, ``[N, d]`` or ``[B, N, d]``: numpy array, nested list or tensor. Integers are
            class labels, whose entropy in the sample bounds the estimate.
        y: the same, with its own ``d``; row ``i`` of both is one sample.
        model: a registered name, the path of a ``.safetensors`` file, or a ``MIST`` module.

    Returns:
        An :class:`MIEstimate` in nats: floats for one dataset, arrays for a batch.

    Raises:
        TypeError, ValueError: as :func:`~torchmist.mist_mi`.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(300, 2))
        >>> r = estimate(x, x + rng.normal(size=(300, 2)))
        >>> 0.4 < r.mean < 1.0  # the truth is log(2) = 0.693
        True
    """
    raw = as_tensor(x, "x"), as_tensor(y, "y")
    a, b = check_pair(*raw, ("x", "y"))
    network = resolve_model(model, a.device)
    trained = getattr(network, "provenance", {}).get("trained_range", {})
    sizes = trained_range_notes(a.shape[1], a.shape[2], b.shape[2], trained)
    notes = sizes + data_notes(raw, (a, b), ("x", "y"))
    for note in notes:
        warn_once(f"torchmist: {note}")
    chunk = max(1, _ELEMENTS // (a.shape[1] * (a.shape[2] + b.shape[2])))
    with torch.no_grad(), torch.autocast(a.device.type, enabled=False):
        parts = [route(p, q, network) for p, q in zip(a.split(chunk), b.split(chunk))]
    quantiles = torch.cat(parts).clamp(min=0).cpu()
    bound = label_bound(raw, (a, b))
    if bound is not None:
        quantiles = torch.minimum(quantiles, bound[:, None].cpu())
    batched = (x.ndim if hasattr(x, "ndim") else np.ndim(x)) == 3
    return MIEstimate(quantiles, network.levels.cpu(), notes, batched)
