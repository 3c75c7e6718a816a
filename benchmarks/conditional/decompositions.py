"""Other ways to the same conditional mutual information, for the comparison with the direct one.

The chain rule over the whole condition from each side, ``I(X; (Y, C)) - I(X; C)`` and
``I(Y; (X, C)) - I(Y; C)``, and the sum over the classes of the labels among the condition, each
estimated by itself. Intervals are those of sums and differences of independent errors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import torchmist
from benchmarks.conditional.registry import Sample, Side, columns_of
from torchmist.estimation import MIEstimate
from torchmist.models.network import QuantileNetwork

__all__ = ["DECOMPOSITIONS", "Answer", "answer"]

Array = NDArray[np.float64]
_DRAWS = 4096


class Answer(NamedTuple):
    """Mean and ends of the 90 % interval in nats, and how many warnings."""

    mean: float
    low: float
    high: float
    warnings: int


def answer(r: MIEstimate) -> Answer:
    """What is recorded of an estimate."""
    low, high = r.interval(0.9)
    return Answer(float(r.mean), float(low), float(high), len(r.warnings))


def _draws(r: MIEstimate, rng: np.random.Generator) -> Array:
    """From the quantiles, ``[S]``, in a random order."""
    place = (rng.permutation(_DRAWS) + 0.5) / _DRAWS
    return np.asarray(np.interp(place, r.levels.numpy(), r.quantiles[0].numpy()))


def _weighted(terms: list[tuple[float, MIEstimate]]) -> Answer:
    """A weighted sum of estimates with independent errors, not below 0."""
    rng = np.random.default_rng(0)
    total = np.zeros(_DRAWS)
    for weight, r in terms:
        total += weight * _draws(r, rng)
    low, high = (max(0.0, float(v)) for v in np.quantile(total, (0.05, 0.95)))
    if any(r.open_above is not None and bool(r.open_above) for _, r in terms):
        high = np.inf
    notes = sum(len(r.warnings) for _, r in terms)
    return Answer(float(total.clip(0).mean()), low, high, notes)


def _frame(**sides: Side) -> dict[str, NDArray[Any]]:
    return {
        f"{name}{k}": column
        for name, side in sides.items()
        for k, column in enumerate(columns_of(side))
    }


def _chain(x: Side, y: Side, given: Side, model: QuantileNetwork) -> Answer:
    """``I(X; (Y, C)) - I(X; C)``."""
    whole = torchmist.estimate(x, _frame(other=y, given=given), model=model)
    part = torchmist.estimate(x, _frame(given=given), model=model)
    return _weighted([(1.0, whole), (-1.0, part)])


def _from_x(s: Sample, model: QuantileNetwork) -> Answer | None:
    """None where the condition is numbers alone: the direct estimate is made in this way."""
    if not _labels(s.given):
        return None
    return _chain(s.x, s.y, s.given, model)


def _from_y(s: Sample, model: QuantileNetwork) -> Answer | None:
    return _chain(s.y, s.x, s.given, model)


def _labels(given: Side) -> list[NDArray[Any]]:
    return [column for column in columns_of(given) if column.dtype.kind in "iub"]


def _classes(s: Sample, model: QuantileNetwork) -> Answer | None:
    """None where no label is given."""
    labels = _labels(s.given)
    if not labels:
        return None
    numbers = [column for column in columns_of(s.given) if column.dtype.kind == "f"]
    code = np.unique(np.stack(labels, 1), axis=0, return_inverse=True)[1].ravel()
    terms = []
    for k in range(code.max() + 1):
        rows = code == k
        x, y = s.x[rows], s.y[rows]
        if numbers:
            given = np.stack(numbers, 1)[rows]
            part = torchmist.estimate_conditional(x, y, given, model=model)
        else:
            part = torchmist.estimate(x, y, model=model)
        terms.append((float(rows.mean()), part))
    return _weighted(terms)


DECOMPOSITIONS: dict[str, Callable[[Sample, QuantileNetwork], Answer | None]] = {
    "chain rule from x": _from_x,
    "chain rule from y": _from_y,
    "sum over classes": _classes,
}
"""Other ways by name; None where one is no other way for a sample."""
