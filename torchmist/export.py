"""The frozen network as one graph, for programs that do not have this library.

Legend: ``N`` samples, ``dx``, ``dy`` columns, ``Q`` quantiles.
"""

from __future__ import annotations

import operator

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from torchmist.functional import Model, resolve_model
from torchmist.models.mist import MIST
from torchmist.models.network import QuantileNetwork
from torchmist.models.trained_range import TrainedRange

__all__ = ["export_estimator"]

_DENSE = 2000  # samples from which sums over them take another route
_EXAMPLE = 7  # more samples than the least, in the example that is traced


class _Quantiles(nn.Module):
    """Quantiles ``[1, Q]`` in nats, not below 0, of ``[1, N, dx]`` and ``[1, N, dy]``."""

    def __init__(self, network: QuantileNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        out: Tensor = self.network(x, y)
        return out.clamp(min=0)


def export_estimator(
    model: Model = "mist-fast", *, dx: int, dy: int, samples: tuple[int, int] = (32, 1999)
) -> ExportedProgram:
    """``torch.export`` of a network for ``dx`` and ``dy`` columns and any number of samples or one.

    The program takes float32 ``x`` ``[1, N, dx]`` and ``y`` ``[1, N, dy]`` and returns quantiles
    ``[1, Q]`` of I(X;Y) in nats at the levels ``(k + 1/2) / Q``; their mean is the point estimate.
    It is the network alone: kinds of columns, notes, chunks of large samples and what is taken off
    rare columns are :func:`torchmist.estimate`'s. Save it with ``torch.export.save``.

    Args:
        model: a registered name, the path of a ``.safetensors`` file, or a ``MIST``.
        dx: columns of ``x``.
        dy: columns of ``y``.
        samples: the least and the most ``N``; both below 2,000 or both from there, since sums over
            samples take another route there. Of equal ones comes a graph of that ``N`` alone.

    Raises:
        TypeError: for ``samples`` that are no pair of ints; for a network with local statistics or
            several networks and more than one ``N``: their neighbours are counted by numbers that
            follow from it.
        ValueError: for sizes outside of those that the weights were trained on.
    """
    network = resolve_model(model, torch.device("cpu"))
    samples = low, high = _checked_samples(samples)
    if low < high and (type(network) is not MIST or network.config.local):
        raise TypeError(
            f"expected a MIST without local statistics, got {type(network).__name__}; export "
            f"'mist-fast' or 'mist-paper-v1', or one number of samples, samples=({high}, {high})"
        )
    _check_sizes(network, dx, dy, samples)
    shapes = None if low == high else {name: {1: Dim("n", min=low, max=high)} for name in "xy"}
    example = min(high, low + _EXAMPLE)
    x, y = (
        torch.zeros(1, example, dx, dtype=torch.float32),
        torch.zeros(1, example, dy, dtype=torch.float32),
    )
    frozen = _Quantiles(network).eval().requires_grad_(False)
    with torch.no_grad():
        return torch.export.export(frozen, (x, y), dynamic_shapes=shapes, strict=False)


def _checked_samples(samples: tuple[int, int]) -> tuple[int, int]:
    """Both numbers of samples, where they are two."""
    try:
        low, high = (operator.index(count) for count in samples)
    except (TypeError, ValueError):
        one = f"({samples}, {samples})" if isinstance(samples, int) else "(500, 500)"
        raise TypeError(
            f"expected samples as two ints, the least and the most, got {samples!r}; pass "
            f"samples={one} for one number alone, or a range such as (32, 1999)"
        ) from None
    return low, high


def _check_sizes(network: QuantileNetwork, dx: int, dy: int, samples: tuple[int, int]) -> None:
    low, high = samples
    trained = network.trained_range or TrainedRange()
    least, most = trained.n or (2, 2**31)
    if type(network) is MIST:
        least = max(least, network.config.inducing + 1)
    narrow, wide = trained.d or (1, 2**31)
    if not (least <= low <= high <= most) or (low < _DENSE <= high):
        raise ValueError(
            f"expected samples of {least} <= low <= high <= {most}, both below {_DENSE} or both "
            f"from there, got {samples}"
        )
    if not all(narrow <= d <= wide for d in (dx, dy)):
        raise ValueError(f"expected {narrow} to {wide} columns, got dx={dx} and dy={dy}")
