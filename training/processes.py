"""What all trainers share: processes, the learning rate, and the average of the weights."""

from __future__ import annotations

import math
import os

import torch
import torch.distributed as dist
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

__all__ = ["agree", "join", "update_average", "warm_cosine"]


def join(device: str) -> tuple[torch.device, int, int]:
    """The device, rank and number of this process, which joins the others if there are any."""
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    where = torch.device(device)
    if where.type == "cuda":
        where = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        torch.cuda.set_device(where)
    if world > 1:
        dist.init_process_group("nccl" if where.type == "cuda" else "gloo")
    return where, rank, world


def agree(over: bool, device: torch.device, world: int) -> bool:
    """Whether the first of ``world`` processes says that time is up: all stop at the same step."""
    if world == 1:
        return over
    flag = torch.tensor(float(over), device=device)
    dist.broadcast(flag, 0)
    return bool(flag)


def warm_cosine(step: int, steps: int, warmup: int, first: float, last: float) -> float:
    """Learning rate: a linear warm-up to ``first``, then a cosine to ``last`` at the last step.

    A function of the step alone: a run resumes without the state of a scheduler, and may change how
    many steps it has.
    """
    warm = min(1.0, (step + 1) / max(1, warmup))
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))
    return warm * (last + (first - last) * cosine)


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, most: float, step: int) -> None:
    """Exponential moving average of decay ``most``, with a shorter memory while a run is young.

    By torch's rule, but without its ``AveragedModel``, which keeps a count beside the step.
    """
    update = get_ema_multi_avg_fn(min(most, (1 + step) / (10 + step)))
    update([*average.parameters()], [*model.parameters()], step)
