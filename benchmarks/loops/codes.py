"""Codes of a list of items, whose information is exact."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from benchmarks.judges import mlp
from benchmarks.loops.judging import Split, probe_r2
from benchmarks.loops.registry import Batch, Host, Judgement, loop
from torchmist.synthetic.engines.mixture_information import mixture_information

__all__ = ["Hide", "Part", "exact"]

_ITEMS, _BATCH = 1000, 128


def exact(x: Tensor, y: Tensor, noise_x: float, noise_y: float) -> float:
    """I in nats of two noisy views of items with means ``[M, dx]`` and ``[M, dy]``."""
    scales = (torch.full((1, 1, v.shape[1]), s) for v, s in ((x, noise_x), (y, noise_y)))
    generator = torch.Generator().manual_seed(1)
    value, _ = mixture_information(x[None], y[None], *scales, draws=4000, generator=generator)
    return float(value)


@loop(
    "hide", "hide a variable of 2 columns that the task needs a little, z of 6 columns", "remove",
    beta=0.3, units=("R²", "nats, exact"),
)  # fmt: skip
class Hide(Host):
    """1,000 items with two numbers s and two numbers t; the encoder sees all four, rotated.

    The task is ``t + s / 2``, so that to hold it costs .22 nats of s and no more. The term sees
    ``s + .3 e``. Judges: R² of a fresh probe for the task, and I(z; s + .3 e) exactly.
    """

    dz, dy, noise = 6, 2, 0.3

    def __init__(self) -> None:
        super().__init__()
        self.s, t = torch.randn(_ITEMS, 2), torch.randn(_ITEMS, 2)
        self.target = t + 0.5 * self.s
        self.seen = torch.cat([self.s, t], 1) @ torch.linalg.qr(torch.randn(4, 4)).Q
        self.encoder, self.decoder = mlp(4, self.dz), mlp(self.dz, 2)

    def batch(self) -> Batch:
        item = torch.randint(_ITEMS, (_BATCH,))
        mean = self.encoder(self.seen[item])
        z = self.blur(mean)
        task = (self.decoder(z) - self.target[item]).square().mean()
        return Batch(task, z, self.s[item] + 0.3 * torch.randn(_BATCH, 2), mean)

    def judge(self) -> Judgement:
        with torch.no_grad():
            means = self.encoder(self.seen)

        def draw(n: int, split: Split) -> tuple[Tensor, Tensor]:
            item = torch.randint(_ITEMS, (n,))
            return self.blur(means[item]), self.target[item]

        return Judgement(probe_r2(draw), exact(means, self.s, self.noise, 0.3))


@loop(
    "part", "two codes of 4 columns share nothing, though their tasks are correlated", "remove",
    beta=0.3, units=("R², mean", "nats, exact"),
)  # fmt: skip
class Part(Host):
    """1,000 items with two pairs of numbers of correlation .5, seen through one rotation.

    Each of two encoders has a decoder for its pair, and the term sees both codes: to hold both
    pairs costs .29 nats. Judges: the mean R² of fresh probes, and I(z1; z2) exactly.
    """

    dz, dy, noise = 4, 4, 0.5

    def __init__(self) -> None:
        super().__init__()
        a = torch.randn(_ITEMS, 2)
        self.wanted = a, 0.5 * a + math.sqrt(0.75) * torch.randn(_ITEMS, 2)
        self.seen = torch.cat(self.wanted, 1) @ torch.linalg.qr(torch.randn(4, 4)).Q
        self.first, self.second = mlp(4, 4), mlp(4, 4)
        self.heads = torch.nn.ModuleList([mlp(4, 2), mlp(4, 2)])

    def batch(self) -> Batch:
        item = torch.randint(_ITEMS, (_BATCH,))
        codes = [self.blur(f(self.seen[item])) for f in (self.first, self.second)]
        errors = [
            (head(z) - wanted[item]).square().mean()
            for head, z, wanted in zip(self.heads, codes, self.wanted)
        ]
        return Batch(sum(errors, torch.zeros(())), *codes)

    def judge(self) -> Judgement:
        with torch.no_grad():
            means = [f(self.seen) for f in (self.first, self.second)]

        def right(k: int) -> float:
            def draw(n: int, split: Split) -> tuple[Tensor, Tensor]:
                item = torch.randint(_ITEMS, (n,))
                return self.blur(means[k][item]), self.wanted[k][item]

            return probe_r2(draw)

        held = exact(means[0], means[1], self.noise, self.noise)
        return Judgement((right(0) + right(1)) / 2, held)
