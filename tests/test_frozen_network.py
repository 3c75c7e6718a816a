"""A frozen network that a host reads on several devices."""

from __future__ import annotations

import copy

import torch

from torchmist.terms.frozen_network import Frozen


def test_each_device_has_a_copy_that_stays(small) -> None:
    frozen = Frozen(copy.deepcopy(small))
    cpu, meta = (frozen.on(torch.device(name)) for name in ("cpu", "meta"))
    assert (cpu.levels.device.type, meta.levels.device.type) == ("cpu", "meta")
    assert frozen.on(torch.device("cpu")) is cpu and frozen.on(torch.device("meta")) is meta
    assert not cpu.training and not any(p.requires_grad for p in meta.parameters())


def test_a_deep_copy_shares_the_weights(small) -> None:
    frozen = Frozen(copy.deepcopy(small))
    twin = copy.deepcopy(frozen)
    assert twin.on(torch.device("cpu")) is frozen.on(torch.device("cpu"))
