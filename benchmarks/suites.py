"""Frozen benchmark suites: which data sets, of which size, with which seed and true MI.

Nothing here is ever trained or tuned on. Legend: ``N`` samples, ``dx``, ``dy`` columns.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.bmi_families import bmi_sampler
from benchmarks.evaluate import CHANGES
from benchmarks.m_test import TestSet, m_test
from torchmist.synthetic import draw_parameters

__all__ = ["SUITES", "Case"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """One data set: its place in a suite, its true MI in nats, and how to draw it."""

    task: str
    n: int
    seed: int
    truth: float
    sample: Callable[[], tuple[Array, Array]]


def _bmi40() -> Iterator[Case]:
    """The 40 tasks of Czyz et al. (2023) at seven sizes, three seeds each."""
    from bmi.benchmark import BENCHMARK_TASKS

    sizes, seeds = (64, 128, 256, 512, 1000, 5000, 10_000), (0, 1, 2)
    for n, seed, (name, task) in itertools.product(sizes, seeds, BENCHMARK_TASKS.items()):
        truth = float(task.mutual_information)
        yield Case(name, n, seed, truth, partial(_drawn, task, n, seed))


def _m_test() -> Iterator[Case]:
    """M_test of the MIST paper: 13 families, 20 sizes, 9 data sets each (seed 20260301)."""
    for i, test in enumerate(m_test(Path("runs"))):
        name = f"{test.suite}/{test.family}"
        yield Case(name, len(test.x), i, test.mi, partial(_arrays, test.x, test.y))


def _m_test_extended() -> Iterator[Case]:
    """Larger samples and dimensions, and combinations of structure and warp not in M_train."""
    families = (
        "normal-dense-base", "student-dense-base", "normal-lvm-asinh", "normal-2pair-wigglify",
        "student-2pair-base", "student-dense-asinh", "additive_noise-base",
    )  # fmt: skip
    sizes, dims = (50, 200, 1000, 2000), (2, 8, 32, 64)
    for seed, (family, n, dim) in enumerate(itertools.product(families, sizes, dims)):
        generator = torch.Generator().manual_seed(40_000_000 + seed)
        sampler = bmi_sampler(family, draw_parameters(family, dim, generator))
        yield Case(
            family, n, seed, float(sampler.mutual_information()),
            partial(_drawn, sampler, n, seed),
        )  # fmt: skip


def _symmetry() -> Iterator[Case]:
    """A part of M_test under changes of the data that cannot change the truth."""
    chosen = [t for t in m_test(Path("runs")) if len(t.x) >= 100][::15]
    for change, (i, test) in itertools.product(CHANGES, enumerate(chosen)):

        def sample(c: str = change, test: TestSet = test) -> tuple[Array, Array]:
            a, b = CHANGES[c](torch.as_tensor(test.x)[None], torch.as_tensor(test.y)[None])
            return _arrays(a[0].numpy(), b[0].numpy())

        yield Case(f"{test.family}/{change}", len(test.x), i, test.mi, sample)


def _speed() -> Iterator[Case]:
    """Gaussian pairs of correlation 0.6 in every column, for time against N and d."""
    sizes = [(n, 5) for n in (64, 256, 1000, 4000, 20_000)]
    sizes += [(1000, d) for d in (2, 4, 8, 16, 32, 64)]
    for n, d in sizes:

        def sample(n: int = n, d: int = d) -> tuple[Array, Array]:
            x, e = np.random.default_rng(0).normal(size=(2, n, d))
            return x, 0.6 * x + 0.8 * e

        for seed in range(3):
            yield Case(f"gaussian-{d}", n, seed, -0.5 * d * float(np.log1p(-0.36)), sample)


def _drawn(sampler: Any, n: int, seed: int) -> tuple[Array, Array]:
    """A data set of a sampler of bmi."""
    return _arrays(*sampler.sample(n, seed))


def _arrays(x: object, y: object) -> tuple[Array, Array]:
    return np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)


SUITES: dict[str, Callable[[], Iterator[Case]]] = {
    "bmi40": _bmi40,
    "m_test": _m_test,
    "m_test_extended": _m_test_extended,
    "speed": _speed,
    "symmetry": _symmetry,
}
