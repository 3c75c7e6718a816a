"""Mutual information as a metric of torchmetrics, accumulated over batches and processes.

Needs torchmetrics (``pip install 'torchmist-mi[metrics]'``). Legend: ``N`` samples, ``d`` columns.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from torchmist.checks import MIN_SAMPLES, check_finite, check_tensors, warn_once
from torchmist.estimation import MIEstimate, estimate
from torchmist.functional import Model
from torchmist.models.network import QuantileNetwork
from torchmist.samples.columns import Discrete
from torchmist.weights import check_name

try:
    from torchmetrics import Metric
    from torchmetrics.utilities import dim_zero_cat
except ImportError as error:
    raise ImportError(
        f"expected torchmetrics for torchmist.metrics, got {error}; install it with "
        f"pip install 'torchmist-mi[metrics]'"
    ) from error

__all__ = ["MutualInformation"]

_KEYS = 2**62


class MutualInformation(Metric):
    """I(X;Y) of the rows of all batches and processes, in nats.

    Every row gets a random key and the ``capacity`` rows of the largest keys are kept: a uniform
    sample without replacement (Efraimidis and Spirakis, *Information Processing Letters* 97, 2006,
    with equal weights). Such samples merge: the largest keys of several processes are the sample of
    all their rows. ``forward`` returns the value of its batch; ``compute`` that of all rows.

    Args:
        capacity: most rows kept, at least 4. Rows beyond it bound memory, not the estimate.
        model: a registered name, the path of a ``.safetensors`` file, or a ``MIST`` module.
        discrete_x: which columns of ``x`` are labels, as for :func:`torchmist.estimate`.
        discrete_y: the same for ``y``.
        seed: of the keys; processes draw from different streams of it.
        sync_on_compute: as for every metric of torchmetrics.

    Raises:
        TypeError: for a capacity or seed that is not an integer.
        ValueError: for a capacity below 4, a seed below 0, or an unknown model.

    Example:
        >>> metric = MutualInformation(capacity=500)
        >>> noise = torch.Generator().manual_seed(0)
        >>> for _ in range(4):
        ...     x = torch.randn(100, 1, generator=noise)
        ...     metric.update(x, x + torch.randn(100, 1, generator=noise))
        >>> 0.2 < float(metric.compute()) < 0.5  # the truth is log(2) / 2 = 0.347
        True
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = True  # forward must go through update, which bounds the rows kept

    x: list[Tensor]
    y: list[Tensor]
    keys: list[Tensor]

    def __init__(
        self,
        capacity: int = 5000,
        *,
        model: Model = "mist-fast",
        discrete_x: Discrete = "auto",
        discrete_y: Discrete = "auto",
        seed: int = 0,
        sync_on_compute: bool = True,
    ) -> None:
        super().__init__(sync_on_compute=sync_on_compute)
        for name, value, least in (("capacity", capacity, MIN_SAMPLES), ("seed", seed, 0)):
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"expected {name} to be an int, got {type(value).__name__}")
            if value < least:
                raise ValueError(f"expected {name} >= {least}, got {value}; raise it")
        if not isinstance(model, QuantileNetwork):
            check_name(model)
        self.capacity, self.seed = capacity, seed
        self._model = (model,)  # not a submodule: the estimator is no state of the metric
        self._discrete = (discrete_x, discrete_y)
        self._random: np.random.Generator | None = None
        self._found: MIEstimate | None = None
        for name in ("x", "y", "keys"):
            self.add_state(name, default=[], dist_reduce_fx="cat")
        # A state, so that a MetricCollection does not share the rows of different capacities.
        self.add_state("limit", default=torch.tensor(capacity), dist_reduce_fx="max")

    def update(self, x: Tensor, y: Tensor) -> None:
        """Add the rows of a batch, ``[N]`` or ``[N, d]`` each; integers are class labels.

        Raises:
            TypeError: for what is no tensor.
            ValueError: for other shapes, sides of different numbers of rows, or columns that are
                not those of the batches before; for labels where these held numbers, and numbers
                where they held labels; for NaN and infinite values. Nothing is kept then.
        """
        check_tensors(arrays="", x=x, y=y)
        for name, side in (("x", x), ("y", y)):
            if side.dim() not in (1, 2):
                raise ValueError(
                    f"expected {name} of shape [N] or [N, d], got {list(side.shape)}; flatten "
                    f"codes with {name}.flatten(1)"
                )
            before = getattr(self, name)
            if isinstance(before, list) and before:
                _check_like(name, side, before[0])
        if len(x) != len(y):
            raise ValueError(
                f"expected as many rows in x as in y, got {len(x)} and {len(y)}; row i of both is "
                f"one sample"
            )
        for name, side in (("x", x), ("y", y)):
            check_finite(side, name, "those rows in both x and y")
        drawn = self._generator().integers(_KEYS, size=len(x))
        keys = torch.from_numpy(drawn).to(x.device)
        new = (x.detach(), y.detach(), keys)
        self._keep([*self.x, new[0]], [*self.y, new[1]], [*self.keys, new[2]])

    def compute(self) -> Tensor:
        """The mean estimate in nats, 0-dim float32; NaN for fewer than four rows."""
        self._found = None
        if not len(self.keys):
            return self._nothing()
        self._keep_all()
        x, y = dim_zero_cat(self.x), dim_zero_cat(self.y)
        if len(x) < MIN_SAMPLES:
            return self._nothing()
        a, b = self._discrete
        self._found = estimate(x, y, model=self._model[0], discrete_x=a, discrete_y=b)
        return torch.tensor(self._found.mean, dtype=torch.float32, device=self.device)

    def interval(self, level: float = 0.9) -> tuple[float, float]:
        """The central interval of all rows, in nats; call it on every process, as ``compute``.

        Raises:
            ValueError: for a level outside (0, 1), and for fewer than four rows.
        """
        self.compute()
        if self._found is None:
            raise ValueError(
                f"expected at least {MIN_SAMPLES} rows for an interval, got fewer; call update "
                f"with more rows first"
            )
        low, high = self._found.interval(level)
        return float(low), float(high)

    def _generator(self) -> np.random.Generator:
        """Made at the first update, when the rank is known; ``reset`` goes on in its stream."""
        if self._random is None:
            there = torch.distributed.is_available() and torch.distributed.is_initialized()
            rank = torch.distributed.get_rank() if there else 0
            self._random = np.random.default_rng([self.seed, rank])
        return self._random

    def _keep_all(self) -> None:
        """Bound the rows after a synchronisation, which leaves tensors in the place of lists."""
        self._keep(*([dim_zero_cat(state)] for state in (self.x, self.y, self.keys)))

    def _keep(self, x: list[Tensor], y: list[Tensor], keys: list[Tensor]) -> None:
        order = torch.cat(keys)
        sides = torch.cat(x), torch.cat(y)
        if len(order) > self.capacity:
            kept = order.topk(self.capacity).indices
            order, sides = order[kept], (sides[0][kept], sides[1][kept])
        self.x, self.y, self.keys = [sides[0]], [sides[1]], [order]

    def _nothing(self) -> Tensor:
        warn_once(f"torchmist: fewer than {MIN_SAMPLES} rows have no estimate: the metric is NaN")
        return torch.tensor(torch.nan, device=self.device, dtype=torch.float32)


def _check_like(name: str, side: Tensor, before: Tensor) -> None:
    """Raise unless the columns of a batch are those of one ``before``, in number and kind."""
    if before.shape[1:] != side.shape[1:]:
        raise ValueError(
            f"expected {name} with the columns of the batches before, "
            f"{['N', *before.shape[1:]]}, got {list(side.shape)}; call reset first"
        )
    if before.is_floating_point() != side.is_floating_point():
        raise ValueError(
            f"expected {name} of {before.dtype} as in the batches before, got {side.dtype}: "
            f"integers are class labels and floating point are numbers; cast {name} with "
            f".{'float' if before.is_floating_point() else 'long'}(), or call reset first"
        )
