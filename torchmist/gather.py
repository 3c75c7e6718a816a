"""One sample out of the mini-batches of all processes of ``torch.distributed``.

Legend: ``W`` processes, ``N`` samples of all, ``n`` samples of this one.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor

from torchmist.terms.memory_bank import weighed

__all__ = ["gather_samples"]


def gather_samples(value: Tensor) -> Tensor:
    """The rows of all processes, ``[n, d]`` to ``[N, d]``, in the order of the ranks.

    Every process then computes the same term. Gradients reach the own rows, times ``W``: with the
    mean over processes that ``DistributedDataParallel`` takes, parameters get the gradient of a
    single process that holds the whole batch. Processes may hold different numbers of rows. Without
    a process group (or with one process) it returns ``value``.

    Args:
        value: ``[n, d]``, the same ``d`` and dtype everywhere.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return value
    world, rank = dist.get_world_size(), dist.get_rank()
    size = torch.tensor([len(value)], device=value.device)
    sizes = [torch.zeros_like(size) for _ in range(world)]
    dist.all_gather(sizes, size)
    rows = [int(s) for s in sizes]
    padded = value.new_zeros(max(rows), *value.shape[1:])
    padded[: len(value)] = value.detach()
    parts = [torch.empty_like(padded) for _ in range(world)]
    dist.all_gather(parts, padded)
    whole = [part[:n] for part, n in zip(parts, rows)]
    whole[rank] = weighed(value, float(world))
    return torch.cat(whole)
