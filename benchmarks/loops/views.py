"""InfoMax: codes of two views of a digit."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from benchmarks.loops.data import Digits, move
from benchmarks.loops.judging import Split, linear_accuracy, pair_information
from benchmarks.loops.registry import Batch, Host, Judgement, loop

__all__ = ["Halves", "Views"]

_BATCH = 128
_DISTINCT = 390  # rows of the critic's bound: fewer than the digits of a held-out part


def _encoder(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, 128), nn.BatchNorm1d(128), nn.ReLU(), nn.Linear(128, outputs)
    )


@loop(
    "infomax", "InfoMax of two moved views of a digit, z of 8 columns", "join",
    beta=0.0, units=("accuracy of a linear probe", "nats, fresh critic"),
)  # fmt: skip
class Views(Host):
    """Two views of a digit: turned, shifted, a fifth of the pixels dropped, noise.

    One encoder; codes have noise of .1. Judges: softmax regression on codes of the unmoved digits,
    and a fresh critic's bound on I(z1; z2) of held-out digits (at most log 390 = 6.0).
    """

    dz, dy, noise = 8, 8, 0.1

    def __init__(self) -> None:
        super().__init__()
        self.digits = Digits()
        self.encoder = _encoder(64, self.dz)

    def _view(self, rows: Tensor) -> Tensor:
        image = move(self.digits.images[rows])
        return self.blur(self.encoder(image * (torch.rand_like(image) > 0.2)))

    def batch(self) -> Batch:
        rows = self.digits.rows(_BATCH)
        return Batch(torch.zeros(()), self._view(rows), self._view(rows))

    def judge(self) -> Judgement:
        def draw(n: int, split: Split) -> tuple[Tensor, Tensor]:
            rows = self.digits.rows(n, split)
            return self._view(rows), self._view(rows)

        with torch.no_grad():
            codes = self.encoder(self.digits.images)
        parts = [self.digits.part(split) for split in ("train", "test")]
        train, test = ((codes[rows], self.digits.labels[rows]) for rows in parts)
        return Judgement(linear_accuracy(train, test, 10), pair_information(draw, rows=_DISTINCT))


@loop(
    "wide", "InfoMax of two halves of a digit, z of 128 + 128 columns", "join",
    beta=0.0, units=("nats, fresh critic", "accuracy of a linear probe"), compared="task",
)  # fmt: skip
class Halves(Host):
    """The left and the right half of a digit, two encoders of 128 columns, noise of .3.

    Judges: a fresh critic's bound on I(z1; z2) of held-out digits, and softmax regression on both
    codes side by side.
    """

    dz, dy, noise = 128, 128, 0.3

    def __init__(self) -> None:
        super().__init__()
        self.digits = Digits()
        self.left, self.right = _encoder(32, self.dz), _encoder(32, self.dz)

    def _codes(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        images = self.digits.images[rows].view(-1, 8, 8)
        halves = images[:, :, :4].flatten(1), images[:, :, 4:].flatten(1)
        return self.left(halves[0]), self.right(halves[1])

    def _noisy(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        a, b = self._codes(rows)
        return self.blur(a), self.blur(b)

    def batch(self) -> Batch:
        return Batch(torch.zeros(()), *self._noisy(self.digits.rows(_BATCH)))

    def judge(self) -> Judgement:
        def draw(n: int, split: Split) -> tuple[Tensor, Tensor]:
            return self._noisy(self.digits.rows(n, split))

        with torch.no_grad():
            parts = [self.digits.part(split) for split in ("train", "test")]
            train, test = (
                (torch.cat(self._codes(rows), 1), self.digits.labels[rows]) for rows in parts
            )
        held = linear_accuracy(train, test, 10)
        bound = pair_information(draw, rows=_DISTINCT)
        return Judgement(bound, held, f"at most {math.log(_DISTINCT):.2f}")
