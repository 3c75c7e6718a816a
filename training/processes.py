"""What all trainers share: the place of a process among others, and the average of the weights."""

from __future__ import annotations

import os

import torch
import torch.distributed as dist
from torch import nn

__all__ = ["agree", "join", "update_average"]


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


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, most: float, step: int) -> None:
    """Exponential moving average of decay ``most``, with a shorter memory while a run is young."""
    decay = min(most, (1 + step) / (10 + step))
    ours: list[torch.Tensor] = [*average.parameters()]
    theirs: list[torch.Tensor] = [*model.parameters()]
    torch._foreach_lerp_(ours, theirs, 1 - decay)
