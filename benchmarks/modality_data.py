"""Real modalities whose samples depend on each other through channels of known information.

X is a real sample of a class, Y another real sample whose class is that of X after each of its
bits went through a binary symmetric channel with error ``e``. The sources of X and of Y are
disjoint, so that they share nothing else and I(X;Y) = bits (log 2 - H(e)) exactly.
Legend: ``N`` samples, ``d`` columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["MODALITIES", "Modality", "bert", "move_images"]

_ADAPT = 1500  # samples to adapt to
_STEPS, _REGIMES, _WINDOWS = 24, 4, 500
_BERT = "imdb_bert_768.npz"
_LLOYD = 10


@dataclass(frozen=True)
class Modality:
    """Samples to adapt to ``[1500, d]``, and draws of both sides by class.

    ``draw(side, labels, generator)`` gives one held-out sample of each label ``[N]``.
    """

    bits: int
    x: Tensor
    y: Tensor
    draw: Callable[[int, Tensor, torch.Generator], Tensor]

    def sample(self, n: int, error: float, seed: int) -> tuple[Tensor, Tensor, float]:
        """X, Y and the true MI in nats."""
        g = torch.Generator().manual_seed(seed)
        bits = torch.rand(n, self.bits, generator=g) < 0.5
        flipped = bits ^ (torch.rand(n, self.bits, generator=g) < error)
        place = 2 ** torch.arange(self.bits)
        x, y = (self.draw(k, (b * place).sum(-1), g) for k, b in enumerate((bits, flipped)))
        noise = -sum(p * math.log(p) for p in (error, 1 - error))
        return x, y, self.bits * (math.log(2) - noise)


def move_images(images: Tensor, generator: torch.Generator) -> Tensor:
    """Images ``[N, 64]`` turned and shifted a little, so that no two draws are the same."""
    n = len(images)
    angle, shift = (
        scale * (2 * torch.rand(n, k, generator=generator) - 1)
        for scale, k in ((0.15, 1), (0.1, 2))
    )
    cos, sin = angle.cos(), angle.sin()
    matrix = torch.stack([cos, -sin, shift[:, :1], sin, cos, shift[:, 1:]], -1).view(n, 2, 3)
    grid = nn.functional.affine_grid(matrix, [n, 1, 8, 8], align_corners=False)
    moved = nn.functional.grid_sample(images.view(n, 1, 8, 8), grid, align_corners=False)
    return moved.flatten(1) + 0.02 * torch.randn(n, 64, generator=generator)


def _by_class(data: Tensor, labels: Tensor, classes: int) -> list[list[Tensor]]:
    """Held-out samples of each class for X and for Y: the halves of the last 40 %."""
    out: list[list[Tensor]] = [[], []]
    for k in range(classes):
        rows = data[labels == k]
        held = rows[int(0.6 * len(rows)) :]
        out[0].append(held[::2])
        out[1].append(held[1::2])
    return out


def _modality(
    data: Tensor, labels: Tensor, bits: int, change: Callable[[Tensor, torch.Generator], Tensor]
) -> Modality:
    """Adaptation samples from the first 60 % of each class, draws from the rest."""
    classes = 2**bits
    held = _by_class(data, labels, classes)
    first = torch.cat(
        [rows[: int(0.6 * len(rows))] for rows in (data[labels == k] for k in range(classes))]
    )

    def draw(side: int, wanted: Tensor, generator: torch.Generator) -> Tensor:
        u = torch.rand(len(wanted), generator=generator)
        rows = [held[side][k][int(v * len(held[side][k]))] for k, v in zip(wanted.tolist(), u)]
        return change(torch.stack(rows), generator)

    g = torch.Generator().manual_seed(7)
    x, y = (change(first[torch.randint(len(first), (_ADAPT,), generator=g)], g) for _ in range(2))
    return Modality(bits, x, y, draw)


def digits() -> Modality:
    """Handwritten digits 0 to 7 (scikit-learn), 64 pixels."""
    from sklearn.datasets import load_digits

    source = load_digits()
    data, labels = torch.tensor(source.data / 16).float(), torch.tensor(source.target)
    return _modality(data, labels, 3, move_images)


def embeddings() -> Modality:
    """The 32 features of a small network that was trained on the adaptation part of the digits."""
    from sklearn.datasets import load_digits

    source = load_digits()
    data, labels = torch.tensor(source.data / 16).float(), torch.tensor(source.target)
    first = torch.cat(
        [(labels == k).nonzero()[: int(0.6 * (labels == k).sum()), 0] for k in range(10)]
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        body = nn.Sequential(nn.Linear(64, 64), nn.GELU(), nn.Linear(64, 32), nn.GELU())
        net = nn.Sequential(body, nn.Linear(32, 10))
    optimizer, g = torch.optim.Adam(net.parameters(), 2e-3), torch.Generator().manual_seed(0)
    for _ in range(600):
        rows = first[torch.randint(len(first), (128,), generator=g)]
        loss = nn.functional.cross_entropy(net(move_images(data[rows], g)), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    body.requires_grad_(False)
    return _modality(data, labels, 3, lambda images, g: body(move_images(images, g)))


def table() -> Modality:
    """Breast cancer (scikit-learn): 30 columns, of which ten are rounded and five binary."""
    from sklearn.datasets import load_breast_cancer

    source = load_breast_cancer()
    data, labels = torch.tensor(source.data).float(), torch.tensor(source.target)
    data = (data - data.mean(0)) / data.std(0)

    def change(rows: Tensor, generator: torch.Generator) -> Tensor:
        out = rows + 0.05 * torch.randn(rows.shape, generator=generator)
        out[:, 10:20] = (2 * out[:, 10:20]).round()
        out[:, 25:] = (out[:, 25:] > 0).float()
        return out

    return _modality(data, labels, 1, change)


def windows() -> Modality:
    """24 steps of a vibration with noise, whose regime sets its frequency and its damping."""
    g = torch.Generator().manual_seed(11)
    labels = torch.arange(_REGIMES * _WINDOWS) % _REGIMES
    turns = torch.tensor([1.0, 2.2, 3.6, 5.4])[labels][:, None]
    damping = torch.tensor([0.0, 1.5, 0.5, 2.5])[labels][:, None]
    phase, size = torch.rand(2, len(labels), 1, generator=g)
    time = torch.arange(_STEPS) / _STEPS
    waves = (0.6 + size) * (-damping * time).exp() * (2 * math.pi * (turns * time + phase)).sin()

    def change(rows: Tensor, generator: torch.Generator) -> Tensor:
        return rows + 0.1 * torch.randn(rows.shape, generator=generator)

    return _modality(waves, labels, 2, change)


def _k_means(z: Tensor, cells: int, generator: torch.Generator) -> Tensor:
    """Clusters of ``z`` ``[N, d]`` by Lloyd's iterations from random samples; at most ``cells``."""
    centres = z[torch.randperm(len(z), generator=generator)[:cells]]
    for _ in range(_LLOYD):
        member = torch.nn.functional.one_hot(torch.cdist(z, centres).argmin(-1), len(centres))
        count = member.sum(0)[:, None]
        centres = torch.where(count > 0, member.T.to(z) @ z / count.clamp(min=1), centres)
    return torch.cdist(z, centres).argmin(-1)


def bert(folder: Path | None) -> Modality | None:
    """768 columns of embeddings of film reviews, in two clusters; ``None`` without their file."""
    path = None if folder is None else folder / _BERT
    if path is None or not path.is_file():
        print(f"bert is left out: no {_BERT} in the folder of --embeddings ({folder})", flush=True)
        return None
    with np.load(path, allow_pickle=False) as file:
        data = torch.tensor(file["x"]).float()
    labels = _k_means(data, 2, torch.Generator().manual_seed(0))
    return _modality(data, labels, 1, lambda rows, _: rows)


MODALITIES: dict[str, Callable[[], Modality]] = {
    "digits": digits, "embeddings": embeddings, "table": table, "windows": windows,
}  # fmt: skip
