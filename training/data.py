"""The stream of training batches and the fixed validation set.

Everything drawn is a function of the seed and the step, so a resumed run sees the same data, and
so does a run on any number of processes: each draws the whole batch and keeps its share.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from torchmist.synthetic import TRAIN_FAMILIES, Batch, PaperMeta
from torchmist.synthetic.general import GeneralMeta
from torchmist.synthetic.registry import FAMILIES
from training.config import TrainConfig

__all__ = [
    "GENERAL_DIMS",
    "GENERAL_SIZES",
    "PAPER_FAMILIES",
    "VALIDATION_SIZES",
    "StepData",
    "batch_shape",
    "moved_batch",
    "seeded",
    "step_data",
    "training_batch",
    "validation_batches",
]

VALIDATION_SIZES = (12, 30, 60, 90, 120, 200, 280, 350, 420, 500)
GENERAL_SIZES = (16, 50, 128, 256, 500, 1000, 2500)
# A sixth additive noise: one family of sixteen is too rare to be told apart in ten samples.
PAPER_FAMILIES = (*TRAIN_FAMILIES, *["additive_noise-wigglify"] * 2)
GENERAL_DIMS = ((1, 1), (2, 1), (3, 3), (5, 5), (1, 10), (16, 3), (16, 16), (48, 24))


def seeded(device: torch.device, *key: int) -> torch.Generator:
    """A generator seeded by a tuple of integers (splitmix64 of each in turn)."""
    state = 0
    for word in key:
        state = (state + word + 0x9E3779B97F4A7C15) % 2**64
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) % 2**64
        state ^= state >> 31
    return torch.Generator(device).manual_seed(state % 2**63)


def _size_between(bounds: tuple[int, int], uniform: bool, u: float) -> int:
    """An integer within ``bounds`` from ``u`` in [0, 1), uniform or log-uniform."""
    low, high = bounds
    if uniform:
        return low + int(u * (high - low + 1))
    return min(high, int(low * math.exp(u * math.log((high + 1) / low))))


def batch_shape(config: TrainConfig, step: int) -> tuple[int, int, int, int]:
    """Datasets, samples, dx and dy of a step; see :class:`TrainConfig` for their laws."""
    u = torch.rand(6, generator=seeded(torch.device("cpu"), config.seed, step, 0)).tolist()
    if config.meta == "paper":
        n = _size_between(config.samples, u[0] < 0.5, u[1] if u[0] < 0.5 else u[1] ** 2)
        dx = dy = _size_between(config.dims, u[2] < 0.5, u[3])
    else:
        low, high = config.samples
        bounds = (max(low, high // 4), high) if u[0] < config.large else config.samples
        n, dx = _size_between(bounds, False, u[1]), _size_between(config.dims, False, u[3])
        dy = dx if u[4] < 0.5 else _size_between(config.dims, False, u[5])
    d = (dx + dy) / 2
    batch = int(config.batch_cost // (n * (d + 16) + 12 * d * d)) // 8 * 8
    return min(max(batch, config.batch_range[0]), config.batch_range[1]), n, dx, dy


def _sample(
    config: TrainConfig, share: float, count: int, n: int, dx: int, dy: int,
    generator: torch.Generator,
) -> Batch:  # fmt: skip
    """Datasets of the run's meta-distribution, with ``share`` of the mixing of ``general``."""
    if config.meta == "paper":
        return PaperMeta(PAPER_FAMILIES).sample(count, n, dx, generator=generator)
    full = GeneralMeta()
    meta = GeneralMeta(mixed=share * full.mixed, warped=share * config.warped)
    return meta.sample(count, n, dx, dy, generator=generator)


def training_batch(
    config: TrainConfig, step: int, device: torch.device, rank: int = 0, world: int = 1
) -> Batch:
    """This process's share of the batch of a step, made on ``device``."""
    count, n, dx, dy = batch_shape(config, step)
    generator = seeded(device, config.seed, step, 1)
    share = min(1.0, (1 + 2 * step / max(1.0, config.ramp * config.steps)) / 3)
    batch = _sample(config, share, count, n, dx, dy, generator)
    part = slice(rank * count // world, (rank + 1) * count // world)
    return batch[part]


def moved_batch(
    config: TrainConfig, step: int, device: torch.device, rank: int = 0, world: int = 1
) -> tuple[Batch, Batch] | None:
    """This process's share of the pairs of a step, before and after; None in other steps.

    As many datasets as the step has otherwise, at least 8 pairs.
    """
    u = torch.rand(1, generator=seeded(torch.device("cpu"), config.seed, step, 2)).item()
    if u >= config.moved:
        return None
    count, n, dx, dy = batch_shape(config, step)
    count = max(8, count // 16 * 8)
    generator = seeded(device, config.seed, step, 3)
    before, after = FAMILIES["general"].sample_moved(count, n, dx, dy, generator=generator)
    part = slice(rank * count // world, (rank + 1) * count // world)
    return before[part], after[part]


class StepData(NamedTuple):
    """What a step is trained on: ``x`` ``[B, N, dx]``, ``y`` ``[B, N, dy]``, ``mi`` ``[B]``, nats.

    Where ``moved``, the second half of the datasets are those of the first, moved.
    """

    x: Tensor
    y: Tensor
    mi: Tensor
    moved: bool

    def to(self, device: torch.device) -> StepData:
        """The same on ``device``."""
        x, y, mi = (v.to(device) for v in (self.x, self.y, self.mi))
        return StepData(x, y, mi, self.moved)


def step_data(
    config: TrainConfig, step: int, device: torch.device, rank: int = 0, world: int = 1
) -> StepData:
    """This process's share of the data of a step, made on ``device``."""
    place = config, step, device, rank, world
    parts = moved_batch(*place) or (training_batch(*place),)
    x, y, mi = (torch.cat([getattr(b, name) for b in parts]) for name in ("x", "y", "mi"))
    return StepData(x, y, mi, len(parts) == 2)


def validation_batches(config: TrainConfig, device: torch.device) -> Iterator[tuple[int, Batch]]:
    """Held-out draws of the run's meta-distribution over a grid of N and d, with their N."""
    least, most = config.dims
    if config.meta == "paper":
        sizes: tuple[int, ...] = VALIDATION_SIZES
        dims = [(round(least + (most - least) * q),) * 2 for q in (0.05, 0.35, 0.65, 0.95)]
    else:
        sizes = GENERAL_SIZES
        dims = [d for d in GENERAL_DIMS if max(d) <= most]
    for n in (n for n in sizes if n <= config.samples[1]):
        for dx, dy in dims:
            generator = seeded(device, config.validation_seed, n, dx, dy - dx)
            yield n, _sample(config, 1.0, config.validation_size, n, dx, dy, generator)
