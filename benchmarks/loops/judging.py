"""Fresh judges: four networks at once, chosen on one held-out part and reported on another.

Two networks see the standardised columns, two the whitened ones, in which small directions are as
large as others; one of each is held back by weight decay. All four are trained together (one
batched product a layer) on codes of the training part. Every few steps they are scored on ``valid``
and ``test``; the value is the ``test`` score at the best ``valid`` score.

Legend: ``K`` = 4 networks, ``N`` rows, ``d``, ``ds`` columns, ``C`` classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Split", "label_information", "linear_accuracy", "pair_information", "probe_r2"]

Split = Literal["train", "valid", "test"]
Draw = Callable[[int, Split], tuple[Tensor, Tensor]]
"""Rows ``[N, d]`` of a code and what is asked of it, ``[N]`` labels or ``[N, ds]``."""

_NETWORKS, _WIDTH, _POOL, _HELD = 4, 64, 4096, 1024
_PROBE_BATCH, _CRITIC_BATCH = 256, 128
_DECAY = torch.tensor([0.0, 3e-2, 0.0, 3e-2])
_EVERY = 20


class _Bank(nn.Module):
    """``K`` networks of two hidden layers and a linear shortcut, ``[K, N, d]`` to ``[K, N, C]``."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        sizes = [(inputs, _WIDTH), (_WIDTH, _WIDTH), (_WIDTH, outputs), (inputs, outputs)]
        self.weights = nn.ParameterList(
            nn.Parameter(torch.randn(_NETWORKS, i, o) * (1.0 / i) ** 0.5) for i, o in sizes
        )
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(_NETWORKS, 1, o)) for _, o in sizes)

    def forward(self, x: Tensor) -> Tensor:
        def layer(k: int, value: Tensor) -> Tensor:
            out: Tensor = torch.baddbmm(self.biases[k], value, self.weights[k])
            return out

        out: Tensor = layer(2, F.silu(layer(1, F.silu(layer(0, x))))) + layer(3, x)
        return out

    def decayed(self) -> Tensor:
        """The penalty of the networks that are held back, 0-dim."""
        squares = sum(w.square().sum((1, 2)) for w in self.weights)
        penalty: Tensor = (_DECAY * squares).sum() / 100
        return penalty


class _Views:
    """Both views of a side, by the moments of the training codes: ``[N, d]`` to ``[K, N, d]``."""

    def __init__(self, x: Tensor) -> None:
        self.mean, self.deviation = x.mean(0), x.std(0) + 1e-6
        z = ((x - self.mean) / self.deviation).double()
        values, vectors = torch.linalg.eigh(z.T @ z / len(z))
        self.whiten = (vectors / (values + 1e-5).sqrt()).float()

    def __call__(self, x: Tensor) -> Tensor:
        z = (x - self.mean) / self.deviation
        white = (z @ self.whiten).clamp(-6, 6)
        return torch.stack([z, z, white, white])


def _train(
    banks: list[_Bank], loss: Callable[[Tensor], Tensor], score: Callable[[Split], Tensor],
    steps: int, size: int,
) -> float:  # fmt: skip
    """Train on random rows; the ``test`` score where ``valid`` is best. Scores are ``[K]``."""
    parameters = [p for bank in banks for p in bank.parameters()]
    optimizer = torch.optim.Adam(parameters, 5e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    best, kept = -math.inf, 0.0
    for step in range(1, steps + 1):
        value = loss(torch.randint(_POOL, (size,)))
        value = value + sum((bank.decayed() for bank in banks), torch.zeros(()))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        schedule.step()
        if step % _EVERY == 0 or step == steps:
            with torch.no_grad():
                valid, test = score("valid"), score("test")
            k = int(valid.argmax())
            if float(valid[k]) > best:
                best, kept = float(valid[k]), float(test[k])
    return kept


def _codes(draw: Draw) -> dict[Split, tuple[Tensor, Tensor]]:
    sizes: dict[Split, int] = {"train": _POOL, "valid": _HELD, "test": _HELD}
    with torch.no_grad():
        return {split: draw(n, split) for split, n in sizes.items()}


def label_information(draw: Draw, classes: int, *, steps: int = 120) -> float:
    """I(z; label) >= H(label) - cross-entropy on held-out codes, in nats, at least 0."""
    codes = _codes(draw)
    views = _Views(codes["train"][0])
    bank = _Bank(codes["train"][0].shape[1], classes)
    seen = {split: (views(z), s) for split, (z, s) in codes.items()}

    def errors(x: Tensor, s: Tensor) -> Tensor:
        logs = bank(x).log_softmax(-1)
        own: Tensor = logs.gather(-1, s.expand(_NETWORKS, -1)[..., None])[..., 0]
        return -own.mean(1)

    def loss(rows: Tensor) -> Tensor:
        x, s = seen["train"]
        return errors(x[:, rows], s[rows]).sum()

    cross = -_train([bank], loss, lambda split: -errors(*seen[split]), steps, _PROBE_BATCH)
    share = torch.bincount(codes["test"][1], minlength=classes).double() / len(codes["test"][1])
    return max(0.0, float(-torch.xlogy(share, share).sum()) - cross)


def probe_r2(draw: Draw, *, steps: int = 120) -> float:
    """Mean R^2 over the columns of s ``[N, ds]`` of the best probe, on held-out codes."""
    codes = _codes(draw)
    views = _Views(codes["train"][0])
    s = codes["train"][1]
    mean, deviation = s.mean(0), s.std(0) + 1e-6
    bank = _Bank(codes["train"][0].shape[1], s.shape[1])
    seen = {split: (views(z), (t - mean) / deviation) for split, (z, t) in codes.items()}

    def errors(x: Tensor, t: Tensor) -> Tensor:
        out: Tensor = (bank(x) - t).square().mean((1, 2))
        return out

    def loss(rows: Tensor) -> Tensor:
        x, t = seen["train"]
        return errors(x[:, rows], t[rows]).sum()

    error = -_train([bank], loss, lambda split: -errors(*seen[split]), steps, _PROBE_BATCH)
    return 1 - error / float(seen["test"][1].var(0).mean())


def pair_information(draw: Draw, *, rows: int = 512, steps: int = 120) -> float:
    """I(z; s) of two codes in nats: the InfoNCE bound of the best critic on held-out pairs.

    ``draw`` has to give distinct items within ``rows`` rows of ``valid`` and ``test``, which is the
    batch of the bound; it is at most ``log rows``.
    """
    with torch.no_grad():
        train = draw(_POOL, "train")
        held = {split: [draw(rows, split) for _ in range(2)] for split in ("valid", "test")}
    views = [_Views(side) for side in train]
    banks = [_Bank(side.shape[1], 32) for side in train]
    pool = [view(side) for view, side in zip(views, train)]

    def bound(a: Tensor, b: Tensor) -> Tensor:
        scores = banks[0](a) @ banks[1](b).mT / 32**0.5
        own = scores.diagonal(dim1=1, dim2=2) - scores.logsumexp(2)
        out: Tensor = own.mean(1) + math.log(a.shape[1])
        return out

    def loss(chosen: Tensor) -> Tensor:
        return -bound(*(side[:, chosen] for side in pool)).sum()

    def score(split: Split) -> Tensor:
        values = [bound(*(v(s) for v, s in zip(views, pair))) for pair in held[split]]
        return torch.stack(values).mean(0)

    return max(0.0, _train(banks, loss, score, steps, _CRITIC_BATCH))


def linear_accuracy(
    train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor], classes: int, *, ridge: float = 1e-3
) -> float:
    """Accuracy on ``test`` of softmax regression on the standardised codes of ``train``."""
    mean, deviation = train[0].mean(0), train[0].std(0) + 1e-6
    x, held = ((z - mean) / deviation for z in (train[0], test[0]))
    weight = torch.zeros(x.shape[1], classes, requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=60, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(x @ weight + bias, train[1]) + ridge * weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    with torch.no_grad():
        return float(((held @ weight + bias).argmax(1) == test[1]).float().mean())
