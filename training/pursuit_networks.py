"""Encoders and decoders of many pursuits as one batch, all weights of a pursuit in one row.

Legend: ``E`` pursuits, ``N`` rows, ``R`` dimensions of a source, ``D = max(dx, dy)`` columns of a
code, ``W`` hidden units, ``P`` weights of a pursuit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["WIDTH", "Networks", "decode", "encode"]

WIDTH = 64


@dataclass(frozen=True)
class Networks:
    """Two encoders of one or two hidden layers and a decoder of one, for each pursuit.

    The weights of a pursuit are a row of ``[E, P]``: those of both encoders, layer by layer, then
    those of the decoder.
    """

    source: int
    code: int

    @property
    def shapes(self) -> tuple[tuple[int, int, int], ...]:
        """(networks, inputs, outputs) of each affine layer; the inputs include the bias."""
        return (
            (2, self.source + 1, WIDTH),
            (2, WIDTH + 1, WIDTH),
            (2, WIDTH + 1, self.code),
            (1, 2 * self.code + 1, WIDTH),
            (1, WIDTH + 1, self.source),
        )

    @property
    def size(self) -> int:
        """Weights of a pursuit."""
        return sum(math.prod(shape) for shape in self.shapes)

    def draw(self, gain: Tensor, generator: torch.Generator) -> Tensor:
        """Weights ``[E, P]`` at the start; ``gain`` ``[E]`` multiplies those of hidden layers."""
        device = generator.device
        noise = torch.randn(len(gain), self.size, generator=generator, device=device)
        scale = torch.cat([
            torch.full((math.prod(shape),), (shape[1] - 1) ** -0.5, device=device)
            for shape in self.shapes
        ])  # fmt: skip
        hidden = 2 * math.prod(self.shapes[0][1:]) + 2 * math.prod(self.shapes[1][1:])
        first = torch.arange(self.size, device=device) < hidden
        return noise * scale * torch.where(first, gain[:, None], 1.0)

    def layers(self, weights: Tensor) -> list[Tensor]:
        """Affine layers ``[2E or E, inputs, outputs]``, the bias in the last row of inputs."""
        parts = weights.split([math.prod(shape) for shape in self.shapes], 1)
        return [part.reshape(-1, *shape[1:]) for part, shape in zip(parts, self.shapes)]


def affine(x: Tensor, layer: Tensor) -> Tensor:
    """``x`` ``[B, N, in]`` through ``layer`` ``[B, in + 1, out]``."""
    return torch.baddbmm(layer[:, -1:], x, layer[:, :-1])


def activate(x: Tensor, kind: Tensor) -> Tensor:
    """tanh, GELU or ReLU where ``kind`` ``[B, 1, 1]`` is 0, 1 or 2."""
    smooth = torch.where(kind == 0, x.tanh(), torch.nn.functional.gelu(x))
    return torch.where(kind == 2, x.relu(), smooth)


def encode(layers: list[Tensor], x: Tensor, kind: Tensor, deep: Tensor) -> Tensor:
    """Codes ``[2E, N, D]`` of ``x`` ``[2E, N, R]``: the first E for X, the others for Y."""
    hidden = activate(affine(x, layers[0]), kind)
    hidden = torch.where(deep, activate(affine(hidden, layers[1]), kind), hidden)
    return affine(hidden, layers[2])


def decode(layers: list[Tensor], codes: Tensor, kind: Tensor) -> Tensor:
    """Sources ``[E, N, R]`` that the decoders read from both codes ``[E, N, 2D]``."""
    return affine(activate(affine(codes, layers[3]), kind), layers[4])
