"""Error and coverage on the validation set, by range of N."""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import Tensor

from torchmist.models.mist import MIST
from training.config import TrainConfig
from training.data import validation_batches

__all__ = ["RANGES", "coverage", "range_of", "validate"]

RANGES = {
    "10-100": (10, 100),
    "100-300": (100, 300),
    "300-500": (300, 501),
    "500-5000": (501, 5001),
}


def range_of(n: int) -> str:
    """Name of the range of N that ``n`` lies in, as in the paper's table."""
    for name, (low, high) in RANGES.items():
        if low <= n < high:
            return name
    raise ValueError(f"expected 10 <= n <= 5000, got {n}")


def coverage(quantiles: Tensor, mi: Tensor, levels: Tensor, level: float = 0.9) -> Tensor:
    """Whether the central interval of ``level`` holds the truth, ``[B]`` bool.

    ``quantiles`` ``[B, Q]`` at ``levels`` ``[Q]`` are interpolated linearly in the level.
    """
    tails = ((1 - level) / 2, (1 + level) / 2)
    low, high = (interpolate(quantiles, levels, tail) for tail in tails)
    return (low <= mi) & (mi <= high)


def interpolate(quantiles: Tensor, levels: Tensor, level: float) -> Tensor:
    """The quantile at ``level``, linear between those at hand, ``[B]``."""
    right = int(torch.searchsorted(levels, level).clamp(1, len(levels) - 1))
    share = (level - levels[right - 1]) / (levels[right] - levels[right - 1])
    return torch.lerp(quantiles[:, right - 1], quantiles[:, right], share.clamp(0, 1))


@torch.no_grad()
def validate(model: MIST, config: TrainConfig, device: torch.device) -> dict[str, float]:
    """MSE (nats^2), median absolute error (nats) and 90 % coverage in each range of N."""
    squared, absolute, covered = defaultdict(list), defaultdict(list), defaultdict(list)
    for n, batch in validation_batches(config, device):
        quantiles = model(batch.x, batch.y)
        error = quantiles.mean(-1) - batch.mi
        key = range_of(n)
        squared[key].append(error.square())
        absolute[key].append(error.abs())
        covered[key].append(coverage(quantiles, batch.mi, model.levels).float())
    out = {}
    for key in squared:
        out[f"mse_{key}"] = torch.cat(squared[key]).mean().item()
        out[f"median_{key}"] = torch.cat(absolute[key]).median().item()
        out[f"coverage_{key}"] = torch.cat(covered[key]).mean().item()
    return out
