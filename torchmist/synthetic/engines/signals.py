"""Signals: columns are times and channels of waveforms with stationary noise.

Both sides are windows of sensors that see one item (``signals_items``) or one Gaussian process
(``signals_processes``), or Y is a few numbers or a label of the item. Noise is white, slow or a
random walk under white noise (``signals_noise``), and is whitened exactly.

Legend: ``B`` datasets, ``N`` samples, ``dx``, ``dy`` columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from torchmist.synthetic.engines.codes_manifolds import ManifoldParameters, sample_codes
from torchmist.synthetic.engines.codes_random import Random
from torchmist.synthetic.engines.family import Family, check_sizes
from torchmist.synthetic.engines.signals_items import (
    Shown,
    WaveSide,
    draw_items,
    items_information,
)
from torchmist.synthetic.engines.signals_processes import (
    ProcessParameters,
    draw_processes,
    processes_information,
    sample_processes,
)

__all__ = ["SignalParameters", "Signals"]

_PROCESSES = 0.2
_LABELS, _MOST_LABELS = 0.3, 32  # of the other calls, where the sizes allow it
_NUMBERS, _MOST_NUMBERS = 0.3, 12


@dataclass(frozen=True)
class SignalParameters:
    """Waveforms of items or processes; ``swapped``: X and Y change places once sampled."""

    law: ManifoldParameters[WaveSide] | ProcessParameters
    swapped: bool


class Signals(Family[SignalParameters]):
    """Windows of two sensors, or of one against numbers or labels of what it sees.

    The kind of a call is shared by its datasets. A tenth of the datasets are independent.
    """

    name = "signals"

    def draw(self, batch: int, dx: int, dy: int, *, generator: torch.Generator) -> SignalParameters:
        """Draw the parameters of ``batch`` distributions of ``dx`` and ``dy`` columns."""
        check_sizes(batch=batch, dx=dx, dy=dy)
        random = Random(batch, generator)
        u = random.choices(3)
        if u[0] < _PROCESSES:
            return SignalParameters(draw_processes(random, dx, dy), False)
        shown: Shown = "waves"
        most = max(dx, dy)
        if u[1] < _LABELS and min(dx, dy) <= _MOST_LABELS:
            shown, most = "label", _MOST_LABELS
        elif _LABELS <= u[1] < _LABELS + _NUMBERS and min(dx, dy) <= _MOST_NUMBERS:
            shown, most = "numbers", _MOST_NUMBERS
        swapped = dy > most if max(dx, dy) > most else u[2] < 0.5
        if swapped:
            dx, dy = dy, dx
        return SignalParameters(draw_items(random, dx, dy, shown=shown), swapped)

    def sample_from(
        self, parameters: SignalParameters, n: int, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw ``n`` rows of each distribution: X ``[B, N, dx]`` and Y ``[B, N, dy]``, float32."""
        law = parameters.law
        if isinstance(law, ManifoldParameters):
            x, y = sample_codes(law, n, generator)
        else:
            x, y = sample_processes(law, n, generator)
        return (y, x) if parameters.swapped else (x, y)

    def information(
        self, parameters: SignalParameters, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return I(X;Y) in nats and its standard error, both ``[B]`` float64."""
        law = parameters.law
        if isinstance(law, ManifoldParameters):
            return items_information(law, generator)
        return processes_information(law)
