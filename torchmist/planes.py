"""The information plane: what the layers of a network tell of the target and of the input.

For a code T = f(X) of a layer, the plane of Shwartz-Ziv and Tishby (2017, arXiv:1703.00810) shows
I(T;Y) over I(X;T), epoch after epoch. Where f is a deterministic function of a continuous input,
I(X;T) is infinite, or the entropy of the data if the input is discrete: no estimate of it means
anything. What is measured is another variable, which the user has to choose, and the picture
depends on the choice (Saxe et al. 2018, ICLR, "On the information bottleneck theory of deep
learning"):

- ``noise``: T = f(X) + sigma e with standard normal e, added for the measurement alone. X reaches T
  through f(X) only, so that I(X;T) = I(f(X);T), which is what is estimated.
- ``bins``: T is the cell of f(X) in a grid of equal bins from the least to the largest value of
  the layer. T is a function of X, so that I(X;T) = H(T), which cannot exceed log N.

Legend: ``N`` rows kept, ``d`` units of a layer.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from torchmist.checks import FLOATS, MIN_SAMPLES, check_count, check_finite, check_tensors
from torchmist.estimation import MIEstimate, estimate
from torchmist.functional import Model

__all__ = ["InformationPlane", "PlaneRecord", "trainer_callback"]

_KEYS = 2**62


@dataclass(frozen=True)
class PlaneRecord:
    """One layer at one epoch: estimates in nats with the ends of their 90 % intervals.

    ``input``: I(X;T); ``target``: I(T;Y); ``samples``: rows that were used.
    """

    epoch: float
    layer: str
    samples: int
    input: float
    input_low: float
    input_high: float
    target: float
    target_low: float
    target_high: float

    def values(self) -> dict[str, float]:
        """The six numbers by name, for a logger."""
        names = ("input", "target")
        return {f"{n}{end}": getattr(self, n + end) for n in names for end in ("", "_low", "_high")}


class InformationPlane:
    """Records codes of named layers, and estimates where they lie in the information plane.

    Args:
        model: the network; it is called as ``model(x)``, or ``model(**x)`` for a mapping.
        layers: names of submodules, as in ``model.named_modules()``.
        noise: standard deviation of the noise of the measurement, in units of the codes.
        bins: number of bins of every unit. One of ``noise`` and ``bins`` has to be chosen.
        capacity: most rows used; a uniform sample of those observed, the same at every epoch if
            the rows come in the same order.
        estimator: a registered name (``"mist-fast"``, ``"mist"``), a path, or a ``MIST`` module.
        seed: of the sample of rows and of the noise.

    Raises:
        ValueError: unless exactly one of ``noise`` and ``bins`` is given and is large enough; for
            layers that the model does not have; for a capacity below 4.

    Example:
        >>> model = nn.Sequential(nn.Linear(3, 2), nn.Tanh())
        >>> plane = InformationPlane(model, ["1"], noise=0.3)
        >>> x = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
        >>> plane.observe(x, x[:, 0])
        >>> [record] = plane.measure(epoch=0)
        >>> record.samples, record.input_low <= record.input <= record.input_high
        (200, True)
    """

    def __init__(
        self,
        model: nn.Module,
        layers: Sequence[str],
        *,
        noise: float | None = None,
        bins: int | None = None,
        capacity: int = 2000,
        estimator: Model = "mist-fast",
        seed: int = 0,
    ) -> None:
        check_choice(noise, bins)
        check_count(capacity, "capacity", MIN_SAMPLES)
        check_count(seed, "seed", 0)
        if not isinstance(model, nn.Module):
            raise TypeError(f"expected model to be an nn.Module, got {type(model).__name__}")
        there = dict(model.named_modules())
        missing = [name for name in layers if name not in there]
        if missing or not layers or isinstance(layers, str):
            raise ValueError(
                f"expected layers to be a list of names of submodules, got {layers!r}; the model "
                f"has {', '.join(repr(name) for name in list(there)[1:13])}"
            )
        self.model, self.layers = model, tuple(layers)
        self.noise, self.bins, self.capacity = noise, bins, capacity
        self.estimator, self.seed = estimator, seed
        self.records: list[PlaneRecord] = []
        self._start()

    def _start(self) -> None:
        # Not torch's generator: data drawn there with the same seed would equal the noise.
        self._random = np.random.default_rng([self.seed, 0])
        self._rows: dict[str, Tensor] = {}

    def observe(self, x: Any, y: Tensor) -> None:
        """Run the model on a batch, in evaluation mode without gradients, and keep the codes.

        Codes of more than two axes are flattened to ``[N, d]``; of a tuple the first tensor counts.
        The modes of all modules are as before afterwards, and no hook stays.

        Args:
            x: what the model takes: a tensor, or a mapping of keyword arguments. They go to its
                device, and floats of a dtype that none of its parameters has to that of the first.
            y: target ``[N]`` or ``[N, d]``; integers are class labels.

        Raises:
            ValueError: if a layer is not reached, has no row for each of ``y``, or is not finite.
            TypeError: if ``y`` is no tensor, or the output of a layer holds none.
        """
        check_tensors(arrays="", y=y)
        codes: dict[str, Tensor] = {}
        with ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            for name in self.layers:
                layer = self.model.get_submodule(name)
                stack.callback(layer.register_forward_hook(_recorder(codes, name)).remove)
            for module in self.model.modules():
                stack.callback(setattr, module, "training", module.training)
            self.model.eval()
            x = _fitted(x, self.model)
            self.model(**x) if isinstance(x, Mapping) else self.model(x)
        for name in self.layers:
            if name not in codes:
                raise ValueError(f"expected the model to run layer {name!r}, it did not; drop it")
            if codes[name].dim() < 1 or len(codes[name]) != len(y):
                raise ValueError(
                    f"expected one row for each of the {len(y)} of y in the code of {name!r}, got "
                    f"shape {list(codes[name].shape)}; name a layer whose first axis is the sample"
                )
            check_finite(codes[name], f"the code of {name!r}", "those rows of the batch")
        check_finite(y, "y", "those rows of the batch")
        self._add(codes, y.detach().cpu())

    def _add(self, codes: dict[str, Tensor], y: Tensor) -> None:
        keys = torch.from_numpy(self._random.integers(_KEYS, size=len(y)))
        new = {f"code {name}": codes[name] for name in self.layers} | {"y": y, "keys": keys}
        if self._rows:
            new = {name: torch.cat([self._rows[name], value]) for name, value in new.items()}
        if len(new["keys"]) > self.capacity:
            kept = new["keys"].topk(self.capacity).indices
            new = {name: value[kept] for name, value in new.items()}
        self._rows = new

    def measure(self, epoch: float) -> list[PlaneRecord]:
        """Estimate both coordinates of every layer from the rows observed, and start anew.

        Raises:
            ValueError: if fewer than four rows were observed since the last measurement.
        """
        found = len(self._rows.get("keys", ()))
        if found < MIN_SAMPLES:
            raise ValueError(
                f"expected at least {MIN_SAMPLES} rows to measure, got {found}; call observe first"
            )
        new = []
        for name in self.layers:
            of_input, of_target = self._coordinates(self._rows[f"code {name}"], self._rows["y"])
            new.append(PlaneRecord(epoch, name, found, *_ends(of_input), *_ends(of_target)))
        self.records.extend(new)
        self._start()
        return new

    def _coordinates(self, code: Tensor, y: Tensor) -> tuple[MIEstimate, MIEstimate]:
        """I(X;T) and I(T;Y) of codes ``[N, d]``."""
        if self.bins is not None:
            cell = grid_cells(code, self.bins)
            return (
                estimate(cell, cell, discrete_x=True, discrete_y=True),
                estimate(cell, y, model=self.estimator, discrete_x=True),
            )
        assert self.noise is not None
        draw = np.random.default_rng([self.seed, 1]).standard_normal(tuple(code.shape))
        noisy = code + self.noise * torch.from_numpy(draw).to(code)
        return (
            estimate(code, noisy, model=self.estimator, discrete_x=False, discrete_y=False),
            estimate(noisy, y, model=self.estimator, discrete_x=False),
        )

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """The plane as a matplotlib figure: one path a layer, from light (first) to dark (last).

        Bars are 90 % intervals of the last epoch, where they are finite. ``path``: a file to write.

        Raises:
            ValueError: before the first measurement.
            ImportError: without matplotlib.
        """
        from torchmist.figures.information_plane import plane_figure

        return plane_figure(self.records, self.layers, self._choice(), path)

    def _choice(self) -> str:
        return f"noise {self.noise:g}" if self.bins is None else f"{self.bins} bins"


def check_choice(noise: float | None, bins: int | None) -> None:
    """Raise unless noise above 0 or at least two bins were chosen, not both."""
    if (noise is None) == (bins is None):
        raise ValueError(
            f"expected either noise= or bins=, got noise={noise} and bins={bins}: for a "
            f"deterministic layer I(X;T) is infinite (or the entropy of the data), so choose what "
            f"is measured: noise=sigma adds normal noise to the codes, bins=k cuts every unit into "
            f"k bins"
        )
    for name, value, kind in (("noise", noise, Real), ("bins", bins, Integral)):
        if value is not None and not isinstance(value, kind):
            number = "an int" if name == "bins" else "a number"
            raise TypeError(f"expected {name} to be {number}, got {type(value).__name__}")
    if noise is not None and not 0 < noise < float("inf"):
        raise ValueError(f"expected noise > 0, got {noise}; it is a standard deviation")
    if bins is not None and bins < 2:
        raise ValueError(f"expected bins >= 2, got {bins}; 30 is common")


def grid_cells(code: Tensor, bins: int) -> Tensor:
    """The cell of each row of codes ``[N, d]`` in a grid of equal bins, ``[N]`` int64 from 0.

    Example:
        >>> grid_cells(torch.tensor([[0.0, 0.1], [0.9, 1.0], [0.1, 0.0]]), 2).tolist()
        [0, 1, 0]
    """
    low, high = code.min(), code.max()
    scaled = (code - low) / (high - low).clamp(min=torch.finfo(code.dtype).tiny)
    cells = (scaled * bins).long().clamp(max=bins - 1)
    found: Tensor = cells.unique(dim=0, return_inverse=True)[1]
    return found.flatten()


def trainer_callback(
    plane: InformationPlane,
    data: Iterable[tuple[Any, Tensor]],
    path: str | os.PathLike[str] | None = None,
) -> Any:
    """A callback for the ``Trainer`` of Hugging Face transformers.

    At the end of every epoch ``plane`` observes the batches ``(x, y)`` of ``data`` and measures;
    the values go to ``state.log_history`` as ``plane/<layer>/<value>``. The figure is written to
    ``path`` at the end of training, in a folder that is made if need be.

    Raises:
        ImportError: without transformers.
        TypeError: for ``data`` that can be iterated once only, such as a generator.
    """
    check_batches(data)
    try:
        from transformers import TrainerCallback
    except ImportError as error:
        raise ImportError(
            f"expected transformers for the callback of its Trainer, got {error}; install it with "
            f"pip install transformers"
        ) from error

    class PlaneCallback(TrainerCallback):  # type: ignore[misc, unused-ignore]
        def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            values = measure_all(plane, data, float(state.epoch))
            state.log_history.append({"epoch": state.epoch, "step": state.global_step, **values})

        def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            draw_records(plane, path)

    return PlaneCallback()


def check_batches(data: Any) -> None:
    """Raise ``TypeError`` for ``data`` that can be iterated once only."""
    if isinstance(data, Iterator):
        raise TypeError(
            f"expected data to iterate anew at every measurement, got {type(data).__name__}, which "
            f"is used up by the first; pass a DataLoader, or list(...) of the batches"
        )


def draw_records(plane: InformationPlane, path: str | os.PathLike[str] | None) -> None:
    """Draw what was measured, if anything was, to ``path``, in a folder that is made if need be."""
    if path is not None and plane.records:
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        plane.plot(path)


def measure_all(
    plane: InformationPlane, data: Iterable[tuple[Any, Tensor]], epoch: float
) -> dict[str, float]:
    """Observe all batches of ``data`` and measure: ``plane/<layer>/<value>`` to nats."""
    for x, y in data:
        plane.observe(x, y)
    records = plane.measure(epoch)
    return {f"plane/{r.layer}/{name}": value for r in records for name, value in r.values().items()}


def _recorder(codes: dict[str, Tensor], name: str) -> Any:
    """A forward hook that keeps the first output tensor as ``[N, d]`` on the CPU."""

    def hook(module: nn.Module, inputs: Any, output: Any) -> None:
        while isinstance(output, (tuple, list)) and output:
            output = output[0]
        if not isinstance(output, Tensor):
            raise TypeError(
                f"expected layer {name!r} to return a tensor, got {type(output).__name__}; name a "
                f"layer inside of it"
            )
        code = output.detach().float().cpu()
        codes[name] = code.flatten(1) if code.dim() > 1 else code.reshape(-1, 1)

    return hook


def _fitted(x: Any, model: nn.Module) -> Any:
    """Tensors on the device of a model, floats in a dtype of its parameters; all else as it is."""
    if isinstance(x, Mapping):
        return {name: _fitted(value, model) for name, value in x.items()}
    first = next(model.parameters(), None)
    if not isinstance(x, Tensor) or first is None:
        return x
    dtypes = [p.dtype for p in model.parameters() if p.dtype in FLOATS]
    foreign = x.is_floating_point() and dtypes and x.dtype not in dtypes
    return x.to(first.device, dtypes[0] if foreign else x.dtype)


def _ends(found: MIEstimate) -> tuple[float, float, float]:
    low, high = found.interval(0.9)
    return float(found.mean), float(low), float(high)
