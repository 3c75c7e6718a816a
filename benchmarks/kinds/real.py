"""Real images and sentence embeddings: a channel between classes that the data show.

Evaluation only. Pairs of the same class or not, after Lee and Rhee (arXiv 2410.10924): x and y are
items of classes a and b from disjoint pools, so that I(X;Y) = I(a;b) where an item shows its class,
as all but a few do. The digits ship with scikit-learn; embeddings are read from a file that is not
part of the repository: arrays ``x`` ``[items, D]`` and ``label`` ``[items]`` of 0 and 1.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.kinds.registry import Sample, kind
from benchmarks.kinds.truths import symmetric_channel, symmetric_channel_mi

__all__: list[str] = []

EMBEDDINGS = "imdb_bert_768.npz"
Labels = NDArray[np.int64]


@cache
def digits() -> tuple[NDArray[np.float64], Labels]:
    """Images ``[1797, 64]`` and their digits."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return data.data.astype(float), data.target.astype(np.int64)


@cache
def embeddings(path: Path) -> tuple[NDArray[np.float32], Labels]:
    """Embeddings ``[items, D]`` and their classes from a file.

    Raises:
        ValueError: when the file has no arrays ``x`` and ``label`` of as many rows.
    """
    with np.load(path) as file:
        if not {"x", "label"} <= set(file.files) or len(file["x"]) != len(file["label"]):
            raise ValueError(
                f"expected arrays x and label of as many rows in {path}, got {file.files}; save "
                f"them by numpy.savez"
            )
        return file["x"].astype(np.float32), file["label"].astype(np.int64)


def pick(
    items: NDArray[Any], label: Labels, wanted: Labels, half: int, rng: np.random.Generator
) -> NDArray[Any]:
    """One item of each of the ``wanted`` classes ``[n]``, from every other one of that class."""
    place = np.empty(len(wanted), np.int64)
    for c in np.unique(wanted):
        pool = np.flatnonzero(label == c)[half::2]
        place[wanted == c] = rng.choice(pool, int((wanted == c).sum()))
    return items[place]


@kind("digits, same class or not", "real")
def same_digit(n: int, rng: np.random.Generator, error: float = 0.1) -> Sample:
    """Images of two digits, of the same class but in 10 %; the symmetric channel of ten classes."""
    images, label = digits()
    a = rng.integers(0, 10, n)
    b = symmetric_channel(a, 10, error, rng)
    x, y = pick(images, label, a, 0, rng), pick(images, label, b, 1, rng)
    return x, y, symmetric_channel_mi(10, error)


@kind("digits against noisy labels", "labels", "real")
def labelled_digit(n: int, rng: np.random.Generator, error: float = 0.2) -> Sample:
    """An image and its digit as a label, wrong in 20 %; the symmetric channel of ten classes."""
    images, label = digits()
    a = rng.integers(0, 10, n)
    x = pick(images, label, a, 0, rng)
    return x, symmetric_channel(a, 10, error, rng), symmetric_channel_mi(10, error)


@kind("4 joined digits of 0 and 1", "real", "wide")
def joined_digits(n: int, rng: np.random.Generator, error: float = 0.05) -> Sample:
    """Four images of 0 or 1 side by side, the same bits on both sides but in 5 %; four channels."""
    images, label = digits()
    a = rng.integers(0, 2, 4 * n)
    b = symmetric_channel(a, 2, error, rng)
    x, y = (pick(images, label, c, h, rng).reshape(n, 256) for h, c in enumerate((a, b)))
    return x, y, 4 * symmetric_channel_mi(2, error)


def _embedded(n: int, rng: np.random.Generator, path: Path, error: float) -> Sample:
    items, label = embeddings(path)
    a = rng.integers(0, 2, n)
    b = symmetric_channel(a, 2, error, rng)
    x, y = pick(items, label, a, 0, rng), pick(items, label, b, 1, rng)
    return x, y, symmetric_channel_mi(2, error)


@kind("sentence embeddings, clean", "real", "wide", file=EMBEDDINGS)
def embedded(n: int, rng: np.random.Generator, path: Path) -> Sample:
    """Embeddings of two sentences of the same class, of two classes, in 768 columns; log 2."""
    return _embedded(n, rng, path, 0.0)


@kind("sentence embeddings, noisy", "real", "wide", file=EMBEDDINGS)
def noisy_embedded(n: int, rng: np.random.Generator, path: Path) -> Sample:
    """The same, of the other class in 10 %; log 2 - h(0.1)."""
    return _embedded(n, rng, path, 0.1)
