"""Gathering over processes: the gradient of one process that holds the whole batch."""

from __future__ import annotations

import gc
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import torchmist
from torchmist.gather import gather_samples
from torchmist.models.mist import MIST, MISTConfig

X = torch.randn(40, 5, generator=torch.Generator().manual_seed(0))
LABELS = (X[:, 0] > 0).long()
PARTS = (slice(0, 24), slice(24, 40))


class Host(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        tiny = MIST(MISTConfig(feature_width=16, sample_width=16, heads=2, head_width=32))
        self.encoder = nn.Linear(5, 3)
        self.term = torchmist.MIRegularizer(tiny, gather=True, lift=3)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.term(self.encoder(x), y)


def work(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=2)
    torch.save(distributed_step(PARTS[rank]), f"{folder}/{rank}.pt")
    gc.collect()  # what still holds the group keeps its threads alive past its end
    dist.barrier()
    dist.destroy_process_group()


def distributed_step(part: slice) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Loss and gradients of one step on this process's part."""
    host = DistributedDataParallel(Host())
    loss = host(X[part], LABELS[part])
    loss.backward()
    return loss.detach(), {name: p.grad for name, p in host.module.named_parameters()}


def test_two_processes_have_the_gradient_of_one(tmp_path: Path) -> None:
    mp.spawn(work, (str(tmp_path),), nprocs=2)
    host = Host()
    loss = host(X, LABELS)
    loss.backward()
    for rank in range(2):
        value, gradients = torch.load(tmp_path / f"{rank}.pt")
        torch.testing.assert_close(value, loss.detach())
        for name, parameter in host.named_parameters():
            torch.testing.assert_close(gradients[name], parameter.grad, rtol=1e-3, atol=1e-6)


def test_without_a_process_group_it_is_the_identity() -> None:
    assert gather_samples(X) is X
