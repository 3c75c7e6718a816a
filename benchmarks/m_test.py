"""M_test of the paper, regenerated through bmi with the paper's generator settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from torchmist.synthetic import IMD_FAMILIES, OOMD_FAMILIES, draw_parameters

__all__ = ["SEED", "TestSet", "m_test"]

SEED = 20_260_301
SIZES = tuple(np.linspace(10, 500, 20, dtype=int).tolist())
REPEATS = 9


@dataclass(frozen=True)
class TestSet:
    """One dataset: ``x``, ``y`` ``[n, d]`` float32 and the true ``mi`` in nats."""

    __test__ = False

    suite: str
    family: str
    mi: float
    x: NDArray[np.float32]
    y: NDArray[np.float32]


def m_test(cache: Path, *, seed: int = SEED) -> list[TestSet]:
    """The 6 IMD and 7 OoMD families, 20 sizes from 10 to 500, 9 datasets each, d uniform in 2..32.

    Parameters follow the paper's laws. Making the datasets takes minutes, so they are kept in
    ``cache`` under the seed.
    """
    path = cache / f"m_test-{seed}.npz"
    if not path.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        made = _make(seed)
        arrays = {f"{side}{i}": getattr(t, side) for i, t in enumerate(made) for side in "xy"}
        columns = {key: np.array([getattr(t, key) for t in made])
                   for key in ("suite", "family", "mi")}  # fmt: skip
        temporary = path.with_suffix(".tmp.npz")
        np.savez(temporary, **arrays, **columns)
        temporary.replace(path)
    with np.load(path) as file:
        rows = zip(file["suite"], file["family"], file["mi"])
        return [
            TestSet(str(suite), str(family), float(mi), file[f"x{i}"], file[f"y{i}"])
            for i, (suite, family, mi) in enumerate(rows)
        ]


def _make(seed: int) -> list[TestSet]:
    """The datasets through bmi: the first n of 500 samples, for jax compiles anew at each shape."""
    from benchmarks.bmi_families import bmi_sampler

    generator = torch.Generator().manual_seed(seed)
    suites = {"IMD": IMD_FAMILIES, "OoMD": OOMD_FAMILIES}
    plan = [(suite, family, n) for suite, families in suites.items() for family in families
            for n in SIZES for _ in range(REPEATS)]  # fmt: skip
    out = []
    for index, (suite, family, n) in enumerate(tqdm(plan, desc="M_test", mininterval=5)):
        dim = int(torch.randint(2, 33, (1,), generator=generator))
        sampler = bmi_sampler(family, draw_parameters(family, dim, generator))
        x, y = sampler.sample(SIZES[-1], seed + index)
        out.append(TestSet(suite, family, sampler.mutual_information(), x[:n], y[:n]))
    return out
