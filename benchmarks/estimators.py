"""The estimators of the benchmarks, each from the library that maintains it.

KSG, CCA, MINE, InfoNCE and NWJ are those of bmi (Czyz et al. 2023) with its defaults (k = 5 for
KSG); any other name is a torchmist model. ``-bootstrap`` adds quantiles over 20 resamples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

import torchmist
from torchmist.weights import ALIASES, registry

__all__ = ["LEVELS", "Estimate", "estimator"]

LEVELS = (0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975)
_RESAMPLES = 20

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """Point estimate in nats, and quantiles at :data:`LEVELS` where the estimator has them."""

    mean: float
    quantiles: tuple[float, ...] = ()


Estimator = Callable[[Array, Array], Estimate]


def _bmi(name: str) -> Callable[[Array, Array], float]:
    from bmi import estimators

    makers: dict[str, Callable[[], object]] = {
        "KSG": lambda: estimators.KSGEnsembleFirstEstimator(neighborhoods=(5,)),
        "CCA": lambda: estimators.CCAMutualInformationEstimator(),
        "MINE": lambda: estimators.MINEEstimator(verbose=False),
        "InfoNCE": lambda: estimators.InfoNCEEstimator(verbose=False),
        "NWJ": lambda: estimators.NWJEstimator(verbose=False),
    }
    if name not in makers:
        raise ValueError(f"expected one of {sorted(makers)} or a torchmist model, got {name!r}")
    return lambda x, y: float(makers[name]().estimate(x, y))  # type: ignore[attr-defined]


def _bootstrap(call: Callable[[Array, Array], float]) -> Estimator:
    """Quantiles over resamples with replacement, with noise of 1e-9 deviations against ties."""

    def run(x: Array, y: Array) -> Estimate:
        rng = np.random.default_rng(0)
        values = []
        for _ in range(_RESAMPLES):
            rows = rng.integers(len(x), size=len(x))
            a, b = (v[rows] + 1e-9 * v.std(0) * rng.normal(size=v.shape) for v in (x, y))
            values.append(call(a, b))
        return Estimate(call(x, y), tuple(float(q) for q in np.quantile(values, LEVELS)))

    return run


def estimator(name: str) -> tuple[Estimator, str]:
    """The estimator called ``name`` and what identifies its version (a prefix of a sha256)."""
    exact = ALIASES.get(name, name)
    if exact in registry():
        model = torchmist.load_pretrained(exact)

        def run(x: Array, y: Array) -> Estimate:
            with torch.no_grad():
                r = torchmist.estimate(x, y, model=model)
            return Estimate(float(r.mean), tuple(float(r.quantile(q)) for q in LEVELS))

        return run, registry()[exact]["sha256"][:12]
    base = name.removesuffix("-bootstrap")
    call = _bmi(base)
    if base != name:
        return _bootstrap(call), "bmi"
    return (lambda x, y: Estimate(call(x, y))), "bmi"
