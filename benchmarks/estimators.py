"""The estimators of the benchmarks, each from the library that maintains it.

KSG, CCA, MINE, InfoNCE and NWJ are those of bmi (Czyz et al. 2023) with its defaults (k = 5 for
KSG; batches of 256, or of all of the half that they train on where that is less). ``reference`` is
the published architecture as trained here (:mod:`training.reference`), and ``SAME_DATA`` ours after
the very same batches (``python -m training.train --preset paper --steps 3500``). Any other name is
a torchmist model, registered or a ``.safetensors`` file, recorded under the file's name.
``NAME-bootstrap`` adds quantiles, mean and variance over resamples.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import torchmist
from torchmist.functional import reduce_quantiles
from torchmist.models.network import QuantileNetwork
from torchmist.models.reference import ReferenceMIST
from torchmist.weights import ALIASES, registry

__all__ = [
    "BASELINES", "LEVELS", "REFERENCE", "SAME_DATA", "Estimate", "Estimator", "estimator",
    "record_name",
]  # fmt: skip

LEVELS = (
    0.025, 0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 0.95, 0.975,
)  # fmt: skip
BASELINES = ("KSG", "CCA", "MINE", "InfoNCE", "NWJ")
REFERENCE = Path(__file__).parent / "results" / "weights" / "reference.safetensors"
SAME_DATA = REFERENCE.with_name("mist-same-data.safetensors")
_BOOTSTRAP = "-bootstrap"
_RESAMPLES = 20

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """Point estimate in nats; quantiles at :data:`LEVELS` where the estimator has them.

    ``resampled_mean`` and ``resampled_variance`` are over bootstrap resamples of the data.
    """

    mean: float
    quantiles: tuple[float, ...] = ()
    resampled_mean: float = math.nan
    resampled_variance: float = math.nan


Estimator = Callable[[Array, Array], Estimate]


def _bmi(name: str) -> Estimator:
    from bmi import estimators

    neural = {
        "MINE": estimators.MINEEstimator,
        "InfoNCE": estimators.InfoNCEEstimator,
        "NWJ": estimators.NWJEstimator,
    }

    def run(x: Array, y: Array) -> Estimate:
        if name in neural:
            made = neural[name](batch_size=min(256, len(x) // 2), verbose=False)
        elif name == "KSG":
            made = estimators.KSGEnsembleFirstEstimator(neighborhoods=(5,))
        else:
            made = estimators.CCAMutualInformationEstimator()
        return Estimate(float(made.estimate(x, y)))

    return run


def _torchmist(model: QuantileNetwork) -> Estimator:
    def run(x: Array, y: Array) -> Estimate:
        with torch.no_grad():
            r = torchmist.estimate(x, y, model=model)
        return Estimate(float(r.mean), tuple(float(r.quantile(q)) for q in LEVELS))

    return run


def _reference(model: ReferenceMIST) -> Estimator:
    """Mean of the quantiles, as for torchmist; crossing quantiles are put in order."""

    def run(x: Array, y: Array) -> Estimate:
        pair = (torch.as_tensor(v, dtype=torch.float32)[None] for v in (x, y))
        with torch.no_grad():
            quantiles = model(*pair).sort(-1).values.clamp(min=0)
        at = [reduce_quantiles(quantiles, model.levels, q) for q in LEVELS]
        return Estimate(float(quantiles.mean()), tuple(float(q) for q in at))

    return run


def _bootstrap(call: Estimator) -> Estimator:
    """Over resamples with replacement, with noise of 1e-9 deviations against ties."""

    def run(x: Array, y: Array) -> Estimate:
        rng = np.random.default_rng(0)
        values = []
        for _ in range(_RESAMPLES):
            rows = rng.integers(len(x), size=len(x))
            a, b = (v[rows] + 1e-9 * v.std(0) * rng.normal(size=v.shape) for v in (x, y))
            values.append(call(a, b).mean)
        quantiles = tuple(float(q) for q in np.quantile(values, LEVELS))
        spread = float(np.mean(values)), float(np.var(values))
        return Estimate(call(x, y).mean, quantiles, *spread)

    return run


def record_name(name: str) -> str:
    """What an estimator is called in the records: aliases resolved, paths shortened."""
    base = name.removesuffix(_BOOTSTRAP)
    return Path(ALIASES.get(base, base)).name.removesuffix(".safetensors") + name[len(base) :]


def estimator(name: str) -> tuple[Estimator, str]:
    """The estimator called ``name`` and what identifies its version (a prefix of a sha256).

    Raises:
        ValueError: for a name that is none of the above.
        FileNotFoundError: for a file that does not exist.
    """
    base = name.removesuffix(_BOOTSTRAP)
    call, version = _plain(base)
    return (call if base == name else _bootstrap(call)), version


def _plain(name: str) -> tuple[Estimator, str]:
    exact = ALIASES.get(name, name)
    if name in BASELINES:
        return _bmi(name), "bmi"
    if exact in registry():
        return _torchmist(torchmist.load_pretrained(exact)), registry()[exact]["sha256"][:12]
    if name != "reference" and not name.endswith(".safetensors"):
        known = sorted([*BASELINES, "reference", *ALIASES, *registry()])
        raise ValueError(f"expected one of {known} or a .safetensors file, got {name!r}")
    path = REFERENCE if name == "reference" else Path(name)
    if not path.is_file():
        raise FileNotFoundError(f"no weights at {path}; `python -m training.reference` trains them")
    version = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    if name == "reference":
        return _reference(ReferenceMIST.load(path)), version
    return _torchmist(torchmist.load_pretrained(path)), version
