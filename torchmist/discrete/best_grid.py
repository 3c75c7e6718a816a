"""A grid of models around the one of most evidence, as wide as its errors.

Legend: ``M`` models of ``D`` parameters, 3 at most.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["BestGrid", "Range", "grid_at_best"]

_AWAY = (9, 7, 5)  # points of the last grid, which reaches
_REACH = 3.0  # errors to all sides


@dataclass(frozen=True)
class Range:
    """Where parameters are sought: between ``least`` and ``most``, by ``steps`` that are halved
    from the second of ``rounds`` on; errors are ``widest`` at most. Each ``[D]``."""

    least: tuple[float, ...]
    most: tuple[float, ...]
    steps: tuple[float, ...]
    widest: tuple[float, ...]
    rounds: int


class BestGrid(NamedTuple):
    """The ``best`` model ``[D]``, models ``[M, D]`` around it, and the log of what each covers in
    the units of the parameters."""

    best: Tensor
    models: Tensor
    log_volume: Tensor


def grid_at_best(evidence: Callable[[Tensor], Tensor], models: Tensor, sought: Range) -> BestGrid:
    """An even grid around the best of what is found from ``models`` ``[M, D]`` on.

    ``evidence``: log evidence ``[M]`` of models.

    Example:
        >>> start = torch.tensor([[0.0, 0.0]], dtype=torch.float64)
        >>> sought = Range((-9, -9), (9, 9), (4, 4), (2, 2), rounds=9)
        >>> found = grid_at_best(lambda m: -((m - 1.5) ** 2).sum(-1), start, sought)
        >>> found.best, len(found.models)
        (tensor([1.5000, 1.5000], dtype=torch.float64), 63)
    """
    turns = models.new_tensor(list(itertools.product((0.0, -1.0, 1.0), repeat=models.shape[1])))
    least, most, steps = (
        models.new_tensor(some) for some in (sought.least, sought.most, sought.steps)
    )
    logs = evidence(models)
    for k in range(sought.rounds):
        steps = steps / 2 if k else steps
        models = (models[logs.argmax()] + turns * steps).clamp(least, most)
        logs = evidence(models)
    beside = [3**k for k in reversed(range(len(steps)))]  # places of single steps down
    bend = torch.stack([2 * logs[0] - (logs[k] + logs[2 * k]) for k in beside]) / steps.square()
    error = 1 / bend.clamp(min=0).sqrt().clamp(min=1 / models.new_tensor(sought.widest))
    points = _AWAY[: len(steps)]
    away = [torch.linspace(-_REACH, _REACH, k, dtype=models.dtype, device="cpu") for k in points]
    best = models[logs.argmax()]
    models = best + torch.cartesian_prod(*away) * error
    models = models[((models >= least) & (models <= most)).all(-1)]
    return BestGrid(best, models, (2 * _REACH * error).prod().log() - math.log(math.prod(points)))
