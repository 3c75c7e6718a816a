"""Data of the loops: scikit-learn's digits in three parts, moved and marked, and their draws."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from benchmarks.loops.judging import Split
from benchmarks.modality_data import move_images

__all__ = ["Digits", "move", "pixels"]

_PARTS = {"train": (0, 1000), "valid": (1000, 1397), "test": (1397, 1797)}


@functools.cache
def pixels() -> tuple[Tensor, Tensor]:
    """All images ``[1797, 64]`` in 0 to 1, and their digits ``[1797]``."""
    from sklearn.datasets import load_digits

    source = load_digits()
    return torch.tensor(source.data / 16).float(), torch.tensor(source.target)


def move(images: Tensor) -> Tensor:
    """Images ``[N, 64]`` turned and shifted a little, with noise; draws from the global state."""
    seed = int(torch.randint(2**31, ()))
    return move_images(images, torch.Generator().manual_seed(seed))


class Digits:
    """The digits in a random order that follows from torch's state: 1000, 397 and 400 of them."""

    def __init__(self) -> None:
        self.images, self.labels = pixels()
        self.order = torch.randperm(len(self.images))

    def part(self, split: Split) -> Tensor:
        """Rows of a part."""
        start, stop = _PARTS[split]
        return self.order[start:stop]

    def rows(self, n: int, split: Split = "train") -> Tensor:
        """``n`` random rows of a part; distinct as long as it has so many."""
        part = self.part(split)
        if n <= len(part):
            return part[torch.randperm(len(part))[:n]]
        return part[torch.randint(len(part), (n,))]
