"""Loops on images: domains, an attribute, a bottleneck, two codes of a mixture."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.judges import mlp
from benchmarks.loops.data import Digits
from benchmarks.loops.judging import Split, label_information, pair_information
from benchmarks.loops.registry import Batch, Host, Judgement, loop

__all__ = ["Attribute", "Bottleneck", "Disentangle", "Domain"]


def rendered(images: Tensor, domain: Tensor) -> Tensor:
    """Images ``[N, 64]`` as they are, inverted, blurred or striped, by domain ``[N]``."""
    square = images.view(-1, 1, 8, 8)
    blurred = F.avg_pool2d(F.pad(square, (1, 1, 1, 1), mode="replicate"), 3, 1).flatten(1)
    stripes = 0.5 * (torch.arange(64) // 8 % 2)
    kinds = torch.stack([images, 1 - images, blurred, images + stripes])
    return kinds[domain, torch.arange(len(images))] + 0.05 * torch.randn_like(images)


@loop("domain", "forget which of 4 renderings a digit has, z of 64 columns", "remove")
class Domain(Host):
    """Digits rendered in one of four ways, which is the label that z of 64 columns should forget.

    The task is the digit. Judges: information of fresh probes on held-out digits, at most 2.3 nats
    of the digit and 1.39 of the rendering.
    """

    dz, dy, classes, noise = 64, 4, 4, 0.3

    def __init__(self) -> None:
        super().__init__()
        self.digits = Digits()
        self.encoder = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, self.dz))
        self.head = nn.Linear(self.dz, 10)

    def _draw(self, n: int, split: Split) -> tuple[Tensor, Tensor, Tensor]:
        rows, domain = self.digits.rows(n, split), torch.randint(4, (n,))
        z = self.blur(self.encoder(rendered(self.digits.images[rows], domain)))
        return z, self.digits.labels[rows], domain

    def batch(self) -> Batch:
        z, label, domain = self._draw(128, "train")
        return Batch(F.cross_entropy(self.head(z), label), z, domain)

    def judge(self) -> Judgement:
        task = label_information(lambda n, split: self._draw(n, split)[:2], 10)
        return Judgement(task, label_information(lambda n, split: self._draw(n, split)[::2], 4))


@loop("attribute", "forget an attribute that is correlated with the label, z of 8", "remove")
class Attribute(Host):
    """Is a digit 5 or more? A frame around it agrees with the answer three times in four.

    The task alone needs nothing of the frame. Judges: fresh probes; the label holds .13 nats of the
    attribute, so that an ideal code scores .56.
    """

    dz, dy, classes, noise = 8, 2, 2, 0.3

    def __init__(self) -> None:
        super().__init__()
        self.digits = Digits()
        self.encoder = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, self.dz))
        self.head = nn.Linear(self.dz, 2)
        place = torch.arange(64)
        self.frame = ((place % 8 % 7 == 0) | (place // 8 % 7 == 0)).float()

    def _draw(self, n: int, split: Split) -> tuple[Tensor, Tensor, Tensor]:
        rows = self.digits.rows(n, split)
        label = (self.digits.labels[rows] >= 5).long()
        attribute = torch.where(torch.rand(n) < 0.75, label, 1 - label)
        x = self.digits.images[rows] + 0.3 * attribute[:, None] * self.frame
        z = self.blur(self.encoder(x + 0.1 * torch.randn_like(x)))
        return z, label, attribute

    def batch(self) -> Batch:
        z, label, attribute = self._draw(128, "train")
        return Batch(F.cross_entropy(self.head(z), label), z, attribute)

    def judge(self) -> Judgement:
        task = label_information(lambda n, split: self._draw(n, split)[:2], 2)
        return Judgement(task, label_information(lambda n, split: self._draw(n, split)[::2], 2))


@loop(
    "bottleneck", "bottleneck on the 64 pixels of a digit, z of 16 columns", "squeeze",
    beta=0.2, units=("nats", "nats, exact"),
)  # fmt: skip
class Bottleneck(Host):
    """1,000 digits, a code of 16 columns with noise of 1, and the digit as the task.

    The term sees the code and the pixels; I(z; x) is that of a mixture of 1,000 normals, exact and
    at most 6.9 nats. The digit needs 2.3 of them. Judges: a fresh probe on held-out digits, and the
    exact information.
    """

    dz, dy, noise = 16, 64, 1.0

    def __init__(self) -> None:
        super().__init__()
        self.digits = Digits()
        self.encoder = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, self.dz))
        self.head = nn.Linear(self.dz, 10)

    def batch(self) -> Batch:
        rows = self.digits.rows(128)
        mean = self.encoder(self.digits.images[rows])
        z = self.blur(mean)
        task = F.cross_entropy(self.head(z), self.digits.labels[rows])
        return Batch(task, z, self.digits.images[rows], mean)

    def exact(self) -> float:
        """I(z; x) in nats over the training digits, by four draws of noise for each."""
        with torch.no_grad():
            means = self.encoder(self.digits.images[self.digits.part("train")])
            z = means + self.noise * torch.randn(4, *means.shape)
            logs = -torch.cdist(z, means.expand(4, -1, -1)).square() / (2 * self.noise**2)
            own = logs.diagonal(dim1=1, dim2=2)
            return float((own - logs.logsumexp(2)).mean()) + math.log(len(means))

    def judge(self) -> Judgement:
        def draw(n: int, split: Split) -> tuple[Tensor, Tensor]:
            rows = self.digits.rows(n, split)
            return self.blur(self.encoder(self.digits.images[rows])), self.digits.labels[rows]

        return Judgement(label_information(draw, 10), self.exact())


@loop("disentangle", "two digits in one mixture, a code of 16 columns for each", "remove")
class Disentangle(Host):
    """The pixels of two digits, mixed by a random matrix; each code has to name one of them.

    Both codes together have to give the mixture back, so that they hold more than labels. The term
    sees both. Judges: fresh probes for the labels (summed), a fresh critic for I(z1; z2).
    """

    dz, dy, noise = 16, 16, 0.3

    def __init__(self) -> None:
        super().__init__()
        self.digits = Digits()
        self.mix = torch.linalg.qr(torch.randn(128, 64)).Q
        self.first, self.second = mlp(64, 16, 128), mlp(64, 16, 128)
        self.heads = nn.ModuleList([nn.Linear(16, 10), nn.Linear(16, 10)])
        self.decoder = mlp(32, 64, 128)

    def _draw(self, n: int, split: Split) -> tuple[Tensor, tuple[Tensor, ...], tuple[Tensor, ...]]:
        rows = self.digits.rows(n, split), self.digits.rows(n, split)
        x = torch.cat([self.digits.images[r] for r in rows], 1) @ self.mix
        codes = self.blur(self.first(x)), self.blur(self.second(x))
        return x, codes, tuple(self.digits.labels[r] for r in rows)

    def batch(self) -> Batch:
        x, codes, labels = self._draw(128, "train")
        task = (self.decoder(torch.cat(codes, 1)) - x).square().mean() / 0.05
        for head, z, label in zip(self.heads, codes, labels):
            task = task + F.cross_entropy(head(z), label)
        return Batch(task, *codes)

    def judge(self) -> Judgement:
        def named(k: int) -> float:
            def draw(n: int, split: Split) -> tuple[Tensor, Tensor]:
                _, codes, labels = self._draw(n, split)
                return codes[k], labels[k]

            return label_information(draw, 10)

        def both(n: int, split: Split) -> tuple[Tensor, Tensor]:
            a, b = self._draw(n, split)[1]
            return a, b

        return Judgement(named(0) + named(1), pair_information(both, rows=390))
