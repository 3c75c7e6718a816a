"""Ten classes in batches of sixteen."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.judges import mlp
from benchmarks.loops.data import Digits
from benchmarks.loops.judging import Split, label_information, probe_r2
from benchmarks.loops.registry import Batch, Host, Judgement, loop

__all__ = ["Classes"]


@loop(
    "classes", "forget which of ten digits it is, in batches of 16, z of 8 columns", "remove",
    beta=0.5, units=("R²", "nats"),
)  # fmt: skip
class Classes(Host):
    """A digit with a contrast and a slope of light across it; the digit should go.

    Wanted are contrast, light and the first two principal components of the unchanged image, which
    are what the digit shows by most. Judges: R² of a fresh probe for the four, and a fresh probe
    for the digit on held-out images, at most 2.3 nats.
    """

    dz, dy, classes, noise, memory = 8, 10, 10, 0.1, 512

    def __init__(self) -> None:
        super().__init__()
        self.digits = Digits()
        self.encoder, self.decoder = mlp(64, self.dz, 128), mlp(self.dz, 4)
        centred = self.digits.images - self.digits.images.mean(0)
        components = centred @ torch.linalg.svd(centred, full_matrices=False).Vh[:2].T
        self.shape = components / components.std(0)

    def _draw(self, n: int, split: Split) -> tuple[Tensor, Tensor, Tensor]:
        rows, style = self.digits.rows(n, split), torch.randn(n, 2)
        across = torch.linspace(-1, 1, 8).repeat(8)
        contrast = (0.4 * style[:, :1]).exp()
        x = contrast * self.digits.images[rows] + 0.3 * style[:, 1:] * across
        z = self.blur(self.encoder(x + 0.05 * torch.randn_like(x)))
        return z, torch.cat([style, self.shape[rows]], 1), self.digits.labels[rows]

    def batch(self) -> Batch:
        z, wanted, label = self._draw(16, "train")
        return Batch((self.decoder(z) - wanted).square().mean(), z, label)

    def judge(self) -> Judgement:
        task = probe_r2(lambda n, split: self._draw(n, split)[:2])
        return Judgement(task, label_information(lambda n, split: self._draw(n, split)[::2], 10))
