r"""Random maps: networks of one or two hidden layers, linear maps, or what is given.

Legend: ``B`` datasets, ``M`` rows, ``q`` inputs, ``m`` outputs, ``H`` hidden units.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional

from torchmist.synthetic.engines.codes_random import Random

__all__ = ["ACTIVATIONS", "Network", "draw_network", "random_map"]

ACTIVATIONS: tuple[Callable[[Tensor], Tensor], ...] = (
    torch.tanh,
    torch.sin,
    torch.relu,
    functional.gelu,
    functional.leaky_relu,
)


@dataclass(frozen=True)
class Network:
    """Networks, one a dataset: ``weights`` ``[B, q, H]``, ... ``[B, H, m]`` with ``biases``
    ``[B, 1, H]``, ... and the number of the ``activation`` between layers."""

    weights: tuple[Tensor, ...]
    biases: tuple[Tensor, ...]
    activation: int

    def __call__(self, values: Tensor) -> Tensor:
        """``[B, M, m]`` of ``values`` ``[B, M, q]``."""
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            if layer:
                values = ACTIVATIONS[self.activation](values)
            values = torch.baddbmm(bias, values, weight)
        return values


def draw_network(random: Random, inputs: int, outputs: int, *, activations: int = 5) -> Network:
    """Random networks with biases.

    Hidden layers (one or two), width (16 to 64) and activation, one of the first ``activations``,
    are shared by a call. The gain, log-uniform in 0.5 to 2.5, differs by dataset: it is the
    standard deviation of the first hidden layer for one input of variance 1.
    """
    u = random.choices(3)
    hidden = [16 + int(u[0] * 48)] * (1 if u[1] < 0.5 else 2)
    sizes = [inputs, *hidden, outputs]
    gain = random.log_uniform(0.5, 2.5, 1, 1)
    weights, biases = [], []
    for layer, (q, m) in enumerate(pairwise(sizes)):
        size = 1.0 if layer == len(hidden) else gain * (min(math.sqrt(q), 2.0) if layer == 0 else 1)
        weights.append(size / math.sqrt(q) * random.normal(q, m))
        biases.append(0.5 * size * random.normal(1, m))
    return Network(tuple(weights), tuple(biases), int(u[2] * activations))


def random_map(random: Random, source: Tensor, outputs: int) -> Tensor:
    """Items ``source`` ``[B, M, q]`` as ``outputs`` columns ``[B, M, outputs]``, of variance 1 on
    average over the columns.

    Seven in ten datasets have networks, a fifth linear maps, a tenth show the source itself.
    """
    inputs = source.shape[-1]
    curved = draw_network(random, inputs, outputs)(source)
    straight = source @ random.normal(inputs, outputs)
    shown = source[..., torch.arange(outputs, device=source.device) % inputs]
    kind = random.uniform(1, 1)
    out = torch.where(kind < 0.7, curved, torch.where(kind < 0.9, straight, shown))
    out = out - out.mean(1, keepdim=True)
    return out / out.square().mean((1, 2), keepdim=True).sqrt().clamp(min=1e-6)
