"""Loops on plain factors: a small direction that decides, and few positives in small batches."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from benchmarks.judges import mlp
from benchmarks.loops.judging import Split, label_information, probe_r2
from benchmarks.loops.registry import Batch, Host, Judgement, loop

__all__ = ["Rare", "Small"]


@loop(
    "small", "a direction of 1/30 of the variance decides the label, z of 8 columns", "remove",
    units=("R²", "nats"),
)  # fmt: skip
class Small(Host):
    """Seven normal columns and a sign of 1/30 of their variance, rotated; the code is a linear map.

    The task is to give the eight columns back (noise of .03 on z), the label is the sign. Judges:
    R² of a fresh probe for the seven columns, and a fresh probe for the sign, at most .69 nats. An
    ideal code drops one direction and scores 1.
    """

    dz, dy, classes, noise = 8, 2, 2, 0.03

    def __init__(self) -> None:
        super().__init__()
        self.turn = torch.linalg.qr(torch.randn(8, 8)).Q
        self.encoder, self.decoder = nn.Linear(8, 8), nn.Linear(8, 8)
        nn.init.orthogonal_(self.encoder.weight)

    def _draw(self, n: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        own, s = torch.randn(n, 7), torch.randint(2, (n,))
        small = (2.0 * s - 1) * math.sqrt(1 / 30)
        x = torch.cat([own, small[:, None]], 1) @ self.turn
        return self.blur(self.encoder(x)), x, own, s

    def batch(self) -> Batch:
        z, x, _, s = self._draw(128)
        return Batch((self.decoder(z) - x).square().mean(), z, s)

    def judge(self) -> Judgement:
        def label(n: int, split: Split) -> tuple[Tensor, Tensor]:
            return self._draw(n)[::3]

        def columns(n: int, split: Split) -> tuple[Tensor, Tensor]:
            return self._draw(n)[::2]

        return Judgement(probe_r2(columns), label_information(label, 2))


@loop(
    "rare", "2 % positives in batches of 64, z of 8 columns", "remove", units=("R²", "nats"),
    compared=None,
)  # fmt: skip
class Rare(Host):
    """Ten columns of which a rotated pair moves by 2.5 for the 2 % positives; six are wanted.

    Judges: R² of a fresh probe for what is wanted (five columns with their sines, and one of the
    pair), and a fresh probe for the positives on draws with as many of them as not, at most .69
    nats.
    """

    dz, dy, classes, noise, memory = 8, 2, 2, 0.1, 512

    def __init__(self) -> None:
        super().__init__()
        self.turn = torch.linalg.qr(torch.randn(10, 10)).Q
        self.encoder, self.decoder = mlp(10, self.dz), mlp(self.dz, 6)

    def _draw(self, n: int, share: float) -> tuple[Tensor, Tensor, Tensor]:
        own, s = torch.randn(n, 10), (torch.rand(n) < share).long()
        moved = torch.cat([own[:, :8], own[:, 8:] + 2.5 * s[:, None]], 1)
        plain = own[:, :5] + 0.5 * torch.sin(2 * own[:, :5])
        target = torch.cat([plain, moved[:, 8:9]], 1)
        return self.blur(self.encoder(moved @ self.turn)), target, s

    def batch(self) -> Batch:
        z, target, s = self._draw(64, 0.02)
        return Batch((self.decoder(z) - target).square().mean(), z, s)

    def judge(self) -> Judgement:
        task = probe_r2(lambda n, split: self._draw(n, 0.02)[:2])
        return Judgement(task, label_information(lambda n, split: self._draw(n, 0.5)[::2], 2))
