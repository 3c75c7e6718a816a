"""The information plane as a callback of PyTorch Lightning; needs ``pip install lightning``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

from torchmist import planes
from torchmist.functional import Model

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
except ImportError as error:
    raise ImportError(
        f"expected lightning for torchmist.lightning, got {error}; install it with "
        f"pip install lightning"
    ) from error

__all__ = ["InformationPlane"]


class InformationPlane(Callback):
    """Logs I(X;T) and I(T;Y) of named layers with intervals per epoch, and draws them at the end.

    The logged names are ``plane/<layer>/input``, ``input_low``, ``input_high`` and the same for
    ``target``, in nats. ``plane`` is the :class:`torchmist.planes.InformationPlane` with all
    records, made when the fit starts; with several processes each one measures the same rows.

    Args:
        layers: names of submodules of the ``LightningModule``.
        data: batches ``(x, y)``, iterated anew at every measurement, for example a ``DataLoader``.
        noise: as for :class:`torchmist.planes.InformationPlane`; or choose ``bins``.
        bins: the same.
        capacity: most rows used.
        estimator: the weights.
        seed: of the sample of rows and of the noise.
        every: epochs from one measurement to the next.
        path: where the figure goes at the end of the fit, in a folder that is made if need be; None
            draws nothing.

    Raises:
        ValueError: unless exactly one of ``noise`` and ``bins`` is given; for ``every`` below 1.
        TypeError: for ``data`` that can be iterated once only, such as a generator.
    """

    def __init__(
        self,
        layers: Sequence[str],
        data: Iterable[Any],
        *,
        noise: float | None = None,
        bins: int | None = None,
        capacity: int = 2000,
        estimator: Model = "mist-fast",
        seed: int = 0,
        every: int = 1,
        path: str | os.PathLike[str] | None = None,
    ) -> None:
        planes.check_choice(noise, bins)
        planes.check_batches(data)
        if every < 1:
            raise ValueError(f"expected every >= 1, got {every}; it counts epochs")
        self.layers, self.data, self.every, self.path = layers, data, every, path
        self.noise, self.bins, self.capacity = noise, bins, capacity
        self.estimator, self.seed = estimator, seed
        self.plane: planes.InformationPlane | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find the layers."""
        self.plane = planes.InformationPlane(
            pl_module, self.layers, noise=self.noise, bins=self.bins, capacity=self.capacity,
            estimator=self.estimator, seed=self.seed,
        )  # fmt: skip

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure and log."""
        if self.plane is None or trainer.current_epoch % self.every:
            return
        pl_module.log_dict(planes.measure_all(self.plane, self.data, trainer.current_epoch))

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw, on the first process."""
        if self.plane is not None and trainer.is_global_zero:
            planes.draw_records(self.plane, self.path)
