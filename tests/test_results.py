"""Results that hold arrays: comparing them is no error, and they can be kept and sent."""

from __future__ import annotations

import dataclasses
import importlib
import pickle
import pkgutil
from typing import Any

import numpy as np
import pytest
import torch

import torchmist


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


X = draw(80, 2)
Y = X[:, 0] + draw(80, seed=1)
RESULTS: dict[str, Any] = {
    "MIEstimate": lambda: torchmist.estimate(X, Y, model="mist-fast"),
    "batch": lambda: torchmist.estimate(np.stack([X, X]), np.stack([X, X]), model="mist-fast"),
    "conditional": lambda: torchmist.estimate_conditional(X[:, 0], Y, X[:, 1], model="mist-fast"),
    "TestResult": lambda: torchmist.independence_test(X, Y, model="mist-fast", permutations=19),
    "Pairwise": lambda: torchmist.pairwise(X),
    "Lagged": lambda: torchmist.lagged(X[:, 0], Y, 2, permutations=19),
    "TransferEntropy": lambda: torchmist.transfer_entropy(X[:, 0], Y, permutations=19),
    "AuditReport": lambda: torchmist.audit(X, model="mist-fast"),
    "ProbeReport": lambda: torchmist.MIRegularizer().check(
        torch.from_numpy(X).float(), torch.from_numpy(Y).float(), steps=2, tolerance=9.0
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RESULTS)
def test_results_are_compared_kept_in_lists_and_sent(name: str) -> None:
    result = RESULTS[name]()
    again = pickle.loads(pickle.dumps(result))
    assert type(again) is type(result) and repr(again) == repr(result)
    assert result == result and result in [again, result] and not result != result
    assert isinstance(result == again, bool)


def _dataclasses() -> list[type]:
    found = set()
    for module in pkgutil.walk_packages(torchmist.__path__, "torchmist."):
        if module.name.endswith("__main__") or ".engines" in module.name:
            continue
        try:
            members = vars(importlib.import_module(module.name)).values()
        except ImportError:  # of an optional library
            continue
        found |= {v for v in members if isinstance(v, type) and dataclasses.is_dataclass(v)}
    return sorted(found, key=lambda v: (v.__module__, v.__name__))


def test_every_class_that_holds_arrays_is_compared_by_identity() -> None:
    wrong = []
    for each in _dataclasses():
        if not each.__module__.startswith("torchmist"):
            continue
        types = " ".join(str(field.type) for field in dataclasses.fields(each))
        arrays = any(word in types for word in ("Tensor", "NDArray", "Side", "MIEstimate"))
        if arrays and each.__eq__ is not object.__eq__:
            wrong.append(f"{each.__module__}.{each.__name__}")
    assert not wrong
