"""Parameters of the law of noisy functions: what they are, and draws of the noise and the classes.

Legend: ``B`` datasets, ``P`` functions, ``J`` branches, ``k`` classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from torchmist.synthetic.engines.functions_columns import uniform
from torchmist.synthetic.engines.functions_shapes import Shapes

__all__ = ["FunctionParameters", "draw_labels", "draw_noise"]


@dataclass(frozen=True)
class FunctionParameters:
    """Noisy functions of a batch; what all its datasets share is not a tensor."""

    channel: str
    shapes: Shapes
    swapped: bool
    hot: bool  # classes are shown as indicator columns
    dims: tuple[int, int]  # columns of the side of s and of the side of the function
    extra: tuple[int, int]  # redundant columns of both
    mixed: tuple[float, float]  # share of datasets whose core columns are mixed, of both
    kind: Tensor  # [B, P, 1], 0 to 2: normal, Laplace or uniform noise
    scale: Tensor  # [B, P, 1], of the noise
    spread: Tensor  # [3, B, P, 1], log scale on the first coordinate, its size, and the function
    gain: Tensor  # [B, P, 1, J], of each branch on the function
    tilt: Tensor  # [B, P, 1, J], of each branch on the first coordinate
    weight: Tensor  # [B, P, 1, J], sums to 1
    thresholds: Tensor  # [B, P, 1, k - 1], inf beyond the classes in use
    classes: Tensor  # [B, P, 1], float
    flip: Tensor  # [B, P, 1]
    codes: Tensor  # [B, P, k], number shown for each class
    independent: Tensor  # [B], bool


def draw_noise(
    channel: str, batch: int, functions: int, generator: torch.Generator
) -> dict[str, Tensor]:
    """Kind and scale of the noise, and the branches: the arguments of the parameters."""
    size = (batch, functions)

    def rand(*shape: int) -> Tensor:
        return uniform(*size, *shape, generator=generator)

    kind = (3.5 * rand(1) - 1.5).clamp(0, 2.5).floor()  # normal in more than half
    lowest = {"plain": 0.015, "spread": 0.05, "joint": 0.12}.get(channel, 0.03)
    scale = lowest * (3 / lowest) ** rand(1)
    if channel == "joint":
        kind = torch.zeros_like(kind)
    one = torch.ones(*size, 1, 1, device=generator.device)
    spread = torch.zeros(3, *size, 1, device=generator.device)
    gain, tilt, weight = one, torch.zeros_like(one), one
    if channel == "spread":
        which = (3 * rand(1)).floor()
        steep = (0.3 + 1.2 * rand(1)) * (rand(1) - 0.5).sign()
        spread = torch.stack([steep * (which == i) for i in range(3)])
        alone = (rand(1, 1) < 0.4) & (which < 2)[..., None]  # Y shows s by its scale only
        gain = torch.where(alone, 0.0, gain)
        scale = torch.where(alone[..., 0], 1.0, scale)
    elif channel == "branches":
        mirrored, third = rand(1, 1) < 0.5, rand(1, 1) < 0.35
        slope = (0.5 + 1.5 * rand(1, 1)) * (rand(1, 1) - 0.5).sign()
        gain = torch.cat((one, torch.where(mirrored, -one, 0 * one), -one * ~mirrored), -1)
        tilt = torch.cat((0 * one, slope * ~mirrored, slope * mirrored), -1)
        weight = torch.cat((one, 0.2 + rand(1, 1), third * (0.2 + rand(1, 1))), -1)
        weight = weight / weight.sum(-1, keepdim=True)
    return {
        "kind": kind,
        "scale": scale,
        "spread": spread,
        "gain": gain,
        "tilt": tilt,
        "weight": weight,
    }


def draw_labels(
    batch: int, functions: int, most: int, hot: bool, generator: torch.Generator
) -> dict[str, Tensor]:
    """Thresholds, flips and codes of classes: the arguments of the parameters."""

    def rand(*shape: int) -> Tensor:
        return uniform(batch, functions, *shape, generator=generator)

    classes = (2 + (most - 1) * rand(1).square()).floor()
    if hot:
        classes = torch.full_like(classes, most)
    index = torch.arange(1, most, device=generator.device)
    level = (index - 0.5 + rand(1, most - 1)) / classes[..., None]
    thresholds = torch.special.ndtri(level.clamp(0.02, 0.98))
    thresholds = thresholds.sort(-1).values.masked_fill(index >= classes[..., None], math.inf)
    order = rand(most).argsort(-1).float()
    shuffled = (rand(1) < 0.5) & (not hot)
    codes = torch.where(shuffled, order, torch.arange(most, device=generator.device).float())
    clean = rand(1) < 0.2
    flip = torch.where(clean, 0.0, 0.005 * 180 ** rand(1))  # to 0.9
    return {"thresholds": thresholds, "classes": classes, "flip": flip, "codes": codes}
