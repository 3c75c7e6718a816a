"""The stream of training batches and the fixed validation set.

Everything drawn is a function of the seed and the step, so a resumed run sees the same data, and
so does a run on any number of processes: each draws the whole batch and keeps its share.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from torchmist.synthetic import Batch, PaperMeta
from training.config import TrainConfig

__all__ = ["VALIDATION_SIZES", "batch_shape", "training_batch", "validation_batches"]

VALIDATION_SIZES = (12, 30, 60, 90, 120, 200, 280, 350, 420, 500)


def _generator(device: torch.device, *key: int) -> torch.Generator:
    """A generator seeded by a tuple of integers (splitmix64 of each in turn)."""
    state = 0
    for word in key:
        state = (state + word + 0x9E3779B97F4A7C15) % 2**64
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) % 2**64
        state ^= state >> 31
    return torch.Generator(device).manual_seed(state % 2**63)


def _spread(bounds: tuple[int, int], uniform: bool, u: float) -> int:
    """An integer within ``bounds`` from ``u`` in [0, 1), uniform or log-uniform."""
    low, high = bounds
    if uniform:
        return low + int(u * (high - low + 1))
    return min(high, int(low * math.exp(u * math.log((high + 1) / low))))


def batch_shape(config: TrainConfig, step: int) -> tuple[int, int, int]:
    """Datasets, samples and dimension of a step; N and d half uniform, half log-uniform."""
    u = torch.rand(4, generator=_generator(torch.device("cpu"), config.seed, step, 0)).tolist()
    n = _spread(config.samples, u[0] < 0.5, u[1])
    dim = _spread(config.dims, u[2] < 0.5, u[3])
    batch = config.batch_cost // (n * (dim + 16) + 12 * dim * dim) // 8 * 8
    return min(max(batch, config.batch_range[0]), config.batch_range[1]), n, dim


def training_batch(
    config: TrainConfig, step: int, device: torch.device, rank: int = 0, world: int = 1
) -> Batch:
    """This process's share of the batch of a step, made on ``device``."""
    count, n, dim = batch_shape(config, step)
    generator = _generator(device, config.seed, step, 1)
    batch = PaperMeta().sample(count, n, dim, generator=generator)
    part = slice(rank * count // world, (rank + 1) * count // world)
    return Batch(batch.x[part], batch.y[part], batch.mi[part], batch.family[part])


def validation_batches(config: TrainConfig, device: torch.device) -> Iterator[tuple[int, Batch]]:
    """Held-out draws of the training families over a grid of N and d, with their N."""
    least, most = config.dims
    dims = [round(least + (most - least) * q) for q in (0.05, 0.35, 0.65, 0.95)]
    for n in (n for n in VALIDATION_SIZES if n <= config.samples[1]):
        for dim in dims:
            generator = _generator(device, config.validation_seed, n, dim)
            yield n, PaperMeta().sample(config.validation_size, n, dim, generator=generator)
