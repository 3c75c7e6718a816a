"""A host under fully sharded data parallelism: the frozen estimator stays whole."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

import torchmist
from torchmist.lift import LiftConfig

X = torch.randn(40, 5, generator=torch.Generator().manual_seed(0))
Y = torch.randn(40, 2, generator=torch.Generator().manual_seed(1))


def test_encoder_and_lift_are_sharded_and_the_estimator_is_not(small, tmp_path: Path) -> None:
    torch.manual_seed(0)
    term = torchmist.MIRegularizer(small, lift=LiftConfig(3, width=8))
    host = nn.ModuleDict({"encoder": nn.Linear(5, 3), "term": term})
    single = copy.deepcopy(host)
    dist.init_process_group("gloo", f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        for part in (host["encoder"], host["term"]):
            fully_shard(part, mesh=init_device_mesh("cpu", (1,)))
        assert all(isinstance(p, DTensor) for p in host.parameters())
        tensors = host["term"].estimator(X).state_dict().values()
        assert not any(isinstance(value, DTensor) for value in tensors)
        for module in (host, single):
            module["term"](module["encoder"](X), Y).backward()
        for sharded, whole in zip(host.parameters(), single.parameters()):
            torch.testing.assert_close(sharded.grad.full_tensor(), whole.grad)
    finally:
        dist.destroy_process_group()
