"""A table of measurements."""

from __future__ import annotations

import functools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.judges import mlp
from benchmarks.loops.judging import Split, label_information, probe_r2
from benchmarks.loops.registry import Batch, Host, Judgement, loop

__all__ = ["Tumour"]

_SIZE = 0
_PARTS = {"train": (0, 369), "valid": (369, 469), "test": (469, 569)}


@functools.cache
def _table() -> tuple[Tensor, Tensor]:
    from sklearn.datasets import load_breast_cancer

    source = load_breast_cancer()
    data = torch.tensor(source.data).float()
    return (data - data.mean(0)) / data.std(0), torch.tensor(source.target)


@loop(
    "tumour", "name a tumour without its size, 30 measurements, z of 8 columns", "remove", beta=0.5
)
class Tumour(Host):
    """Breast cancer (scikit-learn): the kind of tumour is wanted, its mean radius is not.

    Both are correlated. Noise of .1 on the measurements, .3 on the code and .3 on the radius.
    Judges on 200 held-out rows: a fresh probe for the kind, at most .66 nats, and the R² of a
    fresh probe for the radius, as the ``-log(1 - R²) / 2`` nats of a Gaussian channel.
    """

    dz, dy, noise = 8, 1, 0.3

    def __init__(self) -> None:
        super().__init__()
        self.data, self.labels = _table()
        self.order = torch.randperm(len(self.data))
        self.encoder, self.head = mlp(30, self.dz), nn.Linear(self.dz, 2)

    def _draw(self, n: int, split: Split) -> tuple[Tensor, Tensor, Tensor]:
        part = self.order[slice(*_PARTS[split])]
        places = torch.randint(len(part), (n,)) if n > len(part) else torch.randperm(len(part))[:n]
        rows = part[places]
        x = self.data[rows]
        size = x[:, [_SIZE]] + 0.3 * torch.randn(n, 1)
        z = self.blur(self.encoder(x + 0.1 * torch.randn_like(x)))
        return z, self.labels[rows], size

    def batch(self) -> Batch:
        z, label, size = self._draw(128, "train")
        return Batch(F.cross_entropy(self.head(z), label), z, size)

    def judge(self) -> Judgement:
        task = label_information(lambda n, split: self._draw(n, split)[:2], 2)
        r2 = probe_r2(lambda n, split: self._draw(n, split)[::2])
        return Judgement(task, -0.5 * math.log(1 - min(max(r2, 0.0), 0.999)), f"R2 {r2:.3f}")
